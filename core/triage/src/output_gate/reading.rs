//! How the gate reads a sentence.

use unicode_normalization::UnicodeNormalization;

use super::{
    plain_text::plain,
    words::{GENERIC, LISTS, NAMED},
};
use bedside_language::{is_han, normalized};

#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// In the spelling of `normal_text`, without marks, all digits ASCII.
    pub(super) text: String,
    /// The same with [`NAMED`] and [`GENERIC`] in place of medicines.
    pub(super) marked: String,
    /// The clauses of `marked`.
    pub(super) clauses: Vec<String>,
    pub(super) diet: bool,
    /// A question about what was or is done.
    pub(super) question: bool,
}

impl Reading {
    pub(super) fn new(sentence: &str) -> Self {
        let text = joined(&ascii_digits(
            &normalized(&plain(sentence)).replace('💊', " pill "),
        ));
        let text = text.trim().to_owned();
        let marked = LISTS.marked(&text);
        let clauses = clauses(&marked);
        let asks = text.trim_end_matches(['"', '”', ' ']).ends_with('?');
        let proposes = [
            "how about",
            "why not",
            "why dont",
            "what about",
            "shall",
            "不如",
            "怎么不",
        ]
        .iter()
        .any(|it| text.contains(it));
        Self {
            diet: LISTS.names_diet(&text),
            question: asks && !proposes && text.matches(['?', '!', '。']).count() == 1,
            text,
            marked,
            clauses,
        }
    }

    pub(super) fn names_medicine(&self) -> bool {
        self.marked.contains(NAMED)
    }

    pub(super) fn has_medicine(&self) -> bool {
        self.marked.contains([NAMED, GENERIC])
    }
}

/// The digits of all scripts as ASCII.
fn ascii_digits(text: &str) -> String {
    /// Where the digits of a script begin.
    const ZEROS: [u32; 22] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0,
        0xf20, 0x1040, 0x17e0, 0x1810, 0x19d0, 0xa8d0, 0xa900, 0xff10,
    ];
    text.nfkc()
        .map(|c| {
            let code = u32::from(c);
            ZEROS
                .iter()
                .find(|zero| (**zero..**zero + 10).contains(&code))
                .and_then(|zero| char::from_digit(code - zero, 10))
                .unwrap_or(match c {
                    '⁄' | '∕' => '/',
                    '–' | '—' | '~' | '～' | '－' => '-',
                    '×' | '✕' => 'x',
                    '\u{2776}'..='\u{277e}' => char::from_digit(code - 0x2775, 10).unwrap_or('9'),
                    '\u{2780}'..='\u{2788}' => char::from_digit(code - 0x277f, 10).unwrap_or('9'),
                    '\u{278a}'..='\u{2792}' => char::from_digit(code - 0x2789, 10).unwrap_or('9'),
                    '\u{1f150}'..='\u{1f169}' => letter(code - 0x1f150),
                    '\u{1f170}'..='\u{1f189}' => letter(code - 0x1f170),
                    '\u{1f1e6}'..='\u{1f1ff}' => letter(code - 0x1f1e6),
                    other => other,
                })
        })
        .collect()
}

fn letter(place: u32) -> char {
    char::from_digit(place + 10, 36).unwrap_or(' ')
}

/// Without what separates the characters of one Chinese word (毫 克, 毫·克), a number from a Chinese unit, or
/// the letters of one spaced-out Latin word (t-a-b-l-e-t).
fn joined(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while let Some(&c) = characters.get(index) {
        if is_separator(c) {
            let next =
                (index..characters.len()).find(|it| !characters.get(*it).is_some_and(|it| is_separator(*it)));
            let after = next.and_then(|it| characters.get(it)).copied();
            let before = out.chars().next_back();
            let inside = before.is_some_and(is_han) && after.is_some_and(is_han)
                || before.is_some_and(|it| it.is_ascii_digit()) && after.is_some_and(is_han) && c == ' '
                || before.is_some_and(is_han) && after.is_some_and(|it| it.is_ascii_digit()) && c == ' ';
            if inside && let Some(next) = next {
                index = next;
                continue;
            }
        }
        out.push(c);
        index += 1;
    }
    spelled_together(&out)
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '·' | '・' | '•' | '_' | '.')
}

/// "t a b l e t s" as one word: three single letters and more in a row.
fn spelled_together(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let single = |it: &&str| it.len() == 1 && it.bytes().all(|b| b.is_ascii_lowercase());
    if words.iter().filter(|it| single(it)).count() < 3 {
        return text.to_owned();
    }
    let mut out: Vec<String> = Vec::new();
    let mut index = 0;
    while let Some(word) = words.get(index) {
        let run = words.iter().skip(index).take_while(|it| single(it)).count();
        if run >= 3 {
            out.push(words.iter().skip(index).take(run).copied().collect());
            index += run;
        } else {
            out.push((*word).to_owned());
            index += 1;
        }
    }
    out.join(" ")
}

/// A full stop or comma between digits is part of the number.
fn clauses(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| {
        at.and_then(|it| characters.get(it))
            .is_some_and(char::is_ascii_digit)
    };
    let mut clauses = vec![String::new()];
    for (index, &c) in characters.iter().enumerate() {
        let ends = match c {
            '.' | ',' | ':' => !(digit(index.checked_sub(1)) && digit(Some(index + 1))),
            ';' | '!' | '?' | '。' | '、' | '\n' | '(' | ')' | '"' | '“' | '”' | '…' => true,
            _ => false,
        };
        if ends {
            clauses.push(String::new());
        } else if let Some(last) = clauses.last_mut() {
            last.push(c);
        }
    }
    clauses
        .iter()
        .map(|it| it.trim().to_owned())
        .filter(|it| !it.is_empty())
        .collect()
}
