//! Figures for the health page and metrics.

use rusqlite::{Connection, Row};

use super::{error::OperationError, outbox::PARKED};

/// How much waits, and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Accepted messages without an end.
    pub inbox_depth: u64,
    /// When the oldest of them came, milliseconds since 1970.
    pub inbox_oldest_ms: Option<i64>,
    /// Parts that no platform has confirmed yet.
    pub outbox_depth: u64,
    /// Of these: due, or tried again later.
    pub outbox_pending: u64,
    /// On their way at this moment.
    pub outbox_sending: u64,
    /// They may have arrived, and are tried again.
    pub outbox_unknown: u64,
    /// They wait until their patient writes.
    pub outbox_parked: u64,
    /// When the oldest part that does not wait for its patient was written, milliseconds since 1970.
    pub outbox_oldest_ms: Option<i64>,
    /// Sends that may have arrived and were tried again, since the store exists: each may have doubled a part.
    pub unknown_sends: u64,
    /// Messages that were given up, since the store exists.
    pub dead_messages: u64,
    /// Parts that were given up, since the store exists.
    pub dead_parts: u64,
    /// Updates that had been accepted before, since the store was opened.
    pub duplicates_refused: u64,
}

pub(super) fn read(
    connection: &Connection,
    duplicates_refused: u64,
) -> Result<StoreCounters, OperationError> {
    let count = |sql: &str| -> Result<u64, OperationError> {
        let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    let oldest = |row: &Row<'_>| row.get(0);
    let outbox = connection
        .prepare_cached(
            "SELECT COALESCE(SUM(state = 'pending' AND next_at <> ?1), 0), COALESCE(SUM(state = 'sending'), 0),
                    COALESCE(SUM(state = 'unknown'), 0), COALESCE(SUM(state = 'pending' AND next_at = ?1), 0),
                    MIN(CASE WHEN next_at <> ?1 THEN created_ms END)
             FROM outbox WHERE state IN ('pending', 'sending', 'unknown')",
        )?
        .query_row([PARKED], Outbox::read)?;
    Ok(StoreCounters {
        inbox_depth: count("SELECT COUNT(*) FROM inbox WHERE state IN ('new', 'leased')")?,
        inbox_oldest_ms: connection
            .prepare_cached("SELECT MIN(recv_ms) FROM inbox WHERE state IN ('new', 'leased')")?
            .query_row([], oldest)?,
        outbox_depth: outbox.pending + outbox.sending + outbox.unknown + outbox.parked,
        outbox_pending: outbox.pending,
        outbox_sending: outbox.sending,
        outbox_unknown: outbox.unknown,
        outbox_parked: outbox.parked,
        outbox_oldest_ms: outbox.oldest_ms,
        unknown_sends: count("SELECT value FROM meta WHERE name = 'unknown_sends'")?,
        dead_messages: count("SELECT COUNT(*) FROM inbox WHERE state = 'dead'")?,
        dead_parts: count("SELECT COUNT(*) FROM outbox WHERE state = 'dead'")?,
        duplicates_refused,
    })
}

struct Outbox {
    pending: u64,
    sending: u64,
    unknown: u64,
    parked: u64,
    oldest_ms: Option<i64>,
}

impl Outbox {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let count = |index: usize| -> Result<u64, rusqlite::Error> {
            let count: i64 = row.get(index)?;
            Ok(u64::try_from(count).unwrap_or(0))
        };
        Ok(Self {
            pending: count(0)?,
            sending: count(1)?,
            unknown: count(2)?,
            parked: count(3)?,
            oldest_ms: row.get(4)?,
        })
    }
}
