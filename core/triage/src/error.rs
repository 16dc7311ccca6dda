//! Why a rule file cannot be used.

/// Names the file, the line or the rule, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error("{file}:{line}: {reason}")]
    Syntax {
        file: String,
        line: usize,
        reason: String,
    },
    #[error("{file}:{line}: {kind} `{id}`: nothing is called `{name}`; {hint}")]
    UnknownName {
        file: String,
        line: usize,
        kind: &'static str,
        id: String,
        name: String,
        hint: String,
    },
    #[error("{file}:{line}: {kind} `{id}`: condition `{condition}`, at character {column}: {reason}")]
    Condition {
        file: String,
        line: usize,
        kind: &'static str,
        id: String,
        condition: String,
        column: usize,
        reason: String,
    },
    #[error("{file}:{line}: finding `{id}`: form `{form}`: {reason}")]
    Form {
        file: String,
        line: usize,
        id: String,
        form: String,
        reason: String,
    },
    #[error("{file}:{line}: {kind} `{id}` exists already: choose another id")]
    Duplicate {
        file: String,
        line: usize,
        kind: &'static str,
        id: String,
    },
    #[error("{file}:{line}: {kind} `{id}`: {reason}")]
    Invalid {
        file: String,
        line: usize,
        kind: &'static str,
        id: String,
        reason: String,
    },
}
