use std::sync::Mutex;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use uuid::Uuid;

use super::Heard;
use crate::WebClient;

/// A patient on the chat page.
pub struct WebPatient {
    page: WebClient,
    last: Mutex<Option<(Uuid, String)>>,
}

impl WebPatient {
    /// Opens the page.
    ///
    /// # Errors
    /// When the bot cannot be reached.
    pub async fn open(url: &str) -> Result<Self> {
        Ok(Self {
            page: WebClient::open(url).await?,
            last: Mutex::default(),
        })
    }

    pub(super) async fn say(&self, text: &str) -> Result<()> {
        let id = Uuid::new_v4();
        *self.last() = Some((id, text.to_owned()));
        self.page.say_as(id, text).await.map(drop)
    }

    pub(super) async fn press(&self, data: &str) -> Result<()> {
        self.page.choose(data).await.map(drop)
    }

    /// As a page does that did not see the bot's answer.
    pub(super) async fn redeliver_last(&self, times: usize) -> Result<()> {
        let (id, text) = self.last().clone().context("nothing was said")?;
        let again = (0..times).map(|_| self.page.say_as(id, &text));
        try_join_all(again).await.map(drop)
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        let parts = self.page.entries().into_iter().filter_map(|it| it.part);
        parts
            .map(|it| Heard {
                text: it.shown(),
                buttons: it.quick_replies.into_iter().map(|it| it.data).collect(),
            })
            .collect()
    }

    pub(super) fn saw_typing(&self) -> bool {
        self.page.typing_notices() > 0
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(Uuid, String)>> {
        self.last.lock().expect("nothing panics while it holds the lock")
    }
}
