//! A text's words, with the marks that people leave out dropped.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The words of a normal text. The end of a sentence is an empty word, which no form goes across.
pub(super) struct Words {
    pub(super) list: Vec<String>,
    /// The text without gaps, for scripts that write none or leave them out.
    pub(super) without_gaps: String,
}

impl Words {
    pub(super) fn of(normal: &str) -> Self {
        let mut list = Vec::new();
        let mut word = String::new();
        let mut without_gaps = String::new();
        for c in folded(normal) {
            if is_word_character(c) {
                word.push(c);
                without_gaps.push(c);
                continue;
            }
            if !word.is_empty() {
                list.push(std::mem::take(&mut word));
            }
            if ends_sentence(c) {
                list.push(String::new());
                without_gaps.push('\n');
            }
        }
        if !word.is_empty() {
            list.push(word);
        }
        Self { list, without_gaps }
    }

    /// Without the ends of sentences.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(String::as_str).filter(|it| !it.is_empty())
    }
}

/// Lower-case letters without the marks on them: accents, Arabic and Hebrew vowel points, nuktas; letters that one
/// keyboard or habit writes for another become one.
fn folded(normal: &str) -> impl Iterator<Item = char> {
    normal.chars().flat_map(|c| {
        let keeps_its_parts =
            matches!(c, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}' | '\u{0e00}'..='\u{0fff}');
        let parts: Vec<char> = if c.is_ascii() || keeps_its_parts {
            vec![c]
        } else {
            std::iter::once(c)
                .nfkd()
                .filter(|it| !is_dropped_mark(*it))
                .collect()
        };
        parts.into_iter().map(same_letter)
    })
}

fn is_dropped_mark(c: char) -> bool {
    let is_vowel_sign = matches!(c, '\u{900}'..='\u{dff}') && c != '\u{93c}';
    c == 'ـ' || (is_combining_mark(c) && !is_vowel_sign)
}

fn same_letter(c: char) -> char {
    match c {
        'đ' | 'ð' => 'd',
        'ł' => 'l',
        'ı' => 'i',
        'ø' => 'o',
        'ς' => 'σ',
        'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        'ة' | 'ہ' | 'ە' => 'ه',
        'ٱ' => 'ا',
        _ => c,
    }
}

/// Letters and digits, and the vowel signs of the Indic and Southeast Asian scripts.
pub(super) fn is_word_character(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{ece}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}')
            && is_combining_mark(c)
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | ';' | '\n' | '。' | '؟' | '।' | '…')
}
