//! What Discord and the patient are told once an interaction is stored, within three seconds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bedside_contract::{ConversationKey, InboxSeq, Language};
use serenity::builder::CreateInteractionResponse;
use tokio::time::Instant;

use crate::{
    connector::Shared,
    failure::RestFailure,
    interactions::Reply,
    outgoing::{Outgoing, deferred, pressed},
};

/// A response can be edited for 15 minutes; until then it must have said something.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(14 * 60);
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

/// How an interaction is acknowledged.
pub(crate) enum Acknowledgement {
    /// "thinking …", then the answer in its place.
    Deferred { ephemeral: bool },
    /// The buttons go away; the answer comes as a message.
    Pressed { data: String, label: Option<String> },
}

/// Acknowledges an interaction that is stored as `seq` and sees to it that its "thinking …" comes to an end.
pub(crate) async fn acknowledge(
    shared: Arc<Shared>,
    conversation: ConversationKey,
    reply: Reply,
    acknowledgement: Acknowledgement,
    seq: InboxSeq,
    language: Language,
) {
    let ephemeral = match acknowledgement {
        Acknowledgement::Pressed { data, label } => {
            if let Err(failure) = respond(&shared, &reply, &pressed(&data, label.as_deref())).await {
                tracing::debug!(problem = %failure, "A pressed button was not acknowledged.");
            }
            return;
        }
        Acknowledgement::Deferred { ephemeral } => ephemeral,
    };
    if let Err(failure) = respond(&shared, &reply, &deferred(ephemeral)).await {
        tracing::info!(problem = %failure, seq = seq.0, "A slash command is answered by a message.");
        shared.interactions.close(&conversation, reply.interaction);
        return;
    }
    if shared.interactions.deferred(&conversation, reply.interaction) {
        let shared = Arc::downgrade(&shared);
        watch(shared, &conversation, &reply, seq, language).await;
    } else if let Err(failure) = shared.rest.delete_response(&reply).await {
        tracing::debug!(problem = %failure, "An empty response was not taken away.");
    }
}

/// Says that an interaction was not taken.
pub(crate) async fn refuse(shared: &Shared, reply: &Reply, language: Language, emergency_number: &str) {
    let sentence = Outgoing::from_sentence(&not_taken(language, emergency_number));
    if let Err(failure) = respond(shared, reply, &sentence.immediate_response()).await {
        tracing::warn!(problem = %failure, "A user was not told that the bot could not take a command.");
    }
}

/// Ends the waiting of a button that was pressed before: the first press counts.
pub(crate) async fn pass_over(shared: Arc<Shared>, reply: Reply) {
    if let Err(failure) = respond(&shared, &reply, &CreateInteractionResponse::Acknowledge).await {
        tracing::debug!(problem = %failure, "A button that was pressed again was not acknowledged.");
    }
}

async fn respond(
    shared: &Shared,
    reply: &Reply,
    response: &CreateInteractionResponse,
) -> Result<(), RestFailure> {
    let mut may_have_arrived = false;
    for _ in 1..TRIES {
        match shared.rest.acknowledge(reply, response).await {
            Err(failure) if failure.passes() => {
                may_have_arrived |= matches!(failure, RestFailure::OutcomeUnknown(_));
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(failure) if may_have_arrived && failure.is_already_acknowledged() => return Ok(()),
            other => return other,
        }
    }
    match shared.rest.acknowledge(reply, response).await {
        Err(failure) if may_have_arrived && failure.is_already_acknowledged() => Ok(()),
        other => other,
    }
}

/// Edits the deferred response before it expires, to say that the answer will arrive as a direct message.
async fn watch(
    connector: Weak<Shared>,
    conversation: &ConversationKey,
    reply: &Reply,
    seq: InboxSeq,
    language: Language,
) {
    let given_up = Instant::now() + GIVEN_UP_AFTER;
    loop {
        let Some(shared) = connector.upgrade() else { return };
        if !shared.interactions.is_open(conversation, reply.interaction) {
            return;
        }
        if Instant::now() >= given_up {
            return give_up(&shared, conversation, reply, seq, language).await;
        }
        drop(shared);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn give_up(
    shared: &Shared,
    conversation: &ConversationKey,
    reply: &Reply,
    seq: InboxSeq,
    language: Language,
) {
    if !shared.interactions.expire(conversation, reply.interaction) {
        return;
    }
    let sentence = Outgoing::from_sentence(comes_later(language));
    if let Err(failure) = shared.rest.edit_response(reply, &sentence.edit()).await {
        tracing::warn!(problem = %failure, seq = seq.0, "A slash command stays without words.");
    }
}

fn not_taken(language: Language, emergency_number: &str) -> String {
    match language {
        Language::En => format!(
            "I could not take your message just now. Please send it again; in an emergency call {emergency_number} now."
        ),
        Language::Zh => format!("刚才没能收下您的消息，请再发一次；紧急情况请立即拨打 {emergency_number}。"),
    }
}

fn comes_later(language: Language) -> &'static str {
    match language {
        Language::En => "Your message has been received. The reply comes as a direct message.",
        Language::Zh => "您的消息已收到，回复会以私信发送给您。",
    }
}
