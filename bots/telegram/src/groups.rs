//! The one sentence that a group hears.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use bedside_contract::Language;
use teloxide::types::ChatId;

use crate::updates::Mention;

const EVERY: Duration = Duration::from_secs(60);

/// Chats remembered at most; beyond it the oldest entries go.
const REMEMBERED: usize = 512;

/// Says at most once a minute and group that the bot is to be written to in private.
#[derive(Debug, Default)]
pub(crate) struct GroupNotices {
    last: Mutex<HashMap<ChatId, Instant>>,
}

impl GroupNotices {
    /// The sentence, if it is time for one.
    pub(crate) fn for_mention(&self, mention: Mention, username: &str, now: Instant) -> Option<String> {
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if last
            .get(&mention.chat)
            .is_some_and(|then| now.duration_since(*then) < EVERY)
        {
            return None;
        }
        if last.len() >= REMEMBERED {
            last.retain(|_, then| now.duration_since(*then) < EVERY);
        }
        if last.len() >= REMEMBERED {
            return None;
        }
        last.insert(mention.chat, now);
        Some(sentence(mention.language, username))
    }
}

fn sentence(language: Language, username: &str) -> String {
    match language {
        Language::En => format!(
            "To keep your health private I answer only in a private chat: https://t.me/{username} (in an emergency call your local emergency number)."
        ),
        Language::Zh => format!(
            "为保护您的健康隐私，我只在私聊中回答：https://t.me/{username} （紧急情况请立即拨打 120 或当地急救电话）。"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bedside_contract::Language;
    use teloxide::types::ChatId;

    use super::{GroupNotices, REMEMBERED};
    use crate::updates::Mention;

    fn in_chat(chat: i64) -> Mention {
        Mention {
            chat: ChatId(chat),
            language: Language::En,
        }
    }

    #[test]
    fn a_group_hears_it_once_a_minute() {
        let notices = GroupNotices::default();
        let start = Instant::now();
        let says = |chat, after| {
            notices
                .for_mention(in_chat(chat), "WardBot", start + Duration::from_secs(after))
                .is_some()
        };
        assert_eq!(
            [says(-1, 0), says(-1, 59), says(-2, 59), says(-1, 61)],
            [true, false, true, true]
        );
    }

    #[test]
    fn a_flood_of_groups_takes_no_memory() {
        let notices = GroupNotices::default();
        let now = Instant::now();
        let spoken = (0..2000)
            .filter(|it| notices.for_mention(in_chat(*it), "b", now).is_some())
            .count();
        assert_eq!(spoken, REMEMBERED);
        assert!(
            notices
                .for_mention(in_chat(5000), "b", now + Duration::from_secs(90))
                .is_some()
        );
    }
}
