//! Rule files, checked and joined into what an assessment needs.

use std::collections::{BTreeMap, HashMap};

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    condition::{self, Condition, ConditionError, Names},
    data::{
        DepartmentData, FindingData, FindingKind, QuestionData, RedFlagData, RuleData, SourceFile, Words,
    },
    departments::{Department, Departments},
    error::{RulesError, RulesProblem},
    lexicon::Lexicon,
    literal_table::LiteralTableBuilder,
    word_table::WordTable,
};

#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct Bundle {
    pub(crate) findings: Vec<Finding>,
    pub(crate) lexicon: Lexicon,
    /// The words of the lexicon's forms, a table for each of its own.
    pub(crate) words: Vec<WordTable>,
    /// Most urgent first.
    pub(crate) red_flags: Vec<RedFlag>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) departments: Departments,
    pub(crate) questions: Vec<Question>,
    pub(crate) notices: BTreeMap<String, Words>,
    ids: HashMap<String, usize>,
    /// Conditions with a name, for the conditions of additions.
    groups: HashMap<String, Condition>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) kind: FindingKind,
    pub(crate) name: Words,
    pub(crate) implies: Vec<usize>,
    pub(crate) covers: Vec<usize>,
    pub(crate) base: Disposition,
    pub(crate) departments: Vec<usize>,
    pub(crate) ask: Vec<String>,
    pub(crate) counts_when_over: bool,
    pub(crate) is_exposure: bool,
    pub(crate) of_its_sentence: bool,
    pub(crate) generic: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RedFlag {
    pub(crate) id: String,
    pub(crate) title: Words,
    pub(crate) level: u8,
    pub(crate) certain: Condition,
    pub(crate) suspected: Condition,
    pub(crate) departments: Vec<usize>,
    pub(crate) advice: Option<String>,
    pub(crate) self_harm: bool,
    pub(crate) examples: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) certain: Condition,
    pub(crate) suspected: Condition,
    pub(crate) disposition: Disposition,
    pub(crate) departments: Vec<usize>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) words: Words,
    pub(crate) answered_by: Vec<usize>,
}

impl Bundle {
    /// What these files add. Every name, form and condition is checked.
    pub(crate) fn with(self, files: &[SourceFile<'_>]) -> Result<Self, RulesError> {
        let mut builder = Builder {
            bundle: self,
            literals: LiteralTableBuilder::default(),
        };
        files.iter().try_for_each(|it| builder.take_departments(it))?;
        files.iter().try_for_each(|it| builder.take_combined(it))?;
        files.iter().try_for_each(|it| builder.take_findings(it))?;
        files
            .iter()
            .try_for_each(|it| builder.take_department_terms(it))?;
        files.iter().try_for_each(|it| builder.link_findings(it))?;
        files.iter().try_for_each(|it| builder.take_conditions(it))?;
        files.iter().try_for_each(|it| builder.take_questions(it))?;
        files.iter().try_for_each(|it| builder.check_references(it))?;
        let Builder { mut bundle, literals } = builder;
        bundle.red_flags.sort_by_key(|it| it.level);
        let literals = literals.finish();
        let words = WordTable::new(literals.latin_literals(), std::iter::empty());
        bundle.words.push(words);
        bundle.lexicon.tables.push(literals);
        Ok(bundle)
    }

    pub(crate) fn id(&self, finding: &str) -> Option<usize> {
        self.ids.get(finding).copied()
    }
}

struct Builder {
    bundle: Bundle,
    /// The forms that are added.
    literals: LiteralTableBuilder,
}

/// Where an error is.
struct Place<'a> {
    file: &'a SourceFile<'a>,
    kind: &'static str,
    id: &'a Spanned<String>,
}

impl Place<'_> {
    fn error(&self, problem: impl FnOnce(&'static str, String) -> RulesProblem) -> RulesError {
        RulesError {
            file: self.file.name.to_owned(),
            line: self.file.line_of(self.id),
            problem: Box::new(problem(self.kind, self.id.get_ref().clone())),
        }
    }

    fn unknown(&self, name: &str, hint: &str) -> RulesError {
        self.error(|kind, id| RulesProblem::UnknownName {
            kind,
            id,
            name: name.to_owned(),
            hint: hint.to_owned(),
        })
    }

    fn form(&self, form: &str, reason: String) -> RulesError {
        self.error(|kind, id| RulesProblem::Form {
            kind,
            id,
            form: form.to_owned(),
            reason,
        })
    }

    fn duplicate(&self) -> RulesError {
        self.error(|kind, id| RulesProblem::Duplicate { kind, id })
    }

    fn invalid(&self, reason: &str) -> RulesError {
        self.error(|kind, id| RulesProblem::Invalid {
            kind,
            id,
            reason: reason.to_owned(),
        })
    }
}

impl Builder {
    fn take_departments(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.department {
            let place = Place {
                file,
                kind: "department",
                id: &data.id,
            };
            let id = data.id.get_ref();
            let index = match (self.bundle.departments.by_id.get(id).copied(), &data.name) {
                (Some(known), _) => known,
                (None, None) => return Err(place.invalid("a new department needs a name in `en` and `zh`")),
                (None, Some(name)) => self.new_department(id, name),
            };
            for alias in data
                .aliases
                .iter()
                .chain(data.name.iter().flat_map(|it| [&it.en, &it.zh]))
            {
                self.bundle.departments.add_alias(&(file.spelling)(alias), index);
            }
            self.bundle.departments.add_alias(id, index);
        }
        Ok(())
    }

    fn take_combined(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.combined {
            for name in data.names.get_ref() {
                let departments = data
                    .of
                    .iter()
                    .map(|id| self.bundle.departments.by_id.get(id).copied().ok_or(id));
                let departments = departments
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|id| RulesError {
                        file: file.name.to_owned(),
                        line: file.line_of(&data.names),
                        problem: Box::new(RulesProblem::UnknownName {
                            kind: "combined department",
                            id: name.clone(),
                            name: id.clone(),
                            hint: "add a [[department]] with this id".to_owned(),
                        }),
                    })?;
                self.bundle
                    .departments
                    .add_combined(&(file.spelling)(name), &departments);
            }
        }
        Ok(())
    }

    fn new_department(&mut self, id: &str, name: &Words) -> usize {
        let index = self.bundle.departments.list.len();
        self.bundle.departments.list.push(Department {
            id: id.to_owned(),
            name: name.clone(),
            child: None,
            instead: Vec::new(),
        });
        self.bundle.departments.by_id.insert(id.to_owned(), index);
        index
    }

    fn take_findings(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.finding {
            let place = Place {
                file,
                kind: "finding",
                id: &data.id,
            };
            let index = self.finding_entry(data, &place)?;
            for form in data.zh.iter().chain(&data.en) {
                self.literals
                    .add(index, form, file.spelling)
                    .map_err(|reason| place.form(form, reason))?;
            }
        }
        Ok(())
    }

    /// A known finding takes on more forms; a new one needs a name if people are to see it.
    fn finding_entry(&mut self, data: &FindingData, place: &Place<'_>) -> Result<usize, RulesError> {
        let id = data.id.get_ref();
        if let Some(&known) = self.bundle.ids.get(id) {
            return Ok(known);
        }
        let kind = data.kind.unwrap_or_default();
        let shown = matches!(
            kind,
            FindingKind::Symptom | FindingKind::Event | FindingKind::Condition
        );
        if shown && data.name.is_none() {
            return Err(place.invalid("needs a name in `en` and `zh`"));
        }
        let base = data.base.unwrap_or(match kind {
            FindingKind::Symptom | FindingKind::Event => Disposition::OutPatient,
            _ => Disposition::SelfCare,
        });
        let index = self.bundle.findings.len();
        self.bundle.findings.push(Finding {
            id: id.clone(),
            kind,
            name: data.name.clone().unwrap_or_default(),
            implies: Vec::new(),
            covers: Vec::new(),
            base,
            departments: Vec::new(),
            ask: Vec::new(),
            counts_when_over: data.counts_when_over,
            is_exposure: data.is_exposure,
            of_its_sentence: data.of_its_sentence,
            generic: data.generic,
        });
        self.bundle.ids.insert(id.clone(), index);
        if kind == FindingKind::Modifier {
            self.bundle.lexicon.aside.insert(index);
        }
        Ok(index)
    }

    /// The words of a department become a finding that nobody sees.
    fn take_department_terms(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.department {
            let Some(&department) = self.bundle.departments.by_id.get(data.id.get_ref()) else {
                continue;
            };
            if data.terms.is_empty() {
                continue;
            }
            let place = Place {
                file,
                kind: "department",
                id: &data.id,
            };
            let index = self.bundle.findings.len();
            self.bundle.findings.push(Finding {
                id: format!("term-{}", data.id.get_ref()),
                kind: FindingKind::Term,
                name: Words::default(),
                implies: Vec::new(),
                covers: Vec::new(),
                base: Disposition::SelfCare,
                departments: vec![department],
                ask: Vec::new(),
                counts_when_over: false,
                is_exposure: false,
                of_its_sentence: false,
                generic: true,
            });
            for form in &data.terms {
                self.literals
                    .add(index, form, file.spelling)
                    .map_err(|reason| place.form(form, reason))?;
            }
        }
        Ok(())
    }

    fn link_findings(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.finding {
            let place = Place {
                file,
                kind: "finding",
                id: &data.id,
            };
            let implies = self.finding_ids(&data.implies, &place)?;
            let covers = self.finding_ids(&data.covers, &place)?;
            let departments = self.department_ids(&data.departments, &place)?;
            let index = self.bundle.ids.get(data.id.get_ref()).copied();
            if let Some(finding) = index.and_then(|it| self.bundle.findings.get_mut(it)) {
                finding.implies.extend(implies);
                finding.covers.extend(covers);
                finding.departments.extend(departments);
                finding.ask.extend(data.ask.iter().cloned());
                // An addition raises urgency, never lowers it.
                finding.base = finding.base.raised_to(data.base);
            }
        }
        for data in &file.data.department {
            self.link_department(
                data,
                &Place {
                    file,
                    kind: "department",
                    id: &data.id,
                },
            )?;
        }
        Ok(())
    }

    fn link_department(&mut self, data: &DepartmentData, place: &Place<'_>) -> Result<(), RulesError> {
        let child = data.child.iter().cloned().collect::<Vec<_>>();
        let child = self.department_ids(&child, place)?.first().copied();
        let instead = self.department_ids(&data.instead, place)?;
        let index = self.bundle.departments.by_id.get(data.id.get_ref()).copied();
        if let Some(department) = index.and_then(|it| self.bundle.departments.list.get_mut(it)) {
            department.child = child.or(department.child);
            department.instead.extend(instead);
        }
        Ok(())
    }

    fn take_conditions(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.group {
            let place = Place {
                file,
                kind: "group",
                id: &data.id,
            };
            if self.bundle.groups.contains_key(data.id.get_ref())
                || self.bundle.ids.contains_key(data.id.get_ref())
            {
                return Err(place.duplicate());
            }
            let condition = self.condition(&data.when, &place)?;
            self.bundle.groups.insert(data.id.get_ref().clone(), condition);
        }
        for data in &file.data.red_flag {
            self.take_red_flag(
                data,
                &Place {
                    file,
                    kind: "red flag",
                    id: &data.id,
                },
            )?;
        }
        for data in &file.data.rule {
            self.take_rule(
                data,
                &Place {
                    file,
                    kind: "rule",
                    id: &data.id,
                },
            )?;
        }
        Ok(())
    }

    fn take_red_flag(&mut self, data: &RedFlagData, place: &Place<'_>) -> Result<(), RulesError> {
        if self.bundle.red_flags.iter().any(|it| it.id == *data.id.get_ref()) {
            return Err(place.duplicate());
        }
        if !matches!(data.level, 1 | 2) {
            return Err(place.invalid("`level` must be 1 or 2"));
        }
        let (certain, suspected) = self.signs(data.when.as_deref(), data.suspect.as_deref(), place)?;
        self.bundle.red_flags.push(RedFlag {
            id: data.id.get_ref().clone(),
            title: data.title.clone(),
            level: data.level,
            certain,
            suspected,
            departments: self.department_ids(&data.departments, place)?,
            advice: data.advice.clone(),
            self_harm: data.self_harm,
            examples: data.examples.clone(),
        });
        Ok(())
    }

    /// Certain signs and weaker ones; a condition that is not written never holds.
    fn signs(
        &self,
        when: Option<&str>,
        suspect: Option<&str>,
        place: &Place<'_>,
    ) -> Result<(Condition, Condition), RulesError> {
        if when.is_none() && suspect.is_none() {
            return Err(place.invalid("`when` or `suspect` must say when it is raised"));
        }
        let condition = |text: Option<&str>| match text {
            Some(text) => self.condition(text, place),
            None => Ok(Condition::Any(Vec::new())),
        };
        Ok((condition(when)?, condition(suspect)?))
    }

    fn take_rule(&mut self, data: &RuleData, place: &Place<'_>) -> Result<(), RulesError> {
        if self.bundle.rules.iter().any(|it| it.id == *data.id.get_ref()) {
            return Err(place.duplicate());
        }
        if data.disposition == Disposition::Emergency {
            return Err(place.invalid("an emergency is written as a red flag, which has a title"));
        }
        let (certain, suspected) = self.signs(data.when.as_deref(), data.suspect.as_deref(), place)?;
        self.bundle.rules.push(Rule {
            id: data.id.get_ref().clone(),
            certain,
            suspected,
            disposition: data.disposition,
            departments: self.department_ids(&data.departments, place)?,
        });
        Ok(())
    }

    fn take_questions(&mut self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.question {
            let QuestionData {
                id,
                en,
                zh,
                answered_by,
            } = data;
            let place = Place {
                file,
                kind: "question",
                id,
            };
            if self.bundle.questions.iter().any(|it| it.id == *id.get_ref()) {
                return Err(place.duplicate());
            }
            self.bundle.questions.push(Question {
                id: id.get_ref().clone(),
                words: Words {
                    en: en.clone(),
                    zh: zh.clone(),
                },
                answered_by: self.finding_ids(answered_by, &place)?,
            });
        }
        self.bundle.notices.extend(
            file.data
                .notice
                .iter()
                .map(|(key, words)| (key.clone(), words.clone())),
        );
        Ok(())
    }

    fn check_references(&self, file: &SourceFile<'_>) -> Result<(), RulesError> {
        for data in &file.data.finding {
            if let Some(name) = data
                .ask
                .iter()
                .find(|name| !self.bundle.questions.iter().any(|it| it.id == **name))
            {
                let place = Place {
                    file,
                    kind: "finding",
                    id: &data.id,
                };
                return Err(place.unknown(name, "add a [[question]] with this id"));
            }
        }
        for data in &file.data.red_flag {
            if let Some(name) = data
                .advice
                .as_ref()
                .filter(|it| !self.bundle.notices.contains_key(*it))
            {
                let place = Place {
                    file,
                    kind: "red flag",
                    id: &data.id,
                };
                return Err(place.unknown(name, "add it under [notice]"));
            }
        }
        Ok(())
    }

    fn condition(&self, text: &str, place: &Place<'_>) -> Result<Condition, RulesError> {
        let names = Names {
            findings: &self.bundle.ids,
            groups: &self.bundle.groups,
        };
        condition::parse(text, &names).map_err(|error| match error {
            ConditionError::Unknown(name) => {
                place.unknown(&name, "add a [[finding]] or a [[group]] with this id")
            }
            ConditionError::Syntax { column, reason } => place.error(|kind, id| RulesProblem::Condition {
                kind,
                id,
                condition: text.to_owned(),
                column,
                reason,
            }),
        })
    }

    fn finding_ids(&self, names: &[String], place: &Place<'_>) -> Result<Vec<usize>, RulesError> {
        let id = |name: &String| {
            self.bundle
                .ids
                .get(name)
                .copied()
                .ok_or_else(|| place.unknown(name, "add a [[finding]] with this id"))
        };
        names.iter().map(id).collect()
    }

    fn department_ids(&self, names: &[String], place: &Place<'_>) -> Result<Vec<usize>, RulesError> {
        let id = |name: &String| {
            let known = self.bundle.departments.by_id.get(name).copied();
            known.ok_or_else(|| place.unknown(name, "add a [[department]] with this id"))
        };
        names.iter().map(id).collect()
    }
}
