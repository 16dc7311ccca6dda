//! From a part's words to what Discord shows.
//!
//! Discord reads Markdown of its own in every message. Bold, lists, code and fences are meant; everything
//! else that would be read as markup (headings, quotes, spoilers, links with other words, mentions) is
//! escaped.

use bedside_contract::{Part, PartKind};

/// What one message may hold. Discord counts code points.
pub(crate) const MAX_LENGTH: usize = 2000;

/// The words of a part, footer included, within [`MAX_LENGTH`] if the part is.
pub(crate) fn content(part: &Part) -> String {
    let plain = part.plain_text();
    let siren = siren_for(part, &plain);
    let footer = part.footer();
    let gap = if footer.is_empty() { "" } else { "\n\n" };
    let escaped = format!("{siren}{}{gap}{}", escape(&part.text), escape(&footer));
    fitting(escaped, || format!("{siren}{plain}"))
}

/// The text so far, for a preview: at most [`MAX_LENGTH`], cut between characters.
pub(crate) fn preview(text: &str) -> String {
    fitting(escape(text), || cut(text))
}

/// Escaping makes a text longer: one that would no longer fit goes out as it is.
fn fitting(escaped: String, plain: impl FnOnce() -> String) -> String {
    if escaped.chars().count() <= MAX_LENGTH {
        escaped
    } else {
        plain()
    }
}

/// An emergency should be seen as one in the list of chats too.
fn siren_for(part: &Part, plain: &str) -> &'static str {
    let siren = "🚨 ";
    let fits = plain.chars().count() + siren.chars().count() <= MAX_LENGTH;
    let wanted = part.kind == PartKind::Emergency && !part.text.starts_with('🚨') && fits;
    if wanted { siren } else { "" }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_LENGTH {
        return text.to_owned();
    }
    let tail = " …";
    let room = MAX_LENGTH - tail.chars().count();
    text.chars().take(room).chain(tail.chars()).collect()
}

/// Escapes what would become markup that nobody meant.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut in_fence = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            out.push_str(line);
        } else if in_fence {
            out.push_str(line);
        } else {
            escape_line(line, &mut out);
        }
    }
    out
}

fn escape_line(line: &str, out: &mut String) {
    let body = line.trim_start();
    let (indent, _) = line.split_at(line.len() - body.len());
    out.push_str(indent);
    // A heading, small print or a quote; "- " and "* " begin a list, which is meant.
    if body.starts_with(['#', '>']) || body.starts_with("-#") {
        out.push('\\');
    }
    let (marker, rest) = match body.strip_prefix("* ") {
        Some(rest) => ("* ", rest),
        None => ("", body),
    };
    out.push_str(marker);
    escape_inline(rest, out);
}

fn escape_inline(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some((before, mark, inner, after)) = next_mark(rest) {
        escape_words(before, out);
        out.push_str(mark);
        if mark == "**" {
            escape_words(inner, out);
        } else {
            out.push_str(inner);
        }
        out.push_str(mark);
        rest = after;
    }
    escape_words(rest, out);
}

/// The first complete bold or code of a line: what stands before it, its sign, what is within and after it.
fn next_mark(line: &str) -> Option<(&str, &'static str, &str, &str)> {
    ["**", "`"]
        .into_iter()
        .filter_map(|mark| {
            let (before, opened) = line.split_once(mark)?;
            let (inner, after) = opened.split_once(mark)?;
            // "2 ** 3 ** 4" is arithmetic, not bold.
            let is_mark = !inner.is_empty() && inner.trim() == inner && !inner.contains(mark);
            is_mark.then_some((before, mark, inner, after))
        })
        .min_by_key(|(before, ..)| before.len())
}

fn escape_words(text: &str, out: &mut String) {
    for word in text.split_inclusive(char::is_whitespace) {
        // A backslash within an address would become a part of it.
        if word.contains("://") {
            out.push_str(word);
            continue;
        }
        let mut previous = ' ';
        let mut characters = word.chars().peekable();
        while let Some(c) = characters.next() {
            let next = characters.peek().copied().unwrap_or(' ');
            let is_markup = match c {
                '\\' | '*' | '_' | '~' | '`' => true,
                '|' => previous == '|' || next == '|',
                // A mention, a channel, a command, a date or an emoji of a server.
                '<' => matches!(next, '@' | '#' | '/' | ':' | 't' | 'a' | 'i'),
                // A link under other words.
                '(' => previous == ']',
                _ => false,
            };
            if is_markup {
                out.push('\\');
            }
            out.push(c);
            previous = c;
        }
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Citation, Language, Part, PartKind};

    use super::{MAX_LENGTH, content, escape, preview};

    #[test]
    fn only_what_is_meant_stays_markup() {
        let check = |text: &str, expect: &str| assert_eq!(escape(text), expect);
        check("plain, simple: 38.5 °C (high)!", "plain, simple: 38.5 °C (high)!");
        check("**Rest** and *drink*", "**Rest** and \\*drink\\*");
        check("- one\n* two\n1. three", "- one\n* two\n1. three");
        check(
            "# big\n-# small\n> said\n  # in",
            "\\# big\n\\-# small\n\\> said\n  \\# in",
        );
        check("a_b ~~c~~ ||d|| e|f", "a\\_b \\~\\~c\\~\\~ \\|\\|d\\|\\| e|f");
        check("`a_b` and **a_b**", "`a_b` and **a\\_b**");
        check("2 ** 3 ** 4", "2 \\*\\* 3 \\*\\* 4");
        check("**open", "\\*\\*open");
        check("```\na_b # **x**\n```\nc_d", "```\na_b # **x**\n```\nc\\_d");
        check(
            "<@123> <#4> <t:5:R> 3 < 4 <b>",
            "\\<@123> \\<#4> \\<t:5:R> 3 < 4 <b>",
        );
        check(
            "[here](https://evil.example/a_b)",
            "[here](https://evil.example/a_b)",
        );
        check("[here](evil)", "[here]\\(evil)");
        check(
            "see https://h.example/a_b_c x_y",
            "see https://h.example/a_b_c x\\_y",
        );
        check("[1] Common cold (Source)", "[1] Common cold (Source)");
        check("头**痛**_了_", "头**痛**\\_了\\_");
        check("a\\b", "a\\\\b");
    }

    #[test]
    fn a_part_carries_footer_and_siren() {
        let mut part = Part::notice(Language::En, "**Call 120** now");
        part.kind = PartKind::Emergency;
        part.label = Some("Written by AI_1".to_owned());
        part.citations.push(Citation {
            number: 1,
            title: "A & B".to_owned(),
            source: "S".to_owned(),
        });
        assert_eq!(
            content(&part),
            "🚨 **Call 120** now\n\nSources:\n[1] A & B (S)\nWritten by AI\\_1"
        );
    }

    #[test]
    fn a_full_part_stays_within_the_limit() {
        for text in [
            "a".repeat(MAX_LENGTH),
            "_".repeat(MAX_LENGTH),
            "😷".repeat(MAX_LENGTH),
        ] {
            let mut part = Part::notice(Language::En, text.clone());
            part.kind = PartKind::Emergency;
            assert_eq!(content(&part), text);
        }
        assert_eq!(content(&Part::notice(Language::En, "_".repeat(1000))).len(), 2000);
    }

    #[test]
    fn a_preview_is_cut_between_characters() {
        let check = |text: String, expect: usize| {
            let shown = preview(&text);
            assert_eq!(shown.chars().count(), expect);
            assert_eq!(shown.ends_with('…'), text.chars().count() > MAX_LENGTH);
        };
        check("a".repeat(2000), 2000);
        check("头".repeat(2001), 2000);
        check("😷".repeat(5000), 2000);
        check("_".repeat(1500), 1500);
    }
}
