//! Figures with their 95 % bounds (Wilson).

use std::fmt;

use bedside_triage::{Assessment, Disposition, Language, PatientFacts, Rules};
use serde::{Deserialize, Serialize};

use crate::batch::Case;

const LEVELS: [Disposition; 4] = [
    Disposition::Emergency,
    Disposition::SameDay,
    Disposition::OutPatient,
    Disposition::SelfCare,
];

/// A batch measured by the rules alone and with the second reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) messages: u32,
    pub(crate) by_rules: Figures,
    pub(crate) together: Figures,
    /// With the second reader, Chinese texts.
    pub(crate) chinese: Figures,
    /// With the second reader, English texts.
    pub(crate) english: Figures,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) emergencies_found: Share,
    pub(crate) others_called_emergencies: Share,
    pub(crate) dispositions_right: Share,
    /// At least as urgent as right.
    pub(crate) safe: Share,
    pub(crate) self_care_found: Share,
    /// The first department named is one of the right ones.
    pub(crate) department_right: Share,
    /// By right level, then by said level: emergency, same-day, out-patient, self-care.
    pub(crate) confusion: [[u32; 4]; 4],
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) hits: u32,
    pub(crate) of: u32,
}

impl Share {
    pub(crate) fn count(&mut self, hit: bool) {
        self.of += 1;
        self.hits += u32::from(hit);
    }

    /// Wilson's interval at 95 %.
    fn bounds(self) -> (f32, f32) {
        let (n, z) = (self.of.max(1) as f32, 1.96_f32);
        let share = self.hits as f32 / n;
        let middle = share + z * z / (2.0 * n);
        let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        ((middle - spread) / scale, (middle + spread) / scale)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.bounds();
        let share = self.hits as f32 / self.of.max(1) as f32;
        write!(f, "{share:.3} ({low:.3}–{high:.3}), {} of {}", self.hits, self.of)
    }
}

/// `look` sees each message with what was said of it.
pub(crate) fn measure(rules: &Rules, cases: &[Case], mut look: impl FnMut(&Case, &Assessment)) -> Measured {
    let mut measured = Measured {
        messages: u32::try_from(cases.len()).unwrap_or(u32::MAX),
        by_rules: Figures::default(),
        together: Figures::default(),
        chinese: Figures::default(),
        english: Figures::default(),
    };
    for case in cases {
        let facts = PatientFacts::default();
        let by_rules = rules.assess_by_rules(&case.text, &facts);
        let together = rules.assess(&case.text, &facts);
        measured.by_rules.count(rules, case, &by_rules);
        measured.together.count(rules, case, &together);
        let of_language = if Language::detect(&case.text) == Some(Language::Zh) {
            &mut measured.chinese
        } else {
            &mut measured.english
        };
        of_language.count(rules, case, &together);
        look(case, &together);
    }
    measured
}

impl Figures {
    fn count(&mut self, rules: &Rules, case: &Case, said: &Assessment) {
        let emergency = case.disposition == Disposition::Emergency;
        let called = said.disposition == Disposition::Emergency;
        if emergency {
            self.emergencies_found.count(called);
        } else {
            self.others_called_emergencies.count(called);
        }
        self.dispositions_right
            .count(said.disposition == case.disposition);
        self.safe.count(said.disposition >= case.disposition);
        if case.disposition == Disposition::SelfCare {
            self.self_care_found
                .count(said.disposition == Disposition::SelfCare);
        }
        let named = said.departments.iter().find(|it| *it != "emergency");
        let right = named.is_some_and(|it| {
            case.departments
                .iter()
                .any(|right| is_department(rules, it, right))
        });
        self.department_right.count(right);
        let index = |level: Disposition| LEVELS.iter().position(|it| *it == level).unwrap_or(0);
        if let Some(count) = self
            .confusion
            .get_mut(index(case.disposition))
            .and_then(|it| it.get_mut(index(said.disposition)))
        {
            *count += 1;
        }
    }
}

/// `right` is an id, or one of the department's names.
fn is_department(rules: &Rules, id: &str, right: &str) -> bool {
    id == right
        || rules.department_name(id, Language::En) == right
        || rules.department_name(id, Language::Zh) == right
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, figures) in [
            ("rules alone", &self.by_rules),
            ("rules and second reader", &self.together),
            ("  Chinese", &self.chinese),
            ("  English", &self.english),
        ] {
            writeln!(f, "{name}")?;
            writeln!(f, "  emergencies found      {}", figures.emergencies_found)?;
            writeln!(
                f,
                "  others called          {}",
                figures.others_called_emergencies
            )?;
            writeln!(f, "  four levels right      {}", figures.dispositions_right)?;
            writeln!(f, "  safe                   {}", figures.safe)?;
            writeln!(f, "  self-care found        {}", figures.self_care_found)?;
            writeln!(f, "  first department right {}", figures.department_right)?;
        }
        writeln!(
            f,
            "right level by row, said level by column (E, same day, out-patient, self-care)"
        )?;
        for row in self.together.confusion {
            writeln!(f, "  {:>4} {:>4} {:>4} {:>4}", row[0], row[1], row[2], row[3])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn bounds_are_wilson_s() {
        let (low, high) = Share { hits: 10, of: 10 }.bounds();
        assert!((low - 0.722).abs() < 0.001 && (high - 1.0).abs() < 0.001);
        let (low, high) = Share { hits: 50, of: 100 }.bounds();
        assert!((low - 0.404).abs() < 0.001 && (high - 0.596).abs() < 0.001);
    }
}
