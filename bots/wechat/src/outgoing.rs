//! A part as WeChat shows it: plain text, at most 2048 bytes.

use std::fmt::Write;

use bedside_contract::Part;
use serde_json::{Value, json};

use crate::xml::cdata;

/// Bytes of UTF-8 in one message.
pub(crate) const MAX_BYTES: usize = 2048;
/// Kept free in a passive reply for the hint that more waits (the longer one has 50 bytes with its line breaks).
pub(crate) const HINT_BYTES: usize = 50;
/// Kept free in a customer-service message for the labels of its menu.
pub(crate) const MENU_BYTES: usize = 248;

/// The words of a part, without markup and without links of the model's making.
pub(crate) fn plain(part: &Part, limit: usize) -> String {
    let text = without_markup(&part.plain_text());
    let safe = without_tags(&text, "＜");
    if safe.len() <= limit {
        safe
    } else {
        without_tags(&text, "[")
    }
}

/// A passive reply's XML.
pub(crate) fn reply_xml(patient: &str, account: &str, now: i64, text: &str) -> String {
    format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{now}</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content>{}</Content></xml>",
        cdata(patient),
        cdata(account),
        cdata(text)
    )
}

/// The body of a customer-service message; quick replies become a menu.
pub(crate) fn message_json(patient: &str, part: &Part) -> Value {
    let text = plain(part, MAX_BYTES);
    let mut room = MAX_BYTES.saturating_sub(text.len());
    let mut items = Vec::new();
    for reply in &part.quick_replies {
        let label = without_tags(&reply.label, "＜");
        let Some(rest) = room.checked_sub(label.len()) else {
            break;
        };
        room = rest;
        items.push(json!({"id": reply.data, "content": label}));
    }
    if items.is_empty() {
        json!({"touser": patient, "msgtype": "text", "text": {"content": text}})
    } else {
        json!({
            "touser": patient, "msgtype": "msgmenu",
            "msgmenu": {"head_content": text, "list": items, "tail_content": ""},
        })
    }
}

/// `**bold**` without its stars, code fences without their lines.
fn without_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|it| !it.trim_start().starts_with("```")) {
        if !out.is_empty() {
            out.push('\n');
        }
        let _infallible = out.write_str(&without_bold(line));
    }
    out
}

fn without_bold(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("**") {
        out.push_str(before);
        match after.split_once("**") {
            Some((bold, tail)) if is_bold(bold) => {
                out.push_str(bold);
                rest = tail;
            }
            _ => {
                out.push_str("**");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_bold(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(char::is_whitespace) && !text.ends_with(char::is_whitespace)
}

/// WeChat makes links of `<a href>`; what looks like a tag is broken up.
fn without_tags(text: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let begins_tag = character == '<'
            && characters
                .peek()
                .is_some_and(|it| it.is_ascii_alphabetic() || *it == '/' || *it == '!');
        if begins_tag {
            out.push_str(instead);
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Language, Part, QuickReply};
    use proptest::prelude::*;

    use super::{HINT_BYTES, MAX_BYTES, message_json, plain, reply_xml};
    use crate::{words::more_hint, xml::parse};

    fn shown(text: &str) -> String {
        plain(&Part::notice(Language::Zh, text), MAX_BYTES)
    }

    #[test]
    fn markup_goes_and_words_stay() {
        let check = |text: &str, expect: &str| assert_eq!(shown(text), expect);
        check("**休息** and **drink**", "休息 and drink");
        check("2 ** 3 ** 4", "2 ** 3 ** 4");
        check("**open", "**open");
        check("****", "****");
        check("a\n```text\ncode\n```\n- b", "a\ncode\n- b");
        check("a\n\nb", "a\n\nb");
        check("38 < 39 且 <5 天", "38 < 39 且 <5 天");
        check(
            "<a href=\"https://evil.example\">点此</a>",
            "＜a href=\"https://evil.example\">点此＜/a>",
        );
        check("<A\nHREF=x>", "＜A\nHREF=x>");
    }

    #[test]
    fn the_footer_is_there() {
        let mut part = Part::notice(Language::Zh, "多休息。");
        part.label = Some("由 AI 生成".to_owned());
        assert_eq!(plain(&part, MAX_BYTES), "多休息。\n\n由 AI 生成");
    }

    #[test]
    fn broken_tags_do_not_make_it_too_long() {
        let text = "<a ".repeat(682);
        let out = shown(&text);
        assert!(out.len() <= MAX_BYTES && !out.contains("<a"), "{}", out.len());
    }

    #[test]
    fn the_hint_has_its_room() {
        for language in [Language::Zh, Language::En] {
            assert!(more_hint(language).len() + "\n\n".len() <= HINT_BYTES);
        }
    }

    #[test]
    fn quick_replies_become_a_menu() {
        let mut part = Part::notice(Language::Zh, "同意吗？");
        let plain = message_json("oP", &part);
        assert_eq!(
            (plain["msgtype"].as_str(), plain["text"]["content"].as_str()),
            (Some("text"), Some("同意吗？"))
        );
        part.quick_replies = ["yes", "no"]
            .map(|it| QuickReply {
                label: format!("<b>{it}"),
                data: format!("consent:{it}"),
            })
            .to_vec();
        let menu = message_json("oP", &part);
        assert_eq!(menu["msgtype"], "msgmenu");
        assert_eq!(menu["msgmenu"]["head_content"], "同意吗？");
        assert_eq!(menu["msgmenu"]["list"][1]["id"], "consent:no");
        assert_eq!(menu["msgmenu"]["list"][1]["content"], "＜b>no");
    }

    proptest! {
        #[test]
        fn a_reply_is_read_as_it_was_written(text in "(\\PC|[<>&\\]*`]|\n){0,200}") {
            let xml = reply_xml("oP", "gh_1", 7, &text);
            let fields = parse(xml.as_bytes()).unwrap();
            prop_assert_eq!(fields.raw("Content"), Some(text.as_str()));
            prop_assert!(!shown(&text).contains("<a"));
        }
    }
}
