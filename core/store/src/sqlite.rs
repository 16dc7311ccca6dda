//! The embedded store: one SQLite file.
//!
//! ```text
//! async callers ──▶ writer: one thread, one connection, WAL + synchronous=FULL; up to 64 operations a commit
//!              └──▶ readers: two threads, each with a connection that cannot write
//! ```
//!
//! **Invariant:** no write is answered before its commit is on disk (fsync).
//! **Invariant:** one failed operation undoes itself only; a failed commit ends all writing, since nobody
//! knows what the disk holds then ([`StoreError::Broken`]).
//! **Invariant:** leases and sends belong to one opening of the file. The next one makes leased messages new
//! again (their attempts stay counted) and parts that were being sent unknown: they are sent again, and
//! [`StoreCounters::unknown_sends`] says how often that happened. Hence [`crate::DataDirLock`] comes first.

mod audit;
mod connection;
mod counters;
mod error;
mod inbox;
mod notices;
mod outbox;
mod plugin_kv;
mod readers;
mod roles;
mod schema;
mod transcript;
mod turns;
mod writer;

#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bedside_contract::{Clock, StoreError, SystemClock};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use uuid::Uuid;

pub use audit::{AuditError, AuditHead};
pub use counters::StoreCounters;

use error::OperationError;
use readers::Readers;
use writer::Writer;

/// [`Store`](bedside_contract::Store) in one file.
///
/// A lease or a claim whose future is dropped while its commit is under way stays taken until the store is
/// opened again: let them run to their end.
pub struct SqliteStore {
    path: PathBuf,
    /// Names this opening on the leases it takes.
    owner: Arc<str>,
    readers: Readers,
    writer: Writer,
    duplicates_refused: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens or creates the file (0600, its directory 0700), brings it to this version's schema and voids
    /// the leases of whoever had it open. Blocks; meant for the start of the process.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] before anything is written; [`StoreError::Failed`] for another program's file,
    /// a network file system, missing rights.
    pub fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_by_clock(path, Arc::new(SystemClock))
    }

    /// As [`Self::open`], with a clock of its own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_by_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, StoreError> {
        Self::open_with(
            path,
            None,
            clock,
            #[cfg(test)]
            writer::Sabotage::default(),
        )
    }

    /// A store that is deleted when it is dropped, for a single question from the operator's shell.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_temporary() -> Result<Arc<Self>, StoreError> {
        let dir = tempfile::Builder::new()
            .prefix("bedside-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .map_err(|error| StoreError::Failed(format!("cannot make a temporary directory: {error}")))?;
        Self::open_with(
            &dir.path().join("bedside.sqlite3"),
            Some(dir),
            Arc::new(SystemClock),
            #[cfg(test)]
            writer::Sabotage::default(),
        )
    }

    fn open_with(
        path: &Path,
        keep: Option<TempDir>,
        clock: Arc<dyn Clock>,
        #[cfg(test)] sabotage: writer::Sabotage,
    ) -> Result<Arc<Self>, StoreError> {
        let mut connection = connection::open_writer(path)?;
        let owner: Arc<str> = Uuid::new_v4().to_string().into();
        recover(&mut connection, &owner)?;
        let readers = Readers::start(path)?;
        let writer = Writer::start(
            connection,
            keep,
            #[cfg(test)]
            sabotage,
        )?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            owner,
            readers,
            writer,
            duplicates_refused: AtomicU64::new(0),
            clock,
        }))
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Figures for the health page and metrics.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be read.
    pub async fn counters(&self) -> Result<StoreCounters, StoreError> {
        let duplicates = self.duplicates_refused.load(Ordering::Relaxed);
        self.readers
            .run(move |connection| counters::read(connection, duplicates))
            .await
    }

    /// Recomputes the audit log's chain and returns the number of its records.
    ///
    /// # Errors
    /// [`AuditError`] names the first record that does not hold.
    pub async fn verify_audit(&self) -> Result<u64, AuditError> {
        self.readers.run(audit::verify).await?
    }

    /// The newest audit record, to be noted outside the store.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be read.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.readers.run(audit::head).await
    }

    /// Commits what waits, writes the log back into the file and closes it. Writing fails afterwards.
    /// Nothing depends on it: a store that is killed instead opens just as well.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

/// Takes over from whoever had the file open before.
fn recover(connection: &mut Connection, owner: &str) -> Result<(), StoreError> {
    let mut recover = || -> Result<(usize, usize), OperationError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let messages = inbox::void_leases(&transaction, owner)?;
        let parts = outbox::doubt_interrupted_sends(&transaction)?;
        transaction.commit()?;
        Ok((messages, parts))
    };
    let (messages, parts) = recover()?;
    if messages + parts > 0 {
        tracing::warn!(
            messages,
            parts,
            "the last run ended in the middle of its work, which is taken up again"
        );
    }
    Ok(())
}
