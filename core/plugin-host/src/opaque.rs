//! What plugins see instead of a conversation's key.

use std::{fmt::Write, sync::Arc, time::Duration};

use bedside_contract::{ConversationKey, PluginStorage, StoreError};
use sha2::{Digest, Sha256};
use tokio::{sync::OnceCell, time::timeout};
use uuid::Uuid;

/// What the host keeps for itself; no plugin can have this id.
pub(crate) const OWNER: &str = "_host";
const KEY: &str = "conversation-salt";

/// The host has no quota.
pub(crate) const MOST_BYTES: u64 = u64::MAX;

/// Makes ids that are stable for one plugin, different for each, and lead back to nobody: chat numbers are
/// few enough to try them all, so a secret of this installation goes in.
pub(crate) struct OpaqueIds {
    storage: Arc<dyn PluginStorage>,
    salt: OnceCell<Vec<u8>>,
    /// Where the store did not give one in time: ids then last until the next start only; the store's own failure is
    /// reported elsewhere.
    makeshift: OnceCell<Vec<u8>>,
}

impl OpaqueIds {
    pub(crate) fn new(storage: Arc<dyn PluginStorage>) -> Self {
        Self {
            storage,
            salt: OnceCell::new(),
            makeshift: OnceCell::new(),
        }
    }

    pub(crate) async fn salt(&self) -> &[u8] {
        if let Some(salt) = self.makeshift.get() {
            return salt;
        }
        match self.stored_salt().await {
            Ok(salt) => salt,
            Err(_) => self.makeshift.get_or_init(|| async { fresh_salt() }).await,
        }
    }

    /// Every salt by which plugins may know a conversation.
    ///
    /// # Errors
    /// [`StoreError`]: the lasting one is not known.
    pub(crate) async fn all_salts(&self) -> Result<Vec<&[u8]>, StoreError> {
        let mut salts = vec![self.stored_salt().await?];
        salts.extend(self.makeshift.get().map(Vec::as_slice));
        Ok(salts)
    }

    async fn stored_salt(&self) -> Result<&[u8], StoreError> {
        let salt = self.salt.get_or_try_init(|| self.read_or_make()).await?;
        Ok(salt)
    }

    async fn read_or_make(&self) -> Result<Vec<u8>, StoreError> {
        let read_or_put = async {
            if let Some(salt) = self.storage.plugin_get(OWNER, KEY).await? {
                return Ok(salt);
            }
            let fresh = fresh_salt();
            self.storage.plugin_put(OWNER, KEY, &fresh, MOST_BYTES).await?;
            Ok::<_, StoreError>(fresh)
        };
        timeout(Duration::from_secs(2), read_or_put)
            .await
            .unwrap_or_else(|_| Err(StoreError::Failed("it did not answer within 2 s".to_owned())))
    }
}

fn fresh_salt() -> Vec<u8> {
    [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()
}

/// The id of a conversation for one plugin.
pub(crate) fn opaque_id(salt: &[u8], plugin: &str, conversation: &ConversationKey) -> String {
    let mut hash = Sha256::new();
    for part in [salt, plugin.as_bytes(), conversation.as_str().as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

#[cfg(test)]
mod tests {
    use bedside_contract::ConversationKey;

    use super::opaque_id;

    #[test]
    fn ids_differ_by_plugin_chat_and_installation() {
        let (one, two) = (
            ConversationKey::new("web", "page", "1"),
            ConversationKey::new("web", "page", "2"),
        );
        let id = opaque_id(b"salt", "org.a", &one);
        assert_eq!(id.len(), 32);
        assert_eq!(id, opaque_id(b"salt", "org.a", &one));
        for other in [
            opaque_id(b"salt", "org.a", &two),
            opaque_id(b"salt", "org.b", &one),
            opaque_id(b"pepper", "org.a", &one),
        ] {
            assert_ne!(id, other);
        }
    }
}
