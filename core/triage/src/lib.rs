//! The safety rules: what a message says is wrong, how urgent that is, and where to go.
//!
//! [`Rules::assess`] is called on each message before any model. It does no I/O, needs no async runtime and
//! takes well under a millisecond. All medical content is data (`data/*.toml`); a hospital adds its own with
//! [`Rules::with_additions`], which can raise urgency but never take a built-in red flag away.
//!
//! The way of a text: `bedside_language::NormalText` (one spelling, offsets kept) → `lexicon` (mentions of findings) →
//! `context` (negated? someone else's? long ago? only asked about?) → `facts` (age, durations, vital
//! signs) → `condition` (red flags and rules) → [`Assessment`].
#![forbid(unsafe_code)]

mod assessment;
mod bundle;
mod condition;
mod context;
mod data;
mod department_list;
mod departments;
mod error;
mod evaluation;
mod evidence;
mod facts;
mod forms;
mod learning;
mod levels;
mod lexicon;
mod literal_table;
mod measurements;
mod notice;
mod other_languages;
mod output_gate;
mod pattern;
mod rules;
mod second_reader;
mod spelling;
mod table;
mod word_table;

pub use bedside_contract::{Disposition, Language};

pub use assessment::{Assessment, EmergencyContacts, Finding, FindingStatus, PatientFacts, RedFlag, Sex};
pub use data::Words;
pub use error::{RulesError, RulesProblem};
pub use learning::ModelFileError;
pub use levels::{Colour, Level, Levels, LevelsError, LevelsProblem, LevelsSetting, Scheme, Urgency};
pub use other_languages::OtherLanguage;
pub use output_gate::{OutputGate, OutputVerdict, answer_training};
pub use rules::Rules;
pub use second_reader::{Explanation, NearExample, SecondReader, SecondReading, built_in_messages, training};
