//! Conditions of red flags and rules: `chest-pain & (sweating | arm-pain@sudden) & age>=40`.
//!
//! | written | holds if |
//! |---|---|
//! | `fever` | the finding, or the group of that name, is there |
//! | `headache@sudden` | the finding is there and the modifier stands beside it |
//! | `cough>=3w` | it has lasted so long (`h` `d` `w` `m` `y`) |
//! | `temp>=39` | the value is known and so; also `spo2 sbp dbp glucose heart-rate breathing-rate pain-score gestation` (weeks) |
//! | `age<3m` | the age is known and so |
//! | `female male pregnant child infant elderly` | known or named in the text |
//! | `!x`, `x & y`, `x \| y`, `(…)`, `atleast(2, x, y, z)` | as usual; `&` binds closer than `\|` |

use std::{collections::HashMap, iter::Peekable, str::CharIndices};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Condition {
    Finding(usize),
    Modified {
        finding: usize,
        modifier: usize,
    },
    Lasting {
        finding: usize,
        comparison: Comparison,
        days: f32,
    },
    Value {
        value: Value,
        comparison: Comparison,
        than: f32,
    },
    Fact(Fact),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    AtLeast(usize, Vec<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Value {
    /// Years.
    Age,
    Temperature,
    OxygenSaturation,
    Systolic,
    Diastolic,
    Glucose,
    HeartRate,
    BreathingRate,
    PainScore,
    /// Weeks.
    Gestation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fact {
    Female,
    Male,
    Pregnant,
    /// Under 14 years, or called a child.
    Child,
    /// Under one year, or called a baby.
    Infant,
    /// From 75 years, or called old.
    Elderly,
}

/// Why a condition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConditionError {
    /// At a character, counted from 1.
    Syntax {
        column: usize,
        reason: String,
    },
    Unknown(String),
}

/// What the names in conditions stand for.
pub(crate) struct Names<'a> {
    pub(crate) findings: &'a HashMap<String, usize>,
    pub(crate) groups: &'a HashMap<String, Condition>,
}

/// Reads a condition.
pub(crate) fn parse(text: &str, names: &Names<'_>) -> Result<Condition, ConditionError> {
    let mut parser = Parser {
        characters: text.char_indices().peekable(),
        length: text.chars().count(),
        names,
    };
    let condition = parser.any()?;
    match parser.peek() {
        None => Ok(condition),
        Some(c) => Err(parser.fail(format!("`{c}` is not expected here"))),
    }
}

struct Parser<'a> {
    characters: Peekable<CharIndices<'a>>,
    length: usize,
    names: &'a Names<'a>,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.all()?];
        while self.take('|') {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.one()?];
        while self.take('&') {
            parts.push(self.one()?);
        }
        Ok(single_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, ConditionError> {
        if self.take('!') {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.take('(') {
            let inner = self.any()?;
            self.expect(')')?;
            return Ok(inner);
        }
        let name = self.word();
        if name.is_empty() {
            return Err(self.fail("a name is expected here".to_owned()));
        }
        if name == "atleast" {
            return self.at_least();
        }
        if let Some(fact) = fact(&name) {
            return Ok(Condition::Fact(fact));
        }
        if let Some(value) = value(&name) {
            let (comparison, number, unit) = self.comparison()?;
            let than = if value == Value::Age {
                self.days(number, unit)? / 365.0
            } else {
                number
            };
            return Ok(Condition::Value {
                value,
                comparison,
                than,
            });
        }
        if let Some(group) = self.names.groups.get(&name) {
            return Ok(group.clone());
        }
        let finding = self.finding(&name)?;
        if self.take('@') {
            let modifier = self.word();
            return Ok(Condition::Modified {
                finding,
                modifier: self.finding(&modifier)?,
            });
        }
        if matches!(self.peek(), Some('<' | '>')) {
            let (comparison, number, unit) = self.comparison()?;
            return Ok(Condition::Lasting {
                finding,
                comparison,
                days: self.days(number, unit)?,
            });
        }
        Ok(Condition::Finding(finding))
    }

    fn at_least(&mut self) -> Result<Condition, ConditionError> {
        self.expect('(')?;
        let count = self.word();
        let count = count
            .parse()
            .map_err(|_| self.fail(format!("`{count}` is no number")))?;
        let mut parts = Vec::new();
        while self.take(',') {
            parts.push(self.any()?);
        }
        self.expect(')')?;
        Ok(Condition::AtLeast(count, parts))
    }

    fn comparison(&mut self) -> Result<(Comparison, f32, Option<char>), ConditionError> {
        let less = if self.take('<') {
            true
        } else if self.take('>') {
            false
        } else {
            return Err(self.fail("`<`, `<=`, `>` or `>=` is expected here".to_owned()));
        };
        let comparison = match (less, self.take('=')) {
            (true, true) => Comparison::AtMost,
            (true, false) => Comparison::Less,
            (false, true) => Comparison::AtLeast,
            (false, false) => Comparison::More,
        };
        let text = self.word();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number = digits
            .parse()
            .map_err(|_| self.fail(format!("`{text}` is no number")))?;
        Ok((
            comparison,
            number,
            text.chars().last().filter(char::is_ascii_alphabetic),
        ))
    }

    fn days(&mut self, number: f32, unit: Option<char>) -> Result<f32, ConditionError> {
        let unit = match unit {
            Some('h') => 1.0 / 24.0,
            Some('d') => 1.0,
            Some('w') => 7.0,
            Some('m') => 365.0 / 12.0,
            None | Some('y') => 365.0,
            Some(other) => return Err(self.fail(format!("unit `{other}` is none of h, d, w, m, y"))),
        };
        Ok(number * unit)
    }

    fn finding(&mut self, name: &str) -> Result<usize, ConditionError> {
        self.names
            .findings
            .get(name)
            .copied()
            .ok_or_else(|| ConditionError::Unknown(name.to_owned()))
    }

    fn word(&mut self) -> String {
        self.peek();
        let mut word = String::new();
        while let Some((_, c)) = self
            .characters
            .next_if(|(_, c)| c.is_alphanumeric() || matches!(c, '-' | '.'))
        {
            word.push(c);
        }
        word
    }

    fn peek(&mut self) -> Option<char> {
        while self.characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        self.characters.peek().map(|(_, c)| *c)
    }

    fn take(&mut self, wanted: char) -> bool {
        self.peek() == Some(wanted) && self.characters.next().is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), ConditionError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.fail(format!("`{wanted}` is expected here")))
        }
    }

    fn fail(&mut self, reason: String) -> ConditionError {
        let left = self.characters.clone().count();
        ConditionError::Syntax {
            column: self.length - left + 1,
            reason,
        }
    }
}

fn single_or(mut parts: Vec<Condition>, join: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

fn fact(name: &str) -> Option<Fact> {
    Some(match name {
        "female" => Fact::Female,
        "male" => Fact::Male,
        "pregnant" => Fact::Pregnant,
        "child" => Fact::Child,
        "infant" => Fact::Infant,
        "elderly" => Fact::Elderly,
        _ => return None,
    })
}

fn value(name: &str) -> Option<Value> {
    Some(match name {
        "age" => Value::Age,
        "temp" => Value::Temperature,
        "spo2" => Value::OxygenSaturation,
        "sbp" => Value::Systolic,
        "dbp" => Value::Diastolic,
        "glucose" => Value::Glucose,
        "heart-rate" => Value::HeartRate,
        "breathing-rate" => Value::BreathingRate,
        "pain-score" => Value::PainScore,
        "gestation" => Value::Gestation,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Condition, ConditionError, Names, parse};

    fn read(text: &str) -> Result<Condition, ConditionError> {
        let findings = HashMap::from([
            ("fever".to_owned(), 0),
            ("rash".to_owned(), 1),
            ("sudden".to_owned(), 2),
        ]);
        parse(
            text,
            &Names {
                findings: &findings,
                groups: &HashMap::new(),
            },
        )
    }

    #[test]
    fn and_binds_closer_than_or() {
        let any = read("fever & rash | !sudden").unwrap();
        assert!(
            matches!(any, Condition::Any(parts) if matches!(parts[..], [Condition::All(_), Condition::Not(_)]))
        );
        assert_eq!(read("(fever)").unwrap(), Condition::Finding(0));
        assert_eq!(
            read("rash@sudden").unwrap(),
            Condition::Modified {
                finding: 1,
                modifier: 2
            }
        );
        assert!(matches!(
            read("fever>=2w").unwrap(),
            Condition::Lasting { days: 14.0, .. }
        ));
        assert!(
            matches!(read("atleast(2, fever, rash, temp>=39)").unwrap(), Condition::AtLeast(2, parts) if parts.len() == 3)
        );
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(
            read("fever & cough"),
            Err(ConditionError::Unknown("cough".to_owned()))
        );
        for (text, column) in [
            ("fever &", 8),
            ("fever rash", 7),
            ("(fever", 7),
            ("temp 39", 6),
            ("age<3x", 7),
        ] {
            match read(text) {
                Err(ConditionError::Syntax { column: found, .. }) => assert_eq!(found, column, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
