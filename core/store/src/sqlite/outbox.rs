//! T3.

use std::time::Duration;

use bedside_contract::{
    ConversationKey, InboxSeq, OutboxItem, PartId, PlatformMessageId, SendOutcome, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{OperationError, read_json};

/// Only the head of a conversation's queue can be claimed: urgent parts first, each kind in the order of
/// insertion. A head that is being sent or not yet due holds up all behind it, so nothing but an urgent
/// part is ever overtaken.
pub(super) fn claim_part(
    connection: &Connection,
    conversation: &ConversationKey,
    now_ms: i64,
) -> Result<Option<OutboxItem>, OperationError> {
    loop {
        let head = connection
            .prepare_cached(
                "SELECT position, id, inbox_seq, body, replaces, attempts, state, next_at, pause_ms, created_ms
                 FROM outbox
                 WHERE chat_key = ?1 AND state IN ('pending', 'sending', 'unknown')
                 ORDER BY urgent DESC, position LIMIT 1",
            )?
            .query_row([conversation.as_str()], Head::read)
            .optional()?;
        let Some(head) = head else { return Ok(None) };
        if head.is_sending || !head.is_due(now_ms) {
            return Ok(None);
        }
        let part = match read_json(&head.body, "its body") {
            Ok(part) => part,
            Err(error) => {
                let reason = StoreError::from(error).to_string();
                tracing::error!(
                    part = head.id,
                    reason,
                    "an outgoing part is unreadable and was given up"
                );
                connection.execute(
                    "UPDATE outbox SET state = 'dead', reason = ?2 WHERE position = ?1",
                    params![head.position, reason],
                )?;
                continue;
            }
        };
        connection
            .prepare_cached(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE position = ?1",
            )?
            .execute([head.position])?;
        return Ok(Some(OutboxItem {
            id: PartId(head.id),
            conversation: conversation.clone(),
            seq: InboxSeq(head.seq),
            part,
            replaces: head.replaces.map(PlatformMessageId),
            attempts: head.attempts + 1,
            waiting: since(head.created_ms, now_ms),
        }));
    }
}

/// Without effect on a part that is gone or has been settled since.
pub(super) fn settle_part(
    connection: &Connection,
    part: &PartId,
    outcome: &SendOutcome,
    now_ms: i64,
) -> Result<(), OperationError> {
    match outcome {
        // That it arrived is true whatever happened to the row meanwhile.
        SendOutcome::Sent { message } => {
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'sent', platform_msg_id = ?2
                     WHERE id = ?1 AND state IN ('sending', 'pending', 'unknown')",
                )?
                .execute([&part.0, &message.0])?;
        }
        SendOutcome::Retry {
            after_ms,
            may_have_arrived,
        } => {
            let state = if *may_have_arrived { "unknown" } else { "pending" };
            let pause_ms = pause_of(*after_ms);
            let changed = connection
                .prepare_cached(
                    "UPDATE outbox SET state = ?2, next_at = ?3, pause_ms = ?4 WHERE id = ?1 AND state = 'sending'",
                )?
                .execute(params![part.0, state, now_ms.saturating_add(pause_ms), pause_ms])?;
            if *may_have_arrived {
                count_unknown_sends(connection, changed)?;
            }
        }
        SendOutcome::Later { after_ms } => {
            let pause_ms = pause_of(*after_ms);
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'pending', next_at = ?2, pause_ms = ?3, attempts = MAX(attempts - 1, 0)
                     WHERE id = ?1 AND state = 'sending'",
                )?
                .execute(params![part.0, now_ms.saturating_add(pause_ms), pause_ms])?;
        }
        SendOutcome::Parked => {
            let parked = connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'pending', next_at = ?2, attempts = MAX(attempts - 1, 0)
                     WHERE id = ?1 AND state = 'sending' RETURNING chat_key, position, urgent",
                )?
                .query_row(params![part.0, PARKED], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, i64>(2)?,
                    ))
                })
                .optional()?;
            // What is behind it waits for the same, and so is not looked at again and again.
            if let Some((chat_key, position, urgent)) = parked {
                connection
                    .prepare_cached(
                        "UPDATE outbox SET next_at = ?4
                         WHERE chat_key = ?1 AND state IN ('pending', 'sending', 'unknown') AND state = 'pending'
                           AND (urgent < ?3 OR urgent = ?3 AND position > ?2)",
                    )?
                    .execute(params![chat_key, position, urgent, PARKED])?;
            }
        }
        SendOutcome::Dead { reason } => {
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'dead', reason = ?2 WHERE id = ?1 AND state = 'sending'",
                )?
                .execute([&part.0, reason])?;
        }
    }
    Ok(())
}

/// Below [`PARKED`], however long a platform wants to be left alone.
fn pause_of(after_ms: u64) -> i64 {
    const LONGEST_MS: i64 = 30 * 24 * 3_600_000;
    i64::try_from(after_ms).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

/// Nothing where the clock was set back.
pub(super) fn since(created_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(created_ms)).unwrap_or_default())
}

/// A part with this `next_at` waits for its patient, not for a time.
pub(super) const PARKED: i64 = i64::MAX;

pub(super) fn release_parked(
    connection: &Connection,
    conversation: &ConversationKey,
) -> Result<usize, OperationError> {
    let released = connection
        .prepare_cached(
            "UPDATE outbox SET next_at = 0
             WHERE chat_key = ?1 AND state IN ('pending', 'sending', 'unknown')
               AND state = 'pending' AND next_at = ?2",
        )?
        .execute(params![conversation.as_str(), PARKED])?;
    Ok(released)
}

pub(super) fn resend(
    connection: &Connection,
    conversation: &ConversationKey,
    seq: InboxSeq,
) -> Result<usize, OperationError> {
    let again = connection
        .prepare_cached(
            "UPDATE outbox SET state = 'pending', next_at = 0
             WHERE chat_key = ?1 AND inbox_seq = ?2 AND state = 'sent'",
        )?
        .execute(params![conversation.as_str(), seq.0])?;
    Ok(again)
}

pub(super) fn undelivered_conversations(
    connection: &Connection,
) -> Result<Vec<ConversationKey>, OperationError> {
    let conversations = connection
        .prepare_cached(
            "SELECT chat_key FROM outbox WHERE state IN ('pending', 'sending', 'unknown') AND next_at <> ?1
             GROUP BY chat_key ORDER BY MIN(position)",
        )?
        .query_map([PARKED], |row| row.get(0).map(ConversationKey::from_stored))?
        .collect::<Result<_, _>>()?;
    Ok(conversations)
}

/// Nobody knows whether what was being sent when the process ended has arrived: it is sent again, and counted.
pub(super) fn doubt_interrupted_sends(connection: &Connection) -> Result<usize, OperationError> {
    let doubtful = connection.execute(
        "UPDATE outbox SET state = 'unknown' WHERE state IN ('pending', 'sending', 'unknown') AND state = 'sending'",
        [],
    )?;
    count_unknown_sends(connection, doubtful)?;
    Ok(doubtful)
}

fn count_unknown_sends(connection: &Connection, more: usize) -> Result<(), OperationError> {
    if more > 0 {
        connection
            .prepare_cached("UPDATE meta SET value = value + ?1 WHERE name = 'unknown_sends'")?
            .execute([i64::try_from(more).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

struct Head {
    position: i64,
    id: String,
    seq: i64,
    body: String,
    replaces: Option<String>,
    attempts: u32,
    is_sending: bool,
    next_at_ms: i64,
    pause_ms: i64,
    created_ms: i64,
}

impl Head {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let state: String = row.get(6)?;
        Ok(Self {
            position: row.get(0)?,
            id: row.get(1)?,
            seq: row.get(2)?,
            body: row.get(3)?,
            replaces: row.get(4)?,
            attempts: row.get(5)?,
            is_sending: state == "sending",
            next_at_ms: row.get(7)?,
            pause_ms: row.get(8)?,
            created_ms: row.get(9)?,
        })
    }

    /// A wait longer than the one that was asked for means that the clock was set back.
    fn is_due(&self, now_ms: i64) -> bool {
        let ahead_ms = self.next_at_ms.saturating_sub(now_ms);
        ahead_ms <= 0 || self.next_at_ms != PARKED && ahead_ms > self.pause_ms
    }
}
