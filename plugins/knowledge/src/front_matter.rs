//! The keys of an article, above its sections.

use serde::Deserialize;

use crate::article::{ArticleProblem, DISPOSITIONS};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrontMatter {
    pub(crate) id: String,
    pub(crate) language: String,
    pub(crate) icd10: Vec<String>,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    #[serde(default)]
    pub(crate) colloquial: Vec<String>,
    pub(crate) symptoms: Vec<String>,
    pub(crate) departments: Vec<String>,
    pub(crate) disposition: String,
    #[serde(default)]
    pub(crate) emergency_terms: Vec<String>,
    #[serde(default)]
    pub(crate) same_day_terms: Vec<String>,
    pub(crate) edition: String,
    pub(crate) source: Option<String>,
    pub(crate) review: String,
}

impl FrontMatter {
    pub(crate) fn raised(&self) -> Vec<(String, Raised)> {
        [
            (Raised::Emergency, &self.emergency_terms),
            (Raised::SameDay, &self.same_day_terms),
        ]
        .into_iter()
        .flat_map(|(raised, terms)| terms.iter().map(move |it| (it.clone(), raised)))
        .collect()
    }

    fn check_raised(&self) -> Result<(), (&'static str, ArticleProblem)> {
        let own = |term: &String| {
            *term == self.name
                || [&self.aliases, &self.colloquial, &self.symptoms]
                    .iter()
                    .any(|it| it.contains(term))
        };
        let place = |name: &str| DISPOSITIONS.iter().position(|it| *it == name);
        for (term, raised) in self.raised() {
            if !own(&term) {
                return Err((raised.key(), ArticleProblem::NotATerm { found: term }));
            }
            if place(raised.name()) >= place(&self.disposition) {
                let disposition = self.disposition.clone();
                return Err((raised.key(), ArticleProblem::NotRaised { disposition }));
            }
        }
        Ok(())
    }

    pub(crate) fn check(&self, file: &str) -> Result<(), (&'static str, ArticleProblem)> {
        for (key, value) in [
            ("id", &self.id),
            ("language", &self.language),
            ("name", &self.name),
            ("review", &self.review),
        ] {
            if value.trim().is_empty() {
                return Err((key, ArticleProblem::Empty));
            }
        }
        for (key, values, may_be_empty) in [
            ("icd10", &self.icd10, false),
            ("aliases", &self.aliases, true),
            ("colloquial", &self.colloquial, true),
            ("symptoms", &self.symptoms, false),
            ("departments", &self.departments, false),
        ] {
            if values.iter().any(|it| it.trim().is_empty()) || (values.is_empty() && !may_be_empty) {
                return Err((key, ArticleProblem::Empty));
            }
        }
        for (key, values) in [
            ("id", std::slice::from_ref(&self.id)),
            ("departments", self.departments.as_slice()),
        ] {
            if let Some(found) = values.iter().find(|it| !is_slug(it)) {
                return Err((key, ArticleProblem::NotASlug { found: found.clone() }));
            }
        }
        if let Some(found) = self.icd10.iter().find(|it| !is_icd10(it)) {
            return Err(("icd10", ArticleProblem::NotIcd10 { found: found.clone() }));
        }
        if !DISPOSITIONS.contains(&self.disposition.as_str()) {
            return Err((
                "disposition",
                ArticleProblem::UnknownDisposition {
                    found: self.disposition.clone(),
                },
            ));
        }
        self.check_raised()?;
        if !is_edition(&self.edition) {
            return Err((
                "edition",
                ArticleProblem::NotAnEdition {
                    found: self.edition.clone(),
                },
            ));
        }
        let expected = format!("{}.{}.md", self.id, self.language);
        match file.rsplit(['/', '\\']).next() {
            Some(name) if name == expected => Ok(()),
            _ => Err((
                "id",
                ArticleProblem::OtherFileName {
                    found: self.id.clone(),
                    expected,
                },
            )),
        }
    }
}

/// The urgency of a term that is above its article's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Raised {
    SameDay,
    Emergency,
}

impl Raised {
    /// As it stands in [`DISPOSITIONS`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SameDay => "same-day",
            Self::Emergency => "emergency",
        }
    }

    /// The key of the front matter that lists such terms.
    fn key(self) -> &'static str {
        match self {
            Self::SameDay => "same_day_terms",
            Self::Emergency => "emergency_terms",
        }
    }
}

fn is_slug(text: &str) -> bool {
    !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')
}

/// `J00`, `J45.9`, `C7A.0`, `J00-J06`.
fn is_icd10(text: &str) -> bool {
    let is_code = |code: &str| {
        let (category, detail) = code
            .split_once('.')
            .map_or((code, None), |(it, detail)| (it, Some(detail)));
        let category: Vec<char> = category.chars().collect();
        let detail_fits = detail
            .is_none_or(|it| (1..=4).contains(&it.len()) && it.chars().all(|it| it.is_ascii_alphanumeric()));
        matches!(category.as_slice(), [a, b, c]
            if a.is_ascii_uppercase() && b.is_ascii_digit() && (c.is_ascii_digit() || c.is_ascii_uppercase()))
            && detail_fits
    };
    text.split('-').count() <= 2 && text.split('-').all(is_code)
}

/// `2026-11`, or `2026-11-30`.
fn is_edition(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|it| it.len()).collect();
    let digits = parts.iter().all(|it| it.chars().all(|it| it.is_ascii_digit()));
    let month = parts.get(1).and_then(|it| it.parse::<u8>().ok());
    digits
        && matches!(lengths.as_slice(), [4, 2] | [4, 2, 2])
        && month.is_some_and(|it| (1..=12).contains(&it))
}
