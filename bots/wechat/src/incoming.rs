//! What WeChat sends, as an [`Update`].

use bedside_contract::{ConversationKey, Language, Update, UpdateKind, asks_for_more};

use crate::{PLATFORM, xml::Fields};

/// One message or event of a patient.
pub(crate) struct Incoming {
    pub(crate) update: Update,
    /// The account's own name in this chat (`gh_…`): the sender of a passive reply.
    pub(crate) account: String,
    /// The language that the connector's own sentences take.
    pub(crate) language: Language,
    /// An event: if nothing is said about it, nothing needs to be said.
    pub(crate) is_event: bool,
    /// The text says nothing but "go on".
    pub(crate) only_asks_for_more: bool,
    /// When the patient sent it, seconds since 1970.
    pub(crate) sent: i64,
}

/// Why a message is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("without a usable {0}")]
pub(crate) struct Unusable(&'static str);

impl Incoming {
    /// `None` for events that say nothing to a bot (menu views, positions, delivery notes, unsubscribing).
    ///
    /// # Errors
    /// [`Unusable`] names the element that is missing or malformed.
    pub(crate) fn read(fields: &Fields, appid: &str) -> Result<Option<Self>, Unusable> {
        let account = name(fields, "ToUserName")?;
        let patient = name(fields, "FromUserName")?;
        let sent: i64 = fields
            .get("CreateTime")
            .and_then(|it| it.parse().ok())
            .ok_or(Unusable("CreateTime"))?;
        let kind_of_message = fields.get("MsgType").ok_or(Unusable("MsgType"))?;
        let is_event = kind_of_message.eq_ignore_ascii_case("event");
        let event = fields.get("Event").unwrap_or_default().to_ascii_uppercase();
        let kind = if is_event {
            of_event(&event, fields)
        } else {
            of_message(kind_of_message, fields)
        };
        let Some(kind) = kind else { return Ok(None) };
        let external_id = if is_event {
            format!("{patient}:{sent}:{event}")
        } else {
            fields
                .get("MsgId")
                .filter(|it| !it.is_empty() && it.len() <= 64)
                .ok_or(Unusable("MsgId"))?
                .to_owned()
        };
        let (text, is_menu) = match &kind {
            UpdateKind::Text { text } => (text.as_str(), is_event),
            UpdateKind::Choice { .. } => ("", true),
            UpdateKind::Joined | UpdateKind::Unreadable { .. } => ("", false),
        };
        Ok(Some(Self {
            language: Language::detect(text).unwrap_or(Language::Zh),
            is_event: is_event && !is_menu,
            only_asks_for_more: !is_event && asks_for_more(text),
            sent,
            account: account.to_owned(),
            update: Update {
                platform: PLATFORM.to_owned(),
                bot: appid.to_owned(),
                external_id,
                conversation: ConversationKey::new(PLATFORM, appid, patient),
                sender: patient.to_owned(),
                // WeChat's patients read Chinese, whatever their message shows.
                language_hint: Some(Language::Zh),
                answer_in: None,
                kind,
            },
        }))
    }
}

fn name<'a>(fields: &'a Fields, element: &'static str) -> Result<&'a str, Unusable> {
    fields
        .get(element)
        .filter(|it| !it.is_empty() && it.len() <= 128 && it.chars().all(|c| c.is_ascii_graphic()))
        .ok_or(Unusable(element))
}

fn of_message(kind: &str, fields: &Fields) -> Option<UpdateKind> {
    let unreadable = |what: &str| {
        Some(UpdateKind::Unreadable {
            what: what.to_owned(),
        })
    };
    match kind {
        "text" => {
            let pressed = fields.get("bizmsgmenuid").filter(|it| !it.is_empty());
            if let Some(data) = pressed {
                return Some(UpdateKind::Choice {
                    data: data.to_owned(),
                });
            }
            match fields.raw("Content").filter(|it| !it.trim().is_empty()) {
                Some(text) => Some(UpdateKind::Text {
                    text: text.to_owned(),
                }),
                None => unreadable("text"),
            }
        }
        "voice" => match fields.get("Recognition").filter(|it| !it.is_empty()) {
            Some(text) => Some(UpdateKind::Text {
                text: text.to_owned(),
            }),
            None => unreadable("voice"),
        },
        "image" | "video" | "shortvideo" | "location" | "link" | "file" => unreadable(kind),
        _ => unreadable("other"),
    }
}

/// Following is the welcome's and consent's moment; scanning a code of ours while following opens the chat
/// again and says no more than that.
fn of_event(event: &str, fields: &Fields) -> Option<UpdateKind> {
    match event {
        "SUBSCRIBE" | "SCAN" => Some(UpdateKind::Joined),
        "CLICK" => {
            let key = fields.get("EventKey").filter(|it| !it.is_empty())?.to_owned();
            Some(if key.starts_with('/') {
                UpdateKind::Text { text: key }
            } else {
                UpdateKind::Choice { data: key }
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Language, UpdateKind};

    use super::Incoming;
    use crate::xml::parse;

    fn read(inner: &str) -> Option<Incoming> {
        let head = "<ToUserName>gh_1</ToUserName><FromUserName>oP</FromUserName><CreateTime>17</CreateTime>";
        let fields = parse(format!("<xml>{head}{inner}</xml>").as_bytes()).unwrap();
        Incoming::read(&fields, "wx12").unwrap()
    }

    fn message(kind: &str, inner: &str) -> Incoming {
        read(&format!("<MsgType>{kind}</MsgType><MsgId>99</MsgId>{inner}")).unwrap()
    }

    fn event(event: &str, key: &str) -> Option<Incoming> {
        read(&format!(
            "<MsgType>event</MsgType><Event>{event}</Event><EventKey>{key}</EventKey>"
        ))
    }

    fn text(text: &str) -> UpdateKind {
        UpdateKind::Text {
            text: text.to_owned(),
        }
    }

    #[test]
    fn messages() {
        let check = |kind: &str, inner: &str, expect: UpdateKind| {
            let incoming = message(kind, inner);
            assert!(
                incoming.update.kind == expect,
                "{kind}: {:?}",
                incoming.update.kind
            );
            assert_eq!(incoming.update.external_id, "99");
            assert_eq!(incoming.update.conversation.as_str(), "wechat:wx12:oP");
            assert!(!incoming.is_event);
        };
        let unreadable = |what: &str| UpdateKind::Unreadable {
            what: what.to_owned(),
        };
        check("text", "<Content>我头疼</Content>", text("我头疼"));
        check("text", "<Content> </Content>", unreadable("text"));
        check(
            "text",
            "<Content>同意</Content><bizmsgmenuid>consent:yes</bizmsgmenuid>",
            UpdateKind::Choice {
                data: "consent:yes".to_owned(),
            },
        );
        check("voice", "<Recognition>头疼。</Recognition>", text("头疼。"));
        check("voice", "<Recognition/>", unreadable("voice"));
        check("image", "<PicUrl>http://x</PicUrl>", unreadable("image"));
        check("location", "", unreadable("location"));
        check("hologram", "", unreadable("other"));
    }

    #[test]
    fn events() {
        let joined = event("subscribe", "qrscene_7").unwrap();
        assert!(joined.update.kind == UpdateKind::Joined && joined.is_event);
        assert_eq!(joined.update.external_id, "oP:17:SUBSCRIBE");
        assert!(event("SCAN", "7").unwrap().update.kind == UpdateKind::Joined);
        assert!(event("unsubscribe", "").is_none());
        assert!(event("VIEW", "https://hospital.example").is_none());
        assert!(event("TEMPLATESENDJOBFINISH", "").is_none());
        let menu = event("CLICK", "/new").unwrap();
        assert!(menu.update.kind == text("/new") && !menu.is_event);
        let choice = UpdateKind::Choice {
            data: "department:ent".to_owned(),
        };
        assert!(event("CLICK", "department:ent").unwrap().update.kind == choice);
        assert!(event("CLICK", "").is_none());
    }

    #[test]
    fn the_language_is_that_of_the_message() {
        let english = message("text", "<Content>my head hurts</Content>");
        assert_eq!(
            (english.language, english.update.language_hint),
            (Language::En, Some(Language::Zh))
        );
        assert_eq!(message("image", "").language, Language::Zh);
        assert!(message("text", "<Content>继续</Content>").only_asks_for_more);
        assert!(!message("text", "<Content>头疼</Content>").only_asks_for_more);
    }

    #[test]
    fn what_is_missing_is_named() {
        let problem = |xml: &str| {
            let error = Incoming::read(&parse(xml.as_bytes()).unwrap(), "wx12").err();
            error.map(|it| it.to_string()).unwrap_or_default()
        };
        let head =
            "<ToUserName>gh</ToUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><MsgId>1</MsgId>";
        assert!(problem(&format!("<xml>{head}</xml>")).contains("FromUserName"));
        assert!(
            problem(&format!("<xml>{head}<FromUserName>a b</FromUserName></xml>")).contains("FromUserName")
        );
        let no_id = "<xml><ToUserName>g</ToUserName><FromUserName>o</FromUserName><CreateTime>1</CreateTime>\
                     <MsgType>text</MsgType><Content>x</Content></xml>";
        assert!(problem(no_id).contains("MsgId"));
    }
}
