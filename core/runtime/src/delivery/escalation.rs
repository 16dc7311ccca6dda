//! Emergency notices that do not reach their patient are escalated to staff.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bedside_contract::{
    Escalation, EscalationResult, Observation, Observer, PartId, StoreError, UndeliveredNotice,
    UndeliveredNotices,
};
use tokio::time::Instant;

/// Where undelivered notices are found, and who is alerted.
#[derive(Clone)]
pub struct Escalations {
    pub notices: Arc<dyn UndeliveredNotices>,
    /// Nobody: then the log alone says so.
    pub staff: Option<Arc<dyn Escalation>>,
    /// An undelivered notice is escalated after this.
    pub after: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// When a failed alert is retried.
#[derive(Default)]
pub(crate) struct Retries(HashMap<PartId, Retry>);

struct Retry {
    due: Instant,
    pause: Duration,
}

impl Escalations {
    /// Escalates all notices that are due. A notice is escalated again only if the alert failed, or if the process ended
    /// before that was recorded.
    pub(crate) async fn look(
        &self,
        retries: &mut Retries,
        observer: &dyn Observer,
    ) -> Result<(), StoreError> {
        let found = self.notices.undelivered_notices(self.after).await?;
        retries
            .0
            .retain(|part, _| found.iter().any(|it| it.part == *part));
        for notice in &found {
            if retries
                .0
                .get(&notice.part)
                .is_some_and(|it| it.due > Instant::now())
            {
                continue;
            }
            let result = self.tell(notice, retries).await?;
            observer.observe(&Observation::Escalation { result });
        }
        Ok(())
    }

    async fn tell(
        &self,
        notice: &UndeliveredNotice,
        retries: &mut Retries,
    ) -> Result<EscalationResult, StoreError> {
        let platform = notice.conversation.platform();
        let minutes = notice.waiting.as_secs() / 60;
        tracing::error!(
            part = notice.part.0,
            platform,
            minutes,
            given_up = notice.given_up,
            "An emergency notice has not reached its patient."
        );
        if let Some(staff) = &self.staff
            && let Err(error) = staff.escalate(notice).await
        {
            let pause = retries.0.get(&notice.part).map_or(FIRST_PAUSE, |it| it.pause * 2);
            let pause = pause.min(LONGEST_PAUSE);
            let due = Instant::now() + pause;
            tracing::error!(part = notice.part.0, %error, ?pause, "Staff could not be alerted; it is retried.");
            retries.0.insert(notice.part.clone(), Retry { due, pause });
            return Ok(EscalationResult::Failed);
        }
        self.notices.notice_escalated(&notice.part).await?;
        Ok(match self.staff {
            Some(_) => EscalationResult::Alerted,
            None => EscalationResult::Nobody,
        })
    }
}
