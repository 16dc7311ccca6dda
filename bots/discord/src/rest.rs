//! Discord's REST API: a few calls, none of which sleeps or tries again by itself.
//!
//! Not serenity's `Http`: its limiter sleeps inside a call (an emergency notice would wait unseen), works only
//! with Discord's own address, and its tracing spans hold request bodies and interaction tokens. serenity's
//! builders make the bodies.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, Response, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use serenity::builder::{CreateCommand, CreateInteractionResponse, CreateMessage, EditMessage};

use crate::{
    events::{RawMessage, Snowflake},
    failure::{RestFailure, from_answer, from_transport, seconds},
    interactions::Reply,
};

/// What Discord wants every bot to say who it is.
pub(crate) const USER_AGENT: &str = concat!("DiscordBot (bedside, ", env!("CARGO_PKG_VERSION"), ")");

/// Messages in a page of history, the most that Discord gives.
const PAGE: usize = 100;

/// Limits remembered at most; beyond it the passed ones go.
const LIMITS_REMEMBERED: usize = 2048;

/// A call to one of Discord's addresses. It names no token, so it may be kept and compared.
type Bucket = String;

pub(crate) struct Rest {
    client: Client,
    /// Ends without a slash.
    api_url: String,
    token: SecretString,
    limits: Mutex<Limits>,
}

/// Answering into a known limit again and again gets a whole address banned: what Discord said is kept.
#[derive(Default)]
struct Limits {
    everything: Option<Instant>,
    buckets: HashMap<Bucket, Instant>,
}

/// `GET /gateway/bot`.
#[derive(Deserialize)]
pub(crate) struct GatewayAddress {
    pub(crate) url: String,
    pub(crate) session_start_limit: Option<SessionStartLimit>,
}

#[derive(Deserialize)]
pub(crate) struct SessionStartLimit {
    pub(crate) remaining: u32,
    /// In milliseconds.
    pub(crate) reset_after: u64,
}

/// A piece of a channel's history.
pub(crate) struct Page {
    /// Oldest first.
    pub(crate) messages: Vec<RawMessage>,
    /// Where the next page begins, if there may be one.
    pub(crate) next_after: Option<Snowflake>,
}

/// Anything that has an id.
#[derive(Deserialize)]
struct WithId {
    id: Snowflake,
}

/// An answer that is not read.
#[derive(Deserialize)]
struct Ignored {}

enum Auth {
    Bot,
    /// The path's own token: such calls are outside the bot's limits.
    InPath,
}

impl Rest {
    pub(crate) fn new(client: Client, api_url: &str, token: SecretString) -> Self {
        Self {
            client,
            api_url: api_url.trim_end_matches('/').to_owned(),
            token,
            limits: Mutex::default(),
        }
    }

    pub(crate) fn token(&self) -> &SecretString {
        &self.token
    }

    pub(crate) async fn own_user(&self) -> Result<Snowflake, RestFailure> {
        let user: WithId = self.get("/users/@me").await?;
        Ok(user.id)
    }

    pub(crate) async fn own_application(&self) -> Result<Snowflake, RestFailure> {
        let application: WithId = self.get("/applications/@me").await?;
        Ok(application.id)
    }

    pub(crate) async fn gateway(&self) -> Result<GatewayAddress, RestFailure> {
        self.get("/gateway/bot").await
    }

    /// The private chat with a user; Discord makes it if there is none.
    pub(crate) async fn private_channel(&self, user: Snowflake) -> Result<Snowflake, RestFailure> {
        let body = serde_json::json!({ "recipient_id": user.to_string() });
        let channel: WithId = self
            .call(Method::POST, "/users/@me/channels", Some(&body), &Auth::Bot)
            .await?;
        Ok(channel.id)
    }

    pub(crate) async fn messages_after(
        &self,
        channel: Snowflake,
        after: Snowflake,
    ) -> Result<Page, RestFailure> {
        let path = format!("/channels/{channel}/messages?after={after}&limit={PAGE}");
        let found: Vec<Value> = self.get(&path).await?;
        let id_of = |it: &Value| Snowflake::deserialize(it.get("id")?).ok();
        let last = found.iter().filter_map(id_of).max();
        let is_full = found.len() >= PAGE;
        let mut messages: Vec<RawMessage> = found
            .into_iter()
            .filter_map(|it| RawMessage::deserialize(it).ok())
            .collect();
        messages.sort_by_key(|it| it.id);
        Ok(Page {
            messages,
            next_after: last.filter(|_| is_full),
        })
    }

    pub(crate) async fn send(
        &self,
        channel: Snowflake,
        message: &CreateMessage,
    ) -> Result<Snowflake, RestFailure> {
        let path = format!("/channels/{channel}/messages");
        let made: WithId = self.call(Method::POST, &path, Some(message), &Auth::Bot).await?;
        Ok(made.id)
    }

    pub(crate) async fn edit(
        &self,
        channel: Snowflake,
        message: Snowflake,
        edit: &EditMessage,
    ) -> Result<(), RestFailure> {
        let path = format!("/channels/{channel}/messages/{message}");
        self.call(Method::PATCH, &path, Some(edit), &Auth::Bot)
            .await
            .map(|_: Ignored| ())
    }

    pub(crate) async fn typing(&self, channel: Snowflake) -> Result<(), RestFailure> {
        let path = format!("/channels/{channel}/typing");
        self.request(Method::POST, &path, None::<&()>, &Auth::Bot)
            .await
            .map(drop)
    }

    pub(crate) async fn register(
        &self,
        application: Snowflake,
        commands: &[CreateCommand],
    ) -> Result<(), RestFailure> {
        let path = format!("/applications/{application}/commands");
        self.request(Method::PUT, &path, Some(commands), &Auth::Bot)
            .await
            .map(drop)
    }

    pub(crate) async fn acknowledge(
        &self,
        reply: &Reply,
        response: &CreateInteractionResponse,
    ) -> Result<(), RestFailure> {
        let path = format!("/interactions/{}/{}/callback", reply.interaction, reply.token());
        self.request(Method::POST, &path, Some(response), &Auth::InPath)
            .await
            .map(drop)
    }

    /// The message that the response has become.
    pub(crate) async fn edit_response(
        &self,
        reply: &Reply,
        edit: &EditMessage,
    ) -> Result<Snowflake, RestFailure> {
        let path = response_path(reply);
        let made: WithId = self.call(Method::PATCH, &path, Some(edit), &Auth::InPath).await?;
        Ok(made.id)
    }

    pub(crate) async fn delete_response(&self, reply: &Reply) -> Result<(), RestFailure> {
        self.request(Method::DELETE, &response_path(reply), None::<&()>, &Auth::InPath)
            .await
            .map(drop)
    }

    /// Another message that only the user of the interaction sees.
    pub(crate) async fn follow_up(
        &self,
        reply: &Reply,
        message: &CreateMessage,
    ) -> Result<Snowflake, RestFailure> {
        let path = format!("/webhooks/{}/{}?wait=true", reply.application, reply.token());
        let made: WithId = self
            .call(Method::POST, &path, Some(message), &Auth::InPath)
            .await?;
        Ok(made.id)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestFailure> {
        self.call(Method::GET, path, None::<&()>, &Auth::Bot).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        auth: &Auth,
    ) -> Result<T, RestFailure> {
        let answer = self.request(method, path, body, auth).await?;
        let bytes = answer.bytes().await.map_err(|it| from_transport(&it))?;
        serde_json::from_slice(&bytes)
            .map_err(|_| RestFailure::OutcomeUnknown("discord's answer could not be read".to_owned()))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        auth: &Auth,
    ) -> Result<Response, RestFailure> {
        let bucket = matches!(auth, Auth::Bot).then(|| bucket_of(&method, path));
        if let Some(wait) = bucket.as_ref().and_then(|it| self.known_limit(it)) {
            return Err(wait);
        }
        let mut request = self.client.request(method, format!("{}{path}", self.api_url));
        if matches!(auth, Auth::Bot) {
            request = request.header("Authorization", format!("Bot {}", self.token.expose_secret()));
        }
        request = match body {
            Some(body) => request.json(body),
            // A POST without a length is refused with 411 by some front servers.
            None => request.header("Content-Length", "0"),
        };
        let answer = request.send().await.map_err(|it| from_transport(&it))?;
        if answer.status().is_success() {
            if let Some(bucket) = bucket {
                self.note_spent(bucket, answer.headers());
            }
            return Ok(answer);
        }
        let (status, retry_after) = (answer.status(), number(answer.headers(), "retry-after"));
        let body = answer.bytes().await.unwrap_or_default();
        let failure = from_answer(status, retry_after, &body);
        if let (RestFailure::TooMany { wait, global }, Some(bucket)) = (&failure, bucket) {
            self.note_limit((!global).then_some(bucket), *wait);
        }
        if failure.is_bad_token() {
            tracing::error!("Discord refused the token: check discord.token, nothing can be sent.");
        }
        Err(failure)
    }

    fn known_limit(&self, bucket: &Bucket) -> Option<RestFailure> {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let left = |until: Option<&Instant>| until.and_then(|it| it.checked_duration_since(now));
        let global = left(limits.everything.as_ref());
        let wait = global.or_else(|| left(limits.buckets.get(bucket)))?;
        (!wait.is_zero()).then_some(RestFailure::TooMany {
            wait,
            global: global.is_some(),
        })
    }

    /// `None` limits everything.
    fn note_limit(&self, bucket: Option<Bucket>, wait: Duration) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some(bucket) = bucket else {
            limits.everything = Some(now + wait);
            return;
        };
        if limits.buckets.len() >= LIMITS_REMEMBERED {
            limits.buckets.retain(|_, until| *until > now);
        }
        limits.buckets.insert(bucket, now + wait);
    }

    /// Discord tells when a limit is used up; waiting then spares a refused call.
    fn note_spent(&self, bucket: Bucket, headers: &HeaderMap) {
        if number(headers, "x-ratelimit-remaining") == Some(0.0)
            && let Some(reset_after) = number(headers, "x-ratelimit-reset-after")
        {
            self.note_limit(Some(bucket), seconds(reset_after));
        }
    }
}

fn response_path(reply: &Reply) -> String {
    format!(
        "/webhooks/{}/{}/messages/@original",
        reply.application,
        reply.token()
    )
}

/// Discord counts per method, kind of call and channel; the id of a message does not matter.
fn bucket_of(method: &Method, path: &str) -> Bucket {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let segments: Vec<&str> = path.split('/').take(4).collect();
    format!("{method} {}", segments.join("/"))
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::bucket_of;

    #[test]
    fn a_limit_counts_for_a_channel_not_for_a_message() {
        let check = |path: &str, expect: &str| assert_eq!(bucket_of(&Method::PATCH, path), expect);
        check("/channels/1/messages/2", "PATCH /channels/1/messages");
        check("/channels/1/messages?after=3", "PATCH /channels/1/messages");
        check("/channels/1/typing", "PATCH /channels/1/typing");
        check("/users/@me", "PATCH /users/@me");
    }
}
