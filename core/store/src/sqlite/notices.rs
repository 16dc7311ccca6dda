//! Emergency notices that have not arrived.

use std::time::Duration;

use bedside_contract::{ConversationKey, Part, PartId, PartKind, UndeliveredNotice};
use rusqlite::Connection;

use super::{error::OperationError, outbox::since};

pub(super) fn undelivered(
    connection: &Connection,
    waiting: Duration,
    now_ms: i64,
) -> Result<Vec<UndeliveredNotice>, OperationError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, chat_key, created_ms, state, body FROM outbox
         WHERE urgent = 1 AND escalated = 0 AND state <> 'sent' ORDER BY position",
    )?;
    let rows = statement.query_map([], |row| {
        let state: String = row.get(3)?;
        let notice = UndeliveredNotice {
            part: PartId(row.get(0)?),
            conversation: ConversationKey::from_stored(row.get(1)?),
            waiting: since(row.get(2)?, now_ms),
            given_up: state == "dead",
        };
        Ok((notice, row.get::<_, String>(4)?))
    })?;
    let mut notices = Vec::new();
    for row in rows {
        let (notice, body) = row?;
        // What cannot be read cannot be sent either, and may be one.
        let part = serde_json::from_str::<Part>(&body);
        let is_emergency = part.map_or(true, |it| it.kind == PartKind::Emergency);
        if is_emergency && (notice.given_up || notice.waiting >= waiting) {
            notices.push(notice);
        }
    }
    Ok(notices)
}

pub(super) fn escalated(connection: &Connection, part: &PartId) -> Result<(), OperationError> {
    connection
        .prepare_cached("UPDATE outbox SET escalated = 1 WHERE id = ?1")?
        .execute([&part.0])?;
    Ok(())
}
