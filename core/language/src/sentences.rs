//! Cuts a growing text into whole sentences, in Chinese and English.

/// Collects text as it comes and gives it back sentence by sentence, white space kept, so that the
/// sentences put together are the text again.
#[derive(Debug, Default)]
pub struct Sentences {
    pending: String,
}

impl Sentences {
    /// The sentences that are certainly over.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        self.pending.push_str(text);
        let mut sentences = Vec::new();
        while let Some(end) = first_sentence_end(&self.pending) {
            let rest = self.pending.split_off(end);
            sentences.push(std::mem::replace(&mut self.pending, rest));
        }
        sentences
    }

    /// What is left when the text is over; it may lack its full stop.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        (!rest.trim().is_empty()).then_some(rest)
    }
}

/// All sentences of a finished text.
#[must_use]
pub fn sentences_of(text: &str) -> Vec<String> {
    let mut sentences = Sentences::default();
    let mut all = sentences.push(text);
    all.extend(sentences.finish());
    all
}

/// The byte behind the first sentence that is certainly over: a full stop is one only when what follows
/// is known, since "38.5", "e.g. rest" and "1. Rest" go on.
fn first_sentence_end(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    let mut word = String::new();
    while let Some((_, c)) = chars.next() {
        let next = chars.peek().copied();
        let end = match c {
            '\n' | '。' | '！' | '？' | '；' => true,
            '!' | '?' => next.is_some_and(|(_, next)| next.is_whitespace()),
            '.' => next.is_some_and(|(_, next)| next.is_whitespace()) && !goes_on_after_full_stop(&word),
            _ => false,
        };
        if !end {
            if c.is_whitespace() {
                word.clear();
            } else {
                word.push(c);
            }
            continue;
        }
        // Closing quotes and brackets and the white space behind belong to the sentence.
        while let Some(&(at, next)) = chars.peek() {
            if !(next.is_whitespace() || matches!(next, '”' | '"' | '’' | '）' | ')' | '」' | '』')) {
                return Some(at);
            }
            chars.next();
        }
        // Nothing but white space follows so far: that is the end only if the sentence is surely over.
        return matches!(c, '。' | '！' | '？' | '；' | '\n').then_some(text.len());
    }
    None
}

fn goes_on_after_full_stop(word: &str) -> bool {
    const ABBREVIATIONS: [&str; 12] = [
        "e.g", "i.e", "etc", "dr", "mr", "mrs", "ms", "vs", "no", "approx", "st", "prof",
    ];
    let word = word.trim_start_matches(['(', '[', '"', '“']).to_lowercase();
    ABBREVIATIONS.contains(&word.as_str())
        || word.is_empty()
        || word.chars().all(|it| it.is_ascii_digit())
        || (word.chars().count() == 1 && word.chars().all(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Sentences, sentences_of};

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = sentences_of(text).iter().map(|it| it.trim().to_owned()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        check("Rest. Drink water.", &["Rest.", "Drink water."]);
        check(
            "A fever above 38.5 degrees. See a doctor!",
            &["A fever above 38.5 degrees.", "See a doctor!"],
        );
        check(
            "Avoid irritants, e.g. smoke. Rest.",
            &["Avoid irritants, e.g. smoke.", "Rest."],
        );
        check("1. Rest.\n2. Drink.", &["1. Rest.", "2. Drink."]);
        check("多休息。多喝水！发烧吗？", &["多休息。", "多喝水！", "发烧吗？"]);
        check("他说：“要休息。”然后走了。", &["他说：“要休息。”", "然后走了。"]);
        check("no end", &["no end"]);
    }

    #[test]
    fn a_full_stop_at_the_edge_waits_for_what_follows() {
        let mut sentences = Sentences::default();
        assert!(sentences.push("It is 38.").is_empty());
        assert_eq!(sentences.push("5 degrees. Then").len(), 1);
        assert_eq!(sentences.finish().as_deref(), Some("Then"));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_the_text_comes(pieces in proptest::collection::vec("[a。.\\n ！b5]{0,6}", 0..12)) {
            let mut sentences = Sentences::default();
            let mut out = String::new();
            for piece in &pieces {
                out.extend(sentences.push(piece));
            }
            out.push_str(&sentences.finish().unwrap_or_default());
            let whole = pieces.concat();
            prop_assert_eq!(out.trim_end(), whole.trim_end());
        }
    }
}
