use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Heard, check, words::asks_to_go_on};
use crate::{
    Replies,
    wechat_fake::{Pushed, WechatFake, WechatUser},
};

/// What a patient writes to get the rest.
const GO_ON: &str = "继续";

/// A follower of the account, who writes 「继续」 whenever there is more.
pub struct WechatPatient {
    user: WechatUser,
    replies: Replies,
    last: Mutex<Option<Value>>,
    /// When the last message was sent.
    sent: Mutex<Option<Instant>>,
    /// What went wrong in the background.
    problems: Arc<Mutex<Vec<String>>>,
    going_on: Arc<AtomicBool>,
}

impl WechatPatient {
    #[must_use]
    pub fn new(fake: &WechatFake, openid: &str) -> Self {
        Self {
            user: fake.user(openid),
            replies: fake.replies(),
            last: Mutex::default(),
            sent: Mutex::default(),
            problems: Arc::default(),
            going_on: Arc::default(),
        }
    }

    pub(super) fn is_passive(&self) -> bool {
        self.replies == Replies::Passive
    }

    pub(super) fn say(&self, text: &str) -> Result<()> {
        self.send(self.user.text(text))
    }

    pub(super) fn click(&self, number: usize) -> Result<()> {
        let heard = self.user.heard();
        let menu = heard.iter().rev().find(|it| !it.menu.is_empty());
        let entry = menu.and_then(|it| it.menu.get(number - 1));
        let (id, label) = entry.with_context(|| format!("no entry {number}"))?;
        self.send(self.user.menu_click(id, label))
    }

    pub(super) fn redeliver_last(&self, times: usize) -> Result<()> {
        let message = lock(&self.last).clone().context("nothing was said")?;
        for _ in 0..times {
            self.push(message.clone());
        }
        check(&lock(&self.problems))
    }

    /// Reads on when the customer-service messages for the last message are used up.
    pub(super) fn go_on_if_exhausted(&self) {
        if self.user.is_exhausted() && !self.going_on.swap(true, Ordering::SeqCst) {
            let (user, going_on) = (self.user.clone(), Arc::clone(&self.going_on));
            self.in_background(async move {
                let pushed = user.push(user.text(GO_ON)).await;
                going_on.store(false, Ordering::SeqCst);
                pushed.map(drop)
            });
        }
    }

    /// # Panics
    /// When something went wrong in the background.
    pub(super) fn heard(&self) -> Vec<Heard> {
        if let Err(problems) = check(&lock(&self.problems)) {
            panic!("wechat: {problems}");
        }
        let heard = self.user.heard().into_iter();
        heard
            .map(|it| Heard {
                text: it.text,
                buttons: it.menu.into_iter().map(|it| it.0).collect(),
            })
            .collect()
    }

    /// Within WeChat's own request nothing is shown: one that has been open for a while was taken.
    pub(super) fn saw_typing(&self) -> bool {
        const TAKEN_WITHIN: Duration = Duration::from_millis(500);
        let sent = lock(&self.sent).as_ref().map(Instant::elapsed);
        self.user.saw_typing() || (self.is_passive() && sent.is_some_and(|it| it > TAKEN_WITHIN))
    }

    fn send(&self, message: Value) -> Result<()> {
        *lock(&self.last) = Some(message.clone());
        *lock(&self.sent) = Some(Instant::now());
        self.push(message);
        check(&lock(&self.problems))
    }

    fn push(&self, message: Value) {
        let user = self.user.clone();
        self.in_background(async move {
            let mut pushed = user.push(message).await?;
            while wants_more(&pushed) {
                pushed = user.push(user.text(GO_ON)).await?;
            }
            Ok(())
        });
    }

    fn in_background(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let problems = Arc::clone(&self.problems);
        tokio::spawn(async move {
            if let Err(problem) = work.await {
                lock(&problems).push(format!("{problem:#}"));
            }
        });
    }
}

fn wants_more(pushed: &Pushed) -> bool {
    pushed.is_shown && pushed.reply().is_some_and(asks_to_go_on)
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().expect("nothing panics while it holds the lock")
}
