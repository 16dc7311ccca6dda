//! Figures for the health page and metrics.

use rusqlite::{Connection, Row};

use super::error::OperationError;

/// How much waits, and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Accepted messages without an end.
    pub inbox_depth: u64,
    /// When the oldest of them came, milliseconds since 1970.
    pub inbox_oldest_ms: Option<i64>,
    /// Parts that no platform has confirmed yet.
    pub outbox_depth: u64,
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
    Ok(StoreCounters {
        inbox_depth: count("SELECT COUNT(*) FROM inbox WHERE state IN ('new', 'leased')")?,
        inbox_oldest_ms: connection
            .prepare_cached("SELECT MIN(recv_ms) FROM inbox WHERE state IN ('new', 'leased')")?
            .query_row([], oldest)?,
        outbox_depth: count("SELECT COUNT(*) FROM outbox WHERE state IN ('pending', 'sending', 'unknown')")?,
        unknown_sends: count("SELECT value FROM meta WHERE name = 'unknown_sends'")?,
        dead_messages: count("SELECT COUNT(*) FROM inbox WHERE state = 'dead'")?,
        dead_parts: count("SELECT COUNT(*) FROM outbox WHERE state = 'dead'")?,
        duplicates_refused,
    })
}
