//! Keyed hashes: they stand for what was deleted, and lead back to nobody without this installation's key.

use bedside_contract::ConversationKey;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::OperationError;

const KEY_LENGTH: usize = 32;

/// What the id of a forgotten message begins with.
pub(super) const FORGOTTEN: &str = "forgotten:";

/// HMAC-SHA256 with a random key that stays in the store, so that a number of a chat, of which there are few enough to
/// try them all, cannot be found again from its hash alone.
pub(super) struct Pseudonyms {
    key: [u8; KEY_LENGTH],
}

impl Pseudonyms {
    /// The key of this file, made when it is opened for the first time.
    pub(super) fn of(connection: &Connection) -> Result<Self, OperationError> {
        let stored = connection
            .query_row("SELECT value FROM secret WHERE name = 'pseudonym'", [], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(key) = stored {
            return Ok(Self { key });
        }
        let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        let key: [u8; KEY_LENGTH] = Sha256::digest(random).into();
        connection.execute("INSERT INTO secret (name, value) VALUES ('pseudonym', ?1)", [key])?;
        Ok(Self { key })
    }

    /// Stands for a message's external id, so that a repeat of a deleted message is still known.
    pub(super) fn message(&self, platform: &str, bot: &str, external_id: &str) -> String {
        let hash = self.hash(&format!("message:{platform}:{bot}:{external_id}"));
        format!("{FORGOTTEN}{hash}")
    }

    /// Stands for a conversation in the audit log.
    pub(super) fn conversation(&self, conversation: &ConversationKey) -> String {
        self.hash(&format!("conversation:{}", conversation.as_str()))
    }

    fn hash(&self, text: &str) -> String {
        let bytes = hmac_sha256(&self.key, text.as_bytes());
        bytes.iter().map(|it| format!("{it:02x}")).collect()
    }
}

/// RFC 2104, for keys of half a block: the other half is zeros.
fn hmac_sha256(key: &[u8; KEY_LENGTH], message: &[u8]) -> [u8; 32] {
    let keyed = |pad: u8| {
        let mut hasher = Sha256::new();
        hasher.update(key.map(|it| it ^ pad));
        hasher.update([pad; KEY_LENGTH]);
        hasher
    };
    let mut inner = keyed(0x36);
    inner.update(message);
    let mut outer = keyed(0x5c);
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use bedside_contract::ConversationKey;

    use super::{Pseudonyms, hmac_sha256};

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231, test case 2; a key is filled up with zeros.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hash = hmac_sha256(&key, b"what do ya want for nothing?");
        let hash: String = hash.iter().map(|it| format!("{it:02x}")).collect();
        assert_eq!(
            hash,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn each_installation_and_each_thing_has_its_own() {
        let (one, two) = (Pseudonyms { key: [1; 32] }, Pseudonyms { key: [2; 32] });
        let chat = |name: &str| ConversationKey::new("web", "page", name);
        assert_eq!(one.conversation(&chat("a")), one.conversation(&chat("a")));
        assert_eq!(one.message("web", "page", "a"), one.message("web", "page", "a"));
        let different = [
            one.conversation(&chat("a")),
            one.conversation(&chat("b")),
            two.conversation(&chat("a")),
            one.message("web", "page", "a"),
            one.message("web", "page", "b"),
            one.message("telegram", "page", "a"),
            two.message("web", "page", "a"),
        ];
        let distinct: std::collections::BTreeSet<_> = different.iter().collect();
        assert_eq!(distinct.len(), different.len());
    }
}
