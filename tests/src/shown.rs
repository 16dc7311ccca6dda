//! What a Telegram client shows of a message, by the Bot API's rules for `parse_mode=HTML`.

/// The limit of one message, in UTF-16 units after the markup is read.
pub const MAX_UTF16: usize = 4096;

/// The words without their markup, or Telegram's own complaint about it.
///
/// # Errors
/// The `description` of the Bot API's answer 400.
pub fn shown(text: &str, parse_mode: Option<&str>) -> Result<String, String> {
    let words = match parse_mode {
        None => text.to_owned(),
        Some("HTML") => read_html(text)?,
        Some(other) => return Err(format!("Bad Request: unsupported parse_mode {other}")),
    };
    if words.trim().is_empty() {
        return Err("Bad Request: message text is empty".to_owned());
    }
    if words.encode_utf16().count() > MAX_UTF16 {
        return Err("Bad Request: message is too long".to_owned());
    }
    Ok(words)
}

fn read_html(text: &str) -> Result<String, String> {
    const TAGS: [&str; 12] = [
        "b",
        "strong",
        "i",
        "em",
        "u",
        "s",
        "code",
        "pre",
        "a",
        "blockquote",
        "tg-spoiler",
        "span",
    ];
    let complain = |what: String| Err(format!("Bad Request: can't parse entities: {what}"));
    let mut words = String::with_capacity(text.len());
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, from_mark) = rest.split_at(at);
        words.push_str(before);
        if let Some(tail) = from_mark.strip_prefix('<') {
            let Some((tag, after)) = tail.split_once('>') else {
                return complain("Unclosed start tag".to_owned());
            };
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                match open.pop() {
                    Some(opened) if opened == name => {}
                    Some(opened) => {
                        return complain(format!(
                            "Unmatched end tag, expected \"</{opened}>\", found \"</{name}>\""
                        ));
                    }
                    None => return complain(format!("Unexpected end tag {name}")),
                }
            } else {
                let name = tag.split_whitespace().next().unwrap_or_default();
                if !TAGS.contains(&name) {
                    return complain(format!("Unsupported start tag \"{name}\""));
                }
                open.push(name);
            }
        } else {
            let entities = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
            let found = entities
                .iter()
                .find_map(|(name, c)| Some((from_mark.strip_prefix(name)?, *c)));
            let (after, c) = found.unwrap_or((from_mark.strip_prefix('&').unwrap_or_default(), '&'));
            words.push(c);
            rest = after;
        }
    }
    words.push_str(rest);
    match open.pop() {
        None => Ok(words),
        Some(name) => complain(format!(
            "Can't find end tag corresponding to start tag \"{name}\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn html_is_read_as_telegram_does() {
        let check = |text: &str, expect: Result<&str, &str>| match (shown(text, Some("HTML")), expect) {
            (Ok(words), Ok(expect)) => assert_eq!(words, expect),
            (Err(complaint), Err(expect)) => assert!(complaint.contains(expect), "{complaint}"),
            (found, expect) => panic!("{text}: {found:?} instead of {expect:?}"),
        };
        check("<b>Rest</b> &amp; drink &lt; 2 l", Ok("Rest & drink < 2 l"));
        check("<pre>a &gt; b</pre>", Ok("a > b"));
        check("<b>open", Err("can't parse entities"));
        check("<b><i>x</b></i>", Err("Unmatched end tag"));
        check("<h1>x</h1>", Err("Unsupported start tag"));
        check("1 < 2", Err("can't parse entities"));
        check("<b> </b>", Err("text is empty"));
    }

    #[test]
    fn length_is_counted_after_the_markup() {
        let bold = format!("<b>{}</b>", "a".repeat(4096));
        assert!(shown(&bold, Some("HTML")).is_ok());
        assert!(shown(&bold, None).unwrap_err().contains("too long"));
        assert!(shown(&"😷".repeat(2048), None).is_ok());
        assert!(shown(&"😷".repeat(2049), None).is_err());
    }
}
