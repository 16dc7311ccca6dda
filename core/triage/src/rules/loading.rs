//! The built-in rules, and a hospital's own on top of them.

use bedside_language::{fingerprint, negation, normalized};

use super::Rules;
use crate::{
    assessment::PatientFacts,
    bundle::Bundle,
    data::SourceFile,
    departments::terms,
    error::{RulesError, RulesProblem},
    facts::TextFacts,
    levels::Levels,
    second_reader::SecondReader,
};

/// The rules that Bedside brings, as `build.rs` made them of `data/*.toml`.
pub(super) static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rules.bin"));

impl Rules {
    /// The built-in rules and a hospital's own file of the same form on top: more forms for known findings,
    /// new findings, red flags, rules, departments and questions, other notices. Nothing built in can be
    /// taken away. A red flag whose own examples do not raise it is refused.
    ///
    /// # Errors
    /// [`RulesError`] with the file's line and what to do.
    pub fn with_additions(toml_text: &str, file_name: &str) -> Result<Self, RulesError> {
        Self::load(Some((file_name, toml_text)))
    }

    pub(super) fn load(addition: Option<(&str, &str)>) -> Result<Self, RulesError> {
        // The patterns are compiled beside the tables: an emergency asked from the shell waits for both.
        std::thread::spawn(|| {
            negation::prepare();
            TextFacts::read("");
            terms::prepare();
        });
        let bundle: Bundle = postcard::from_bytes(BUILT_IN).expect("build.rs and this are of one build");
        let source = addition.map(|(name, text)| SourceFile::parse(name, text, normalized));
        let source = source.transpose()?;
        let bundle = match &source {
            Some(source) => bundle.with(std::slice::from_ref(source))?,
            None => bundle,
        };
        let rules = Self {
            bundle,
            second_reader: SecondReader::built_in().ok(),
            additions: addition.map(|(_, text)| fingerprint(text.bytes())),
            levels: Levels::default(),
        };
        source.iter().try_for_each(|it| rules.check_examples(it))?;
        Ok(rules)
    }

    fn check_examples(&self, source: &SourceFile<'_>) -> Result<(), RulesError> {
        let raises = |example: &str, id: &str| {
            let assessment = self.assess_by_rules(example, &PatientFacts::default());
            assessment.red_flags.iter().any(|it| it.id == id)
        };
        for flag in &source.data.red_flag {
            let id = flag.id.get_ref();
            if let Some(example) = flag.examples.iter().find(|it| !raises(it, id)) {
                return Err(RulesError {
                    file: source.name.to_owned(),
                    line: source.line_of(&flag.id),
                    problem: Box::new(RulesProblem::Example {
                        id: id.clone(),
                        example: example.clone(),
                    }),
                });
            }
        }
        Ok(())
    }
}
