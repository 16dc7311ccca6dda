//! What must survive: inbox, outbox, conversations, plugin data, audit log.
//!
//! [`SqliteStore`] implements [`bedside_contract::Store`] in one file. Start in [`sqlite`]; the promises it
//! keeps are the cases of `conformance`, to which every further implementation is held too.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod data_dir_lock;
mod file_system;
mod space;
pub mod sqlite;

pub use data_dir_lock::{DataDirLock, Holder, LockError};
pub use file_system::{FileSystem, file_system};
pub use space::{StoreConfig, free_bytes};
pub use sqlite::{AuditError, AuditHead, Inspection, SqliteStore, StoreCounters, StoredContent};
