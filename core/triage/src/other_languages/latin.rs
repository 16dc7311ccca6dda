//! Languages in Latin letters, told by the words that a sentence hardly does without.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::{LanguagesFile, words::Words};
use bedside_language::normalized;

pub(super) struct LatinLanguages {
    ids: Vec<String>,
    /// What a word says: of which languages (by their place in `ids`), and whether it is English.
    known: HashMap<String, Known>,
    /// Special letters with the languages that have them.
    letters: HashMap<char, Vec<usize>>,
}

#[derive(Default)]
struct Known {
    english: bool,
    function_word_of: Vec<usize>,
    telling_word_of: Vec<usize>,
}

/// Different words that speak for a language.
#[derive(Clone, Default)]
struct Evidence {
    function_words: usize,
    telling_words: usize,
    /// Of them those that no Pinyin is written like.
    not_pinyin: usize,
    special_letters: usize,
    /// English words that are not words of the language too.
    english: usize,
}

impl LatinLanguages {
    pub(super) fn new(file: &LanguagesFile) -> Self {
        let mut all = Self {
            ids: Vec::new(),
            known: HashMap::new(),
            letters: HashMap::new(),
        };
        for word in file.english.split_whitespace() {
            all.known.entry(word.to_owned()).or_default().english = true;
        }
        for language in &file.language {
            let place = all.ids.len();
            all.ids.push(language.id.clone());
            for word in Words::of(&normalized(&language.function_words)).iter() {
                all.known
                    .entry(word.to_owned())
                    .or_default()
                    .function_word_of
                    .push(place);
            }
            for word in Words::of(&normalized(&language.telling_words)).iter() {
                all.known
                    .entry(word.to_owned())
                    .or_default()
                    .telling_word_of
                    .push(place);
            }
            for letter in language.letters.chars().filter(|it| !it.is_whitespace()) {
                all.letters.entry(letter).or_default().push(place);
            }
        }
        all
    }

    /// Three English words that are words of no other language here, or more of them than of others, are a sentence.
    pub(super) fn is_english_sentence(&self, words: &Words) -> bool {
        let mut english: Vec<&str> = words.iter().filter(|it| self.is_english_only(it)).collect();
        english.sort_unstable();
        english.dedup();
        let others = words.iter().filter(|it| self.is_foreign_only(it)).count();
        english.len() >= 3 && english.len() * 3 >= others || english.len() == 2 && others <= 1
    }

    /// The language with the most words, if they are more than the English ones.
    pub(super) fn recognise(&'static self, original: &str, words: &Words) -> Option<&'static str> {
        let mut evidence = vec![Evidence::default(); self.ids.len()];
        let mut list: Vec<&str> = words
            .iter()
            .filter(|it| it.chars().all(|it| it.is_ascii_alphabetic()))
            .collect();
        let count = list.len();
        list.sort_unstable();
        list.dedup();
        for word in list {
            let Some(known) = self.known.get(word) else {
                continue;
            };
            for (place, own) in evidence.iter_mut().enumerate() {
                let is_function_word = known.function_word_of.contains(&place);
                let is_telling_word = known.telling_word_of.contains(&place);
                if known.english {
                    own.english += usize::from(!is_function_word && !is_telling_word);
                    continue;
                }
                own.function_words += usize::from(is_function_word);
                own.telling_words += usize::from(is_telling_word);
                own.not_pinyin += usize::from((is_function_word || is_telling_word) && !is_pinyin(word));
            }
        }
        let letters = original
            .nfc()
            .filter(|it| !it.is_ascii())
            .flat_map(char::to_lowercase);
        for letter in letters {
            for place in self.letters.get(&letter).into_iter().flatten() {
                if let Some(own) = evidence.get_mut(*place) {
                    own.special_letters += 1;
                }
            }
        }
        let (place, best) = evidence.iter().enumerate().max_by_key(|(_, it)| it.weight())?;
        best.is_enough(count)
            .then(|| self.ids.get(place).map(String::as_str))
            .flatten()
    }

    fn is_english_only(&self, word: &str) -> bool {
        self.known
            .get(word)
            .is_some_and(|it| it.english && it.function_word_of.is_empty() && it.telling_word_of.is_empty())
    }

    fn is_foreign_only(&self, word: &str) -> bool {
        self.known
            .get(word)
            .is_some_and(|it| !it.english && !is_pinyin(word))
    }
}

impl Evidence {
    fn weight(&self) -> usize {
        self.function_words * 2 + self.telling_words * 3 + self.special_letters.min(3)
    }

    fn is_enough(&self, words: usize) -> bool {
        let own = self.function_words + self.telling_words;
        let several = own >= 2 && self.not_pinyin >= 1;
        let telling = self.telling_words >= 1 && self.not_pinyin >= 1;
        let by_letters = self.special_letters >= 2 && (self.function_words >= 1 || self.special_letters >= 3);
        (several || telling || by_letters)
            && own + self.special_letters.min(2) > self.english
            && (own + self.special_letters) * 8 >= words
    }
}

/// Whether a word is one syllable of Pinyin, as people type it without tones; generous.
fn is_pinyin(word: &str) -> bool {
    const INITIALS: [&str; 23] = [
        "zh", "ch", "sh", "b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "r", "z",
        "c", "s", "y", "w",
    ];
    const FINALS: [&str; 33] = [
        "a", "o", "e", "ai", "ei", "ao", "ou", "an", "en", "ang", "eng", "ong", "er", "i", "ia", "ie", "iao",
        "iu", "ian", "in", "iang", "ing", "iong", "u", "ua", "uo", "uai", "ui", "uan", "un", "uang", "v",
        "ue",
    ];
    FINALS.contains(&word)
        || INITIALS
            .iter()
            .filter_map(|it| word.strip_prefix(it))
            .any(|it| FINALS.contains(&it))
}
