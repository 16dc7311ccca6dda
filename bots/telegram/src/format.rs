//! From a part's words to what Telegram shows.
//!
//! HTML rather than MarkdownV2: three characters to escape instead of eighteen.

use bedside_contract::{LengthUnit, Part, PartKind, QuickReply};
use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

/// What one message may hold, counted in UTF-16 units after the markup is read.
pub(crate) const MAX_LENGTH: usize = 4096;

/// What `callback_data` may hold.
const MAX_BUTTON_BYTES: usize = 64;

/// A message ready to send.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// With markup; `None` if the words have none.
    pub(crate) html: Option<String>,
    pub(crate) plain: String,
    pub(crate) keyboard: Option<InlineKeyboardMarkup>,
}

impl Outgoing {
    pub(crate) fn from_part(part: &Part) -> Self {
        let siren = siren_for(part);
        let plain = format!("{siren}{}", part.plain_text());
        let rendered = html(&part.text);
        let html = rendered.map(|text| {
            let footer = part.footer();
            let gap = if footer.is_empty() { "" } else { "\n\n" };
            format!("{siren}{text}{gap}{}", escape(&footer))
        });
        Self {
            html,
            plain,
            keyboard: keyboard(&part.quick_replies),
        }
    }
}

/// An emergency should be seen as one in the list of chats too.
fn siren_for(part: &Part) -> &'static str {
    let siren = "🚨 ";
    let length = LengthUnit::Utf16.length(&part.plain_text()) + LengthUnit::Utf16.length(siren);
    let wanted = part.kind == PartKind::Emergency && !part.text.starts_with('🚨') && length <= MAX_LENGTH;
    if wanted { siren } else { "" }
}

/// One button a row: labels are whole phrases and phones are narrow.
fn keyboard(replies: &[QuickReply]) -> Option<InlineKeyboardMarkup> {
    let rows: Vec<_> = replies
        .iter()
        .filter(|reply| {
            let fits = reply.data.len() <= MAX_BUTTON_BYTES && !reply.label.is_empty();
            if !fits {
                tracing::warn!(
                    bytes = reply.data.len(),
                    "a quick reply does not fit a telegram button"
                );
            }
            fits
        })
        .map(|reply| {
            vec![InlineKeyboardButton::callback(
                reply.label.clone(),
                reply.data.clone(),
            )]
        })
        .collect();
    (!rows.is_empty()).then(|| InlineKeyboardMarkup::new(rows))
}

/// The text so far, for a preview: at most [`MAX_LENGTH`], cut between characters.
pub(crate) fn cut(text: &str) -> String {
    if LengthUnit::Utf16.length(text) <= MAX_LENGTH {
        return text.to_owned();
    }
    let tail = " …";
    let room = MAX_LENGTH - LengthUnit::Utf16.length(tail);
    let mut used = 0;
    let mut out: String = text
        .chars()
        .take_while(|it| {
            used += it.len_utf16();
            used <= room
        })
        .collect();
    out.push_str(tail);
    out
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// Bold, code and fences as Telegram's HTML, all else escaped; `None` if the text has none of them.
fn html(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 64);
    let mut marked = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            let mut code = Vec::new();
            for inner in lines.by_ref() {
                if inner.trim_start().starts_with("```") {
                    break;
                }
                code.push(escape(inner));
            }
            out.push_str("<pre>");
            out.push_str(&code.join("\n"));
            out.push_str("</pre>");
            marked = true;
        } else {
            marked |= inline(line, &mut out);
        }
        if lines.peek().is_some() {
            out.push('\n');
        }
    }
    marked.then_some(out)
}

/// Appends one line; whether it held markup.
fn inline(line: &str, out: &mut String) -> bool {
    let mut rest = line;
    let mut marked = false;
    while let Some((before, mark, inner, after)) = next_mark(rest) {
        out.push_str(&escape(before));
        let (open, close) = mark.tags();
        out.push_str(open);
        out.push_str(&escape(inner));
        out.push_str(close);
        marked = true;
        rest = after;
    }
    out.push_str(&escape(rest));
    marked
}

#[derive(Clone, Copy)]
enum Mark {
    Bold,
    Code,
}

impl Mark {
    fn sign(self) -> &'static str {
        match self {
            Self::Bold => "**",
            Self::Code => "`",
        }
    }

    fn tags(self) -> (&'static str, &'static str) {
        match self {
            Self::Bold => ("<b>", "</b>"),
            Self::Code => ("<code>", "</code>"),
        }
    }
}

/// The first complete mark of a line: what stands before it, within it and after it.
fn next_mark(line: &str) -> Option<(&str, Mark, &str, &str)> {
    [Mark::Bold, Mark::Code]
        .into_iter()
        .filter_map(|mark| {
            let (before, opened) = line.split_once(mark.sign())?;
            let (inner, after) = opened.split_once(mark.sign())?;
            // "2 ** 3 ** 4" is arithmetic, not bold.
            let is_mark = !inner.is_empty() && inner.trim() == inner;
            is_mark.then_some((before, mark, inner, after))
        })
        .min_by_key(|(before, ..)| before.len())
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Citation, Language, LengthUnit, Part, PartKind, QuickReply};
    use teloxide::types::InlineKeyboardButtonKind;

    use super::{MAX_LENGTH, Outgoing, cut, html};

    #[test]
    fn markdown_becomes_html() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(html(text).as_deref(), expect, "{text}");
        check("plain & <simple>", None);
        check("**Rest** & drink", Some("<b>Rest</b> &amp; drink"));
        check(
            "take `5 mg` < **10 mg**",
            Some("take <code>5 mg</code> &lt; <b>10 mg</b>"),
        );
        check("- **一**、休息\n- 喝水", Some("- <b>一</b>、休息\n- 喝水"));
        check("`**not bold**`", Some("<code>**not bold**</code>"));
        check("2 ** 3 ** 4", None);
        check("a ** b and **open", None);
        check("****", None);
        check(
            "```text\na < b\n**x**\n```\nend",
            Some("<pre>a &lt; b\n**x**</pre>\nend"),
        );
        check("```\nnever closed", Some("<pre>never closed</pre>"));
        check("</b><script> **x**", Some("&lt;/b&gt;&lt;script&gt; <b>x</b>"));
    }

    #[test]
    fn a_preview_is_cut_between_characters() {
        let check = |text: String, expect_units: usize| {
            let shown = cut(&text);
            assert_eq!(LengthUnit::Utf16.length(&shown), expect_units);
            assert_eq!(shown.ends_with('…'), shown != text);
        };
        check("a".repeat(4096), 4096);
        check("a".repeat(4097), 4096);
        check("头".repeat(5000), 4096);
        // Two units each: the last that fits ends at 4094 - the tail takes the rest.
        check("😷".repeat(2048), 4096);
        check("😷".repeat(2049), 4096);
        check(format!("a{}", "😷".repeat(2048)), 4095);
    }

    #[test]
    fn a_part_carries_footer_siren_and_buttons() {
        let mut part = Part::notice(Language::En, "**Call 120** now");
        part.kind = PartKind::Emergency;
        part.label = Some("AI <label>".to_owned());
        part.citations.push(Citation {
            number: 1,
            title: "A & B".to_owned(),
            source: "S".to_owned(),
        });
        part.quick_replies = vec![
            QuickReply {
                label: "Yes".to_owned(),
                data: "consent:yes".to_owned(),
            },
            QuickReply {
                label: "Too long".to_owned(),
                data: "x".repeat(65),
            },
        ];
        let message = Outgoing::from_part(&part);
        assert_eq!(
            message.html.as_deref(),
            Some("🚨 <b>Call 120</b> now\n\nSources:\n[1] A &amp; B (S)\nAI &lt;label&gt;")
        );
        assert_eq!(
            message.plain,
            "🚨 **Call 120** now\n\nSources:\n[1] A & B (S)\nAI <label>"
        );
        let keyboard = message.keyboard.unwrap().inline_keyboard;
        assert_eq!(keyboard.len(), 1);
        assert_eq!(
            keyboard[0][0].kind,
            InlineKeyboardButtonKind::CallbackData("consent:yes".to_owned())
        );
    }

    #[test]
    fn a_full_part_stays_within_the_limit() {
        let mut part = Part::notice(Language::En, "a".repeat(MAX_LENGTH));
        part.kind = PartKind::Emergency;
        assert_eq!(Outgoing::from_part(&part).plain.len(), MAX_LENGTH);
    }
}
