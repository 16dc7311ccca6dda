//! An intake in memory, as far as the page needs them.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, ConversationKey, Cursor, InboxSeq, Intake, Language, OutboxItem, Part, PartId, PartKind,
    Receipt, Room, Said, StoreError, TranscriptEntry, Update,
};

pub(crate) const RED_FLAG: &str = "I can't breathe";
pub(crate) const RED_FLAG_ZH: &str = "喘不上气";

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) updates: Mutex<Vec<Update>>,
    entries: Mutex<Vec<(ConversationKey, TranscriptEntry)>>,
    pub(crate) broken: AtomicBool,
    /// Less is free on the disk than the hospital wants.
    pub(crate) is_low: AtomicBool,
}

impl Memory {
    /// Puts a bot's part into the transcript and gives what a connector is told to deliver.
    pub(crate) fn say(&self, conversation: &ConversationKey, seq: i64, part: Part) -> OutboxItem {
        let item = outbox_item(conversation, seq, part);
        self.show(&item);
        item
    }

    pub(crate) fn show(&self, item: &OutboxItem) {
        self.push(
            &item.conversation,
            item.seq,
            None,
            Said::Bot {
                part: Box::new(item.part.clone()),
            },
        );
    }

    /// The conversation of the only session there is.
    pub(crate) fn conversation(&self) -> ConversationKey {
        self.updates
            .lock()
            .unwrap()
            .first()
            .expect("somebody was here")
            .conversation
            .clone()
    }

    fn push(&self, conversation: &ConversationKey, seq: InboxSeq, external_id: Option<String>, said: Said) {
        let mut entries = self.entries.lock().unwrap();
        let id = i64::try_from(entries.len()).unwrap() + 1;
        entries.push((
            conversation.clone(),
            TranscriptEntry {
                id,
                seq,
                external_id,
                said,
            },
        ));
    }
}

pub(crate) fn outbox_item(conversation: &ConversationKey, seq: i64, part: Part) -> OutboxItem {
    OutboxItem {
        id: PartId(format!("part-{seq}")),
        conversation: conversation.clone(),
        seq: InboxSeq(seq),
        part,
        replaces: None,
        attempts: 1,
        waiting: std::time::Duration::ZERO,
    }
}

#[async_trait]
impl Intake for Memory {
    async fn accept(
        &self,
        updates: Vec<Update>,
        _cursor: Option<Cursor>,
    ) -> Result<Vec<Receipt>, StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Failed("disk full".to_owned()));
        }
        let mut receipts = Vec::new();
        for update in updates {
            let mut known = self.updates.lock().unwrap();
            let place = known.iter().position(|it| it.external_id == update.external_id);
            let seq = InboxSeq(i64::try_from(place.unwrap_or(known.len())).unwrap() + 1);
            if place.is_none() {
                if let Some(text) = update.text() {
                    let said = Said::Patient {
                        text: text.to_owned(),
                    };
                    self.push(&update.conversation, seq, Some(update.external_id.clone()), said);
                }
                known.push(update);
            }
            receipts.push(Receipt {
                seq,
                duplicate: place.is_some(),
            });
        }
        Ok(receipts)
    }

    /// The rules are tested where they are; here one phrase stands for all red flags.
    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part> {
        let is_red_flag = words.contains(RED_FLAG) || words.contains(RED_FLAG_ZH);
        is_red_flag.then(|| Part {
            kind: PartKind::Emergency,
            ..Part::notice(language.unwrap_or_default(), "Call 120 now.")
        })
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> String {
        "120".to_owned()
    }

    async fn answer_again(
        &self,
        _: &bedside_contract::ConversationKey,
        _: InboxSeq,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn cursor(&self, _: &str, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        let entries = self.entries.lock().unwrap();
        Ok(entries
            .iter()
            .filter(|it| it.0 == *conversation && it.1.id > after)
            .map(|it| it.1.clone())
            .take(limit)
            .collect())
    }

    fn health(&self) -> BotHealth {
        BotHealth {
            store: !self.broken.load(Ordering::SeqCst),
            room: if self.is_low.load(Ordering::SeqCst) {
                Room::Low
            } else {
                Room::Enough
            },
            connectors: vec![("web".to_owned(), true), ("telegram".to_owned(), false)],
        }
    }
}
