//! Slips in Latin words: a word that is none and lies one slip from a word of the rules is read as that word.

use std::collections::HashSet;

use crate::word_table::{SHORTEST, WordTable};
use bedside_language::NormalText;

/// Reads slips as the words of some tables.
pub(crate) struct Speller<'a> {
    pub(crate) words: &'a [WordTable],
}

/// In letters.
const LONGEST_WORD: usize = 24;
/// Halves of a word that was cut in two by a blank make a word of at least this length.
const SHORTEST_JOINED: usize = 5;

/// A slip that may be more words than this is read as the likeliest ones.
const MOST_READINGS: usize = 4;

/// English words that lie one slip from a word of the rules (SCOWL; see `examples/similar_words.rs`).
static REAL_WORDS: &str = include_str!("../data/similar_words.txt");

impl Speller<'_> {
    /// The text with its slips corrected. Where a word may have been meant for several, there are several texts,
    /// the likeliest first.
    pub(crate) fn readings(&self, text: &NormalText) -> Vec<NormalText> {
        let mut first = text.clone();
        let most = self.correct(&mut first, 0).min(MOST_READINGS);
        let others = (1..most).map(|choice| {
            let mut other = text.clone();
            self.correct(&mut other, choice);
            other
        });
        std::iter::once(first).chain(others).collect()
    }

    /// Takes the `choice`-th likeliest word for each slip; returns how many the most ambiguous slip has.
    fn correct(&self, text: &mut NormalText, choice: usize) -> usize {
        let mut most = 1;
        let mut at = 0;
        while let Some((start, end)) = next_word(&text.text, at) {
            at = end;
            let word = text.text.get(start..end).unwrap_or_default();
            if self.is_known(word) {
                continue;
            }
            if text.is_spaced_out(&(start..end))
                && let Some(words) = self.words_in(word)
            {
                at = start + words.len();
                text.replace(start..end, &words);
                continue;
            }
            if let Some((next_start, next_end)) = next_word(&text.text, end)
                && text
                    .text
                    .get(end..next_start)
                    .is_some_and(|it| matches!(it, " " | "\n"))
                && let Some(joined) = self.join(word, text.text.get(next_start..next_end).unwrap_or_default())
            {
                at = start + joined.len();
                text.replace(start..next_end, &joined);
                continue;
            }
            let right = self.corrections(word);
            most = most.max(right.len());
            if let Some(right) = right.get(choice.min(right.len().saturating_sub(1))) {
                at = start + right.len();
                text.replace(start..end, right);
            }
        }
        most
    }

    /// The fewest words of the forms that letters without blanks between them are: "iwanttodie", which was written
    /// as "I w a n t t o d i e".
    fn words_in(&self, letters: &str) -> Option<String> {
        let is_word =
            |it: &str| matches!(it, "i" | "a") || self.forms_with(it).is_some_and(|forms| forms > 0);
        // For each number of letters the words that they are.
        let mut shortest: Vec<Option<Vec<&str>>> = vec![Some(Vec::new())];
        for end in 1..=letters.len() {
            let ways = (end.saturating_sub(LONGEST_WORD)..end).filter_map(|start| {
                let word = letters.get(start..end).filter(|it| is_word(it))?;
                let mut words = shortest.get(start)?.clone()?;
                words.push(word);
                Some(words)
            });
            let fewest = ways.min_by_key(Vec::len);
            shortest.push(fewest);
        }
        shortest.pop().flatten().map(|it| it.join(" "))
    }

    /// Those of `words` that would be taken for slips, in order.
    pub(crate) fn similar(&self, words: &[String]) -> Vec<String> {
        let real: HashSet<&str> = real_words().collect();
        let mut similar: Vec<String> = words
            .iter()
            .map(|it| it.to_lowercase().replace('\'', ""))
            .filter(|it| it.bytes().all(|it| it.is_ascii_lowercase()))
            .filter(|it| real.contains(it.as_str()) || !self.is_known(it) && !self.corrections(it).is_empty())
            .collect();
        similar.sort_unstable();
        similar.dedup();
        similar
    }

    /// In how many forms a word stands; `None` if it is not known.
    fn forms_with(&self, word: &str) -> Option<usize> {
        self.words
            .iter()
            .filter_map(|it| it.forms_with(word))
            .reduce(|a, b| a + b)
    }

    fn is_known(&self, word: &str) -> bool {
        let is_form = |it: &str| self.forms_with(it).is_some_and(|forms| forms > 0);
        let singular = word.strip_suffix('s').filter(|it| !it.ends_with('s'));
        self.forms_with(word).is_some() || singular.is_some_and(is_form)
    }

    fn join(&self, word: &str, next: &str) -> Option<String> {
        let joined = format!("{word}{next}");
        let fits = joined.len() >= SHORTEST_JOINED && !self.is_known(next) && self.is_known(&joined);
        fits.then_some(joined)
    }

    /// The words of the rules that are one slip away, or that digits stand in for letters of. Those that begin
    /// alike (people seldom miss the first letter) come first, then those that stand in the most forms.
    fn corrections(&self, word: &str) -> Vec<String> {
        if word.bytes().any(|it| it.is_ascii_digit()) {
            let letters = without_digits(word).filter(|it| self.forms_with(it).is_some());
            return letters.into_iter().collect();
        }
        if word.len() + 1 < SHORTEST {
            return Vec::new();
        }
        let nearest = self.nearest(word);
        match word.strip_suffix('s').filter(|it| !it.ends_with('s')) {
            Some(singular) if nearest.is_empty() => {
                let plurals = self.nearest(singular).into_iter().map(|it| format!("{it}s"));
                plurals.collect()
            }
            _ => nearest.into_iter().map(str::to_owned).collect(),
        }
    }

    fn nearest(&self, word: &str) -> Vec<&str> {
        let mut nearest: Vec<&str> = self
            .words
            .iter()
            .flat_map(|it| it.candidates(word))
            .filter(|it| is_one_slip(word, it))
            .collect();
        nearest.sort_by_cached_key(|it| {
            let begins_otherwise = it.bytes().next() != word.bytes().next();
            (begins_otherwise, std::cmp::Reverse(self.forms_with(it)), *it)
        });
        nearest.dedup();
        nearest
    }
}

fn real_words() -> impl Iterator<Item = &'static str> {
    REAL_WORDS
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty())
}

/// One letter added, left out, changed, or two neighbours exchanged.
pub(crate) fn is_one_slip(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rest_a = a.get(front..).unwrap_or_default();
    let rest_b = b.get(front..).unwrap_or_default();
    let back = rest_a
        .iter()
        .rev()
        .zip(rest_b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let middle_a = rest_a.get(..rest_a.len() - back).unwrap_or_default();
    let middle_b = rest_b.get(..rest_b.len() - back).unwrap_or_default();
    match (middle_a, middle_b) {
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

/// su1c1de, k!ll, p@in.
fn without_digits(word: &str) -> Option<String> {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    if letters < 3 {
        return None;
    }
    word.chars()
        .map(|it| {
            Some(match it {
                '0' => 'o',
                '1' | '!' => 'i',
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '7' => 't',
                it if it.is_ascii_alphabetic() => it,
                _ => return None,
            })
        })
        .collect()
}

/// The next run of letters and digits that has a letter.
fn next_word(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_part = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|it| it.is_ascii_alphanumeric() || matches!(it, b'@' | b'$'))
            || bytes.get(at) == Some(&b'!') && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
    };
    let mut start = from;
    loop {
        while start < bytes.len() && !is_part(start) {
            start += 1;
        }
        let end = (start..bytes.len())
            .find(|it| !is_part(*it))
            .unwrap_or(bytes.len());
        if start >= end {
            return None;
        }
        if bytes
            .get(start..end)
            .is_some_and(|it| it.iter().any(u8::is_ascii_alphabetic))
        {
            return Some((start, end));
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::{Speller, is_one_slip};
    use crate::word_table::WordTable;
    use bedside_language::NormalText;

    fn corrected(text: &str) -> String {
        let forms = [
            "chest pain",
            "unconscious",
            "suicide",
            "breathing",
            "seizure",
            "cant",
        ];
        let words = [WordTable::new(forms.into_iter(), std::iter::empty())];
        let speller = Speller { words: &words };
        let mut normal = NormalText::new(text);
        speller.correct(&mut normal, 0);
        normal.text
    }

    #[test]
    fn slips_are_read_as_what_was_meant() {
        for (text, expect) in [
            ("my wife is unconcious", "my wife is unconscious"),
            ("siezure", "seizure"),
            ("breathng", "breathing"),
            ("su1c1de", "suicide"),
            ("che st pain", "chest pain"),
            ("unconsc\nious", "unconscious"),
            ("breathing", "breathing"),
            ("i ate", "i ate"),
        ] {
            assert_eq!(corrected(text), expect, "{text}");
        }
    }

    #[test]
    fn one_slip_is_one() {
        for (a, b) in [("ab", "abc"), ("abc", "ac"), ("abc", "axc"), ("abcd", "acbd")] {
            assert!(is_one_slip(a, b) && is_one_slip(b, a), "{a} {b}");
        }
        for (a, b) in [("abc", "abc"), ("abcd", "ab"), ("abcd", "badc"), ("abc", "cba")] {
            assert!(!is_one_slip(a, b), "{a} {b}");
        }
    }

    #[test]
    fn offsets_still_lead_back() {
        let original = "my wife is unconcious now";
        let words = [WordTable::new(["unconscious"].into_iter(), std::iter::empty())];
        let speller = Speller { words: &words };
        let mut normal = NormalText::new(original);
        speller.correct(&mut normal, 0);
        let start = normal.text.find("unconscious").unwrap();
        assert_eq!(normal.original_characters(&(start..start + 11)), 11..21);
    }
}
