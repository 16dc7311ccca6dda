//! One spelling for all: what the rules read instead of the patient's own characters.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use crate::traditional::simplified;

/// A text in NFKC, lower case, simplified characters, without apostrophes and invisible characters, and the
/// way back from its bytes to the characters of the original.
#[derive(Clone)]
pub(crate) struct NormalText {
    pub(crate) text: String,
    /// For each byte of `text`, the index of the original character it came from.
    origin: Vec<u32>,
}

impl NormalText {
    pub(crate) fn new(original: &str) -> Self {
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
    pub(crate) fn replace(&mut self, range: Range<usize>, words: &str) {
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

/// In order: later ones read what earlier ones made.
const CONTRACTIONS: &[(&str, &str)] = &[
    // As people type on a telephone.
    ("dnt", "dont"),
    ("doesn", "doesnt"),
    ("didn", "didnt"),
    ("dosnt", "doesnt"),
    ("dosent", "doesnt"),
    ("cnt", "cant"),
    ("cudnt", "cant"),
    ("couldn", "couldnt"),
    ("wudnt", "wouldnt"),
    ("havnt", "havent"),
    ("hasn", "hasnt"),
    ("isn", "isnt"),
    ("aint", "isnt"),
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

/// The word is in a long form of [`CONTRACTIONS`].
fn may_contract(word: &str) -> bool {
    match word.len() {
        3 => matches!(word, "not" | "dnt" | "isn" | "cnt"),
        4 => matches!(word, "able" | "aint" | "didn" | "hasn"),
        5 => matches!(word, "doesn" | "dosnt" | "cudnt" | "wudnt" | "havnt"),
        6 => matches!(word, "dosent" | "couldn" | "cannot" | "unable"),
        7 => word == "couldnt",
        _ => false,
    }
}

/// A text in the spelling that the rules read.
pub(crate) fn normalized(text: &str) -> String {
    NormalText::new(text).text
}

/// The same for words of the built-in files, which are in simplified characters already (a test checks it):
/// there are many thousands of them, read at every start, and the dictionary need not be loaded for them.
pub(crate) fn normalized_built_in(form: &str) -> String {
    if form.chars().all(is_common_han) {
        return form.chars().map(fold).collect();
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

pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Has neither case nor compatibility forms.
fn is_common_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// What the end of a line means.
enum LineEnd {
    Break,
    /// The line was only full: a blank between words.
    WrappedWords,
    /// The line was only full: nothing between Chinese characters.
    WrappedHan,
}

/// From this width on (a Chinese character counts two) a line that ends within a sentence was wrapped.
const WRAPPED_FROM: usize = 40;

/// A line end is a break (in chats it is as good as a full stop) unless the line is as long as wrapped lines are
/// and the sentence goes on, or the line ends in a word that needs another: "no", 没有.
fn line_end(index: usize, all: &[char]) -> LineEnd {
    let line: Vec<char> = {
        let before = all.get(..index).unwrap_or_default();
        let mut line: Vec<char> = before
            .iter()
            .rev()
            .take_while(|it| **it != '\n')
            .copied()
            .collect();
        line.reverse();
        line
    };
    let next = all.get(index + 1..).unwrap_or_default();
    let (Some(&last), Some(&first)) = (
        line.iter().rfind(|it| !it.is_whitespace()),
        next.iter().find(|it| **it != ' '),
    ) else {
        return LineEnd::Break;
    };
    let end: String = line.iter().collect::<String>().trim_end().to_lowercase();
    let width: usize = line.iter().map(|it| if is_han(*it) { 2 } else { 1 }).sum();
    if is_han(last) && is_han(first) {
        let unfinished = ["没有", "没", "无", "否认", "未", "的", "和", "有", "是"]
            .iter()
            .any(|it| end.ends_with(it));
        return if width >= WRAPPED_FROM || unfinished {
            LineEnd::WrappedHan
        } else {
            LineEnd::Break
        };
    }
    let goes_on = first.is_ascii_lowercase() || first.is_ascii_digit();
    let unfinished = end
        .rsplit(|c: char| !c.is_alphabetic())
        .next()
        .is_some_and(|it| UNFINISHED.contains(&it));
    let within_sentence = last.is_alphanumeric() || last == ',';
    if within_sentence && first.is_alphanumeric() && (unfinished || goes_on && width >= WRAPPED_FROM) {
        LineEnd::WrappedWords
    } else {
        LineEnd::Break
    }
}

const UNFINISHED: &[&str] = &[
    "no", "not", "without", "denies", "denied", "any", "of", "the", "a", "an", "and", "or", "nor", "with",
    "for", "to", "my", "his", "her", "has", "have", "had", "is", "was", "never",
];

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

/// Characters that show nothing, or a mark on the letter before (Unicode's Default_Ignorable_Code_Point, blank
/// fillers, combining marks of Latin).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
        || c.is_control()
}

/// The letter under an accent: é → e. A character that is written as several stays as it is.
fn base_letter(c: char) -> Option<char> {
    if !matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}') {
        return None;
    }
    let mut parts = std::iter::once(c).nfkd();
    let base = parts.next().filter(char::is_ascii_alphabetic)?;
    parts.all(is_invisible).then_some(base)
}

/// Letters of other scripts inside a Latin word become the Latin ones that they look like; words spaced out
/// letter by letter are closed up. Both keep the number of characters.
fn undo_disguises(characters: &mut [char]) {
    // A text of Latin letters and of such that look like them is Latin throughout: "stiff аs а bоаrd".
    let letters = || characters.iter().filter(|it| it.is_alphabetic());
    let latin = letters().filter(|it| it.is_ascii()).count();
    let all_look_latin = latin * 2 >= letters().count()
        && letters().all(|it| it.is_ascii() || latin_look_alike(*it).is_some());
    let mut start = 0;
    while start < characters.len() {
        let length = characters
            .iter()
            .skip(start)
            .take_while(|it| it.is_alphabetic() || (is_invisible(**it) && !it.is_whitespace()))
            .count();
        if let Some(word) = characters.get_mut(start..start + length)
            && (all_look_latin || word.iter().any(char::is_ascii_alphabetic))
        {
            for c in word {
                *c = latin_look_alike(*c).unwrap_or(*c);
            }
        }
        start += length.max(1);
    }
    close_up(characters);
    close_up_han(characters);
}

/// "血 氧 只 有 8 8": where nearly every character of a Chinese text stands alone, single blanks say nothing.
fn close_up_han(characters: &mut [char]) {
    let shown: Vec<usize> = (0..characters.len())
        .filter(|at| {
            characters
                .get(*at)
                .is_some_and(|it| !it.is_whitespace() && !is_invisible(*it))
        })
        .collect();
    let han = shown
        .iter()
        .filter(|at| characters.get(**at).is_some_and(|it| is_han(*it)))
        .count();
    let apart = shown
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if b - a > 1))
        .count();
    if han >= 3 && han * 2 >= shown.len() && apart * 10 >= shown.len().saturating_sub(1) * 8 {
        for c in characters
            .iter_mut()
            .filter(|it| **it == ' ' || **it == '\u{3000}')
        {
            *c = '\u{200b}';
        }
    }
}

/// "c h e s t  p a i n": from four single letters on, what stands between them is made invisible.
fn close_up(characters: &mut [char]) {
    let is_separator = |c: char| matches!(c, ' ' | '.' | '-' | '_' | '*' | '·');
    let mut at = 0;
    while at < characters.len() {
        let mut end = at;
        let mut separators = Vec::new();
        let begins = at == 0
            || characters
                .get(at - 1)
                .is_some_and(|it| !it.is_ascii_alphanumeric());
        while begins && characters.get(end).is_some_and(char::is_ascii_alphabetic) {
            let separated = characters.get(end + 1).is_some_and(|it| is_separator(*it))
                && characters.get(end + 2).is_some_and(char::is_ascii_alphabetic)
                && characters
                    .get(end + 3)
                    .is_none_or(|it| !it.is_ascii_alphanumeric());
            if !separated {
                break;
            }
            separators.push(end + 1);
            end += 2;
        }
        if separators.len() >= 3 {
            for separator in separators {
                if let Some(it) = characters.get_mut(separator) {
                    *it = '\u{200b}';
                }
            }
        }
        at = end + 1;
    }
}

/// Cyrillic and Greek letters by looks (Unicode's confusables, those of the Latin alphabet).
fn latin_look_alike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'А' | 'α' | 'Α' => 'a',
        'в' | 'В' | 'Β' | 'ь' => 'b',
        'с' | 'С' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'Ε' | 'ё' | 'Ё' | 'ε' => 'e',
        'ɡ' => 'g',
        'һ' | 'Н' | 'н' | 'Η' => 'h',
        'і' | 'І' | 'ї' | 'ι' | 'Ι' | 'ı' => 'i',
        'ј' | 'Ј' => 'j',
        'к' | 'К' | 'κ' | 'Κ' => 'k',
        'ӏ' | 'Ӏ' => 'l',
        'м' | 'М' | 'Μ' => 'm',
        'п' | 'η' => 'n',
        'Ν' => 'n',
        'о' | 'О' | 'ο' | 'Ο' | 'σ' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' | 'Ѕ' => 's',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'υ' => 'u',
        'ν' | 'ѵ' => 'v',
        'ѡ' | 'ω' => 'w',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'γ' | 'Υ' => 'y',
        'Ζ' => 'z',
        _ => return None,
    })
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
        }
    }
}
