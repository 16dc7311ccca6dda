//! What must survive: inbox, outbox, conversations, plugin data, audit log.
//!
//! [`SqliteStore`] implements [`bedside_contract::Store`] in one file. Start in [`sqlite`]; the promises it
//! keeps are the cases of `conformance`, to which every further implementation is held too.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod data_dir_lock;
pub mod sqlite;

pub use data_dir_lock::{DataDirLock, LockError};
pub use sqlite::{AuditError, AuditHead, SqliteStore, StoreCounters};
