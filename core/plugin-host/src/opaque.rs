//! What plugins see instead of a conversation's key.

use std::{fmt::Write, sync::Arc, time::Duration};

use bedside_contract::{ConversationKey, PluginStorage};
use sha2::{Digest, Sha256};
use tokio::{sync::OnceCell, time::timeout};
use uuid::Uuid;

/// No plugin can have this id.
const OWNER: &str = "_host";
const KEY: &str = "conversation-salt";

/// Makes ids that are stable for one plugin, different for each, and lead back to nobody: chat numbers are
/// few enough to try them all, so a secret of this installation goes in.
pub(crate) struct OpaqueIds {
    storage: Arc<dyn PluginStorage>,
    salt: OnceCell<Vec<u8>>,
}

impl OpaqueIds {
    pub(crate) fn new(storage: Arc<dyn PluginStorage>) -> Self {
        Self {
            storage,
            salt: OnceCell::new(),
        }
    }

    pub(crate) async fn salt(&self) -> &[u8] {
        self.salt.get_or_init(|| self.stored_salt()).await
    }

    async fn stored_salt(&self) -> Vec<u8> {
        let fresh = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
        let read_or_put = async {
            if let Some(salt) = self.storage.plugin_get(OWNER, KEY).await? {
                return Ok(salt);
            }
            self.storage.plugin_put(OWNER, KEY, &fresh, 1024).await?;
            Ok::<_, bedside_contract::StoreError>(fresh.clone())
        };
        match timeout(Duration::from_secs(2), read_or_put).await {
            Ok(Ok(salt)) => salt,
            // Ids then last until the next start only; the store's own failure is reported elsewhere.
            _ => fresh,
        }
    }
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
