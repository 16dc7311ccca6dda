//! The little XML that WeChat speaks: one `<xml>` element with named values. Pure, no I/O.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesRef, Event},
};

/// The values of one message, by their element's name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// Why a text is no message. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("not UTF-8")]
    Utf8,
    #[error("a DOCTYPE is refused")]
    DocType,
    #[error("nested deeper than {MAX_DEPTH} elements")]
    TooDeep,
    #[error("more than {MAX_ELEMENTS} elements")]
    TooMany,
    #[error("an unknown entity")]
    Entity,
    #[error("the same element twice")]
    Twice,
    #[error("not one <xml> element")]
    Root,
    #[error("not well-formed")]
    Malformed,
}

/// Bytes of one message; also the cap of a request.
pub const MAX_BYTES: usize = 64 * 1024;
const MAX_DEPTH: usize = 6;
const MAX_ELEMENTS: usize = 64;

impl Fields {
    /// The value of an element right under the root; without white space around it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).map(str::trim)
    }

    /// The value as it stands.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Reads the values right under the root; deeper ones (locations, lists of pictures) are skipped.
///
/// Attributes are never looked at: WeChat sends none, and a tag with many of them would cost time.
///
/// # Errors
/// [`XmlError`]
pub fn parse(bytes: &[u8]) -> Result<Fields, XmlError> {
    if bytes.len() > MAX_BYTES {
        return Err(XmlError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Utf8)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut parsing = Parsing::default();
    loop {
        match reader.read_event().map_err(|_| XmlError::Malformed)? {
            Event::Start(tag) => parsing.open(tag.name().as_ref())?,
            Event::End(_) => parsing.close()?,
            Event::Text(text) => parsing.text(&text.into_inner())?,
            Event::CData(text) => parsing.text(&text.into_inner())?,
            Event::GeneralRef(reference) => parsing.text(&resolve(&reference)?)?,
            Event::DocType(_) => return Err(XmlError::DocType),
            Event::Eof => return parsing.finish(),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// `text` as CDATA: without what XML 1.0 cannot hold, and whole even if it holds CDATA's own end.
#[must_use]
pub fn cdata(text: &str) -> String {
    let allowed: Cow<'_, str> = if text.chars().all(is_allowed) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|it| is_allowed(*it)).collect())
    };
    format!("<![CDATA[{}]]>", allowed.replace("]]>", "]]]]><![CDATA[>"))
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[derive(Default)]
struct Parsing {
    fields: Vec<(String, String)>,
    depth: usize,
    elements: usize,
    ended: bool,
}

impl Parsing {
    fn open(&mut self, name: &str) -> Result<(), XmlError> {
        self.depth += 1;
        self.elements += 1;
        if self.depth > MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        if self.elements > MAX_ELEMENTS {
            return Err(XmlError::TooMany);
        }
        match self.depth {
            1 if self.ended || name != "xml" => Err(XmlError::Root),
            2 => {
                if self.fields.iter().any(|(known, _)| known == name) {
                    return Err(XmlError::Twice);
                }
                self.fields.push((name.to_owned(), String::new()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), XmlError> {
        self.depth = self.depth.checked_sub(1).ok_or(XmlError::Malformed)?;
        self.ended |= self.depth == 0;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.depth {
            0 if !text.trim().is_empty() => Err(XmlError::Root),
            2 => {
                if let Some((_, value)) = self.fields.last_mut() {
                    value.push_str(text);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Fields, XmlError> {
        if self.ended && self.depth == 0 {
            Ok(Fields(self.fields))
        } else {
            Err(XmlError::Root)
        }
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::Entity)? {
        return Ok(character.to_string().into());
    }
    let known = match reference.borrow().into_inner().as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(XmlError::Entity),
    };
    Ok(known.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{MAX_BYTES, XmlError, cdata, parse};

    fn content(xml: &str) -> Option<String> {
        parse(xml.as_bytes())
            .unwrap()
            .raw("Content")
            .map(ToOwned::to_owned)
    }

    #[test]
    fn values_are_read_as_wechat_writes_them() {
        let xml = "<xml>\n  <ToUserName><![CDATA[gh_1]]></ToUserName>\n <CreateTime>1348831860</CreateTime>\
                   <Content><![CDATA[ 我头疼 <b> & ]]></Content><MsgId> 1234567890123456 </MsgId><Empty/></xml>\n";
        let fields = parse(xml.as_bytes()).unwrap();
        assert_eq!(fields.get("ToUserName"), Some("gh_1"));
        assert_eq!(fields.get("CreateTime"), Some("1348831860"));
        assert_eq!(fields.get("MsgId"), Some("1234567890123456"));
        assert_eq!(fields.raw("Content"), Some(" 我头疼 <b> & "));
        assert_eq!(fields.get("Empty"), Some(""));
        assert_eq!(fields.get("content"), None);
        assert!(!format!("{fields:?}").contains("头疼"));
    }

    #[test]
    fn entities_cdata_and_deeper_elements() {
        assert_eq!(
            content("<xml><Content>a&lt;b&#x4e2d;&amp;</Content></xml>").unwrap(),
            "a<b中&"
        );
        assert_eq!(
            content("<xml><Content><![CDATA[a]]]]><![CDATA[>b]]></Content></xml>").unwrap(),
            "a]]>b"
        );
        assert_eq!(
            content("<xml><Content>a<x>b<y>c</y></x>d</Content></xml>").unwrap(),
            "ad"
        );
        assert_eq!(
            content("\u{feff}<?xml version=\"1.0\"?><!-- c --><xml a=\"1\"><Content b='2'>x</Content></xml>")
                .unwrap(),
            "x"
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let check =
            |xml: &[u8], expect| assert_eq!(parse(xml), Err(expect), "{}", String::from_utf8_lossy(xml));
        check(b"", XmlError::Root);
        check(b"{\"a\":1}", XmlError::Root);
        check(b"<html></html>", XmlError::Root);
        check(b"<xml></xml><xml></xml>", XmlError::Root);
        check(b"<xml><a>", XmlError::Root);
        check(b"<xml></xml>tail", XmlError::Root);
        check(b"<xml><a></b></xml>", XmlError::Malformed);
        check(b"<xml><a>1</a><a>2</a></xml>", XmlError::Twice);
        check(b"<xml><a>&secret;</a></xml>", XmlError::Entity);
        check(b"<xml><a>\xff</a></xml>", XmlError::Utf8);
        check(b"<!DOCTYPE xml><xml></xml>", XmlError::DocType);
        check(
            b"<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY l2 \"&lol;&lol;\">]><xml><a>&l2;</a></xml>",
            XmlError::DocType,
        );
        check(
            b"<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><a>&f;</a></xml>",
            XmlError::DocType,
        );
        check(&[b' '; MAX_BYTES + 1], XmlError::TooLong);
    }

    #[test]
    fn hostile_sizes_cost_no_time() {
        let attributes: String = (0..80_000)
            .map(|it| format!(" a{it}=\"\""))
            .take_while({
                let mut length = 0;
                move |it| {
                    length += it.len();
                    length < MAX_BYTES - 100
                }
            })
            .collect();
        let cases = [
            format!("<xml{attributes}><Content>x</Content></xml>"),
            "<a>".repeat(MAX_BYTES / 3),
            format!("<xml>{}</xml>", "<a/>".repeat(10_000)),
            format!("<xml>{}", "<".repeat(60_000)),
            format!("<xml>{}", "&".repeat(60_000)),
            format!("<xml><a>{}</a></xml>", "&amp;".repeat(12_000)),
            format!("<xml><a>{}</a></xml>", "<![CDATA[x]]>".repeat(5_000)),
            format!("<xml>{}</xml>", "<!---->".repeat(9_000)),
            format!("<xml>{}</xml>", "<?a?>".repeat(12_000)),
            format!("<xml><![CDATA[{}", "]]".repeat(30_000)),
        ];
        for xml in cases {
            assert!(xml.len() <= MAX_BYTES, "{}", xml.len());
            // The best of several, since others use the machine too.
            let timed = || {
                let start = Instant::now();
                let _either = parse(xml.as_bytes());
                start.elapsed()
            };
            let took = (0..5).map(|_| timed()).min().unwrap();
            let begin: String = xml.chars().take(20).collect();
            assert!(took < Duration::from_millis(50), "{begin}: {took:?}");
        }
    }

    #[test]
    fn cdata_holds_anything() {
        assert_eq!(cdata("a]]>b"), "<![CDATA[a]]]]><![CDATA[>b]]>");
        assert_eq!(cdata("a\u{0}\u{1b}[31m\u{ffff}b"), "<![CDATA[a[31mb]]>");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "(\\PC|[\\]>\\[<&]|\n){0,200}") {
            let xml = format!("<xml><Content>{}</Content></xml>", cdata(&text));
            prop_assert_eq!(content(&xml), Some(text));
        }

        #[test]
        fn nothing_makes_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            markup in "(<|>|/|xml|a|!|\\[|\\]|CDATA|-|\\?|&|;|#|\"|'|=| |中){0,120}",
        ) {
            let _ = parse(&bytes);
            let _ = parse(markup.as_bytes());
            let _ = parse(format!("<xml>{markup}</xml>").as_bytes());
        }
    }
}
