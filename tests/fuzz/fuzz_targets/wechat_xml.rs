//! WeChat's XML: nothing makes the parser panic or slow, and what is written as CDATA is read as it was.
#![no_main]

use bedside_wechat::xml::{MAX_BYTES, XmlError, cdata, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    if choice % 4 == 0 {
        check_writing(&String::from_utf8_lossy(bytes));
    } else if let Ok(fields) = parse(bytes) {
        let content = fields.raw("Content").unwrap_or_default();
        assert!(content.len() <= bytes.len(), "an entity grew");
    }
});

fn check_writing(text: &str) {
    let xml = format!(
        "<xml><Before>1</Before><Content>{}</Content><After>2</After></xml>",
        cdata(text)
    );
    let fields = match parse(xml.as_bytes()) {
        Err(XmlError::TooLong) if xml.len() > MAX_BYTES => return,
        read => read.expect("what is written can be read"),
    };
    let expected: String = text.chars().filter(|it| is_xml_1_0(*it)).collect();
    assert!(
        fields.raw("Content") == Some(expected.as_str()),
        "the content was changed"
    );
    assert_eq!(
        (fields.get("Before"), fields.get("After")),
        (Some("1"), Some("2"))
    );
}

/// <https://www.w3.org/TR/xml/#NT-Char>
fn is_xml_1_0(c: char) -> bool {
    matches!(u32::from(c), 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF)
}
