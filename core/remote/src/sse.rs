//! Server-sent events, cut out of bytes that come in pieces of any size.

/// A line longer than this is no answer of a language model.
const LONGEST_LINE: usize = 1 << 20;

/// Takes bytes, gives the data of whole events.
#[derive(Default)]
pub(crate) struct EventReader {
    line: Vec<u8>,
    data: Option<String>,
    /// A line feed that comes next ends no further line.
    after_return: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl EventReader {
    /// The data of all events that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, LineTooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(&mut events),
                _ if self.line.len() >= LONGEST_LINE => return Err(LineTooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// An event without its closing empty line, when the connection has ended.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let mut events = Vec::new();
        self.end_line(&mut events);
        self.end_line(&mut events);
        events.pop()
    }

    fn end_line(&mut self, events: &mut Vec<String>) {
        let bytes = std::mem::take(&mut self.line);
        // Lines end at ASCII, so no character is cut here.
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_start_matches('\u{feff}');
        if line.is_empty() {
            events.extend(self.data.take());
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        // Older llama-servers report failures in a field of that name. A comment has an empty one.
        if field == "data" || field == "error" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::{EventReader, LONGEST_LINE, LineTooLong};

    fn all(text: &str) -> Vec<String> {
        let mut reader = EventReader::default();
        let mut events = reader.push(text.as_bytes()).unwrap();
        events.extend(reader.finish());
        events
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let cases: [(&str, &[&str]); 9] = [
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata:b\r\r", &["a", "b"]),
            (": keep-alive\n\n:\n\ndata: a\n\n", &["a"]),
            ("event: message\nid: 7\nretry: 1\ndata: a\ndata: b\n\n", &["a\nb"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data:  two spaces\n\n", &[" two spaces"]),
            ("data: no end", &["no end"]),
            ("error: {}\n\ndata\n\n\n\n", &["{}", ""]),
        ];
        for (text, expect) in cases {
            assert_eq!(all(text), expect, "{text:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = EventReader::default();
        assert_eq!(reader.push(&vec![b'a'; LONGEST_LINE + 1]), Err(LineTooLong));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            texts in prop::collection::vec("[a好é😀 ]{0,12}", 0..8),
            ends in prop::collection::vec(0_usize..3, 8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for (text, end) in texts.iter().zip(&ends) {
                let end = ["\n", "\r\n", "\r"][*end];
                bytes.extend_from_slice(format!(": ping{end}data: {text}{end}{end}").as_bytes());
            }
            let mut places: Vec<usize> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let mut reader = EventReader::default();
            let mut events = Vec::new();
            for pair in places.windows(2) {
                events.extend(reader.push(&bytes[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(events, texts);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = EventReader::default();
            let _events = reader.push(&bytes).unwrap();
            let _last = reader.finish();
        }
    }
}
