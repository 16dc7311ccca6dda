//! Words in a cipher: base64, hexadecimal, Morse, rot13, mirrored or leet writing, letters one by one. No rule reads
//! them, and a patient's friend can, so a sentence with a run that is neither Chinese nor English words stays here.

use std::{collections::HashSet, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;

use super::{quantities::QUANTITIES, words::LISTS};
use crate::pattern::pattern;
use bedside_language::{is_han, is_invisible};

/// Words of the shipped articles, messages and answers, one a line; made by `make gate-reader`.
static KNOWN: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("../../data/answer_words.txt").lines().collect());

pattern!(LINK, r"(?i)[a-z]+://[^\s]+|www\.[^\s]+|[a-z0-9._-]+@[a-z0-9.-]+");
pattern!(ENTITIES, r"(?i)&#x?[0-9a-f]{2,6};?.{0,3}&#x?[0-9a-f]{2,6};?");
pattern!(
    ESCAPES,
    r"(?i)(\\u\{?[0-9a-f]{4}\}?.?){2}|(\\x[0-9a-f]{2}.?){3}|(%[0-9a-f]{2}.?){3}"
);
pattern!(BINARY, r"[01]{8}[ ,]?[01]{8}");
pattern!(
    MORSE,
    r"(^|[\s/|])[.\-·•−–—]{1,6}(\s*[\s/|]\s*[.\-·•−–—]{1,6}){3,}($|[\s/|])"
);
pattern!(BASE64, r"[A-Za-z0-9+/_-]{12,}={0,2}|[A-Za-z0-9+/]{6,}={1,2}");
pattern!(HEX, r"(?i)(0x)?[0-9a-f]{2}([ ,:-]?(0x)?[0-9a-f]{2}){4,}");
pattern!(CODES, r"[0-9]{2,3}([ ,.-]+[0-9]{2,3}){5,}");
pattern!(
    LETTER_BY_LETTER,
    r"(?i)(^|[^a-z0-9])[a-z0-9]([ ._*|/-][a-z0-9]){4,}($|[^a-z0-9])"
);
pattern!(LETTER, r"(?i)[a-z]");
pattern!(
    SYLLABLE,
    r"^(b|p|m|f|d|t|n|l|g|k|h|j|q|x|zh|ch|sh|r|z|c|s|y|w)?(a|o|e|i|u|v|ai|ei|ao|ou|an|en|ang|eng|ong|er|ia|ie|iao|iu|ian|in|iang|ing|iong|ua|uo|uai|ui|uan|un|uang|ue|ve)[1-5]?$"
);

/// Reads the sentence as it came: case and signs are part of a cipher.
pub(super) fn hides(sentence: &str) -> bool {
    let plain: String = sentence.nfkd().filter(|it| !is_invisible(*it)).collect();
    let plain = LINK.replace_all(&plain, " ");
    [&*ENTITIES, &ESCAPES, &BINARY]
        .iter()
        .any(|it| it.is_match(&plain))
        || MORSE
            .find_iter(&plain)
            .any(|it| it.as_str().contains(['.', '·', '•']))
        || LETTER_BY_LETTER
            .find_iter(&plain)
            .any(|it| LETTER.find_iter(it.as_str()).count() >= 4)
        || BASE64
            .find_iter(&plain)
            .any(|it| from_base64(it.as_str()).is_some_and(|it| is_told(&it)))
        || HEX.find_iter(&plain).any(|it| is_told(&from_hex(it.as_str())))
        || CODES
            .find_iter(&plain)
            .any(|it| is_told(&from_codes(it.as_str())))
        || mixes_alphabets(&plain)
        || mirrored_dose(&plain)
        || has_unknown_run(&plain)
}

/// Letters of two alphabets in one word; μg and β-blocker are none.
fn mixes_alphabets(text: &str) -> bool {
    text.split(|it: char| !it.is_alphabetic()).any(|word| {
        word.contains(|it: char| it.is_ascii_alphabetic())
            && word.contains(|it: char| matches!(it, '\u{391}'..='\u{3a9}' | '\u{3bf}' | '\u{400}'..='\u{52f}' | '\u{13a0}'..='\u{13ff}'))
    })
}

/// Bytes that are words: letters and blanks, or Chinese.
fn is_told(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let all = text.chars().count();
    let told = text
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || *it == ' ' || is_han(*it));
    let letters = text
        .chars()
        .filter(|it| it.is_ascii_alphabetic() || is_han(*it))
        .count();
    all >= 3 && told.count() * 10 >= all * 9 && letters * 2 >= all
}

fn from_base64(run: &str) -> Option<Vec<u8>> {
    // A word in small or in capital letters is a word, and digits alone are a number.
    let mixed = run.contains(|it: char| it.is_ascii_lowercase())
        && run.contains(|it: char| it.is_ascii_uppercase() || it.is_ascii_digit());
    if !mixed {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for c in run.bytes().filter(|it| *it != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(((bits >> held) & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn from_hex(run: &str) -> Vec<u8> {
    let without_marks = run.to_ascii_lowercase().replace("0x", "");
    let digits: Vec<u32> = without_marks.chars().filter_map(|it| it.to_digit(16)).collect();
    let pairs = digits.as_chunks::<2>().0.iter();
    pairs.map(|[high, low]| (high * 16 + low) as u8).collect()
}

fn from_codes(run: &str) -> Vec<u8> {
    run.split(|it: char| !it.is_ascii_digit())
        .filter_map(|it| it.parse().ok())
        .collect()
}

/// 次三天一，片两次每.
fn mirrored_dose(text: &str) -> bool {
    if !text.contains(is_han) {
        return false;
    }
    let turned: String = text.chars().rev().collect();
    let quantities = &*QUANTITIES;
    quantities.each_time_han.is_match(&turned)
        && quantities.counted_han.is_match(&turned)
        && !quantities.each_time_han.is_match(text)
}

/// Unknown words that stand together and become words once they are turned, shifted or read as leet; or four of them,
/// whatever they are.
fn has_unknown_run(text: &str) -> bool {
    let mut run: Vec<String> = Vec::new();
    let mut runs = Vec::new();
    // Syllables of pinyin in a row, and how many of them are no English words ("chi" is one).
    let (mut syllables, mut foreign) = (0, 0);
    let words = text.split(|it: char| {
        it.is_whitespace() || matches!(it, ',' | ';' | ':' | '(' | ')' | '"' | '/' | '–' | '—') || is_han(it)
    });
    for word in words {
        let word =
            word.trim_matches(|it: char| !it.is_ascii_alphanumeric() && !matches!(it, '@' | '$' | '!'));
        if word.is_empty() || word.bytes().all(|it| it.is_ascii_digit()) {
            continue;
        }
        if is_leet(word) {
            return true;
        }
        let unknown = is_unknown(word);
        if SYLLABLE.is_match(&word.to_ascii_lowercase()) {
            syllables += 1;
            foreign += usize::from(unknown);
            if syllables >= 4 && foreign >= 3 {
                return true;
            }
        } else {
            (syllables, foreign) = (0, 0);
        }
        if unknown {
            run.push(word.to_ascii_lowercase());
        } else if !run.is_empty() {
            runs.push(std::mem::take(&mut run));
        }
    }
    runs.push(run);
    runs.iter().any(|run| is_cipher(run) || is_pinyin(run))
}

fn is_listed(word: &str) -> bool {
    KNOWN.contains(word) || LISTS.is_medicine(word)
}

fn knows(word: &str) -> bool {
    is_listed(word)
        || ["s", "es", "d", "ed", "ing", "ly", "'s", "’s", "er", "al", "ic"]
            .iter()
            .filter_map(|ending| word.strip_suffix(ending))
            .any(|stem| is_listed(stem) || ending_e(stem).is_some_and(|it| is_listed(&it)))
}

/// "using" is of "use".
fn ending_e(stem: &str) -> Option<String> {
    (stem.len() >= 2).then(|| format!("{stem}e"))
}

/// Names and abbreviations begin with capitals or are short; ciphers of a sentence hold small letters.
fn is_unknown(word: &str) -> bool {
    word.is_ascii()
        && word.bytes().any(|it| it.is_ascii_lowercase())
        && !word.contains(['.', '\'', '-', '_'])
        && word.bytes().all(|it| it.is_ascii_alphanumeric())
        && !knows(&word.to_ascii_lowercase())
}

/// "t4k3": digits inside a word which are letters of it.
fn is_leet(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let letters = word.bytes().filter(u8::is_ascii_lowercase).count();
    let inside = word.trim_matches(|it: char| it.is_ascii_digit());
    let signs = word.bytes().filter(|it| !it.is_ascii_lowercase()).count();
    if letters == 0 || signs == 0 || word.len() < 3 || letters + 4 < signs || word.len() > 20 {
        return false;
    }
    let within = inside.contains(|it: char| !it.is_ascii_lowercase()) || signs >= 2 || word.len() >= 5;
    within
        && ['i', 'l'].iter().any(|one| {
            let read: String = word
                .chars()
                .map(|it| match it {
                    '0' => 'o',
                    '1' | '!' => *one,
                    '3' => 'e',
                    '4' | '@' => 'a',
                    '5' | '$' => 's',
                    '6' | '9' => 'g',
                    '7' => 't',
                    '8' => 'b',
                    other => other,
                })
                .collect();
            read.len() >= 3 && read.bytes().all(|it| it.is_ascii_lowercase()) && is_listed(&read)
        })
}

fn is_cipher(run: &[String]) -> bool {
    let letters: usize = run.iter().map(String::len).sum();
    if run.len() >= 4 && letters >= 16 {
        return true;
    }
    if letters < 6 {
        return false;
    }
    let becomes_known = |turn: &dyn Fn(&str) -> String| {
        let known = run
            .iter()
            .map(|it| turn(it))
            .filter(|it| it.len() >= 2 && knows(it));
        let known: usize = known.map(|it| it.len()).sum();
        known >= 5 && known * 3 >= letters * 2
    };
    becomes_known(&|it| it.chars().rev().collect())
        || becomes_known(&|it| shifted(it, |place| 25 - place))
        || (1..26).any(|by| becomes_known(&|it| shifted(it, |place| (place + by) % 26)))
}

fn shifted(word: &str, to: impl Fn(u8) -> u8) -> String {
    word.bytes()
        .map(|it| {
            if it.is_ascii_lowercase() {
                char::from(b'a' + to(it - b'a'))
            } else {
                char::from(it)
            }
        })
        .collect()
}

/// Chinese in Latin letters among other words.
fn is_pinyin(run: &[String]) -> bool {
    run.len() >= 3 && run.iter().all(|it| SYLLABLE.is_match(it))
}

#[cfg(test)]
mod tests {
    use super::hides;

    #[test]
    fn ciphers_stay_here_and_words_leave() {
        for hidden in [
            "dGFrZSB0d28gdGFibGV0cw==",
            "Read this: VGFrZSA1MDAgbWcgb2YgaWJ1cHJvZmVu",
            "74 61 6b 65 20 32 20 74 61 62 6c 65 74 73",
            "74616b652074776f",
            "116 97 107 101 32 116 119 111",
            "01110100 01100001",
            "- .- -.- . / - .-- ---",
            "gnxr gjb gnoyrgf",
            "The answer is gnxr gjb gnoyrgf, my friend.",
            "stelbat owt ekat",
            "t4k3 2 t4bl3ts",
            "t a k e t w o",
            "T.a.k.e t.w.o",
            "&#116;&#97;&#107;&#101;",
            r"\u0074\u0061",
            "%74%61%6b",
            "tаke",
            "mei ci chi liang pian",
            "Qing chi1 liang3 pian4 yao4",
            "次三天一，片两次每",
        ] {
            assert!(hides(hidden), "{hidden}");
        }
        for plain in [
            "See https://www.nhs.uk/conditions/common-cold/ for more.",
            "HbA1c, eGFR, TSH, NT-proBNP and CA125 are laboratory values.",
            "Vitamin B12 and omega-3 are in fish.",
            "H5N1 and COVID-19 are viruses.",
            "A β-blocker or 5 μg are no ciphers.",
            "Hepatitis A, B, C, D and E are caused by viruses.",
            "Call 120 or 911.",
            "血压 140/90，血糖 7.0，请就医。",
            "CT、MRI 和 B超 是检查。",
            "| --- | --- |",
            "每次测两遍血压。",
        ] {
            assert!(!hides(plain), "{plain}");
        }
    }
}
