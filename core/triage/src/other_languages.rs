//! Messages in a language that the rules do not read: which one it is, what to answer, and whether one of its
//! commonest emergency words was met. All words and sentences are in `data/languages.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::assessment::EmergencyContacts;
use bedside_language::normalized;

mod emergency_words;
mod latin;
mod script;
mod words;

use emergency_words::EmergencyWords;
use latin::LatinLanguages;
use words::Words;

/// The id of the red flag that an emergency word of another language raises.
pub(crate) const RED_FLAG: &str = "emergency-in-another-language";

/// A message that is not in Chinese or English, or holds an emergency word of another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherLanguage {
    /// Its ISO 639-1 code where there is one (`fil` for Filipino).
    pub id: &'static str,
    /// An emergency word of another language stands in the message.
    pub emergency: bool,
    /// The emergency word speaks of suicide or self-harm.
    pub self_harm: bool,
    /// The whole message is in the language: the rules for Chinese and English can say little of it.
    pub whole_message: bool,
}

impl OtherLanguage {
    /// The fixed answer: which languages are read, whom to call. In the message's own language where it is known,
    /// and in English and Chinese, should the language have been mistaken.
    #[must_use]
    pub fn sentence(&self, contacts: &EmergencyContacts) -> String {
        let file = &LANGUAGES.file;
        let own = file.language(self.id).map_or("", |it| it.sentence.as_str());
        filled(&[own, &file.sentence_en, &file.sentence_zh], contacts)
    }
}

/// The first words of the notice: "This may be an emergency, call … now" in the language `id`; empty where it has
/// no sentence of its own.
pub(crate) fn emergency_sentence(id: &str, self_harm: bool, contacts: &EmergencyContacts) -> String {
    let own = LANGUAGES.file.language(id).map_or("", |it| {
        if self_harm {
            &it.self_harm_sentence
        } else {
            &it.emergency_sentence
        }
    });
    filled(&[own], contacts)
}

/// The red flag's title in English and in Chinese.
pub(crate) fn red_flag_title() -> (&'static str, &'static str) {
    (&LANGUAGES.file.title_en, &LANGUAGES.file.title_zh)
}

/// `None`: the message is in Chinese or English, or says nothing in any language.
pub(crate) fn read(text: &str) -> Option<OtherLanguage> {
    LANGUAGES.read(text, &normalized(text))
}

fn filled(sentences: &[&str], contacts: &EmergencyContacts) -> String {
    let own: Vec<&str> = sentences.iter().copied().filter(|it| !it.is_empty()).collect();
    own.join("\n")
        .replace("{emergency_number}", &contacts.emergency_number)
        .replace("{crisis_line}", &contacts.crisis_line)
}

struct OtherLanguages {
    file: LanguagesFile,
    latin: LatinLanguages,
    emergency_words: EmergencyWords,
}

static LANGUAGES: LazyLock<OtherLanguages> = LazyLock::new(|| {
    let file = toml::from_str(include_str!("../data/languages.toml")).expect("the file is read by a test");
    OtherLanguages::new(file)
});

impl OtherLanguages {
    fn new(file: LanguagesFile) -> Self {
        Self {
            latin: LatinLanguages::new(&file),
            emergency_words: EmergencyWords::new(&file.language),
            file,
        }
    }

    fn read(&'static self, original: &str, normal: &str) -> Option<OtherLanguage> {
        let words = Words::of(normal);
        let has_own_sentence = script::has_chinese_sentence(normal) || self.latin.is_english_sentence(&words);
        let recognised = if has_own_sentence {
            None
        } else {
            script::recognise(normal).or_else(|| self.latin.recognise(original, &words))
        };
        let met = self.emergency_words.find(&words, recognised);
        Some(OtherLanguage {
            // A form tells more than words that neighbouring languages share.
            id: met.map(|it| it.language).or(recognised)?,
            emergency: met.is_some(),
            self_harm: met.is_some_and(|it| it.self_harm),
            whole_message: !has_own_sentence,
        })
    }
}

/// `data/languages.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguagesFile {
    title_en: String,
    title_zh: String,
    sentence_en: String,
    sentence_zh: String,
    /// The commonest English words, misspellings and chat words, against which Latin languages are weighed.
    english: String,
    language: Vec<LanguageData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageData {
    id: String,
    /// Words that a sentence in it hardly does without; for languages in Latin letters.
    #[serde(default)]
    function_words: String,
    /// Words of which one alone tells the language: greetings, "pain", "fever".
    #[serde(default)]
    telling_words: String,
    /// Letters that English and Pinyin do not have.
    #[serde(default)]
    letters: String,
    /// Empty: answered in English and Chinese only. So are the other two.
    #[serde(default)]
    sentence: String,
    #[serde(default)]
    emergency_sentence: String,
    #[serde(default)]
    self_harm_sentence: String,
    /// See [`emergency_words`] for `*` and `~`.
    #[serde(default)]
    emergency: Vec<String>,
    #[serde(default)]
    self_harm: Vec<String>,
    /// Emergency words that are Chinese or English too: they count only where the whole message is in it.
    #[serde(default)]
    emergency_within: Vec<String>,
}

impl LanguagesFile {
    fn language(&self, id: &str) -> Option<&LanguageData> {
        self.language.iter().find(|it| it.id == id)
    }
}

#[cfg(test)]
mod tests;
