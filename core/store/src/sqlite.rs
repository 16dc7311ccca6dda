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
//! **Invariant:** what does not fit on a full disk is undone and told so; writing goes on as long as there is a reserve
//! to free for it (`space.rs`).
//! **Invariant:** leases and sends belong to one opening of the file. The next one makes leased messages new
//! again (their attempts stay counted) and parts that were being sent unknown: they are sent again, and
//! [`StoreCounters::unknown_sends`] says how often that happened. Hence [`crate::DataDirLock`] comes first.

mod audit;
mod connection;
mod counters;
mod damage;
mod error;
mod forget;
mod health;
mod inbox;
mod inspection;
mod notices;
mod outbox;
mod plugin_kv;
mod pseudonyms;
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
use uuid::Uuid;

pub use audit::{AuditError, AuditHead};
pub use counters::StoreCounters;
pub use inspection::{Inspection, StoredContent};

use error::OperationError;
use health::Health;
use pseudonyms::Pseudonyms;
use readers::Readers;
use writer::Writer;

use crate::space::{Space, StoreConfig};

/// [`Store`](bedside_contract::Store) in one file.
///
/// A lease or a claim whose future is dropped while its commit is under way stays taken until the store is
/// opened again: let them run to their end.
pub struct SqliteStore {
    path: PathBuf,
    /// Names this opening on the leases it takes.
    owner: Arc<str>,
    pseudonyms: Arc<Pseudonyms>,
    readers: Readers,
    writer: Writer,
    duplicates_refused: AtomicU64,
    space: Arc<Space>,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens or creates the file (0600, its directory 0700), brings it to this version's schema and voids
    /// the leases of whoever had it open. Blocks; meant for the start of the process.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] and [`StoreError::Damaged`] before anything is written; [`StoreError::Failed`] for another
    /// program's file, a network file system, missing rights.
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
            clock,
            #[cfg(test)]
            writer::Sabotage::default(),
        )
    }

    /// A store without a name, for a single question from the operator's shell: its files are deleted as soon as they
    /// are open, so nothing of them is left when the process ends, however it ends.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_temporary() -> Result<Arc<Self>, StoreError> {
        let dir = tempfile::Builder::new()
            .prefix("bedside-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .map_err(|error| StoreError::Failed(format!("cannot make a temporary directory: {error}")))?;
        let store = Self::open_with(
            &dir.path().join("bedside.sqlite3"),
            Arc::new(SystemClock),
            #[cfg(test)]
            writer::Sabotage::default(),
        )?;
        dir.close()
            .map_err(|error| StoreError::Failed(format!("cannot remove a temporary directory: {error}")))?;
        Ok(store)
    }

    fn open_with(
        path: &Path,
        clock: Arc<dyn Clock>,
        #[cfg(test)] sabotage: writer::Sabotage,
    ) -> Result<Arc<Self>, StoreError> {
        let mut connection = connection::open_writer(path)?;
        let owner: Arc<str> = Uuid::new_v4().to_string().into();
        let pseudonyms = recover(&mut connection, &owner, clock.now_ms())?;
        let (health, space) = (Arc::new(Health::default()), Arc::new(Space::default()));
        let readers = Readers::start(path, Arc::clone(&health))?;
        let writer = Writer::start(
            connection,
            health,
            Arc::clone(&space),
            #[cfg(test)]
            sabotage,
        )?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            owner,
            pseudonyms: Arc::new(pseudonyms),
            readers,
            writer,
            duplicates_refused: AtomicU64::new(0),
            space,
            clock,
        }))
    }

    /// Looks at a file without changing it, whoever has it open. Reads it whole.
    ///
    /// # Errors
    /// [`StoreError::Failed`] for another program's file or missing rights.
    pub fn inspect(path: &Path) -> Result<Inspection, StoreError> {
        inspection::inspect(path)
    }

    /// From now on the disk is watched, and a reserve kept on it for the day on which it is full.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if no thread can be started.
    pub fn watch_space(&self, config: &StoreConfig) -> Result<(), StoreError> {
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let watching = self.space.watch(folder, config);
        watching.map_err(|error| StoreError::Failed(format!("the disk cannot be watched: {error}")))
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

/// Takes over from whoever had the file open before, and removes what deletions of before have left.
fn recover(connection: &mut Connection, owner: &str, now_ms: i64) -> Result<Pseudonyms, StoreError> {
    let mut recover = || -> Result<(Pseudonyms, usize, usize), OperationError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let messages = inbox::void_leases(&transaction, owner)?;
        let parts = outbox::doubt_interrupted_sends(&transaction)?;
        let pseudonyms = Pseudonyms::of(&transaction)?;
        forget::hide_external_ids(&transaction, &pseudonyms)?;
        forget::remove_farewells(&transaction, now_ms)?;
        transaction.commit()?;
        Ok((pseudonyms, messages, parts))
    };
    let (pseudonyms, messages, parts) = recover()?;
    if messages + parts > 0 {
        tracing::warn!(
            messages,
            parts,
            "the last run ended in the middle of its work, which is taken up again"
        );
    }
    Ok(pseudonyms)
}
