//! What the twin leaves out of Discord's REST API: the token, limits of a message, nonces, 429.

use std::{collections::HashMap, time::Duration};

use axum::http::{Method, header};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::TOKEN;
use crate::fault_proxy::{Answer, Platform, Request, Upstream};

/// Characters in one message.
const MAX_CHARS: usize = 2000;

/// The REST API in front of the twin.
pub struct DiscordApi {
    upstream: Upstream,
    /// Channel and nonce → the message that was made. Discord keeps them for some minutes.
    made: Mutex<HashMap<(String, String), Answer>>,
}

impl DiscordApi {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            made: Mutex::default(),
        }
    }

    /// With `enforce_nonce` the same nonce means the same message.
    async fn send(&self, channel: &str, request: &Request) -> Answer {
        let nonce = request.body["nonce"]
            .as_str()
            .filter(|_| request.body["enforce_nonce"] == true);
        let Some(nonce) = nonce else {
            return self.upstream.forward(request).await;
        };
        let mut made = self.made.lock().await;
        let key = (channel.to_owned(), nonce.to_owned());
        if let Some(answer) = made.get(&key) {
            return answer.clone();
        }
        let answer = self.upstream.forward(request).await;
        if answer.is_success() {
            made.insert(key, answer.clone());
        }
        answer
    }
}

impl Platform for DiscordApi {
    fn too_many(&self, retry_after: Duration) -> Answer {
        let seconds = retry_after.as_secs_f64();
        let body = json!({"message": "You are being rate limited.", "retry_after": seconds, "global": false});
        Answer {
            status: 429,
            headers: vec![
                ("retry-after", seconds.ceil().to_string()),
                ("x-ratelimit-limit", "5".to_owned()),
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset-after", seconds.to_string()),
                ("x-ratelimit-bucket", "test".to_owned()),
                ("x-ratelimit-scope", "user".to_owned()),
            ],
            body,
        }
    }

    async fn answer(&self, request: &Request) -> Answer {
        let words = request.words();
        let ["api", "v10", route @ ..] = words.as_slice() else {
            return refusal(404, 0, "404: Not Found");
        };
        // Interactions carry their own token in the path.
        let opened = matches!(route.first(), Some(&"interactions" | &"webhooks"));
        let authorization = request.headers.get(header::AUTHORIZATION);
        if !opened && authorization.is_none_or(|it| it != &format!("Bot {TOKEN}")) {
            return refusal(401, 0, "401: Unauthorized");
        }
        let message = match route {
            ["interactions", .., "callback"] => &request.body["data"],
            _ => &request.body,
        };
        if let Some(complaint) = complaint_about(message) {
            return refusal(400, 50035, &format!("Invalid Form Body: {complaint}"));
        }
        match (&request.method, route) {
            (&Method::POST, ["channels", channel, "messages"]) => {
                if message["content"].as_str().is_none_or(str::is_empty) {
                    return refusal(400, 50006, "Cannot send an empty message");
                }
                self.send(channel, request).await
            }
            _ => self.upstream.forward(request).await,
        }
    }

    fn is_noise(&self, request: &Request) -> bool {
        request.method == Method::GET
    }
}

fn complaint_about(message: &Value) -> Option<String> {
    let longer = |value: &Value, limit: usize| value.as_str().is_some_and(|it| it.chars().count() > limit);
    if longer(&message["content"], MAX_CHARS) {
        return Some(format!("content: Must be {MAX_CHARS} or fewer in length"));
    }
    if longer(&message["nonce"], 25) {
        return Some("nonce: Must be 25 or fewer in length".to_owned());
    }
    let rows = message["components"].as_array()?;
    if rows.len() > 5 {
        return Some("components: Must be 5 or fewer in length".to_owned());
    }
    let buttons = |row: &Value| row["components"].as_array().cloned().unwrap_or_default();
    if rows.iter().any(|row| !(1..=5).contains(&buttons(row).len())) {
        return Some("components: a row holds 1 to 5 buttons".to_owned());
    }
    let wrong = |it: &Value| {
        longer(&it["label"], 80)
            || longer(&it["custom_id"], 100)
            || it["custom_id"].as_str().is_none_or(str::is_empty)
    };
    rows.iter()
        .flat_map(buttons)
        .any(|it| wrong(&it))
        .then(|| "components: label of 80 and custom_id of 100 characters at most".to_owned())
}

fn refusal(status: u16, code: u32, message: &str) -> Answer {
    Answer::new(status, json!({"code": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::complaint_about;

    #[test]
    fn messages_are_refused_as_discord_does() {
        let check = |message: Value, expect: Option<&str>| {
            let complaint = complaint_about(&message);
            assert_eq!(
                complaint.as_deref().and_then(|it| it.split(':').next()),
                expect,
                "{complaint:?}"
            );
        };
        check(json!({"content": "😷".repeat(2000)}), None);
        check(json!({"content": "😷".repeat(2001)}), Some("content"));
        check(json!({"content": "x", "nonce": "1".repeat(26)}), Some("nonce"));
        let row =
            |label: &str| json!({"type": 1, "components": [{"type": 2, "label": label, "custom_id": "a"}]});
        check(json!({"components": [row("Yes")]}), None);
        check(json!({"components": [row(&"x".repeat(81))]}), Some("components"));
        check(
            json!({"components": [{"type": 1, "components": []}]}),
            Some("components"),
        );
    }
}
