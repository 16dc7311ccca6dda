//! Deleting a conversation, and what its deletion leaves for a while.

use bedside_contract::ConversationKey;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    audit,
    error::OperationError,
    pseudonyms::{FORGOTTEN, Pseudonyms},
};

/// For so long the answer to a deletion can be delivered and read; then it goes too, and with it the last that names
/// the conversation.
const FAREWELL_MS: i64 = 3_600_000;

/// What was said up to the message in work (the `/delete` itself) goes. What the patient wrote after it
/// stays, since it was not meant; without a message in work everything goes.
pub(super) fn delete_conversation(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    owner: &str,
    conversation: &ConversationKey,
    reason: &str,
    now_ms: i64,
) -> Result<(), OperationError> {
    let key = conversation.as_str();
    let in_work: Option<i64> = connection.query_row(
        "SELECT MAX(seq) FROM inbox
         WHERE chat_key = ?1 AND state IN ('new', 'leased') AND state = 'leased' AND lease_owner = ?2",
        [key, owner],
        |row| row.get(0),
    )?;
    let last = in_work.unwrap_or(i64::MAX);
    let deleted: Vec<i64> = connection
        .prepare_cached("SELECT seq FROM inbox WHERE chat_key = ?1 AND seq <= ?2 AND state <> 'leased'")?
        .query_map(params![key, last], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for sql in [
        // What is in work still needs the place of its answer.
        "DELETE FROM preview WHERE inbox_seq IN
             (SELECT seq FROM inbox WHERE chat_key = ?1 AND seq <= ?2 AND state <> 'leased')",
        "DELETE FROM said WHERE chat_key = ?1 AND inbox_seq <= ?2",
        "DELETE FROM outbox WHERE chat_key = ?1 AND inbox_seq <= ?2",
        "DELETE FROM turn WHERE chat_key = ?1 AND inbox_seq <= ?2",
        // Messages in work keep their words until they end, so that a crash cannot leave half of them.
        "UPDATE inbox SET forget = 1 WHERE chat_key = ?1 AND seq <= ?2 AND state = 'leased'",
        "UPDATE inbox SET state = CASE state WHEN 'new' THEN 'done' ELSE state END, body = NULL, chat_key = ''
         WHERE chat_key = ?1 AND seq <= ?2 AND state <> 'leased'",
    ] {
        connection.prepare_cached(sql)?.execute(params![key, last])?;
    }
    connection
        .prepare_cached("UPDATE chat SET settings = '{}' WHERE chat_key = ?1")?
        .execute([key])?;
    connection
        .prepare_cached(
            "DELETE FROM chat WHERE chat_key = ?1 AND NOT EXISTS (SELECT 1 FROM turn WHERE turn.chat_key = ?1)",
        )?
        .execute([key])?;
    for seq in deleted {
        hide_external_id(connection, pseudonyms, seq)?;
    }
    let entry = audit::Entry {
        actor: "patient".to_owned(),
        action: "delete".to_owned(),
        target: format!("conversation {}", pseudonyms.conversation(conversation)),
        detail: reason.to_owned(),
    };
    audit::append(connection, &entry, now_ms)
}

/// Puts a keyed hash in place of the id of a message that no longer belongs to anybody.
pub(super) fn hide_external_id(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    seq: i64,
) -> Result<(), OperationError> {
    let (platform, bot, external_id): (String, String, String) = connection
        .prepare_cached("SELECT platform, bot_id, ext_id FROM inbox WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let hidden = pseudonyms.message(&platform, &bot, &external_id);
    connection
        .prepare_cached("UPDATE inbox SET ext_id = ?2 WHERE seq = ?1")?
        .execute(params![seq, hidden])?;
    Ok(())
}

/// The same for all that earlier versions have left in plain words.
pub(super) fn hide_external_ids(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
) -> Result<(), OperationError> {
    let plain: Vec<i64> = connection
        .prepare("SELECT seq FROM inbox WHERE chat_key = '' AND substr(ext_id, 1, length(?1)) <> ?1")?
        .query_map([FORGOTTEN], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for seq in plain {
        hide_external_id(connection, pseudonyms, seq)?;
    }
    Ok(())
}

/// The message of a forgotten conversation that is known by this id's hash.
pub(super) fn forgotten_message(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    platform: &str,
    bot: &str,
    external_id: &str,
) -> Result<Option<i64>, OperationError> {
    let hidden = pseudonyms.message(platform, bot, external_id);
    let seq = connection
        .prepare_cached("SELECT seq FROM inbox WHERE platform = ?1 AND bot_id = ?2 AND ext_id = ?3")?
        .query_row([platform, bot, hidden.as_str()], |row| row.get(0))
        .optional()?;
    Ok(seq)
}

/// Removes the answers to deletions that have arrived and are old enough, and tells whether there were any.
pub(super) fn remove_farewells(connection: &Connection, now_ms: i64) -> Result<bool, OperationError> {
    let old: Vec<i64> = connection
        .prepare_cached(
            "SELECT seq FROM inbox
             WHERE forget = 1 AND recv_ms <= ?1 AND state IN ('done', 'dead')
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE inbox_seq = inbox.seq
                               AND (state IN ('pending', 'sending', 'unknown')
                                    OR state = 'dead' AND urgent = 1 AND escalated = 0))",
        )?
        .query_map([now_ms.saturating_sub(FAREWELL_MS)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for seq in &old {
        let chat_key: Option<String> = connection
            .prepare_cached("SELECT chat_key FROM outbox WHERE inbox_seq = ?1 LIMIT 1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        if let Some(chat_key) = chat_key {
            connection
                .prepare_cached("DELETE FROM said WHERE chat_key = ?1 AND inbox_seq = ?2")?
                .execute(params![chat_key, seq])?;
            connection
                .prepare_cached("DELETE FROM outbox WHERE inbox_seq = ?1")?
                .execute([seq])?;
            // Whoever wrote again since keeps what they chose since.
            connection
                .prepare_cached(
                    "DELETE FROM chat WHERE chat_key = ?1
                     AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.chat_key = ?1)
                     AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.chat_key = ?1)",
                )?
                .execute([&chat_key])?;
        }
        connection
            .prepare_cached("UPDATE inbox SET forget = 0 WHERE seq = ?1")?
            .execute([seq])?;
    }
    Ok(!old.is_empty())
}
