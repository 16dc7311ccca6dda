//! Emergency notices that do not reach their patient, and whom to tell.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ids::{ConversationKey, PartId},
    store::StoreError,
};

/// The store's side: which notices have not arrived.
#[async_trait]
pub trait UndeliveredNotices: Send + Sync {
    /// Emergency notices written longer ago than `waiting` that have not arrived, oldest first: still retried, parked
    /// or given up. Those that staff were told of are left out.
    async fn undelivered_notices(&self, waiting: Duration) -> Result<Vec<UndeliveredNotice>, StoreError>;

    /// Staff know of this notice.
    async fn notice_escalated(&self, part: &PartId) -> Result<(), StoreError>;
}

/// An emergency notice that has not arrived. It holds no words of the patient's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredNotice {
    pub part: PartId,
    pub conversation: ConversationKey,
    /// Since it was written, by the wall clock.
    pub waiting: Duration,
    /// No further attempt is made.
    pub given_up: bool,
}

/// Tells staff, on a way of their own.
#[async_trait]
pub trait Escalation: Send + Sync {
    /// # Errors
    /// [`EscalationError`]; the caller tries again later.
    async fn escalate(&self, notice: &UndeliveredNotice) -> Result<(), EscalationError>;
}

/// Nobody was told, on one way or on all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EscalationError(pub String);
