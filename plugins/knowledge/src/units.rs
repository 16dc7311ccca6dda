//! Text as a row of units: stemmed words in English; characters, and whole Latin words, in Chinese.

use std::ops::Range;

use bedside_language::{folded, is_han};

use crate::section::Language;

/// Ends a sentence.
pub(crate) const STOP: &str = ".";
/// A pause inside a sentence.
pub(crate) const COMMA: &str = ",";
/// The pause of a Chinese list, through which a negation runs on.
pub(crate) const LIST_COMMA: &str = "、";

/// Units and the text that they form, in which phrases are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnitText {
    text: String,
    bytes: Vec<Range<usize>>,
    /// What was read, folded.
    source: String,
    /// For each unit the characters of `source` that it was read from.
    origins: Vec<Range<usize>>,
}

/// The same units, however they were written.
impl PartialEq for UnitText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.bytes == other.bytes
    }
}

impl UnitText {
    /// Folds a text and cuts it into units.
    pub(crate) fn read(text: &str, language: Language) -> Self {
        let folded = folded(text);
        let mut units = Self::default();
        let mut word = String::new();
        let mut word_start = 0;
        let mut chars = folded.chars().enumerate().peekable();
        let mut before = ' ';
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|it| it.1);
            let decimal = c == '.' && before.is_ascii_digit() && next.is_some_and(|it| it.is_ascii_digit());
            if (c.is_alphanumeric() && !is_han(c)) || decimal {
                if word.is_empty() {
                    word_start = at;
                }
                word.push(c);
            } else if c != '\'' {
                units.push_word(&word, word_start..at, language);
                word.clear();
                if is_han(c) {
                    units.push(c.encode_utf8(&mut [0; 4]), at..at + 1, language);
                } else if let Some(mark) = punctuation(c) {
                    units.push(mark, at..at + 1, language);
                }
            } else if next == Some('s') {
                // what's, yesterday's: the s says nothing.
                chars.next();
            }
            before = c;
        }
        units.push_word(&word, word_start..folded.chars().count(), language);
        units.source = folded;
        units
    }

    /// Puts units together that stand for these characters of what `read` was read from.
    pub(crate) fn from_units<'a>(
        units: impl IntoIterator<Item = (&'a str, Range<usize>)>,
        read: &Self,
        language: Language,
    ) -> Self {
        let mut text = Self::default();
        for (unit, origin) in units {
            text.push(unit, origin, language);
        }
        text.source.clone_from(&read.source);
        text
    }

    /// What was read, folded.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The characters of the source that some units were read from.
    pub(crate) fn origin(&self, units: Range<usize>) -> Range<usize> {
        let origins = self.origins.get(units).unwrap_or_default();
        let start = origins.iter().map(|it| it.start).min().unwrap_or_default();
        let end = origins.iter().map(|it| it.end).max().unwrap_or_default();
        start..end
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn unit(&self, index: usize) -> &str {
        self.bytes
            .get(index)
            .and_then(|it| self.text.get(it.clone()))
            .unwrap_or_default()
    }

    pub(crate) fn units(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.bytes
            .iter()
            .map(|it| self.text.get(it.clone()).unwrap_or_default())
    }

    /// The units that a range of bytes covers, if it begins and ends at their borders.
    pub(crate) fn unit_range(&self, bytes: Range<usize>) -> Option<Range<usize>> {
        let first = self
            .bytes
            .binary_search_by_key(&bytes.start, |it| it.start)
            .ok()?;
        let last = self.bytes.binary_search_by_key(&bytes.end, |it| it.end).ok()?;
        (first <= last).then_some(first..last + 1)
    }

    fn push_word(&mut self, word: &str, origin: Range<usize>, language: Language) {
        match language {
            _ if word.is_empty() => {}
            Language::En => self.push(&stem(word), origin, language),
            Language::Zh => self.push(word, origin, language),
        }
    }

    fn push(&mut self, unit: &str, origin: Range<usize>, language: Language) {
        let latin = unit.starts_with(|it: char| it.is_ascii_alphanumeric());
        let after_latin = self.text.ends_with(|it: char| it.is_ascii_alphanumeric());
        if !self.text.is_empty() && (language == Language::En || (latin && after_latin)) {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(unit);
        self.bytes.push(start..self.text.len());
        self.origins.push(origin);
    }
}

/// Whether a unit is a punctuation mark.
pub(crate) fn is_mark(unit: &str) -> bool {
    [STOP, COMMA, LIST_COMMA].contains(&unit)
}

fn punctuation(c: char) -> Option<&'static str> {
    match c {
        '.' | '!' | '?' | ';' | '。' | '…' | '\n' | '~' => Some(STOP),
        ',' | ':' | '(' | ')' => Some(COMMA),
        '、' => Some(LIST_COMMA),
        _ => None,
    }
}

/// A light stem: British spelling made American, plural, -ing, -ed, -e and -y taken off. It only has to
/// be the same for the words that a patient and an article use, not a word.
pub(crate) fn stem(word: &str) -> String {
    let mut word = word.to_owned();
    if word.len() >= 6 && word.is_ascii() {
        word = word.replace("ae", "e").replace("oe", "e");
        if let Some(tumour) = word.strip_suffix("our") {
            word = format!("{tumour}or");
        }
    }
    let word = strip_plural(&word);
    let base = strip_verb_ending(&word).unwrap_or(word);
    if base.len() > 3 && base.ends_with('e') {
        return base.trim_end_matches('e').to_owned();
    }
    match base.strip_suffix('y') {
        Some(itch) if base.len() >= 5 && !itch.ends_with(is_vowel) => undouble(itch),
        _ => base,
    }
}

fn strip_plural(word: &str) -> String {
    let Some(singular) = word.strip_suffix('s').filter(|it| it.len() >= 3) else {
        return word.to_owned();
    };
    if singular.ends_with(['s', 'u', 'i']) {
        return word.to_owned();
    }
    if let Some(allerg) = singular.strip_suffix("ie") {
        return format!("{allerg}y");
    }
    match singular.strip_suffix('e') {
        Some(rash) if ["ch", "sh", "x", "ss", "z"].iter().any(|it| rash.ends_with(it)) => rash.to_owned(),
        _ => singular.to_owned(),
    }
}

fn strip_verb_ending(word: &str) -> Option<String> {
    let base = word
        .strip_suffix("ing")
        .or_else(|| word.strip_suffix("ed").filter(|it| !it.ends_with('e')))?;
    (base.len() >= 3 && base.contains(is_vowel)).then(|| undouble(base))
}

fn undouble(base: &str) -> String {
    let mut ends = base.chars().rev();
    let (last, before) = (ends.next(), ends.next());
    let doubled = last == before && last.is_some_and(|it| !is_vowel(it) && !"lsz".contains(it));
    let kept = base.chars().count() - usize::from(doubled && base.len() > 3);
    base.chars().take(kept).collect()
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

#[cfg(test)]
mod tests {
    use super::{UnitText, stem};
    use crate::section::Language;

    #[test]
    fn word_forms_meet() {
        for words in [
            &["sneeze", "sneezes", "sneezing", "sneezed"][..],
            &["itch", "itchy", "itches", "itching"],
            &["vomit", "vomiting", "vomited"],
            &["allergy", "allergies"],
            &["diarrhoea", "diarrhea"],
            &["anaemia", "anemia"],
            &["haemorrhoids", "hemorrhoid"],
            &["swell", "swelling"],
            &["bleed", "bleeding", "bleeds"],
            &["stop", "stopped", "stopping"],
            &["tumour", "tumor"],
        ] {
            let stems: Vec<String> = words.iter().map(|it| stem(it)).collect();
            assert!(stems.iter().all(|it| *it == stems[0]), "{words:?}: {stems:?}");
        }
        assert_ne!(stem("sing"), stem("s"));
        assert_eq!(stem("sinusitis"), "sinusitis");
        assert_eq!(stem("virus"), "virus");
    }

    #[test]
    fn units_of_both_languages() {
        let check = |text: &str, language, expect: &[&str]| {
            assert_eq!(
                UnitText::read(text, language).units().collect::<Vec<_>>(),
                expect,
                "{text}"
            );
        };
        check(
            "I've a Runny nose; it's 38.5!",
            Language::En,
            &["ive", "a", "run", "nos", ".", "it", "38.5", "."],
        );
        check("COVID-19", Language::En, &["covid", "19"]);
        check(
            "我发烧，CT正常。",
            Language::Zh,
            &["我", "发", "烧", ",", "ct", "正", "常", "."],
        );
        check("", Language::Zh, &[]);
    }

    #[test]
    fn phrases_must_stand_at_borders() {
        let text = UnitText::read("my heart hurts", Language::En);
        let found = text.as_str().find("ear").unwrap();
        assert_eq!(text.unit_range(found..found + 3), None);
        let found = text.as_str().find("heart").unwrap();
        assert_eq!(text.unit_range(found..found + 5), Some(1..2));
    }
}
