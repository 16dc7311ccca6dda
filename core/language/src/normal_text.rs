//! One spelling for all: what programs read instead of the writer's own characters.

mod contractions;
mod disguises;
mod line_ends;

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use crate::{
    characters::{base_letter, is_common_han, is_han, is_invisible},
    traditional::simplified,
};
use contractions::{CONTRACTIONS, may_contract};
use disguises::{is_spaced_out_han, undo_disguises};
use line_ends::{LineEnd, line_end};

/// A text in NFKC, lower case, simplified characters, without apostrophes and invisible characters, and the
/// way back from its bytes to the characters of the original.
#[derive(Debug, Clone)]
pub struct NormalText {
    pub text: String,
    /// For each byte of `text`, the index of the original character it came from.
    origin: Vec<u32>,
}

impl NormalText {
    #[must_use]
    pub fn new(original: &str) -> Self {
        let mut characters: Vec<char> = original.chars().collect();
        undo_disguises(&mut characters);
        let mut normal = Self {
            text: String::with_capacity(original.len()),
            origin: Vec::with_capacity(original.len()),
        };
        for (index, &c) in characters.iter().enumerate() {
            normal.take(c, index, &characters);
        }
        normal.contract();
        normal
    }

    /// "could not", "unable to", "does not" become what most people write.
    fn contract(&mut self) {
        let mut words = self.text.split(|it: char| !it.is_ascii_alphanumeric());
        if !words.any(may_contract) {
            return;
        }
        for (long, short) in CONTRACTIONS {
            let mut from = 0;
            while let Some(found) = self.text.get(from..).and_then(|it| it.find(long)) {
                let start = from + found;
                let end = start + long.len();
                from = end;
                if !self.is_word(start, end) {
                    continue;
                }
                self.replace(start..end, short);
                from = start + short.len();
            }
        }
    }

    /// Puts other words in the place of a range of bytes; they stand for its characters.
    pub fn replace(&mut self, range: Range<usize>, words: &str) {
        let from = self.origin.get(range.clone()).unwrap_or_default();
        let last = from.last().copied().unwrap_or_default();
        let mut origin: Vec<u32> = from.to_vec();
        origin.resize(words.len(), last);
        if let Some(end) = origin.last_mut() {
            *end = last;
        }
        self.text.replace_range(range.clone(), words);
        self.origin.splice(range, origin);
    }

    /// The original has blanks or the like between the letters: "w a n t".
    #[must_use]
    pub fn is_spaced_out(&self, bytes: &Range<usize>) -> bool {
        self.original_characters(bytes).len() * 2 > bytes.len() * 3
    }

    fn is_word(&self, start: usize, end: usize) -> bool {
        let letter = |at: usize| {
            self.text
                .as_bytes()
                .get(at)
                .is_some_and(u8::is_ascii_alphanumeric)
        };
        !letter(end) && !start.checked_sub(1).is_some_and(letter)
    }

    /// The characters of the original that a range of bytes of `text` stands for.
    #[must_use]
    pub fn original_characters(&self, bytes: &Range<usize>) -> Range<usize> {
        let start = self.origin.get(bytes.start).map_or(0, |it| *it as usize);
        let last = bytes
            .end
            .checked_sub(1)
            .and_then(|it| self.origin.get(it))
            .map_or(start, |it| *it as usize);
        start..last + 1
    }

    /// The bytes of `text` that a range of characters of the original became; empty if it says nothing.
    #[must_use]
    pub fn bytes_of(&self, characters: &Range<usize>) -> Range<usize> {
        let first_from = |character: usize| self.origin.partition_point(|it| (*it as usize) < character);
        first_from(characters.start)..first_from(characters.end)
    }

    fn take(&mut self, c: char, index: usize, all: &[char]) {
        match c {
            '\n' | '\r' => match line_end(index, all) {
                LineEnd::Break => self.push('\n', index),
                LineEnd::WrappedWords if !self.text.ends_with([' ', '\n']) => self.push(' ', index),
                LineEnd::WrappedWords | LineEnd::WrappedHan => {}
            },
            _ if c.is_whitespace() => {
                let after_comma =
                    self.text.ends_with(',') && all.get(index + 1).is_some_and(|it| is_han(*it));
                if !after_comma && !self.text.ends_with([' ', '\n']) && !is_spaced_out_han(index, all) {
                    self.push(' ', index);
                }
            }
            _ if is_invisible(c) => {}
            '\'' | '\u{2019}' | '\u{2018}' | '\u{201b}' | '\u{02bc}' | '\u{ff07}' | '\u{2032}' | '`'
            | '´'
                if self.text.ends_with(|it: char| it.is_ascii_alphabetic()) => {}
            '-' | '\u{2010}' | '\u{2011}' | '/'
                if is_alphabetic_at(all, index.checked_sub(1))
                    || is_alphabetic_at(all, index.checked_add(1)) =>
            {
                self.push(' ', index);
            }
            _ if c.is_ascii() => self.push(c.to_ascii_lowercase(), index),
            _ if is_common_han(c) => self.push(fold(simplified(c)), index),
            _ => {
                for c in std::iter::once(c).nfkc() {
                    for c in c.to_lowercase() {
                        match base_letter(c) {
                            Some(base) => self.push(base, index),
                            None => self.push(fold(simplified(c)), index),
                        }
                    }
                }
            }
        }
    }

    fn push(&mut self, c: char, index: usize) {
        self.text.push(c);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.origin.resize(self.text.len(), index);
    }
}

/// A text in this spelling.
#[must_use]
pub fn normalized(text: &str) -> String {
    NormalText::new(text).text
}

/// A text in half width, lower case and simplified characters, without invisible characters, its words as they
/// are: for looking things up.
#[must_use]
pub fn folded(text: &str) -> String {
    text.nfkc()
        .filter(|it| it.is_whitespace() || !is_invisible(*it))
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            '‘' | '’' | 'ʼ' | '`' => '\'',
            _ => simplified(c),
        })
        .collect()
}

/// The same by a short way, which suffices for most words of a program's own data.
#[must_use]
pub fn normalized_built_in(form: &str) -> String {
    if form.chars().all(is_common_han) {
        return form.chars().map(simplified).map(fold).collect();
    }
    if is_plain_latin(form) && !form.split(' ').any(may_contract) {
        return form.to_owned();
    }
    normalized(form)
}

fn is_plain_latin(form: &str) -> bool {
    let mut blank_before = false;
    form.bytes().all(|it| {
        let blank = it == b' ';
        let plain = it.is_ascii_lowercase() || it.is_ascii_digit() || (blank && !blank_before);
        blank_before = blank;
        plain
    })
}

fn is_alphabetic_at(all: &[char], index: Option<usize>) -> bool {
    index
        .and_then(|it| all.get(it))
        .is_some_and(char::is_ascii_alphabetic)
}

/// Patients write these pairs for one another.
fn fold(c: char) -> char {
    match c {
        '疼' => '痛',
        '涨' => '胀',
        '泄' => '泻',
        '嗑' => '磕',
        '‚' | '，' | '﹐' => ',',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::{NormalText, normalized, normalized_built_in};

    #[test]
    fn one_spelling() {
        for (text, expect) in [
            ("ＣＡＮ’T　Breathe", "cant breathe"),
            ("我頭疼，發燒", "我头痛,发烧"),
            ("胸 口 疼", "胸口痛"),
            ("头疼 发烧", "头痛 发烧"),
            ("38.5℃", "38.5°c"),
            ("6-week-old", "6 week old"),
            ("120/80", "120/80"),
            ("He could not move, is unable to talk", "he cant move, cant talk"),
            ("does notice", "does notice"),
            ("头\u{200b}痛", "头痛"),
            ("c\u{336}h\u{336}est p\u{34f}ain", "chest pain"),
            ("胸\u{332}口\u{2060}痛", "胸口痛"),
            ("сhеst раin", "chest pain"),
            ("ꓚhest ꓑain", "chest pain"),
            ("Ꭲhe sսісіdе note", "the suicide note"),
            ("ｃｈｅｓｔ 𝓹𝓪𝓲𝓷", "chest pain"),
            ("c h e s t  p a i n", "chest pain"),
            ("s.u.i.c.i.d.e", "suicide"),
            ("Сильная боль", "сильная боль"),
            ("боль\nplease", "боль\nplease"),
            ("fièvre", "fievre"),
            ("I a m ok", "i a m ok"),
            ("血 氧 只 有 8 8", "血氧只有88"),
            ("孕 3 4 周 ， 出 血", "孕34周,出血"),
        ] {
            assert_eq!(normalized(text), expect, "{text}");
        }
    }

    #[test]
    fn the_short_way_gives_what_the_long_way_gives() {
        for form in [
            "cannot breathe",
            "头疼",
            "頭疼發燒",
            "胸口压榨样疼",
            "two  blanks",
            "Upper",
            "6个月",
        ]
        .into_iter()
        .chain(super::CONTRACTIONS.iter().map(|(long, _)| *long))
        {
            assert_eq!(normalized_built_in(form), normalized(form), "{form}");
        }
    }

    #[test]
    fn offsets_lead_back_to_the_original() {
        let original = "I can’t，我頭 ㎎ could not see";
        let normal = NormalText::new(original);
        for (needle, expect) in [
            ("cant", "can’t"),
            ("头", "頭"),
            ("mg", "㎎"),
            ("cant see", "could not see"),
        ] {
            let start = normal.text.find(needle).unwrap();
            let span = normal.original_characters(&(start..start + needle.len()));
            let found: String = original.chars().skip(span.start).take(span.len()).collect();
            assert_eq!(found, expect);
            assert_eq!(normal.bytes_of(&span), start..start + needle.len());
        }
    }
}
