//! Departments by what a text means, beside rules and words.

use std::collections::HashMap;

use super::{LEAST_CHANCE, Rules};
use crate::{assessment::Assessment, second_reader::Meaning};

/// What a head's log odds count beside the chance that rules and words give. Both know much of the same.
const OF_MEANING: f32 = 0.6;
const OF_WORDS: f32 = 0.7;
/// Log odds of a department that has no head.
const UNREAD: f32 = -6.0;

impl Rules {
    /// Ranks the departments of an assessment anew with its text's meaning. Urgency is not touched, and an assessment
    /// that names no department gets none.
    pub fn consider_meaning(&self, assessment: &mut Assessment, meaning: &Meaning) {
        let Some(reader) = &self.second_reader else { return };
        let odds: HashMap<&str, f32> = reader.departments_by_meaning(meaning).collect();
        if odds.is_empty() || assessment.department_chances.is_empty() {
            return;
        }
        let departments = &self.bundle.departments;
        let mut chances: Vec<(usize, f32)> = assessment
            .department_chances
            .iter()
            .filter_map(|(id, chance)| {
                let odds = odds.get(id.as_str()).copied().unwrap_or(UNREAD);
                let together = OF_WORDS * chance.max(f32::MIN_POSITIVE).ln() + OF_MEANING * odds;
                Some((*departments.by_id.get(id)?, together.exp()))
            })
            .collect();
        let sum: f32 = chances.iter().map(|it| it.1).sum();
        chances
            .iter_mut()
            .for_each(|it| it.1 /= sum.max(f32::MIN_POSITIVE));
        chances.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        chances.retain(|it| it.1 >= LEAST_CHANCE);
        assessment.departments = self.departments(&chances, assessment.disposition);
        assessment.department_chances = self.worth_naming(&chances);
    }
}
