//! What does not wait for the lane: red flags, `/stop` and `/human`.

use std::time::{Duration, Instant as Started};

use bedside_contract::{
    ConversationKey, Disposition, FinishedTurn, InboxItem, InboxSeq, Initiative, Language, Part, Room,
    StoreError, TurnOutcome, Update, asks_for_more,
};
use bedside_triage::{Assessment, Rules};
use tokio::time::Instant;

use super::{Dispatcher, Lease};
use crate::{
    context::{command::Command, interrupt::InterruptReason, red_flags::assess_alone, words::say},
    turn::{answers_a_question, human_text},
};

/// Why a message overtakes.
#[derive(Debug)]
pub(crate) enum Urgent {
    Emergency(Box<Assessment>),
    Stop,
    Human,
    /// "1", "continue": the patient may only ask for what waits until they write.
    Nudge,
}

impl Urgent {
    /// Looks at an update before it is even stored; takes less than a millisecond.
    pub(crate) fn look(rules: &Rules, update: &Update, initiative: Initiative) -> Option<Self> {
        let text = update.text()?;
        // Before any command: whatever is typed in fear is read.
        let assessment = assess_alone(rules, text);
        if assessment.disposition == Disposition::Emergency {
            return Some(Self::Emergency(Box::new(assessment)));
        }
        match Command::parse(text) {
            Some(Command::Stop) => Some(Self::Stop),
            Some(Command::Human) => Some(Self::Human),
            None if initiative != Initiative::Bot && asks_for_more(text) => Some(Self::Nudge),
            _ => None,
        }
    }
}

/// Whether updates that came together are not taken for now: what is left of a full disk is for what has begun and for
/// emergencies.
pub(super) fn waits_for_room(room: Room, looks: &[(ConversationKey, Option<Urgent>)]) -> bool {
    let is_emergency = |(_, urgent): &(_, Option<Urgent>)| matches!(urgent, Some(Urgent::Emergency(_)));
    room == Room::Reserve && !looks.iter().any(is_emergency)
}

/// Enough of a conversation to tell whether it was asked something.
const LAST_WORDS: usize = 2;

/// For a part that is being sent, until a patient's "continue" is taken for a message of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// Answers an urgent message at once, whatever its lane is doing. Leaves it to the lane if that fails.
    pub(super) async fn handle_urgent(self: std::sync::Arc<Self>, seq: InboxSeq, urgent: Urgent) {
        let item = match self.context.store.inbox.lease(seq).await {
            Ok(Some(item)) => item,
            Ok(None) => return, // The lane was faster; it knows the red flags too.
            Err(error) => {
                tracing::error!(%seq, %error, "An urgent message could not be leased.");
                return;
            }
        };
        let started = Started::now();
        let lease = Lease::new(&self, &item);
        self.note_answer_place(&item).await;
        match self.urgent_end(&item, urgent).await {
            Ok(Some(finished)) => {
                let outcome = self.finish(finished).await;
                self.turn_ended(started, outcome);
            }
            // Its lane works on it, and counts it.
            Ok(None) => self.give_back(seq).await,
            Err(error) => {
                self.turn_ended(started, TurnOutcome::StoreFailed);
                tracing::error!(%seq, %error, "An urgent message could not be answered out of turn.");
                self.give_back_counted(seq).await;
            }
        }
        lease.end();
        self.wake(&item.update.conversation);
    }

    /// `None`: not urgent after all, its lane answers.
    async fn urgent_end(&self, item: &InboxItem, urgent: Urgent) -> Result<Option<FinishedTurn>, StoreError> {
        let conversation = &item.update.conversation;
        let conversations = &self.context.store.conversations;
        let state = conversations.conversation(conversation, LAST_WORDS).await?;
        let context = self.context.now();
        let language = context.language_of(&item.update, &state.settings);
        let finished = match urgent {
            Urgent::Emergency(assessment) => {
                let stopped = self.lanes.interrupt(conversation, InterruptReason::Emergency);
                self.turns.emergency(item, &state, &assessment, language, stopped)
            }
            Urgent::Nudge if answers_a_question(&state, item.update.text().unwrap_or_default()) => {
                return Ok(None);
            }
            Urgent::Nudge => {
                let answering = self.is_answering(conversation).await;
                let released = self.delivery.release_parked(conversation).await?;
                if released == 0 && !answering {
                    return Ok(None);
                }
                FinishedTurn {
                    urgent: true,
                    ..FinishedTurn::with_parts(item, Vec::new())
                }
            }
            Urgent::Stop => {
                let stopped = self.lanes.interrupt(conversation, InterruptReason::Stop);
                let key = if stopped { "stop-done" } else { "stop-nothing" };
                notice_turn(item, language, say(language, key))
            }
            Urgent::Human => {
                self.lanes.interrupt(conversation, InterruptReason::Stop);
                notice_turn(item, language, human_text(&context, language))
            }
        };
        Ok(Some(finished))
    }

    /// Waits until no part of this conversation is being sent, so that what was just delivered is not taken for
    /// something that waits. True as soon as a turn is running: its answer is what is asked for.
    async fn is_answering(&self, conversation: &ConversationKey) -> bool {
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            let (lanes, delivery) = (self.lanes.changed(), self.delivery.changed());
            if self.lanes.is_running(conversation) {
                return true;
            }
            if self.lanes.is_idle(conversation) && self.delivery.is_idle(conversation) {
                return false;
            }
            tokio::select! {
                () = lanes => {}
                () = delivery => {}
                () = tokio::time::sleep_until(deadline) => return true,
            }
        }
    }
}

fn notice_turn(item: &InboxItem, language: Language, text: String) -> FinishedTurn {
    FinishedTurn {
        urgent: true,
        ..FinishedTurn::with_parts(item, vec![Part::notice(language, text)])
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{ConversationKey, Initiative, Room, Update, UpdateKind};
    use bedside_triage::Rules;

    use super::{Urgent, waits_for_room};

    #[test]
    fn a_full_disk_takes_emergencies_and_what_comes_with_them() {
        let look = |text: &str| {
            let update = Update {
                platform: "w".to_owned(),
                bot: "b".to_owned(),
                external_id: "1".to_owned(),
                conversation: ConversationKey::new("w", "b", "1"),
                sender: "1".to_owned(),
                language_hint: None,
                answer_in: None,
                kind: UpdateKind::Text {
                    text: text.to_owned(),
                },
            };
            let urgent = Urgent::look(Rules::builtin(), &update, Initiative::Bot);
            (update.conversation, urgent)
        };
        let (cold, stop) = ("I have a cold", "/stop");
        for (room, texts, expect) in [
            (Room::Enough, &[cold][..], false),
            (Room::Low, &[cold], false),
            (Room::Reserve, &[cold], true),
            (Room::Reserve, &[stop, cold], true),
            (Room::Reserve, &["I can't breathe"], false),
            (Room::Reserve, &[cold, "喘不上气"], false),
        ] {
            let looks: Vec<_> = texts.iter().map(|it| look(it)).collect();
            assert_eq!(waits_for_room(room, &looks), expect, "{room:?} {texts:?}");
        }
    }
}
