//! The roles that the store plays, each operation handed to the writer or to a reader.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    AuditLog, ConversationKey, ConversationState, Conversations, Cursor, FinishedTurn, Inbox, InboxItem,
    InboxSeq, Outbox, OutboxItem, PartId, PlatformMessageId, PluginStorage, Receipt, Room, SendOutcome,
    StoreError, StoreHealth, TranscriptEntry, Transcripts, UndeliveredNotice, UndeliveredNotices, Update,
};
use rusqlite::Connection;

use super::{
    SqliteStore, audit,
    error::OperationError,
    forget, inbox,
    inbox::EncodedUpdate,
    notices, outbox, plugin_kv, transcript, turns,
    turns::{EncodedTurn, Ended},
};

#[async_trait]
impl Inbox for SqliteStore {
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        let updates = updates
            .into_iter()
            .map(EncodedUpdate::new)
            .collect::<Result<Vec<_>, _>>()?;
        let now = self.clock.now_ms();
        let pseudonyms = Arc::clone(&self.pseudonyms);
        let accept = move |it: &Connection| -> Result<_, OperationError> {
            let receipts = inbox::accept(it, &pseudonyms, &updates, cursor.as_ref(), now)?;
            Ok((receipts, forget::remove_farewells(it, now)?))
        };
        let (receipts, removed) = self.writer.run(accept).await?;
        if removed {
            self.writer.empty_log_soon();
        }
        let duplicates = receipts.iter().filter(|it| it.duplicate).count();
        self.duplicates_refused
            .fetch_add(duplicates as u64, Ordering::Relaxed);
        Ok(receipts)
    }

    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        let (platform, bot) = (platform.to_owned(), bot.to_owned());
        self.readers
            .run(move |it| inbox::cursor(it, &platform, &bot))
            .await
    }

    async fn unfinished_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        self.readers.run(inbox::unfinished_conversations).await
    }

    /// Also `None` while any message of the conversation is leased out of its order: ask again when that
    /// one has ended.
    async fn lease_next(&self, conversation: &ConversationKey) -> Result<Option<InboxItem>, StoreError> {
        let (owner, conversation) = (Arc::clone(&self.owner), conversation.clone());
        self.writer
            .run(move |it| inbox::lease_next(it, &owner, &conversation))
            .await
    }

    async fn lease(&self, seq: InboxSeq) -> Result<Option<InboxItem>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer.run(move |it| inbox::lease(it, &owner, seq)).await
    }

    async fn uncount_attempt(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer
            .run(move |it| inbox::add_attempts(it, &owner, seq, -1))
            .await
    }

    async fn count_attempt(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer
            .run(move |it| inbox::add_attempts(it, &owner, seq, 1))
            .await
    }

    async fn release(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer.run(move |it| inbox::release(it, &owner, seq)).await
    }

    async fn finish(&self, finished: FinishedTurn) -> Result<bool, StoreError> {
        let (owner, pseudonyms) = (Arc::clone(&self.owner), Arc::clone(&self.pseudonyms));
        let finished = EncodedTurn::new(finished)?;
        let now = self.clock.now_ms();
        let ended = self
            .writer
            .run(move |it| turns::finish(it, &pseudonyms, &owner, &finished, now))
            .await?;
        if ended == Ended::Forgotten {
            self.writer.empty_log_soon();
        }
        Ok(ended != Ended::LeaseLost)
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn put_preview(&self, seq: InboxSeq, message: &PlatformMessageId) -> Result<(), StoreError> {
        let (owner, message) = (Arc::clone(&self.owner), message.clone());
        self.writer
            .run(move |it| turns::put_preview(it, &owner, seq, &message))
            .await
    }

    async fn preview(&self, seq: InboxSeq) -> Result<Option<PlatformMessageId>, StoreError> {
        self.readers.run(move |it| turns::preview(it, seq)).await
    }

    async fn undelivered_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        self.readers.run(outbox::undelivered_conversations).await
    }

    async fn claim_part(&self, conversation: &ConversationKey) -> Result<Option<OutboxItem>, StoreError> {
        let conversation = conversation.clone();
        let now = self.clock.now_ms();
        self.writer
            .run(move |it| outbox::claim_part(it, &conversation, now))
            .await
    }

    async fn settle_part(&self, part: &PartId, outcome: SendOutcome) -> Result<(), StoreError> {
        let part = part.clone();
        let now = self.clock.now_ms();
        self.writer
            .run(move |it| outbox::settle_part(it, &part, &outcome, now))
            .await
    }

    async fn release_parked(&self, conversation: &ConversationKey) -> Result<usize, StoreError> {
        let conversation = conversation.clone();
        self.writer
            .run(move |it| outbox::release_parked(it, &conversation))
            .await
    }

    async fn resend(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<usize, StoreError> {
        let conversation = conversation.clone();
        self.writer
            .run(move |it| outbox::resend(it, &conversation, seq))
            .await
    }
}

#[async_trait]
impl Conversations for SqliteStore {
    async fn conversation(
        &self,
        conversation: &ConversationKey,
        max_turns: usize,
    ) -> Result<ConversationState, StoreError> {
        let conversation = conversation.clone();
        self.readers
            .run(move |it| turns::conversation(it, &conversation, max_turns))
            .await
    }

    /// While a message of the conversation is leased (the `/delete` itself), what came after it stays. The answer to
    /// that message goes some time after its delivery.
    async fn delete_conversation(
        &self,
        conversation: &ConversationKey,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (owner, pseudonyms) = (Arc::clone(&self.owner), Arc::clone(&self.pseudonyms));
        let (conversation, reason) = (conversation.clone(), reason.to_owned());
        let now = self.clock.now_ms();
        let delete = move |it: &Connection| {
            forget::delete_conversation(it, &pseudonyms, &owner, &conversation, &reason, now)
        };
        self.writer.run(delete).await?;
        self.writer.empty_log_soon();
        Ok(())
    }
}

#[async_trait]
impl Transcripts for SqliteStore {
    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        let conversation = conversation.clone();
        self.readers
            .run(move |it| transcript::transcript(it, &conversation, after, limit))
            .await
    }
}

#[async_trait]
impl PluginStorage for SqliteStore {
    async fn plugin_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.readers
            .run(move |it| plugin_kv::get(it, &plugin, &key))
            .await
    }

    async fn plugin_put(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
        let (plugin, key, value) = (plugin.to_owned(), key.to_owned(), value.to_owned());
        self.writer
            .run(move |it| plugin_kv::put(it, &plugin, &key, &value, quota))
            .await
    }

    async fn plugin_delete(&self, plugin: &str, key: &str) -> Result<(), StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.writer
            .run(move |it| plugin_kv::delete(it, &plugin, &key))
            .await
    }

    async fn plugin_list(&self, plugin: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (plugin, prefix) = (plugin.to_owned(), prefix.to_owned());
        self.readers
            .run(move |it| plugin_kv::list(it, &plugin, &prefix))
            .await
    }

    async fn plugin_forget(&self, plugin: &str, part: &str) -> Result<usize, StoreError> {
        let (plugin, part) = (plugin.to_owned(), part.to_owned());
        let deleted = self
            .writer
            .run(move |it| plugin_kv::forget(it, &plugin, &part))
            .await?;
        if deleted > 0 {
            self.writer.empty_log_soon();
        }
        Ok(deleted)
    }

    async fn plugins_with_data(&self) -> Result<Vec<String>, StoreError> {
        self.readers.run(plugin_kv::plugins).await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError> {
        let entry = audit::Entry {
            actor: actor.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_owned(),
        };
        let now = self.clock.now_ms();
        self.writer.run(move |it| audit::append(it, &entry, now)).await
    }
}

impl StoreHealth for SqliteStore {
    fn is_healthy(&self) -> bool {
        self.writer.is_healthy()
    }

    fn room(&self) -> Room {
        self.space.room()
    }
}

#[async_trait]
impl UndeliveredNotices for SqliteStore {
    async fn undelivered_notices(&self, waiting: Duration) -> Result<Vec<UndeliveredNotice>, StoreError> {
        let now = self.clock.now_ms();
        self.readers
            .run(move |it| notices::undelivered(it, waiting, now))
            .await
    }

    async fn notice_escalated(&self, part: &PartId) -> Result<(), StoreError> {
        let part = part.clone();
        self.writer.run(move |it| notices::escalated(it, &part)).await
    }
}
