//! One spelling for all: what the rules read instead of the patient's own characters.

use std::{ops::Range, sync::LazyLock};

use ferrous_opencc::{OpenCC, config::BuiltinConfig};
use unicode_normalization::UnicodeNormalization;

/// A text in NFKC, lower case, simplified characters, without apostrophes and invisible characters, and the
/// way back from its bytes to the characters of the original.
pub(crate) struct NormalText {
    pub(crate) text: String,
    /// For each byte of `text`, the index of the original character it came from.
    origin: Vec<u32>,
}

impl NormalText {
    pub(crate) fn new(original: &str) -> Self {
        let characters: Vec<char> = original.chars().collect();
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
        for (long, short) in CONTRACTIONS {
            let mut from = 0;
            while let Some(found) = self.text.get(from..).and_then(|it| it.find(long)) {
                let start = from + found;
                let end = start + long.len();
                from = end;
                if !self.is_word(start, end) {
                    continue;
                }
                let mut origin: Vec<u32> = self.origin.get(start..end).unwrap_or_default().to_vec();
                let last = origin.last().copied().unwrap_or_default();
                origin.truncate(short.len() - 1);
                origin.push(last);
                self.text.replace_range(start..end, short);
                self.origin.splice(start..end, origin);
                from = start + short.len();
            }
        }
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
    pub(crate) fn original_characters(&self, bytes: &Range<usize>) -> Range<usize> {
        let start = self.origin.get(bytes.start).map_or(0, |it| *it as usize);
        let last = bytes
            .end
            .checked_sub(1)
            .and_then(|it| self.origin.get(it))
            .map_or(start, |it| *it as usize);
        start..last + 1
    }

    fn take(&mut self, c: char, index: usize, all: &[char]) {
        match c {
            '\n' | '\r' => self.push('\n', index),
            _ if c.is_whitespace() => {
                if !self.text.ends_with([' ', '\n']) && !is_spaced_out_han(index, all) {
                    self.push(' ', index);
                }
            }
            _ if is_invisible(c) => {}
            '\'' | '\u{2019}' | '\u{2018}' | '\u{02bc}' | '`' | '´'
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
                        self.push(fold(simplified(c)), index);
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

/// In order: later ones read what earlier ones made. No short form is longer than its long one.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("can not", "cant"),
    ("cannot", "cant"),
    ("could not", "cant"),
    ("couldnt", "cant"),
    ("is not", "isnt"),
    ("are not", "arent"),
    ("was not", "wasnt"),
    ("were not", "werent"),
    ("does not", "doesnt"),
    ("do not", "dont"),
    ("did not", "didnt"),
    ("has not", "hasnt"),
    ("have not", "havent"),
    ("had not", "hadnt"),
    ("will not", "wont"),
    ("isnt able to", "cant"),
    ("arent able to", "cant"),
    ("wasnt able to", "cant"),
    ("not able to", "cant"),
    ("was unable to", "cant"),
    ("is unable to", "cant"),
    ("am unable to", "cant"),
    ("unable to", "cant"),
];

/// A text in the spelling that the rules read.
pub(crate) fn normalized(text: &str) -> String {
    NormalText::new(text).text
}

/// The same for words of the built-in files, which are in simplified characters already (a test checks it):
/// there are many thousands of them, read at every start, and the dictionary need not be loaded for them.
pub(crate) fn normalized_built_in(form: &str) -> String {
    // The three are in all the long forms of CONTRACTIONS.
    let contracts = ["not", "able to", "couldnt"].iter().any(|it| form.contains(it));
    if is_plain_latin(form) && !contracts {
        return form.to_owned();
    }
    if form.chars().all(is_common_han) {
        return form.chars().map(fold).collect();
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

pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Has neither case nor compatibility forms.
fn is_common_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

fn is_alphabetic_at(all: &[char], index: Option<usize>) -> bool {
    index
        .and_then(|it| all.get(it))
        .is_some_and(char::is_ascii_alphabetic)
}

/// The blank in 胸 口 疼, which says nothing, unlike the one in 头疼 发烧, which stands for a comma.
fn is_spaced_out_han(index: usize, all: &[char]) -> bool {
    let single = |mut it: std::iter::Peekable<&mut dyn Iterator<Item = char>>| {
        while it.next_if(|c| c.is_whitespace()).is_some() {}
        it.next().is_some_and(is_han) && it.next().is_none_or(|c| !is_han(c))
    };
    let before =
        single((&mut all.iter().take(index).rev().copied() as &mut dyn Iterator<Item = char>).peekable());
    let after = single((&mut all.iter().skip(index).copied() as &mut dyn Iterator<Item = char>).peekable());
    before && after
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{ad}')
        || c.is_control()
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

/// Loaded at the first Han character; a missing dictionary only costs traditional spelling.
static TO_SIMPLIFIED: LazyLock<Option<OpenCC>> =
    LazyLock::new(|| OpenCC::from_config(BuiltinConfig::T2s).ok());

fn simplified(c: char) -> char {
    if !is_han(c) {
        return c;
    }
    let converted = TO_SIMPLIFIED
        .as_ref()
        .map(|it| it.convert(c.encode_utf8(&mut [0; 4])));
    converted.and_then(|it| it.chars().next()).unwrap_or(c)
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
        ] {
            assert_eq!(normalized(text), expect, "{text}");
        }
    }

    #[test]
    fn the_short_way_gives_what_the_long_way_gives() {
        for form in [
            "cannot breathe",
            "头疼",
            "胸口压榨样疼",
            "two  blanks",
            "Upper",
            "6个月",
        ] {
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
        }
    }
}
