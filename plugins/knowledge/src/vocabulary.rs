//! The tables of one language: how patients speak, what they ask for, what must not be understood.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::LazyLock,
};

use serde::Deserialize;

use crate::{
    phrases::Phrases,
    section::{Language, Section},
    units::{UnitText, is_mark, stem},
};

/// The vocabulary of a language, read once.
pub(crate) fn vocabulary(language: Language) -> &'static Vocabulary {
    static ENGLISH: LazyLock<Vocabulary> =
        LazyLock::new(|| Vocabulary::read(include_str!("../data/vocabulary/en.toml"), Language::En));
    static CHINESE: LazyLock<Vocabulary> =
        LazyLock::new(|| Vocabulary::read(include_str!("../data/vocabulary/zh.toml"), Language::Zh));
    match language {
        Language::En => &ENGLISH,
        Language::Zh => &CHINESE,
    }
}

pub(crate) struct Vocabulary {
    rewriter: Rewriter,
    pub(crate) stop: Phrases,
    stop_units: HashSet<String>,
    pub(crate) fillers: Phrases,
    pub(crate) reports: Phrases,
    intents: Phrases,
    intent_sections: Vec<Section>,
    pub(crate) blocked: Vec<UnitText>,
    pub(crate) off_topic: Phrases,
    pub(crate) animals: Phrases,
    pub(crate) unknown: UnknownDiseases,
    /// General complaints and the ids of the conditions that they usually go with.
    pub(crate) complaints: BTreeMap<String, Vec<String>>,
    /// Folded, for the check of articles.
    pub(crate) imperatives: Vec<String>,
}

pub(crate) struct UnknownDiseases {
    pub(crate) endings: Vec<String>,
    pub(crate) names: Vec<UnitText>,
    pub(crate) words: Phrases,
    pub(crate) generic: Phrases,
}

/// What a question asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// `None` if nothing tells.
    pub(crate) section: Option<Section>,
    /// Units that only say what is asked for.
    pub(crate) cue_units: HashSet<usize>,
}

impl Vocabulary {
    fn read(source: &str, language: Language) -> Self {
        let tables: Tables = toml::from_str(source).expect("the vocabulary is checked by this crate's tests");
        let rewriter = Rewriter::new(&tables.rewrite, language);
        let read_all = |phrases: &[String]| phrases.iter().map(|it| rewriter.units(it)).collect::<Vec<_>>();
        let set = |phrases: &[String]| build(&read_all(phrases));
        let single = |phrases: &[String]| {
            let units = read_all(phrases).into_iter().filter(|it| it.len() == 1);
            units.map(|it| it.unit(0).to_owned()).collect::<HashSet<_>>()
        };
        let intents: Vec<(Section, UnitText)> = tables
            .intents
            .iter()
            .flat_map(|(section, cues)| read_all(cues).into_iter().map(|cue| (*section, cue)))
            .collect();
        let unknown = &tables.unknown_disease;
        Self {
            stop: set(&tables.words.stop),
            stop_units: single(&tables.words.stop),
            fillers: set(&tables.words.fillers),
            reports: set(&tables.words.reports),
            intents: Phrases::new(intents.iter().map(|it| &it.1)).expect(FITS),
            intent_sections: intents.into_iter().map(|it| it.0).collect(),
            blocked: read_all(&tables.block.phrases),
            off_topic: set(&tables.block.off_topic),
            animals: set(&tables.block.animals),
            unknown: UnknownDiseases {
                endings: unknown.endings.clone(),
                names: read_all(&unknown.words),
                words: set(&unknown.words),
                generic: set(&unknown.generic),
            },
            complaints: tables.complaints,
            imperatives: tables
                .lint
                .imperatives
                .iter()
                .map(|it| squeeze(it, language))
                .collect(),
            rewriter,
        }
    }

    /// A text's units, with everyday words read as the words that articles use.
    pub(crate) fn units(&self, text: &str) -> UnitText {
        self.rewriter.units(text)
    }

    /// Whether a single unit is a stop word or a mark.
    pub(crate) fn is_stop(&self, unit: &str) -> bool {
        is_mark(unit) || self.stop_units.contains(unit)
    }

    /// Which section answers the question best.
    pub(crate) fn intent(&self, text: &UnitText) -> Intent {
        let mut weights: HashMap<Section, usize> = HashMap::new();
        let mut cue_units = HashSet::new();
        for cue in self.intents.find_longest(text) {
            let Some(section) = self.intent_sections.get(cue.phrase) else {
                continue;
            };
            // "What is the treatment for …" asks for the treatment.
            let weight = if *section == Section::Definition {
                1
            } else {
                2 + cue.units.len()
            };
            *weights.entry(*section).or_default() += weight;
            cue_units.extend(cue.units);
        }
        let priority = |section: &Section| INTENT_PRIORITY.iter().position(|it| it == section);
        let section = weights
            .into_iter()
            .max_by_key(|(section, weight)| (*weight, std::cmp::Reverse(priority(section))))
            .map(|it| it.0);
        Intent { section, cue_units }
    }
}

/// Reads everyday words as the words that articles use.
struct Rewriter {
    language: Language,
    said: Phrases,
    read_as: Vec<UnitText>,
}

impl Rewriter {
    fn new(table: &BTreeMap<String, String>, language: Language) -> Self {
        let read = |text: &String| UnitText::read(text, language);
        let said: Vec<UnitText> = table.keys().map(read).collect();
        Self {
            language,
            said: build(&said),
            read_as: table.values().map(read).collect(),
        }
    }

    fn units(&self, text: &str) -> UnitText {
        let mut units = UnitText::read(text, self.language);
        for _ in 0..REWRITES {
            let rewritten = self.rewrite(&units);
            if rewritten == units {
                break;
            }
            units = rewritten;
        }
        units
    }

    fn rewrite(&self, units: &UnitText) -> UnitText {
        let mut found = self.said.find_longest(units).into_iter().peekable();
        let mut rewritten: Vec<(&str, Range<usize>)> = Vec::new();
        let mut index = 0;
        while index < units.len() {
            if let Some(phrase) = found.next_if(|it| it.units.start == index) {
                let origin = units.origin(phrase.units.clone());
                let read_as = self.read_as.get(phrase.phrase).into_iter();
                rewritten.extend(read_as.flat_map(UnitText::units).map(|it| (it, origin.clone())));
                index = phrase.units.end;
            } else {
                rewritten.push((units.unit(index), units.origin(index..index + 1)));
                index += 1;
            }
        }
        UnitText::from_units(rewritten, units, self.language)
    }
}

/// Folded, with every run of white space as one space, in Chinese as none.
pub(crate) fn squeeze(text: &str, language: Language) -> String {
    let between = if language == Language::Zh { "" } else { " " };
    bedside_language::folded(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(between)
}

/// Whether a word of a disease's name is on the list of those that are told by their ending.
pub(crate) fn has_ending(unit: &str, endings: &[String]) -> bool {
    endings
        .iter()
        .any(|it| unit.len() > it.len() + 2 && (unit.ends_with(it.as_str()) || unit.ends_with(&stem(it))))
}

/// A rewritten phrase may be part of another one.
const REWRITES: usize = 3;

const FITS: &str = "a few thousand short phrases fit any automaton";

/// Which section wins where a question asks for two.
const INTENT_PRIORITY: [Section; 7] = [
    Section::WhenToSeekCare,
    Section::Treatment,
    Section::Prevention,
    Section::Causes,
    Section::Diagnosis,
    Section::Symptoms,
    Section::Definition,
];

fn build(phrases: &[UnitText]) -> Phrases {
    Phrases::new(phrases).expect(FITS)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    rewrite: BTreeMap<String, String>,
    intents: BTreeMap<Section, Vec<String>>,
    words: Words,
    block: Block,
    unknown_disease: UnknownDiseaseTables,
    complaints: BTreeMap<String, Vec<String>>,
    lint: Lint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    stop: Vec<String>,
    fillers: Vec<String>,
    reports: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    phrases: Vec<String>,
    off_topic: Vec<String>,
    animals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownDiseaseTables {
    endings: Vec<String>,
    words: Vec<String>,
    generic: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lint {
    imperatives: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::vocabulary;
    use crate::section::{Language, Section};

    #[test]
    fn everyday_words_are_read_as_the_articles_words() {
        let same = |language, a: &str, b: &str| {
            assert_eq!(
                vocabulary(language).units(a),
                vocabulary(language).units(b),
                "{a} / {b}"
            );
        };
        same(Language::Zh, "拉肚子", "腹泻");
        same(Language::Zh, "喘不上气", "呼吸困难");
        same(Language::Zh, "發燒", "发热");
        same(Language::Zh, "嗓子疼", "咽痛");
        same(Language::En, "threw up", "vomiting");
        same(Language::En, "My head hurts", "my headache");
        same(Language::En, "diarrhea", "diarrhoea");
    }

    #[test]
    fn questions_choose_their_section() {
        let check = |language, text: &str, expect: Option<Section>| {
            let vocabulary = vocabulary(language);
            assert_eq!(
                vocabulary.intent(&vocabulary.units(text)).section,
                expect,
                "{text}"
            );
        };
        check(
            Language::En,
            "What helps against hay fever?",
            Some(Section::Treatment),
        );
        check(
            Language::En,
            "What is the treatment for gout?",
            Some(Section::Treatment),
        );
        check(Language::En, "why do I get migraines", Some(Section::Causes));
        check(
            Language::En,
            "What are the symptoms of the flu?",
            Some(Section::Symptoms),
        );
        check(
            Language::En,
            "when should I see a doctor about a cough",
            Some(Section::WhenToSeekCare),
        );
        check(Language::En, "how is asthma diagnosed", Some(Section::Diagnosis));
        check(
            Language::En,
            "how to avoid kidney stones",
            Some(Section::Prevention),
        );
        check(Language::En, "what is gout", Some(Section::Definition));
        check(Language::En, "gout", None);
        check(Language::Zh, "痛风怎么治", Some(Section::Treatment));
        check(Language::Zh, "为什么会得痛风", Some(Section::Causes));
        check(Language::Zh, "痛风有哪些症状", Some(Section::Symptoms));
        check(Language::Zh, "拉肚子要不要去医院", Some(Section::WhenToSeekCare));
        check(Language::Zh, "贫血要做什么检查", Some(Section::Diagnosis));
        check(Language::Zh, "怎么预防流感", Some(Section::Prevention));
        check(Language::Zh, "什么是偏头痛", Some(Section::Definition));
        check(Language::Zh, "偏头痛", None);
    }
}
