//! Slash commands that wait for their answer.
//!
//! Discord shows "thinking …" from the acknowledgement until the response is edited, for 15 minutes at most.
//! The answer may be ready before we even know the number under which the question was stored (an emergency
//! is answered at once), so an interaction is noted before it is accepted, and whoever looks for it waits.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bedside_contract::{ConversationKey, InboxSeq, PlatformMessageId};
use tokio::{sync::Notify, time::Instant};

use crate::events::Snowflake;

/// A response can be edited for 15 minutes; the rest is for the way there.
pub(crate) const EDITABLE_FOR: Duration = Duration::from_secs(14 * 60 + 30);

/// Discord gives an interaction up after 3 s without acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(3);

const MESSAGE_ID_PREFIX: &str = "interaction:";

/// Where an interaction is answered. Whoever has the token can write there, so it is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) application: Snowflake,
    pub(crate) interaction: Snowflake,
    token: String,
}

/// The interactions that nothing has answered yet.
#[derive(Default)]
pub(crate) struct OpenInteractions {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    open: HashMap<ConversationKey, Vec<Open>>,
    /// The last interaction from a server, for a user who takes no private messages.
    from_servers: HashMap<ConversationKey, (Reply, Instant)>,
}

struct Open {
    reply: Reply,
    since: Instant,
    /// Known once the question is stored.
    seq: Option<InboxSeq>,
    /// Discord shows "thinking …".
    deferred: bool,
    /// Discord shows an answer that is being written.
    shown: bool,
}

impl Reply {
    /// `None` if the token could change the path that it becomes a part of.
    pub(crate) fn new(application: Snowflake, interaction: Snowflake, token: String) -> Option<Self> {
        let well_formed = !token.is_empty()
            && token
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "-_.~=+".contains(it))
            && token.contains(|it: char| it.is_ascii_alphanumeric());
        well_formed.then_some(Self {
            application,
            interaction,
            token,
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What stands in the store while the answer is written into this response.
    pub(crate) fn message_id(&self) -> PlatformMessageId {
        let Self {
            application,
            interaction,
            token,
        } = self;
        PlatformMessageId(format!("{MESSAGE_ID_PREFIX}{application}:{token}:{interaction}"))
    }

    /// The reverse of [`Self::message_id`].
    pub(crate) fn from_message_id(id: &PlatformMessageId) -> Option<Self> {
        let (application, rest) = id.0.strip_prefix(MESSAGE_ID_PREFIX)?.split_once(':')?;
        let (token, interaction) = rest.split_once(':')?;
        Self::new(
            Snowflake(application.parse().ok()?),
            Snowflake(interaction.parse().ok()?),
            token.to_owned(),
        )
    }

    /// Whether Discord still lets the response be edited, by the time in the interaction's own number.
    pub(crate) fn is_editable(&self) -> bool {
        const DISCORD_EPOCH: Duration = Duration::from_millis(1_420_070_400_000);
        let created = UNIX_EPOCH + DISCORD_EPOCH + Duration::from_millis(self.interaction.0 >> 22);
        // A clock that is behind Discord's makes it younger than new.
        SystemTime::now()
            .duration_since(created)
            .is_ok_and(|age| age < EDITABLE_FOR)
            || created > SystemTime::now()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.interaction)
    }
}

impl OpenInteractions {
    /// Notes an interaction that is about to be stored; `false` if it is noted already.
    pub(crate) fn open(&self, conversation: &ConversationKey, reply: &Reply) -> bool {
        let mut state = self.lock();
        let open = state.open.entry(conversation.clone()).or_default();
        if open.iter().any(|it| it.reply.interaction == reply.interaction) {
            return false;
        }
        open.push(Open {
            reply: reply.clone(),
            since: Instant::now(),
            seq: None,
            deferred: false,
            shown: false,
        });
        true
    }

    pub(crate) fn accepted(&self, conversation: &ConversationKey, interaction: Snowflake, seq: InboxSeq) {
        if let Some(open) = self.lock().find(conversation, interaction) {
            open.seq = Some(seq);
        }
        self.changed.notify_waiters();
    }

    /// `false` if it was closed meanwhile.
    pub(crate) fn deferred(&self, conversation: &ConversationKey, interaction: Snowflake) -> bool {
        let known = self
            .lock()
            .find(conversation, interaction)
            .map(|open| open.deferred = true)
            .is_some();
        self.changed.notify_waiters();
        known
    }

    /// Answered, or not to be answered through the interaction; `false` if it was closed before.
    pub(crate) fn close(&self, conversation: &ConversationKey, interaction: Snowflake) -> bool {
        let mut state = self.lock();
        let mut closed = false;
        if let Some(open) = state.open.get_mut(conversation) {
            let before = open.len();
            open.retain(|it| it.reply.interaction != interaction);
            closed = open.len() < before;
            if open.is_empty() {
                state.open.remove(conversation);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        closed
    }

    pub(crate) fn shown(&self, conversation: &ConversationKey, interaction: Snowflake) {
        if let Some(open) = self.lock().find(conversation, interaction) {
            open.shown = true;
        }
    }

    /// Closes it; whether it still says "thinking …".
    pub(crate) fn expire(&self, conversation: &ConversationKey, interaction: Snowflake) -> bool {
        let is_shown = self.lock().find(conversation, interaction).map(|it| it.shown);
        self.close(conversation, interaction) && is_shown == Some(false)
    }

    pub(crate) fn is_open(&self, conversation: &ConversationKey, interaction: Snowflake) -> bool {
        self.lock().find(conversation, interaction).is_some()
    }

    /// The response that waits for the answer to `seq`. An interaction on its way into the store, or not
    /// acknowledged yet, is waited for.
    pub(crate) async fn find(&self, conversation: &ConversationKey, seq: InboxSeq) -> Option<Reply> {
        let found = async {
            loop {
                let changed = self.changed.notified();
                match self.look(conversation, seq) {
                    Look::Found(reply) => return Some(reply),
                    Look::Nothing => return None,
                    Look::Wait(_) => changed.await,
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(ACKNOWLEDGED_WITHIN, found).await {
            return found;
        }
        if let Look::Wait(Some(interaction)) = self.look(conversation, seq) {
            self.close(conversation, interaction);
        }
        None
    }

    fn look(&self, conversation: &ConversationKey, seq: InboxSeq) -> Look {
        let state = self.lock();
        let Some(open) = state.open.get(conversation) else {
            return Look::Nothing;
        };
        if let Some(ours) = open.iter().find(|it| it.seq == Some(seq)) {
            return if ours.deferred {
                Look::Found(ours.reply.clone())
            } else {
                Look::Wait(Some(ours.reply.interaction))
            };
        }
        // One that was on its way when receiving was stopped never gets there.
        let on_its_way = |it: &Open| it.seq.is_none() && it.since.elapsed() < ACKNOWLEDGED_WITHIN;
        if open.iter().any(on_its_way) {
            Look::Wait(None)
        } else {
            Look::Nothing
        }
    }

    pub(crate) fn came_from_a_server(&self, conversation: &ConversationKey, reply: &Reply) {
        let mut state = self.lock();
        state
            .from_servers
            .retain(|_, (_, since)| since.elapsed() < EDITABLE_FOR);
        state
            .from_servers
            .insert(conversation.clone(), (reply.clone(), Instant::now()));
    }

    /// Where a user of a server can be answered who takes no private messages.
    pub(crate) fn in_a_server(&self, conversation: &ConversationKey) -> Option<Reply> {
        let state = self.lock();
        let (reply, since) = state.from_servers.get(conversation)?;
        (since.elapsed() < EDITABLE_FOR).then(|| reply.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, conversation: &ConversationKey, interaction: Snowflake) -> Option<&mut Open> {
        self.open
            .get_mut(conversation)?
            .iter_mut()
            .find(|it| it.reply.interaction == interaction)
    }
}

enum Look {
    Found(Reply),
    Nothing,
    /// For this one, if it is known which.
    Wait(Option<Snowflake>),
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{SystemTime, UNIX_EPOCH},
    };

    use bedside_contract::{ConversationKey, InboxSeq, PlatformMessageId};

    use super::{OpenInteractions, Reply};
    use crate::events::Snowflake;

    fn reply(interaction: u64) -> Reply {
        Reply::new(Snowflake(6), Snowflake(interaction), "aW5-_9=".to_owned()).unwrap()
    }

    fn conversation() -> ConversationKey {
        ConversationKey::new("discord", "6", "50")
    }

    #[test]
    fn a_reply_survives_the_store_and_hides_its_token() {
        let id = reply(9).message_id();
        assert_eq!(id.0, "interaction:6:aW5-_9=:9");
        assert_eq!(Reply::from_message_id(&id), Some(reply(9)));
        assert!(!format!("{:?}", reply(9)).contains("aW5"));
        for wrong in [
            "9",
            "interaction:6:9",
            "interaction:6:a/b:9",
            "interaction:x:a:9",
            "interaction:6::9",
            "interaction:6:..:9",
        ] {
            assert_eq!(
                Reply::from_message_id(&PlatformMessageId(wrong.to_owned())),
                None,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_response_can_be_edited_for_some_minutes() {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let check = |age_minutes: i64, expect: bool| {
            let created = now.checked_add_signed(-age_minutes * 60_000).unwrap() - 1_420_070_400_000;
            assert_eq!(reply(created << 22).is_editable(), expect, "{age_minutes}");
        };
        check(0, true);
        check(14, true);
        check(15, false);
        check(60, false);
        check(-3, true);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_finds_its_interaction_only() {
        let open = OpenInteractions::default();
        let key = conversation();
        assert!(open.open(&key, &reply(1)));
        assert!(!open.open(&key, &reply(1)), "the same one twice");
        open.accepted(&key, Snowflake(1), InboxSeq(10));
        assert!(open.deferred(&key, Snowflake(1)));
        assert_eq!(open.find(&key, InboxSeq(11)).await, None);
        assert_eq!(open.find(&key, InboxSeq(10)).await, Some(reply(1)));
        assert!(open.close(&key, Snowflake(1)) && !open.close(&key, Snowflake(1)));
        assert_eq!(open.find(&key, InboxSeq(10)).await, None);
        assert!(!open.deferred(&key, Snowflake(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_answer_waits_for_the_acknowledgement() {
        let open = Arc::new(OpenInteractions::default());
        let key = conversation();
        open.open(&key, &reply(1));
        let finder = Arc::clone(&open);
        let finding = tokio::spawn(async move { finder.find(&conversation(), InboxSeq(10)).await });
        tokio::task::yield_now().await;
        open.accepted(&key, Snowflake(1), InboxSeq(10));
        tokio::task::yield_now().await;
        assert!(!finding.is_finished());
        open.deferred(&key, Snowflake(1));
        assert_eq!(finding.await.unwrap(), Some(reply(1)));
    }

    #[test]
    fn an_answer_that_is_being_written_does_not_expire() {
        let open = OpenInteractions::default();
        let key = conversation();
        for id in [1, 2] {
            open.open(&key, &reply(id));
        }
        open.shown(&key, Snowflake(2));
        assert_eq!(
            [1, 2, 1].map(|id| open.expire(&key, Snowflake(id))),
            [true, false, false]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let open = OpenInteractions::default();
        let key = conversation();
        open.open(&key, &reply(1));
        assert_eq!(open.find(&key, InboxSeq(10)).await, None);
        assert!(open.is_open(&key, Snowflake(1)), "it may be another question's");
        open.accepted(&key, Snowflake(1), InboxSeq(10));
        assert_eq!(open.find(&key, InboxSeq(10)).await, None);
        assert!(!open.is_open(&key, Snowflake(1)), "its answer went out otherwise");
    }
}
