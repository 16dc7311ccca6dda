//! What goes in and what comes out.

use bedside_contract::{Disposition, ThirdReading};
use serde::{Deserialize, Serialize};

use crate::second_reader::SecondReading;

/// What the rules read out of one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub disposition: Disposition,
    /// The number of the hospital's level, 1 the most urgent: of China's four (expert consensus on emergency triage of
    /// 2018) unless [`Rules::with_levels`](crate::Rules::with_levels) says otherwise.
    pub level: u8,
    /// Most urgent first.
    pub red_flags: Vec<RedFlag>,
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// Stable ids such as `cardiology`, best first; at most three.
    pub departments: Vec<String>,
    /// The chance of each department that has one worth naming, best first; the emergency department, about which
    /// the urgency decides, is not among them. Empty where the text does not speak of health.
    #[serde(default)]
    pub department_chances: Vec<(String, f32)>,
    /// What should still be asked, most important first, e.g. `age`; see
    /// [`Rules::question_for`](crate::Rules::question_for).
    pub missing: Vec<String>,
    /// The text speaks of health at all.
    pub medical: bool,
    /// Suicidal thoughts or self-harm: other advice stops.
    pub self_harm: bool,
    /// What the second reader makes of the text, where there is one.
    #[serde(default)]
    pub second_reading: Option<SecondReading>,
    /// What the served model makes of the text, where it was asked.
    #[serde(default)]
    pub third_reading: Option<ThirdReading>,
    /// The language of a message that is not in Chinese or English, or that holds an emergency word of another one.
    #[serde(default)]
    pub other_language: Option<String>,
}

/// A constellation that needs emergency care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedFlag {
    pub id: String,
    pub title_en: String,
    pub title_zh: String,
}

/// A symptom, event or condition that the text mentions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable id such as `chest-pain`.
    pub name: String,
    pub status: FindingStatus,
    /// In characters of the text as it was given, not bytes.
    pub start: usize,
    /// Past the last character.
    pub end: usize,
}

/// How the text speaks of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingStatus {
    Present,
    /// Negated, resolved, or long ago.
    Absent,
    /// Suspected, feared, asked about.
    Uncertain,
    /// A relative's or friend's. If it happens now it still counts for red flags.
    OtherPerson,
}

/// What is known of the patient beside the text. Where the text says otherwise, the text counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientFacts {
    pub age_years: Option<f32>,
    pub sex: Option<Sex>,
    pub pregnant: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    Female,
    Male,
}

impl Sex {
    /// Reads `female`, `f`, `woman`, `女` … and the male counterparts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "female" | "f" | "woman" | "girl" | "女" | "女性" | "女士" => Some(Self::Female),
            "male" | "m" | "man" | "boy" | "男" | "男性" | "先生" => Some(Self::Male),
            _ => None,
        }
    }
}

/// Whom to call. The numbers are the hospital's, whatever the patient's language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmergencyContacts {
    pub emergency_number: String,
    pub crisis_line: String,
}

impl Default for EmergencyContacts {
    /// Mainland China's: 120 and, since May 2025, 12356.
    fn default() -> Self {
        Self {
            emergency_number: "120".to_owned(),
            crisis_line: "12356".to_owned(),
        }
    }
}
