//! The access token of WeChat's API: fetched once for all, renewed before it ends.

use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};

use crate::failure::Failure;

/// Knows the current token. One request for a new one at a time, whoever asks.
pub(crate) struct Tokens {
    client: Client,
    url: String,
    appid: String,
    secret: SecretString,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    forced_at: Option<Instant>,
    /// Forced renewals that did not help.
    in_vain: u32,
}

struct Current {
    token: SecretString,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errcode: i64,
    access_token: Option<SecretString>,
    #[serde(default)]
    expires_in: u64,
}

/// WeChat gives a new token only in the last five minutes of the old one, which stays good meanwhile.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// After a renewal that failed, while the old token is still good.
const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// WeChat allows 20 forced renewals a day.
const FORCE_EVERY: Duration = Duration::from_secs(60);

impl Tokens {
    pub(crate) fn new(client: Client, base: &str, appid: String, secret: SecretString) -> Self {
        Self {
            client,
            url: format!("{base}/cgi-bin/stable_token"),
            appid,
            secret,
            state: Mutex::default(),
        }
    }

    /// A token that should be good.
    pub(crate) async fn get(&self) -> Result<SecretString, Failure> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(current) = &state.current
            && now < current.renew_at
        {
            return Ok(current.token.clone());
        }
        match (self.fetch(false).await, &mut state.current) {
            (Ok(fresh), _) => Ok(state.keep(fresh)),
            (Err(failure), Some(old)) if now < old.ends_at => {
                tracing::warn!(%failure, "wechat's access token was not renewed yet; the old one is still good");
                old.renew_at = now + RENEW_AGAIN;
                Ok(old.token.clone())
            }
            (Err(failure), _) => Err(Failure::NoToken(Box::new(failure))),
        }
    }

    /// Another token, since WeChat refused this one. Forced at most once a minute, and ever more seldom
    /// while it does not help; in between `None`.
    pub(crate) async fn after_refusal(
        &self,
        refused: &SecretString,
    ) -> Result<Option<SecretString>, Failure> {
        let mut state = self.state.lock().await;
        if let Some(current) = &state.current
            && current.token.expose_secret() != refused.expose_secret()
        {
            return Ok(Some(current.token.clone()));
        }
        let now = Instant::now();
        let pause = FORCE_EVERY * 2_u32.pow(state.in_vain.min(6));
        if state.forced_at.is_some_and(|it| now - it < pause) {
            return Ok(None);
        }
        state.forced_at = Some(now);
        state.in_vain += 1;
        let fresh = self
            .fetch(true)
            .await
            .map_err(|it| Failure::NoToken(Box::new(it)))?;
        Ok(Some(state.keep(fresh)))
    }

    /// WeChat took the current token.
    pub(crate) async fn worked(&self) {
        self.state.lock().await.in_vain = 0;
    }

    async fn fetch(&self, force: bool) -> Result<Current, Failure> {
        let now = Instant::now();
        let body = json!({
            "grant_type": "client_credential", "appid": self.appid,
            "secret": self.secret.expose_secret(), "force_refresh": force,
        });
        let response = self
            .client
            .post(&self.url)
            .json(&body)
            .send()
            .await
            .map_err(|it| Failure::of_request(&it))?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let bytes = response.bytes().await.map_err(|it| Failure::of_request(&it))?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| Failure::Unreadable)?;
        match answer.access_token {
            Some(token) if answer.errcode == 0 && !token.expose_secret().is_empty() => {
                let lasts = Duration::from_secs(answer.expires_in.clamp(1, 7200));
                let before = RENEW_BEFORE.min(lasts / 2);
                Ok(Current {
                    token,
                    renew_at: now + lasts - before,
                    ends_at: now + lasts,
                })
            }
            _ if answer.errcode != 0 => Err(Failure::Refused { code: answer.errcode }),
            _ => Err(Failure::Unreadable),
        }
    }
}

impl State {
    fn keep(&mut self, fresh: Current) -> SecretString {
        let token = fresh.token.clone();
        self.current = Some(fresh);
        token
    }
}
