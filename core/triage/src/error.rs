//! Why a rule file cannot be used.

/// Names the file and the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct RulesError {
    pub file: String,
    pub line: usize,
    pub problem: Box<RulesProblem>,
}

/// Names the rule, what is wrong with it and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesProblem {
    #[error("{reason}")]
    Syntax { reason: String },
    #[error("{kind} `{id}`: nothing is called `{name}`; {hint}")]
    UnknownName {
        kind: &'static str,
        id: String,
        name: String,
        hint: String,
    },
    #[error("{kind} `{id}`: condition `{condition}`, at character {column}: {reason}")]
    Condition {
        kind: &'static str,
        id: String,
        condition: String,
        column: usize,
        reason: String,
    },
    #[error("{kind} `{id}`: form `{form}`: {reason}")]
    Form {
        kind: &'static str,
        id: String,
        form: String,
        reason: String,
    },
    #[error("{kind} `{id}` exists already: choose another id")]
    Duplicate { kind: &'static str, id: String },
    #[error(
        "red flag `{id}`: its example `{example}` does not raise it: change the condition or the forms of its findings"
    )]
    Example { id: String, example: String },
    #[error("{kind} `{id}`: {reason}")]
    Invalid {
        kind: &'static str,
        id: String,
        reason: String,
    },
}
