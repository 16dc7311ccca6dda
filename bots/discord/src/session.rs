//! Where the gateway goes on from, kept beside the inbox in the same transaction.

use std::collections::BTreeMap;

use bedside_contract::Cursor;
use serde::{Deserialize, Serialize};

use crate::{PLATFORM, events::Snowflake};

/// Private chats remembered at most for the case that a session is lost; beyond it the quietest go.
const CHANNELS_REMEMBERED: usize = 200;

/// All that a restart needs. The session is Discord's name for one stream of events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    #[serde(flatten)]
    pub(crate) session: Option<Session>,
    /// The newest thing that was taken in from each private chat.
    #[serde(default)]
    pub(crate) channels: BTreeMap<Snowflake, Snowflake>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    pub(crate) resume_gateway_url: String,
    /// The last event that is committed, and so need not be replayed.
    pub(crate) seq: u64,
}

impl Progress {
    /// What cannot be read is as good as nothing: a new session begins.
    pub(crate) fn from_stored(value: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::default();
        };
        serde_json::from_str(value).unwrap_or_else(|_| {
            tracing::warn!("Where discord was left cannot be read; a new session begins.");
            Self::default()
        })
    }

    pub(crate) fn cursor(&self, application: Snowflake) -> Cursor {
        Cursor {
            platform: PLATFORM.to_owned(),
            bot: application.to_string(),
            value: serde_json::to_string(self).expect("numbers and texts are always JSON"),
        }
    }

    pub(crate) fn advance(&mut self, seq: u64) {
        if let Some(session) = &mut self.session {
            session.seq = session.seq.max(seq);
        }
    }

    pub(crate) fn heard(&mut self, channel: Snowflake, message: Snowflake) {
        let newest = self.channels.entry(channel).or_insert(message);
        *newest = message.max(*newest);
        if self.channels.len() > CHANNELS_REMEMBERED {
            let quietest = self.channels.iter().min_by_key(|(_, newest)| **newest);
            if let Some(channel) = quietest.map(|(channel, _)| *channel) {
                self.channels.remove(&channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANNELS_REMEMBERED, Progress, Session};
    use crate::events::Snowflake;

    #[test]
    fn progress_survives_the_store() {
        let mut progress = Progress::default();
        assert_eq!(
            Progress::from_stored(Some(&progress.cursor(Snowflake(1)).value)),
            progress
        );
        progress.session = Some(Session {
            session_id: "s".to_owned(),
            resume_gateway_url: "wss://resume".to_owned(),
            seq: 7,
        });
        progress.heard(Snowflake(50), Snowflake(1000));
        let cursor = progress.cursor(Snowflake(666));
        assert_eq!(
            (cursor.platform.as_str(), cursor.bot.as_str()),
            ("discord", "666")
        );
        assert_eq!(
            cursor.value,
            r#"{"session_id":"s","resume_gateway_url":"wss://resume","seq":7,"channels":{"50":"1000"}}"#
        );
        assert_eq!(Progress::from_stored(Some(&cursor.value)), progress);
        assert_eq!(Progress::from_stored(Some("nonsense")), Progress::default());
    }

    #[test]
    fn neither_place_nor_channel_goes_back() {
        let mut progress = Progress::default();
        progress.advance(5);
        assert_eq!(progress.session, None);
        progress.heard(Snowflake(1), Snowflake(20));
        progress.heard(Snowflake(1), Snowflake(10));
        assert_eq!(progress.channels[&Snowflake(1)], Snowflake(20));
    }

    #[test]
    fn the_quietest_chat_is_forgotten_first() {
        let mut progress = Progress::default();
        for it in 0..=CHANNELS_REMEMBERED as u64 {
            progress.heard(Snowflake(1000 - it), Snowflake(10 + it));
        }
        assert_eq!(progress.channels.len(), CHANNELS_REMEMBERED);
        assert!(!progress.channels.contains_key(&Snowflake(1000)));
    }
}
