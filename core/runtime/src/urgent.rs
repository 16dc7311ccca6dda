//! What does not wait for the lane: red flags, `/stop` and `/human`.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bedside_contract::{
    ConversationKey, ConversationSettings, Disposition, FinishedTurn, InboxItem, InboxSeq, Initiative,
    Language, Part, Provenance, StoreError, Turn, TurnState, Update, asks_for_more,
};
use bedside_triage::{Assessment, Rules};
use futures::FutureExt;

use crate::{
    bot::Shared,
    commands::Command,
    lanes::InterruptReason,
    red_flags::{assess_alone, emergency_part},
    turn,
    words::say,
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

/// Enough of a conversation to tell whether it was asked something.
const LAST_WORDS: usize = 2;

/// Answers an urgent message at once, whatever its lane is doing. Gives it to the lane if that fails.
pub(crate) async fn handle(shared: Arc<Shared>, seq: InboxSeq, urgent: Urgent) {
    let item = match shared.store.lease(seq).await {
        Ok(Some(item)) => item,
        Ok(None) => return, // The lane was faster; it knows the red flags too.
        Err(error) => {
            tracing::error!(%seq, %error, "An urgent message could not be leased.");
            return;
        }
    };
    let conversation = item.update.conversation.clone();
    let answering = AssertUnwindSafe(answer(&shared, item, urgent))
        .catch_unwind()
        .await;
    match answering {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => shared.give_back(seq).await,
        Ok(Err(error)) => {
            tracing::error!(%seq, %error, "An urgent message could not be answered out of turn.");
            shared.give_back_counted(seq).await;
        }
        Err(_) => {
            tracing::error!(%seq, "An urgent message's answer panicked; its lane takes it.");
            shared.give_back_counted(seq).await;
        }
    }
    shared.wake_lane(&conversation);
}

/// `false`: not urgent after all, its lane answers.
async fn answer(shared: &Arc<Shared>, item: InboxItem, urgent: Urgent) -> Result<bool, StoreError> {
    let Some(finished) = finish(shared, item, urgent).await? else {
        return Ok(false);
    };
    shared.finish(finished).await;
    Ok(true)
}

/// `None`: not urgent after all, its lane answers.
async fn finish(
    shared: &Arc<Shared>,
    item: InboxItem,
    urgent: Urgent,
) -> Result<Option<FinishedTurn>, StoreError> {
    let conversation = item.update.conversation.clone();
    let state = shared.store.conversation(&conversation, LAST_WORDS).await?;
    let language = shared.language_of(&item.update, &state.settings);
    let finished = match urgent {
        Urgent::Emergency(assessment) => {
            let stopped = shared.lanes.interrupt(&conversation, InterruptReason::Emergency);
            turn::emergency(shared, &item, &state, &assessment, language, stopped)
        }
        Urgent::Nudge if turn::answers_a_question(&state, item.update.text().unwrap_or_default()) => {
            return Ok(None);
        }
        Urgent::Nudge => {
            let answering = is_answering(shared, &conversation).await;
            let released = shared.release_parked(&conversation).await?;
            if released == 0 && !answering {
                return Ok(None);
            }
            FinishedTurn {
                parts: Vec::new(),
                ..notice_turn(&item, language, String::new())
            }
        }
        Urgent::Stop => {
            let stopped = shared.lanes.interrupt(&conversation, InterruptReason::Stop);
            let text = if stopped {
                say(language, "stop-done")
            } else {
                say(language, "stop-nothing")
            };
            notice_turn(&item, language, text)
        }
        Urgent::Human => {
            shared.lanes.interrupt(&conversation, InterruptReason::Stop);
            notice_turn(&item, language, human_text(shared, language))
        }
    };
    Ok(Some(finished))
}

/// Waits until no part of this conversation is being sent, so that what was just delivered is not taken for
/// something that waits. True as soon as a turn is running: its answer is what is asked for.
async fn is_answering(shared: &Shared, conversation: &ConversationKey) -> bool {
    const LOOKS: u32 = 100;
    for _ in 0..LOOKS {
        if shared.lanes.is_running(conversation) {
            return true;
        }
        if !shared.lanes.is_active(conversation) && shared.delivery.is_idle(conversation) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// The end of a turn that a red flag answers: without the model, before everything else.
pub(crate) fn emergency_turn(
    shared: &Shared,
    item: &InboxItem,
    settings: &ConversationSettings,
    assessment: &Assessment,
    language: Language,
) -> FinishedTurn {
    let part = emergency_part(shared.rules, assessment, language, &shared.config.contacts());
    // Before consent nothing of what was said is remembered.
    let turns = if settings.consent_ms.is_some() {
        emergency_turns(shared, item.update.text().unwrap_or_default(), &part, assessment)
    } else {
        Vec::new()
    };
    FinishedTurn {
        seq: item.seq,
        conversation: item.update.conversation.clone(),
        state: TurnState::Done,
        turns,
        parts: vec![part],
        urgent: true,
        // The lane may be changing them at this moment.
        settings: None,
        reset: false,
    }
}

/// What is remembered of an emergency.
pub(crate) fn emergency_turns(
    shared: &Shared,
    text: &str,
    notice: &Part,
    assessment: &Assessment,
) -> Vec<Turn> {
    let made_by = Provenance {
        rules: shared.rules.version(),
        third_reader: assessment.third_reading.clone(),
        ..Provenance::default()
    };
    vec![Turn::patient(text), Turn::bot(notice.text.clone(), made_by)]
}

/// How to reach a person.
pub(crate) fn human_text(shared: &Shared, language: Language) -> String {
    shared.say_with_number(language, "human")
}

fn notice_turn(item: &InboxItem, language: Language, text: String) -> FinishedTurn {
    FinishedTurn {
        seq: item.seq,
        conversation: item.update.conversation.clone(),
        state: TurnState::Done,
        turns: Vec::new(),
        parts: vec![Part::notice(language, text)],
        urgent: true,
        settings: None,
        reset: false,
    }
}
