//! A store as it lies on the disk, looked at without changing it; another process may be writing to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bedside_contract::StoreError;
use rusqlite::Connection;

use super::{
    StoreCounters, connection::open_reader, counters, damage, error::OperationError, outbox::PARKED, schema,
};

/// What [`SqliteStore::inspect`](super::SqliteStore::inspect) finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    pub bytes: u64,
    /// Of the write-ahead log beside it.
    pub log_bytes: u64,
    /// Of its tables.
    pub version: i64,
    /// The newest that this program knows.
    pub known_version: i64,
    /// The first thing that is wrong in it.
    pub damage: Option<String>,
    /// Nothing where it is damaged or of another version.
    pub content: Option<StoredContent>,
}

/// What is in a store, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredContent {
    pub counters: StoreCounters,
    /// Parts that wait until their patients write again.
    pub parked_parts: u64,
    /// When the oldest of the other parts that wait was written, milliseconds since 1970.
    pub oldest_part_ms: Option<i64>,
    /// When the newest message came, milliseconds since 1970.
    pub newest_message_ms: Option<i64>,
}

pub(super) fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    let shown = path.display().to_string();
    let failed = |error: OperationError| StoreError::Failed(format!("{shown}: {}", error.words()));
    let length = |path: &Path| fs::metadata(path).map_or(0, |it| it.len());
    let connection = open_reader(path)?;
    let known_version = schema::known_version();
    let mut found = Inspection {
        bytes: length(path),
        log_bytes: length(&log_of(path)),
        known_version,
        ..Inspection::default()
    };
    match schema::check_is_ours(&connection, &shown) {
        Ok(()) | Err(StoreError::TooNew { .. }) => {}
        Err(StoreError::Damaged { problem, .. }) => {
            found.damage = Some(problem);
            return Ok(found);
        }
        Err(error) => return Err(error),
    }
    found.version = schema::read_header(&connection, "user_version").map_err(|error| failed(error.into()))?;
    found.damage = damage::find(&connection).map_err(|error| failed(error.into()))?;
    if found.damage.is_none() && found.version == known_version {
        found.content = Some(content(&connection).map_err(failed)?);
    }
    Ok(found)
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn content(connection: &Connection) -> Result<StoredContent, OperationError> {
    let parked: i64 = connection.query_row(
        "SELECT COUNT(*) FROM outbox WHERE state IN ('pending', 'sending', 'unknown') AND next_at = ?1",
        [PARKED],
        |row| row.get(0),
    )?;
    let oldest_part_ms = connection.query_row(
        "SELECT MIN(created_ms) FROM outbox WHERE state IN ('pending', 'sending', 'unknown') AND next_at <> ?1",
        [PARKED],
        |row| row.get(0),
    )?;
    let newest_message_ms = connection.query_row("SELECT MAX(recv_ms) FROM inbox", [], |row| row.get(0))?;
    Ok(StoredContent {
        counters: counters::read(connection, 0)?,
        parked_parts: u64::try_from(parked).unwrap_or(0),
        oldest_part_ms,
        newest_message_ms,
    })
}
