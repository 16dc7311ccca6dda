//! The levels in which a hospital speaks of urgency: China's four, five, or its own.
//!
//! They are names for what the rules say and change nothing of it: each disposition belongs to one level, and an
//! emergency with an immediate danger to life may have a level of its own.

use std::sync::LazyLock;

use bedside_contract::{Disposition, Language};
use bedside_language::fingerprint;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::data::Words;

/// `levels` in `[triage]`: a scheme that Bedside brings, or the hospital's own levels, most urgent first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LevelsSetting {
    BuiltIn(Scheme),
    Own(Vec<Level>),
}

/// The schemes that Bedside brings: `data/levels.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// Four levels: China's expert consensus on emergency triage of 2018.
    #[default]
    #[serde(rename = "china-2018")]
    China2018,
    /// Five levels, as most countries outside China have them.
    #[serde(rename = "five")]
    Five,
}

/// One level of urgency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Short, and no other level's: `I`, `1`, `A`.
    pub id: String,
    /// In `en` and `zh`.
    pub name: Words,
    pub colour: Colour,
    /// Minutes from arrival to being seen, at the latest; 0: at once. Default: no time is said.
    #[serde(default)]
    pub minutes: Option<u32>,
    /// What leads to this level.
    pub dispositions: Vec<Urgency>,
    /// Whether staff are told to send an ambulance.
    #[serde(default)]
    pub ambulance: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    White,
    Grey,
    Black,
}

/// A disposition, the emergency in two: a greater one is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    SelfCare,
    OutPatient,
    SameDay,
    Emergency,
    /// An emergency with a red flag of level 1, such as arrest or airway. Where no level names it, it belongs to
    /// that of the emergency.
    Immediate,
}

/// Checked levels, most urgent first: each disposition leads to exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    name: String,
    list: Vec<Level>,
}

/// What is wrong with a hospital's own levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct LevelsError {
    /// Which level, from 0; `None`: the list as a whole.
    pub level: Option<usize>,
    /// Which key of it.
    pub key: Option<&'static str>,
    pub problem: LevelsProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsProblem {
    #[error("is empty")]
    Blank,
    #[error("{id:?} is the id of another level already")]
    SameId { id: String },
    #[error("nothing leads to this level: name a disposition or leave the level out")]
    Unused,
    #[error("a gap: no level has {:?} among its dispositions", .urgency.name())]
    Gap { urgency: Urgency },
    #[error("an overlap: {:?} leads to level {other:?} already", .urgency.name())]
    Overlap { urgency: Urgency, other: String },
    #[error("{:?} is more urgent than what leads to level {other:?}: write the most urgent level first", .urgency.name())]
    Order { urgency: Urgency, other: String },
    #[error("{minutes} is sooner than the {before} minutes of a more urgent level")]
    Sooner { minutes: u32, before: u32 },
}

impl LevelsSetting {
    /// The levels, checked.
    ///
    /// # Errors
    /// All that is wrong with a hospital's own.
    pub fn levels(&self) -> Result<Levels, Vec<LevelsError>> {
        match self {
            Self::BuiltIn(scheme) => Ok(Levels::built_in(*scheme)),
            Self::Own(list) => {
                let problems = problems_of(list);
                if !problems.is_empty() {
                    return Err(problems);
                }
                let written = serde_json::to_vec(list).unwrap_or_default();
                Ok(Levels {
                    name: format!("own {:08x}", fingerprint(written)),
                    list: list.clone(),
                })
            }
        }
    }
}

impl Default for LevelsSetting {
    fn default() -> Self {
        Self::BuiltIn(Scheme::default())
    }
}

impl<'de> Deserialize<'de> for LevelsSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrList)
    }
}

struct NameOrList;

impl<'de> de::Visitor<'de> for NameOrList {
    type Value = LevelsSetting;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"china-2018\", \"five\" or the hospital's own levels, each under [[triage.levels]]")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Scheme::deserialize(de::value::StrDeserializer::new(name)).map(LevelsSetting::BuiltIn)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(LevelsSetting::Own)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltInLevels {
    #[serde(rename = "china-2018")]
    china_2018: Vec<Level>,
    five: Vec<Level>,
}

static BUILT_IN: LazyLock<BuiltInLevels> = LazyLock::new(|| {
    toml::from_str(include_str!("../data/levels.toml")).expect("the built-in levels are read by a test")
});

impl Levels {
    #[must_use]
    pub fn built_in(scheme: Scheme) -> Self {
        let (name, list) = match scheme {
            Scheme::China2018 => ("china-2018", &BUILT_IN.china_2018),
            Scheme::Five => ("five", &BUILT_IN.five),
        };
        Self {
            name: name.to_owned(),
            list: list.clone(),
        }
    }

    /// `china-2018`, `five`, or `own` and a fingerprint.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Most urgent first.
    #[must_use]
    pub fn list(&self) -> &[Level] {
        &self.list
    }

    /// The level that something leads to, from 1.
    #[must_use]
    pub fn number(&self, urgency: Urgency) -> u8 {
        let of = |urgency| self.list.iter().position(|it| it.dispositions.contains(&urgency));
        let index = of(urgency).or_else(|| of(Urgency::Emergency)).unwrap_or(0);
        u8::try_from(index + 1).unwrap_or(u8::MAX)
    }

    /// The reverse of [`Self::number`]'s.
    #[must_use]
    pub fn numbered(&self, number: u8) -> Option<&Level> {
        self.list.get(usize::from(number).checked_sub(1)?)
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self::built_in(Scheme::default())
    }
}

impl Urgency {
    const ALL: [Self; 5] = [
        Self::Immediate,
        Self::Emergency,
        Self::SameDay,
        Self::OutPatient,
        Self::SelfCare,
    ];

    /// `immediate`: the emergency endangers life at this moment.
    pub(crate) fn of(disposition: Disposition, immediate: bool) -> Self {
        match disposition {
            Disposition::Emergency if immediate => Self::Immediate,
            Disposition::Emergency => Self::Emergency,
            Disposition::SameDay => Self::SameDay,
            Disposition::OutPatient => Self::OutPatient,
            Disposition::SelfCare => Self::SelfCare,
        }
    }

    /// As it is written in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Emergency => Disposition::Emergency.name(),
            Self::SameDay => Disposition::SameDay.name(),
            Self::OutPatient => Disposition::OutPatient.name(),
            Self::SelfCare => Disposition::SelfCare.name(),
        }
    }
}

impl Colour {
    /// As it is written in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::White => "white",
            Self::Grey => "grey",
            Self::Black => "black",
        }
    }
}

/// "10 minutes", "2 hours", "3 天" …
pub(crate) fn time_text(minutes: u32, language: Language) -> String {
    let (number, en, zh) = match minutes {
        days if days >= 1440 && days % 1440 == 0 => (days / 1440, "day", "天"),
        hours if hours >= 60 && hours % 60 == 0 => (hours / 60, "hour", "小时"),
        minutes => (minutes, "minute", "分钟"),
    };
    match language {
        Language::Zh => format!("{number}{zh}"),
        Language::En if number == 1 => format!("{number} {en}"),
        Language::En => format!("{number} {en}s"),
    }
}

fn problems_of(list: &[Level]) -> Vec<LevelsError> {
    let mut problems = Vec::new();
    for (index, level) in list.iter().enumerate() {
        let before = list.get(..index).unwrap_or_default();
        let found = problems_of_words(level, before).into_iter();
        let found = found.chain(problems_of_dispositions(level, before));
        let found = found.chain(problem_of_minutes(level, before));
        problems.extend(found.map(|(key, problem)| LevelsError {
            level: Some(index),
            key: Some(key),
            problem,
        }));
    }
    let is_there = |urgency: &Urgency| list.iter().any(|it| it.dispositions.contains(urgency));
    let missing = Urgency::ALL
        .into_iter()
        .filter(|it| *it != Urgency::Immediate && !is_there(it));
    problems.extend(missing.map(|urgency| LevelsError {
        level: None,
        key: None,
        problem: LevelsProblem::Gap { urgency },
    }));
    problems
}

type Found = Vec<(&'static str, LevelsProblem)>;

fn problems_of_words(level: &Level, before: &[Level]) -> Found {
    let mut found = Found::new();
    if before.iter().any(|it| it.id == level.id) {
        let id = level.id.clone();
        found.push(("id", LevelsProblem::SameId { id }));
    }
    let names = [&level.name.en, &level.name.zh];
    for (key, is_blank) in [
        ("id", level.id.trim().is_empty()),
        ("name", names.iter().any(|it| it.trim().is_empty())),
    ] {
        if is_blank {
            found.push((key, LevelsProblem::Blank));
        }
    }
    found
}

fn problems_of_dispositions(level: &Level, before: &[Level]) -> Found {
    let key = "dispositions";
    let mut found = Found::new();
    if level.dispositions.is_empty() {
        found.push((key, LevelsProblem::Unused));
    }
    for (place, &urgency) in level.dispositions.iter().enumerate() {
        let here = level.dispositions.get(..place).unwrap_or_default();
        let other = before.iter().find(|it| it.dispositions.contains(&urgency));
        if let Some(other) = other.or(here.contains(&urgency).then_some(level)) {
            let other = other.id.clone();
            found.push((key, LevelsProblem::Overlap { urgency, other }));
            continue;
        }
        let less_urgent = |it: &&Level| it.dispositions.iter().any(|it| *it < urgency);
        if let Some(other) = before.iter().find(less_urgent) {
            let other = other.id.clone();
            found.push((key, LevelsProblem::Order { urgency, other }));
        }
    }
    found
}

fn problem_of_minutes(level: &Level, before: &[Level]) -> Option<(&'static str, LevelsProblem)> {
    let minutes = level.minutes?;
    let before = before.iter().filter_map(|it| it.minutes).max()?;
    (minutes < before).then_some(("minutes", LevelsProblem::Sooner { minutes, before }))
}

#[cfg(test)]
mod tests;
