//! The one sentence that a server's channel hears.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bedside_contract::Language;

use crate::events::{Mention, Snowflake};

const EVERY: Duration = Duration::from_secs(60);

/// Channels remembered at most; beyond it nobody is told.
const REMEMBERED: usize = 512;

/// Says at most once a minute and channel that the bot is to be written to in private.
#[derive(Debug, Default)]
pub(crate) struct ChannelNotices {
    last: HashMap<Snowflake, Instant>,
}

impl ChannelNotices {
    /// The sentence, if it is time for one.
    pub(crate) fn for_mention(&mut self, mention: Mention, now: Instant) -> Option<&'static str> {
        let is_due = |then: &Instant| now.duration_since(*then) >= EVERY;
        if self.last.get(&mention.channel).is_some_and(|then| !is_due(then)) {
            return None;
        }
        if self.last.len() >= REMEMBERED {
            self.last.retain(|_, then| !is_due(then));
        }
        if self.last.len() >= REMEMBERED {
            return None;
        }
        self.last.insert(mention.channel, now);
        Some(sentence(mention.language))
    }
}

fn sentence(language: Language) -> &'static str {
    match language {
        Language::En => {
            "To keep your health private I answer only in direct messages: click my name and choose Message (in \
             an emergency call your local emergency number)."
        }
        Language::Zh => {
            "为保护您的健康隐私，我只在私信中回答：请点击我的名字，选择「发送消息」（紧急情况请立即拨打 120 或当地急救电话）。"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bedside_contract::Language;

    use super::{ChannelNotices, REMEMBERED};
    use crate::events::{Mention, Snowflake};

    fn in_channel(channel: u64) -> Mention {
        Mention {
            message: Snowflake(1),
            channel: Snowflake(channel),
            language: Language::En,
        }
    }

    #[test]
    fn a_channel_hears_it_once_a_minute() {
        let mut notices = ChannelNotices::default();
        let start = Instant::now();
        let mut says = |channel, after| {
            notices
                .for_mention(in_channel(channel), start + Duration::from_secs(after))
                .is_some()
        };
        assert_eq!(
            [says(1, 0), says(1, 59), says(2, 59), says(1, 61)],
            [true, false, true, true]
        );
    }

    #[test]
    fn a_flood_of_channels_takes_no_memory() {
        let mut notices = ChannelNotices::default();
        let now = Instant::now();
        let spoken = (0..2000)
            .filter(|it| notices.for_mention(in_channel(*it), now).is_some())
            .count();
        assert_eq!(spoken, REMEMBERED);
        let later = now + Duration::from_secs(90);
        assert!(notices.for_mention(in_channel(5000), later).is_some());
    }
}
