//! T1 and the leases.

use bedside_contract::{ConversationKey, Cursor, InboxItem, InboxSeq, Receipt, StoreError, Update};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::{
    error::{OperationError, read_json, write_json},
    forget::forgotten_message,
    pseudonyms::Pseudonyms,
};

/// An update with its body as it goes into the file.
pub(super) struct EncodedUpdate {
    platform: String,
    bot: String,
    external_id: String,
    conversation: ConversationKey,
    has_words: bool,
    body: String,
}

impl EncodedUpdate {
    pub(super) fn new(update: Update) -> Result<Self, StoreError> {
        Ok(Self {
            has_words: update.text().is_some(),
            body: write_json(&update, "an update")?,
            platform: update.platform,
            bot: update.bot,
            external_id: update.external_id,
            conversation: update.conversation,
        })
    }
}

pub(super) fn accept(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    updates: &[EncodedUpdate],
    cursor: Option<&Cursor>,
    now_ms: i64,
) -> Result<Vec<Receipt>, OperationError> {
    let receipts = updates
        .iter()
        .map(|update| accept_one(connection, pseudonyms, update, now_ms))
        .collect::<Result<_, _>>()?;
    if let Some(cursor) = cursor {
        connection
            .prepare_cached(
                "INSERT INTO cursor (platform, bot_id, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (platform, bot_id) DO UPDATE SET value = excluded.value",
            )?
            .execute([&cursor.platform, &cursor.bot, &cursor.value])?;
    }
    Ok(receipts)
}

fn accept_one(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    update: &EncodedUpdate,
    now_ms: i64,
) -> Result<Receipt, OperationError> {
    let EncodedUpdate {
        platform,
        bot,
        external_id,
        ..
    } = update;
    if let Some(seq) = forgotten_message(connection, pseudonyms, platform, bot, external_id)? {
        return Ok(Receipt {
            seq: InboxSeq(seq),
            duplicate: true,
        });
    }
    let inserted = connection
        .prepare_cached(
            "INSERT INTO inbox (platform, bot_id, ext_id, chat_key, recv_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (platform, bot_id, ext_id) DO NOTHING",
        )?
        .execute(params![
            update.platform,
            update.bot,
            update.external_id,
            update.conversation.as_str(),
            now_ms,
            update.body
        ])?;
    if inserted == 0 {
        let seq = connection
            .prepare_cached("SELECT seq FROM inbox WHERE platform = ?1 AND bot_id = ?2 AND ext_id = ?3")?
            .query_row([&update.platform, &update.bot, &update.external_id], |row| {
                row.get(0)
            })?;
        return Ok(Receipt {
            seq: InboxSeq(seq),
            duplicate: true,
        });
    }
    let seq = connection.last_insert_rowid();
    if update.has_words {
        connection
            .prepare_cached("INSERT INTO said (chat_key, inbox_seq) VALUES (?1, ?2)")?
            .execute(params![update.conversation.as_str(), seq])?;
    }
    Ok(Receipt {
        seq: InboxSeq(seq),
        duplicate: false,
    })
}

pub(super) fn cursor(
    connection: &Connection,
    platform: &str,
    bot: &str,
) -> Result<Option<String>, OperationError> {
    let value = connection
        .prepare_cached("SELECT value FROM cursor WHERE platform = ?1 AND bot_id = ?2")?
        .query_row([platform, bot], |row| row.get(0))
        .optional()?;
    Ok(value)
}

pub(super) fn unfinished_conversations(
    connection: &Connection,
) -> Result<Vec<ConversationKey>, OperationError> {
    let conversations = connection
        .prepare_cached(
            "SELECT chat_key FROM inbox WHERE state IN ('new', 'leased') GROUP BY chat_key ORDER BY MIN(seq)",
        )?
        .query_map([], |row| row.get(0).map(ConversationKey::from_stored))?
        .collect::<Result<_, _>>()?;
    Ok(conversations)
}

pub(super) fn lease_next(
    connection: &Connection,
    owner: &str,
    conversation: &ConversationKey,
) -> Result<Option<InboxItem>, OperationError> {
    loop {
        let leased = connection
            .prepare_cached(
                "UPDATE inbox SET state = 'leased', lease_owner = :owner, attempts = attempts + 1
                 WHERE seq = (SELECT MIN(seq) FROM inbox
                              WHERE chat_key = :chat_key AND state IN ('new', 'leased'))
                   AND NOT EXISTS (SELECT 1 FROM inbox
                                   WHERE chat_key = :chat_key AND state IN ('new', 'leased') AND state = 'leased')
                 RETURNING seq, recv_ms, body, attempts",
            )?
            .query_row(
                named_params! { ":owner": owner, ":chat_key": conversation.as_str() },
                LeasedRow::read,
            )
            .optional()?;
        match leased {
            None => return Ok(None),
            Some(row) => {
                if let Some(item) = row.into_item(connection)? {
                    return Ok(Some(item));
                }
            }
        }
    }
}

pub(super) fn lease(
    connection: &Connection,
    owner: &str,
    seq: InboxSeq,
) -> Result<Option<InboxItem>, OperationError> {
    let leased = connection
        .prepare_cached(
            "UPDATE inbox SET state = 'leased', lease_owner = ?1, attempts = attempts + 1
             WHERE seq = ?2 AND state = 'new'
             RETURNING seq, recv_ms, body, attempts",
        )?
        .query_row(params![owner, seq.0], LeasedRow::read)
        .optional()?;
    match leased {
        Some(row) => row.into_item(connection),
        None => Ok(None),
    }
}

pub(super) fn add_attempts(
    connection: &Connection,
    owner: &str,
    seq: InboxSeq,
    more: i64,
) -> Result<(), OperationError> {
    connection
        .prepare_cached(
            "UPDATE inbox SET attempts = MAX(attempts + ?3, 0)
             WHERE seq = ?1 AND state = 'leased' AND lease_owner = ?2",
        )?
        .execute(params![seq.0, owner, more])?;
    Ok(())
}

pub(super) fn release(connection: &Connection, owner: &str, seq: InboxSeq) -> Result<(), OperationError> {
    connection
        .prepare_cached(
            "UPDATE inbox SET state = 'new', lease_owner = NULL, attempts = MAX(attempts - 1, 0)
             WHERE seq = ?1 AND state = 'leased' AND lease_owner = ?2",
        )?
        .execute(params![seq.0, owner])?;
    Ok(())
}

/// Leases of an earlier opening are void; what was tried then stays counted.
pub(super) fn void_leases(connection: &Connection, owner: &str) -> Result<usize, OperationError> {
    let voided = connection.execute(
        "UPDATE inbox SET state = 'new', lease_owner = NULL
         WHERE state IN ('new', 'leased') AND state = 'leased' AND lease_owner <> ?1",
        [owner],
    )?;
    Ok(voided)
}

struct LeasedRow {
    seq: i64,
    received_ms: i64,
    body: String,
    attempts: u32,
}

impl LeasedRow {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            seq: row.get(0)?,
            received_ms: row.get(1)?,
            body: row.get(2)?,
            attempts: row.get(3)?,
        })
    }

    /// `None` if the body cannot be read, which no further attempt would cure: the message is given up with
    /// an alarm, so that it does not hold up those behind it.
    fn into_item(self, connection: &Connection) -> Result<Option<InboxItem>, OperationError> {
        match read_json(&self.body, "its body") {
            Ok(update) => Ok(Some(InboxItem {
                seq: InboxSeq(self.seq),
                received_ms: self.received_ms,
                update,
                attempts: self.attempts,
            })),
            Err(error) => {
                let reason = StoreError::from(error).to_string();
                tracing::error!(
                    seq = self.seq,
                    reason,
                    "an accepted message is unreadable and was given up"
                );
                connection.execute(
                    "UPDATE inbox SET state = 'dead', lease_owner = NULL,
                         body = CASE WHEN forget THEN NULL ELSE body END,
                         chat_key = CASE WHEN forget THEN '' ELSE chat_key END
                     WHERE seq = ?1",
                    [self.seq],
                )?;
                Ok(None)
            }
        }
    }
}
