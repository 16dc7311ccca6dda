//! What every store promises, as tests: an implementation gives a [`Place`] and lists the cases with
//! [`crate::store_conformance!`].

mod conversations;
mod deletions;
mod deliveries;
mod messages;
mod plugin_data;

use std::sync::Arc;

use async_trait::async_trait;
use bedside_contract::{
    ConversationKey, FinishedTurn, InboxItem, InboxSeq, Language, OutboxItem, Part, Provenance, Said, Store,
    ThirdReading, ThirdVerdict, Turn, TurnState, Update, UpdateKind,
};

pub use conversations::*;
pub use deletions::*;
pub use deliveries::*;
pub use messages::*;
pub use plugin_data::*;

/// Where one store's data lies, empty at first.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the store here, as a new process does after the last one was killed: what was opened here
    /// before may still exist, and must have lost its leases.
    async fn open(&self) -> Arc<dyn Store>;

    /// All bytes that the store keeps here, as whoever takes the disk would read them.
    fn bytes(&self) -> Vec<u8>;
}

/// One test for each case, on a new [`Place`] each; needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_conformance {
    ($new_place:expr) => {
        $crate::store_conformance! { @ $new_place;
            an_update_is_accepted_once
            a_hundred_deliveries_at_once_are_one
            a_cursor_moves_with_its_updates
            messages_are_leased_in_order
            a_message_can_be_leased_out_of_order
            attempts_are_counted_before_the_work
            a_message_that_waits_is_not_counted
            a_lost_lease_finishes_nothing
            a_turn_ends_once
            conversations_are_listed_oldest_first
            many_conversations_at_once
            parts_leave_in_order
            urgent_parts_overtake
            a_part_that_is_not_due_holds_up_those_behind_it
            a_parked_part_waits_for_its_patient
            what_was_sent_can_be_sent_again
            an_interrupted_send_is_tried_again
            a_dead_part_makes_room
            settling_twice_changes_nothing
            a_preview_becomes_part_zero
            a_preview_needs_a_lease
            turns_are_remembered_since_the_last_reset
            settings_are_kept
            the_transcript_is_in_order
            a_deleted_conversation_is_gone
            what_came_after_a_delete_stays
            deleted_words_and_ids_are_in_no_byte
            what_was_in_work_is_forgotten_at_its_end
            a_deletion_spares_the_place_of_its_own_answer
            what_plugins_keep_of_a_conversation_goes
            plugins_keep_data
            a_quota_holds
        }
    };
    (@ $new_place:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case(&$new_place).await;
            }
        )*
    };
}

fn chat(name: &str) -> ConversationKey {
    ConversationKey::new("web", "main", name)
}

fn update(conversation: &ConversationKey, external_id: &str, kind: UpdateKind) -> Update {
    Update {
        platform: "web".to_owned(),
        bot: "main".to_owned(),
        external_id: external_id.to_owned(),
        conversation: conversation.clone(),
        sender: "17".to_owned(),
        language_hint: Some(Language::Zh),
        answer_in: None,
        kind,
    }
}

fn text(conversation: &ConversationKey, external_id: &str, words: &str) -> Update {
    update(
        conversation,
        external_id,
        UpdateKind::Text {
            text: words.to_owned(),
        },
    )
}

/// Accepts one message whose words are its id.
async fn say(store: &dyn Store, conversation: &ConversationKey, external_id: &str) -> InboxSeq {
    let receipts = store
        .accept(vec![text(conversation, external_id, external_id)], None)
        .await
        .expect("accept");
    assert!(!receipts[0].duplicate, "{external_id} is new");
    receipts[0].seq
}

async fn lease_next(store: &dyn Store, conversation: &ConversationKey) -> Option<InboxItem> {
    store.lease_next(conversation).await.expect("lease_next")
}

/// The end of `seq` with these answers and the question and first answer as turns.
fn answered(conversation: &ConversationKey, seq: InboxSeq, answers: &[&str]) -> FinishedTurn {
    let made_by = Provenance {
        rules: "rules 1".to_owned(),
        passages: vec!["gout/treatment@2".to_owned()],
        model: Some("model 3".to_owned()),
        adapter: None,
        third_reader: Some(ThirdReading {
            model: "model 3".to_owned(),
            verdict: ThirdVerdict::NoEmergency,
        }),
    };
    let mut turns = vec![Turn::patient(format!("question {seq}"))];
    turns.extend(answers.first().map(|it| Turn::bot(*it, made_by)));
    FinishedTurn {
        seq,
        conversation: conversation.clone(),
        state: TurnState::Done,
        turns,
        parts: answers.iter().map(|it| Part::notice(Language::En, *it)).collect(),
        urgent: false,
        settings: None,
        reset: false,
    }
}

/// Accepts, leases and finishes a message with these answers.
async fn ask(
    store: &dyn Store,
    conversation: &ConversationKey,
    external_id: &str,
    answers: &[&str],
) -> InboxSeq {
    ask_with(store, conversation, external_id, answers, |_| {}).await
}

async fn ask_with(
    store: &dyn Store,
    conversation: &ConversationKey,
    external_id: &str,
    answers: &[&str],
    change: impl FnOnce(&mut FinishedTurn) + Send,
) -> InboxSeq {
    let seq = say(store, conversation, external_id).await;
    store.lease(seq).await.expect("lease").expect("it is new");
    let mut finished = answered(conversation, seq, answers);
    change(&mut finished);
    assert!(store.finish(finished).await.expect("finish"), "the lease holds");
    seq
}

async fn claim(store: &dyn Store, conversation: &ConversationKey) -> Option<OutboxItem> {
    store.claim_part(conversation).await.expect("claim_part")
}

async fn claim_text(store: &dyn Store, conversation: &ConversationKey) -> Option<String> {
    claim(store, conversation).await.map(|it| it.part.text)
}

async fn turn_texts(store: &dyn Store, conversation: &ConversationKey, max_turns: usize) -> Vec<String> {
    let state = store
        .conversation(conversation, max_turns)
        .await
        .expect("conversation");
    state.turns.into_iter().map(|it| it.text).collect()
}

/// The chats' own names.
async fn unfinished(store: &dyn Store) -> Vec<String> {
    chat_names(
        &store
            .unfinished_conversations()
            .await
            .expect("unfinished_conversations"),
    )
}

async fn undelivered(store: &dyn Store) -> Vec<String> {
    chat_names(
        &store
            .undelivered_conversations()
            .await
            .expect("undelivered_conversations"),
    )
}

fn chat_names(conversations: &[ConversationKey]) -> Vec<String> {
    conversations.iter().map(|it| it.chat().to_owned()).collect()
}

/// `p:words` and `b:words`.
async fn transcript_texts(store: &dyn Store, conversation: &ConversationKey, after: i64) -> Vec<String> {
    let entries = store
        .transcript(conversation, after, usize::MAX)
        .await
        .expect("transcript");
    entries
        .into_iter()
        .map(|it| match it.said {
            Said::Patient { text } => format!("p:{text}"),
            Said::Bot { part } => format!("b:{}", part.text),
        })
        .collect()
}
