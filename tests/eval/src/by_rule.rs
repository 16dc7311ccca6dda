//! How often each alternative of a red flag is right: where it was raised, whether the author of the message meant an
//! emergency.

use std::{collections::BTreeMap, fmt};

use bedside_triage::{Assessment, Disposition, FindingStatus, PatientFacts, Rules};

use crate::batch::Case;

/// Alternatives of red flags (`heart-attack 3`) with the texts that raised them.
#[derive(Debug, Default)]
pub(crate) struct ByRule(BTreeMap<String, Raised>);

#[derive(Debug, Default)]
struct Raised {
    emergencies: usize,
    /// Emergencies that no other alternative finds.
    alone: usize,
    others: Vec<String>,
}

/// By the rules alone.
pub(crate) fn by_rule(rules: &Rules, cases: &[Case]) -> ByRule {
    let mut table = ByRule::default();
    for case in cases {
        let said = rules.assess_by_rules(&case.text, &PatientFacts::default());
        let alternatives = rules.raised_alternatives(&case.text);
        for alternative in &alternatives {
            let raised = table.0.entry(alternative.clone()).or_default();
            if case.disposition == Disposition::Emergency {
                raised.emergencies += 1;
                raised.alone += usize::from(alternatives.len() == 1);
            } else {
                raised.others.push(format!(
                    "{}\n        {}",
                    case.text.replace('\n', " / "),
                    words(&said, &case.text)
                ));
            }
        }
    }
    table
}

/// `chest-pain "胸口疼", sweating "一身汗"`: the findings that are there, with their words.
fn words(said: &Assessment, text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let there = said
        .findings
        .iter()
        .filter(|it| it.status != FindingStatus::Absent);
    let shown = there.map(|it| {
        let words: String = characters
            .get(it.start..it.end)
            .unwrap_or_default()
            .iter()
            .collect();
        format!("{} {words:?}", it.name)
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ByRule {
    /// Those with most false alarms first: `heart-attack 3: 120 right (80 alone), 9 wrong`, then the texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(_, raised)| std::cmp::Reverse(raised.others.len()));
        for (id, raised) in rows {
            writeln!(
                f,
                "{id}: {} right ({} alone), {} wrong",
                raised.emergencies,
                raised.alone,
                raised.others.len()
            )?;
            for text in &raised.others {
                writeln!(f, "    {text}")?;
            }
        }
        Ok(())
    }
}
