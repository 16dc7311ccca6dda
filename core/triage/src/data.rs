//! The rule files as they are written. Built-in files and a hospital's own have the same form.

use std::collections::BTreeMap;

use bedside_contract::{Disposition, Language};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::{RulesError, RulesProblem};

/// One rule file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataFile {
    pub(crate) finding: Vec<FindingData>,
    pub(crate) group: Vec<GroupData>,
    pub(crate) red_flag: Vec<RedFlagData>,
    pub(crate) rule: Vec<RuleData>,
    pub(crate) department: Vec<DepartmentData>,
    pub(crate) combined: Vec<CombinedData>,
    pub(crate) question: Vec<QuestionData>,
    /// Sentences by key.
    pub(crate) notice: BTreeMap<String, Words>,
}

/// The same in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub en: String,
    pub zh: String,
}

impl Words {
    pub(crate) fn get(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

/// Something a text can mention.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingData {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) kind: Option<FindingKind>,
    #[serde(default)]
    pub(crate) name: Option<Words>,
    /// Ways to say it; see [`crate::forms`] for braces and `~`.
    #[serde(default)]
    pub(crate) zh: Vec<String>,
    #[serde(default)]
    pub(crate) en: Vec<String>,
    /// Other findings that are then there too.
    #[serde(default)]
    pub(crate) implies: Vec<String>,
    /// Less exact findings inside its words, which then do not count.
    #[serde(default)]
    pub(crate) covers: Vec<String>,
    /// How urgent it is by itself. `out-patient` is said for want of better: the second reader may see that the text
    /// is a question or a story.
    #[serde(default)]
    pub(crate) base: Option<Disposition>,
    /// Departments that see to it, best first.
    #[serde(default)]
    pub(crate) departments: Vec<String>,
    /// Questions that it raises, most important first.
    #[serde(default)]
    pub(crate) ask: Vec<String>,
    /// It counts although it is over: a seizure, a stroke sign.
    #[serde(default)]
    pub(crate) counts_when_over: bool,
    /// It matters for weeks: a bite, a dirty wound.
    #[serde(default)]
    pub(crate) is_exposure: bool,
    /// It speaks of the complaint in its own sentence alone: "back to normal since".
    #[serde(default)]
    pub(crate) of_its_sentence: bool,
    /// It says little (pain, swelling): it counts only where nothing more exact is said.
    #[serde(default)]
    pub(crate) generic: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FindingKind {
    #[default]
    Symptom,
    /// Something that happened: a fall, a bite, an overdose.
    Event,
    /// A diagnosis or risk that stays: diabetes, anticoagulants.
    Condition,
    /// How a symptom is: severe, sudden. Not reported.
    Modifier,
    /// Who and when: pregnant, abroad. Not reported.
    Context,
    /// Words that only look like a finding (发热门诊); they hide what is inside them.
    Mask,
    /// A word of medicine that says nothing of urgency, but of the department.
    Term,
}

/// A condition with a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupData {
    pub(crate) id: Spanned<String>,
    pub(crate) when: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedFlagData {
    pub(crate) id: Spanned<String>,
    pub(crate) title: Words,
    /// 1 or 2.
    pub(crate) level: u8,
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// Weaker signs of it: an emergency unless the second reader, where there is one, clearly thinks otherwise; then
    /// it decides.
    #[serde(default)]
    pub(crate) suspect: Option<String>,
    #[serde(default)]
    pub(crate) departments: Vec<String>,
    /// Key of the notice that says what to do until help comes.
    #[serde(default)]
    pub(crate) advice: Option<String>,
    #[serde(default)]
    pub(crate) self_harm: bool,
    /// Texts that must raise it; walked by a test.
    #[serde(default)]
    pub(crate) examples: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleData {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// Weaker signs, as in a red flag.
    #[serde(default)]
    pub(crate) suspect: Option<String>,
    pub(crate) disposition: Disposition,
    #[serde(default)]
    pub(crate) departments: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DepartmentData {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) name: Option<Words>,
    /// Other names, in any language.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    /// The department for patients under 14 years.
    #[serde(default)]
    pub(crate) child: Option<String>,
    /// Where to go if a hospital has no such department, best first.
    #[serde(default)]
    pub(crate) instead: Vec<String>,
    /// Diseases, organs and procedures that belong to it, in any language.
    #[serde(default)]
    pub(crate) terms: Vec<String>,
}

/// Names under which some hospitals keep several departments as one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CombinedData {
    pub(crate) names: Spanned<Vec<String>>,
    /// Ids, the one meant most first.
    pub(crate) of: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuestionData {
    pub(crate) id: Spanned<String>,
    pub(crate) en: String,
    pub(crate) zh: String,
    /// Findings whose mention, present or absent, answers it.
    #[serde(default)]
    pub(crate) answered_by: Vec<String>,
}

/// A file that was parsed, with what its errors need.
pub(crate) struct SourceFile<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) data: DataFile,
    /// How its words are brought into the texts' spelling.
    pub(crate) spelling: fn(&str) -> String,
}

impl<'a> SourceFile<'a> {
    pub(crate) fn parse(
        name: &'a str,
        text: &'a str,
        spelling: fn(&str) -> String,
    ) -> Result<Self, RulesError> {
        let data = toml::from_str(text).map_err(|error: toml::de::Error| RulesError {
            file: name.to_owned(),
            line: error.span().map_or(1, |it| line_at(text, it.start)),
            problem: Box::new(RulesProblem::Syntax {
                reason: error.message().trim().to_owned(),
            }),
        })?;
        Ok(Self {
            name,
            text,
            data,
            spelling,
        })
    }

    pub(crate) fn line_of<T>(&self, id: &Spanned<T>) -> usize {
        line_at(self.text, id.span().start)
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|it| *it == b'\n').count() + 1
}
