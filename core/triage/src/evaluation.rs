//! Whether a condition holds for what a text says.

use crate::{
    bundle::Rule,
    condition::{Comparison, Condition},
    evidence::Evidence,
};

impl Rule {
    /// By certain signs or weaker ones.
    pub(crate) fn holds(&self, evidence: &Evidence) -> bool {
        self.certain.holds(evidence) || self.suspected.holds(evidence)
    }
}

impl Condition {
    pub(crate) fn holds(&self, evidence: &Evidence) -> bool {
        self.holds_within(evidence, false)
    }

    /// Of `a | b | c`, each of which makes it hold by itself, the places of those that do.
    pub(crate) fn alternatives_that_hold(&self, evidence: &Evidence) -> impl Iterator<Item = usize> {
        let alternatives = match self {
            Self::Any(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let holding = alternatives.iter().enumerate();
        holding.filter(|it| it.1.holds(evidence)).map(|it| it.0)
    }

    /// Under an odd number of `!` (`excluding`) a duration takes something away, so it must be said of the
    /// finding itself.
    fn holds_within(&self, evidence: &Evidence, excluding: bool) -> bool {
        match self {
            Self::Finding(finding) => evidence.is_active(*finding),
            Self::Modified { finding, modifier } => evidence.is_modified(*finding, *modifier),
            Self::Lasting {
                finding,
                comparison,
                days,
            } => {
                let lasting = evidence.lasting(*finding);
                let known = match comparison {
                    _ if excluding => lasting.own,
                    Comparison::More | Comparison::AtLeast => lasting.longest,
                    Comparison::Less | Comparison::AtMost => lasting.shortest,
                };
                evidence.is_active(*finding) && known.is_some_and(|it| comparison.holds(it, *days))
            }
            Self::Value {
                value,
                comparison,
                than,
            } => evidence
                .value(*value)
                .is_some_and(|it| comparison.holds(it, *than)),
            Self::Fact(fact) => evidence.fact(*fact),
            Self::Not(inner) => !inner.holds_within(evidence, !excluding),
            Self::All(parts) => parts.iter().all(|it| it.holds_within(evidence, excluding)),
            Self::Any(parts) => parts.iter().any(|it| it.holds_within(evidence, excluding)),
            Self::AtLeast(count, parts) => {
                let met = parts.iter().filter(|it| it.holds_within(evidence, excluding));
                met.count() >= *count
            }
        }
    }
}

impl Comparison {
    fn holds(self, left: f32, right: f32) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
        }
    }
}
