use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::{Intake, Language, Part};
use serde_json::json;

use crate::messages::{MAX_BODY, MAX_CHARS};

/// Why a request was not served, in words for both languages; the page shows those of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownHost,
    OtherSite,
    NotJson,
    Unreadable,
    BadId,
    Empty,
    TooLong,
    TooLarge,
    TooFast { wait: Duration },
    TooManyPages,
    NotStored,
    Stopping,
    NotFound,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::OtherSite => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::BadId | Self::Empty => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLong | Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooManyPages | Self::NotStored | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown-host",
            Self::OtherSite => "other-site",
            Self::NotJson => "not-json",
            Self::Unreadable => "unreadable",
            Self::BadId => "bad-id",
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::TooLarge => "too-large",
            Self::TooFast { .. } => "too-fast",
            Self::TooManyPages => "too-many-pages",
            Self::NotStored => "not-stored",
            Self::Stopping => "stopping",
            Self::NotFound => "not-found",
        }
    }

    /// For programs.
    pub(crate) fn english(self) -> String {
        self.words().0
    }

    /// English, Chinese.
    fn words(self) -> (String, String) {
        let (en, zh) = match self {
            Self::UnknownHost => (
                "This page is not served under this name. The administrator adds the name to hosts under [web].",
                "本页面不通过此域名提供服务。请管理员把该域名加入 [web] 下的 hosts。",
            ),
            Self::OtherSite => (
                "The request came from another site and was refused. Behind a proxy, the administrator sets \
                 public_url under [web].",
                "请求来自其他网站，已被拒绝。如使用代理，请管理员设置 [web] 下的 public_url。",
            ),
            Self::NotJson => (
                "Send JSON (content-type: application/json).",
                "请发送 JSON（content-type: application/json）。",
            ),
            Self::Unreadable => (
                "The request could not be read. It needs id and either text or choice.",
                "无法读取请求。需要 id，以及 text 或 choice 之一。",
            ),
            Self::BadId => ("id must be a UUID.", "id 必须是 UUID。"),
            Self::Empty => ("The message is empty.", "消息是空的。"),
            Self::TooLong => {
                return (
                    format!(
                        "The message is too long: at most {MAX_CHARS} characters. Please shorten or split it."
                    ),
                    format!("消息太长：最多 {MAX_CHARS} 个字符，请缩短或分成几条发送。"),
                );
            }
            Self::TooLarge => {
                return (
                    format!(
                        "The message is too large: at most {} KiB. Please shorten or split it.",
                        MAX_BODY / 1024
                    ),
                    format!("消息太大：最多 {} KiB，请缩短或分成几条发送。", MAX_BODY / 1024),
                );
            }
            Self::TooFast { .. } => (
                "Too many messages in a short time, this one was not taken. Please wait a moment; in an emergency do \
                 not wait.",
                "短时间内消息过多，本条未被接收，请稍等；如遇紧急情况请勿等待。",
            ),
            Self::TooManyPages => (
                "Too many people are here at the moment. Please try again in a minute.",
                "当前使用人数过多，请稍后再试。",
            ),
            Self::NotStored => (
                "The message could not be saved, so it was not taken. Please send it again.",
                "消息未能保存，因此未被接收，请重新发送。",
            ),
            Self::Stopping => (
                "The service is restarting. Please try again in a moment.",
                "服务正在重启，请稍后再试。",
            ),
            Self::NotFound => ("There is nothing here.", "这里没有内容。"),
        };
        (en.to_owned(), zh.to_owned())
    }
}

/// A refusal as a patient gets it: with the emergency number, and with the notice if what they wrote holds a red flag.
pub(crate) struct Refused {
    refusal: Refusal,
    emergency_number: String,
    notice: Option<Part>,
}

impl Refused {
    pub(crate) fn new(refusal: Refusal, intake: &dyn Intake) -> Self {
        Self {
            refusal,
            emergency_number: intake.emergency_number(),
            notice: None,
        }
    }

    /// Reads the words that are not taken: a red flag is never refused.
    pub(crate) fn with_words(self, intake: &dyn Intake, words: &str, language: Option<Language>) -> Self {
        Self {
            notice: intake.emergency_notice(words, language),
            ..self
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (en, zh) = self.refusal.words();
        let number = &self.emergency_number;
        let mut body = json!({
            "code": self.refusal.code(),
            "en": format!("{en} In an emergency call {number} now."),
            "zh": format!("{zh}紧急情况请立即拨打 {number}。"),
        });
        if let (Some(notice), Some(body)) = (&self.notice, body.as_object_mut()) {
            body.insert("notice".to_owned(), json!(notice));
        }
        let mut response = (self.refusal.status(), Json(body)).into_response();
        if let Refusal::TooFast { wait } = self.refusal {
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
