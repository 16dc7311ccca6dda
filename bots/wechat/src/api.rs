//! WeChat's customer-service API: messages and the typing notice.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bedside_contract::Part;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{failure::Failure, outgoing::message_json, token::Tokens};

pub(crate) struct Api {
    client: Client,
    base: String,
    tokens: Tokens,
    told: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errcode: i64,
}

const TELL_EVERY: Duration = Duration::from_secs(60);

impl Api {
    pub(crate) fn new(client: Client, url: &Url, appid: String, secret: SecretString) -> Self {
        let base = url.as_str().trim_end_matches('/').to_owned();
        Self {
            tokens: Tokens::new(client.clone(), &base, appid, secret),
            client,
            base,
            told: Mutex::default(),
        }
    }

    pub(crate) async fn send(&self, patient: &str, part: &Part) -> Result<(), Failure> {
        self.call("/cgi-bin/message/custom/send", &message_json(patient, part))
            .await
            .inspect_err(|failure| self.tell(failure))
    }

    /// Shows the patient that the bot writes.
    pub(crate) async fn typing(&self, patient: &str) {
        let body = json!({"touser": patient, "command": "Typing"});
        match self.call("/cgi-bin/message/custom/typing", &body).await {
            // Shown already, or the patient's last message is more than 30 s old.
            Ok(()) | Err(Failure::Refused { code: 45080 | 45081 }) => {}
            Err(failure) => tracing::debug!(%failure, "the typing notice was not shown"),
        }
    }

    /// Calls once more with a fresh token, if the token was at fault.
    async fn call(&self, path: &str, body: &Value) -> Result<(), Failure> {
        let token = self.tokens.get().await?;
        let first = self.call_with(&token, path, body).await;
        let Err(failure) = first else {
            self.tokens.worked().await;
            return Ok(());
        };
        if !failure.is_of_token() {
            return Err(failure);
        }
        match self.tokens.after_refusal(&token).await? {
            None => Err(failure),
            Some(fresh) => {
                self.call_with(&fresh, path, body).await?;
                self.tokens.worked().await;
                Ok(())
            }
        }
    }

    async fn call_with(&self, token: &SecretString, path: &str, body: &Value) -> Result<(), Failure> {
        let response = self
            .client
            .post(format!("{}{path}", self.base))
            .query(&[("access_token", token.expose_secret())])
            .json(body)
            .send()
            .await
            .map_err(|it| Failure::of_request(&it))?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let bytes = response.bytes().await.map_err(|it| Failure::of_request(&it))?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| Failure::Unreadable)?;
        match answer.errcode {
            0 => Ok(()),
            code => Err(Failure::Refused { code }),
        }
    }

    /// What somebody has to repair is said aloud, once a minute.
    fn tell(&self, failure: &Failure) {
        if !failure.needs_operator() {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|it| it.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::error!(%failure, "patients on wechat get no answers until this is repaired");
        }
    }
}
