//! The audit log: each record holds the hash of the one before it.

use bedside_contract::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::error::OperationError;

const HASH_LENGTH: usize = 32;

/// The newest record. Kept elsewhere, it shows later whether the log was cut or rewritten as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// 0 while the log is empty.
    pub seq: u64,
    /// SHA-256.
    pub hash: [u8; HASH_LENGTH],
}

/// Where the audit log does not hold.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    #[error("audit record {seq} was changed, or one before it: compare with a backup")]
    Changed { seq: u64 },
    #[error("audit record {seq} is missing: compare with a backup")]
    Missing { seq: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) struct Entry {
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) detail: String,
}

pub(super) fn append(connection: &Connection, entry: &Entry, now_ms: i64) -> Result<(), OperationError> {
    let head = head(connection)?;
    let record = Record {
        seq: to_i64(head.seq) + 1,
        now_ms,
        entry,
        previous: &head.hash,
    };
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, ts, actor, action, target, detail, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            record.seq,
            now_ms,
            entry.actor,
            entry.action,
            entry.target,
            entry.detail,
            head.hash,
            record.hash()
        ])?;
    Ok(())
}

pub(super) fn head(connection: &Connection) -> Result<AuditHead, OperationError> {
    let head = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(AuditHead {
                seq: to_u64(row.get(0)?),
                hash: row.get(1)?,
            })
        })
        .optional()?;
    Ok(head.unwrap_or(AuditHead {
        seq: 0,
        hash: [0; HASH_LENGTH],
    }))
}

/// How many records there are, if none was changed, dropped, added or put elsewhere.
pub(super) fn verify(connection: &Connection) -> Result<Result<u64, AuditError>, OperationError> {
    let mut statement = connection
        .prepare("SELECT seq, ts, actor, action, target, detail, prev_hash, hash FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut previous = [0; HASH_LENGTH];
    let mut expected = 1;
    while let Some(row) = rows.next()? {
        let (seq, now_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
        if seq != expected {
            return Ok(Err(AuditError::Missing {
                seq: to_u64(expected),
            }));
        }
        let entry = read_entry(row)?;
        let hash = Record {
            seq,
            now_ms,
            entry: &entry,
            previous: &previous,
        }
        .hash();
        let stored: (Vec<u8>, Vec<u8>) = (row.get(6)?, row.get(7)?);
        if stored.0 != previous || stored.1 != hash {
            return Ok(Err(AuditError::Changed { seq: to_u64(seq) }));
        }
        previous = hash;
        expected += 1;
    }
    // SQLite remembers the highest number ever given, which shows a tail that was cut off.
    let highest: Option<i64> = connection
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'audit'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match highest {
        Some(highest) if highest >= expected => Ok(Err(AuditError::Missing {
            seq: to_u64(expected),
        })),
        _ => Ok(Ok(to_u64(expected - 1))),
    }
}

fn read_entry(row: &Row<'_>) -> Result<Entry, rusqlite::Error> {
    Ok(Entry {
        actor: row.get(2)?,
        action: row.get(3)?,
        target: row.get(4)?,
        detail: row.get(5)?,
    })
}

struct Record<'a> {
    seq: i64,
    now_ms: i64,
    entry: &'a Entry,
    previous: &'a [u8],
}

impl Record<'_> {
    /// Each text stands behind its length, so that no two records have the same bytes.
    fn hash(&self) -> [u8; HASH_LENGTH] {
        let Entry {
            actor,
            action,
            target,
            detail,
        } = self.entry;
        let mut hasher = Sha256::new();
        hasher.update(b"bedside audit 1\n");
        hasher.update(self.previous);
        hasher.update(self.seq.to_le_bytes());
        hasher.update(self.now_ms.to_le_bytes());
        for text in [actor, action, target, detail] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.finalize().into()
    }
}

fn to_u64(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

fn to_i64(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
