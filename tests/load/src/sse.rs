//! Server-sent events, as much of them as chat servers use: the data of each event.

/// Longer than any event of a token; a server that sends no end of line must not fill the memory.
const LONGEST_LINE: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("a line of the stream is too long")]
    TooLong,
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

impl Events {
    /// Takes the next bytes; returns the data of the events that they end.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, SseError> {
        let mut ended = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LONGEST_LINE {
                    return Err(SseError::TooLong);
                }
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| SseError::NotUtf8)?;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                if !self.data.is_empty() {
                    ended.push(std::mem::take(&mut self.data).join("\n"));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, LONGEST_LINE, SseError};

    /// The same events, wherever the stream is cut.
    fn check(stream: &str, expect: &[&str]) {
        for size in [1, 2, 3, 7, stream.len()] {
            let mut events = Events::default();
            let found: Vec<String> = stream
                .as_bytes()
                .chunks(size)
                .flat_map(|it| events.push(it).unwrap())
                .collect();
            assert_eq!(found, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn events_end_with_an_empty_line() {
        check("data: {\"a\":1}\n\ndata: [DONE]\n\n", &["{\"a\":1}", "[DONE]"]);
        check("data: half", &[]);
    }

    #[test]
    fn carriage_returns_comments_and_other_fields_are_passed_over() {
        check(": ping\r\n\r\nevent: x\r\nid: 3\r\ndata:a\r\n\r\n", &["a"]);
    }

    #[test]
    fn several_lines_of_data_are_one_event() {
        check("data: a\ndata:  b\n\n", &["a\n b"]);
    }

    #[test]
    fn characters_may_be_cut() {
        check("data: 感冒😀\n\n", &["感冒😀"]);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut events = Events::default();
        assert_eq!(events.push(&vec![b'x'; LONGEST_LINE + 1]), Err(SseError::TooLong));
        assert_eq!(Events::default().push(b"\xff\n"), Err(SseError::NotUtf8));
    }
}
