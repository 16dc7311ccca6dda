//! What a check has found.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Worth knowing; the bot runs.
    Note,
    /// Something has to be done.
    Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What is so, and where.
    pub(super) text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            text: text.into(),
            advice: None,
        }
    }

    pub(super) fn note(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Note,
            advice: Some(advice.into()),
            ..Self::ok(check, text)
        }
    }

    pub(super) fn problem(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Problem,
            ..Self::note(check, text, advice)
        }
    }

    /// As a person reads it.
    pub(super) fn lines(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "PROBLEM",
        };
        let first = format!("{verdict:8} {}: {}", self.check, self.text);
        let advice = self.advice.as_ref().map(|it| format!("{:8} → {it}", ""));
        [first].into_iter().chain(advice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Finding;

    #[test]
    fn a_finding_says_what_is_so_and_what_to_do() {
        assert_eq!(Finding::ok("clock", "2026").lines(), ["ok       clock: 2026"]);
        assert_eq!(
            Finding::problem("store", "is damaged", "restore it").lines(),
            ["PROBLEM  store: is damaged", "         → restore it"]
        );
        let json = serde_json::to_value(Finding::note("a", "b", "c")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"check": "a", "verdict": "note", "text": "b", "advice": "c"})
        );
    }
}
