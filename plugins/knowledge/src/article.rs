//! One article on one condition in one language: TOML front matter between `+++` lines, then sections.

use crate::{
    front_matter::FrontMatter,
    section::{Language, Section},
};

pub use crate::front_matter::Raised;

/// A parsed article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// e.g. `common-cold`; the same in both languages.
    pub id: String,
    pub language: Language,
    /// Codes of ICD-10, e.g. `J00`.
    pub icd10: Vec<String>,
    pub name: String,
    pub aliases: Vec<String>,
    /// Phrases that patients use and that point to this condition.
    pub colloquial: Vec<String>,
    pub symptoms: Vec<String>,
    /// Ids of departments that treat it.
    pub departments: Vec<String>,
    /// The usual urgency: one of [`DISPOSITIONS`].
    pub disposition: String,
    /// Names and phrases of this article that tell of something more urgent than it usually is.
    pub raised: Vec<(String, Raised)>,
    pub edition: String,
    /// Whose text it is, if it is not the starter knowledge.
    pub source: Option<String>,
    /// What still has to be checked, and by whom.
    pub review: String,
    /// In the order of the file; never empty, no section twice.
    pub sections: Vec<(Section, String)>,
}

/// The words that `disposition` may hold, most urgent first.
pub const DISPOSITIONS: [&str; 4] = ["emergency", "same-day", "out-patient", "self-care"];

impl Article {
    /// Reads an article. `file` is its path for error messages; its last part must be
    /// `<id>.<language>.md`.
    ///
    /// # Errors
    /// [`ArticleError`] with the first thing that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, ArticleError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let at = |line: usize, key: &str, problem: ArticleProblem| ArticleError {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            problem,
        };
        let lines: Vec<&str> = text.lines().collect();
        if lines.first().map(|it| it.trim_end()) != Some(FENCE) {
            return Err(at(1, "front matter", ArticleProblem::NoFrontMatter));
        }
        let Some(end) = lines
            .iter()
            .skip(1)
            .position(|it| it.trim_end() == FENCE)
            .map(|it| it + 1)
        else {
            return Err(at(
                lines.len(),
                "front matter",
                ArticleProblem::FrontMatterNotClosed,
            ));
        };
        let front_lines = lines.get(1..end).unwrap_or_default();
        let source = front_lines.join("\n");
        let front: FrontMatter = toml::from_str(&source).map_err(|error| {
            let line = error.span().map_or(0, |it| {
                source.get(..it.start).unwrap_or_default().matches('\n').count()
            });
            let key = front_lines
                .get(line)
                .and_then(|it| it.split_once('='))
                .map_or("front matter", |it| it.0.trim());
            // A missing key has no place of its own: toml points at the first line.
            let key = error
                .message()
                .split('`')
                .nth(1)
                .filter(|_| error.message().contains("field"))
                .unwrap_or(key);
            at(
                line + 2,
                key,
                ArticleProblem::Toml {
                    reason: error.message().to_owned(),
                },
            )
        })?;
        let line_of = |key: &str| {
            let found = front_lines
                .iter()
                .position(|it| it.split_once('=').is_some_and(|it| it.0.trim() == key));
            found.map_or(2, |it| it + 2)
        };
        front
            .check(file)
            .map_err(|(key, problem)| at(line_of(key), key, problem))?;
        let Some(language) = Language::parse(&front.language) else {
            return Err(at(
                line_of("language"),
                "language",
                ArticleProblem::UnknownLanguage {
                    found: front.language,
                },
            ));
        };
        let raised = front.raised();
        let sections = parse_sections(lines.get(end + 1..).unwrap_or_default(), end + 2, language)
            .map_err(|(line, key, problem)| at(line, &key, problem))?;
        Ok(Self {
            id: front.id,
            language,
            icd10: front.icd10,
            name: front.name,
            aliases: front.aliases,
            colloquial: front.colloquial,
            symptoms: front.symptoms,
            departments: front.departments,
            disposition: front.disposition,
            raised,
            edition: front.edition,
            source: front.source,
            review: front.review,
            sections,
        })
    }

    /// The text of a section, if the article has it.
    #[must_use]
    pub fn section(&self, section: Section) -> Option<&str> {
        self.sections
            .iter()
            .find(|it| it.0 == section)
            .map(|it| it.1.as_str())
    }
}

/// What is wrong with an article and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, {key}: {problem}")]
pub struct ArticleError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// A key of the front matter or a heading.
    pub key: String,
    pub problem: ArticleProblem,
}

/// What can be wrong with an article.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArticleProblem {
    #[error("the front matter is missing: begin the file with a line +++, then the keys, then a line +++")]
    NoFrontMatter,
    #[error("the front matter does not end: put a line +++ below its keys")]
    FrontMatterNotClosed,
    #[error("{reason}: correct the TOML between the +++ lines")]
    Toml { reason: String },
    #[error("`{found}` is no language of the knowledge base: write en or zh")]
    UnknownLanguage { found: String },
    #[error("must not be empty: fill it in")]
    Empty,
    #[error("`{found}` must be lower-case letters, digits and hyphens, such as common-cold")]
    NotASlug { found: String },
    #[error("`{found}` is not the file's name: name the file {expected} or correct the key")]
    OtherFileName { found: String, expected: String },
    #[error("`{found}` is no ICD-10 code: write it as J00, J45.9 or J00-J06")]
    NotIcd10 { found: String },
    #[error("`{found}` is not one of {}: choose one", DISPOSITIONS.join(", "))]
    UnknownDisposition { found: String },
    #[error(
        "`{found}` is no name, alias, colloquial phrase or symptom of this article: spell it as it stands there"
    )]
    NotATerm { found: String },
    #[error("the whole article is `{disposition}` already: list only terms that are more urgent")]
    NotRaised { disposition: String },
    #[error("`{found}` is no edition: write year and month as 2026-11")]
    NotAnEdition { found: String },
    #[error("text stands before the first heading: put it below `## {expected}`")]
    TextBeforeHeading { expected: &'static str },
    #[error("unknown heading: the headings are {expected}, each after ##")]
    UnknownHeading { expected: String },
    #[error("the heading stands here again: join the two sections")]
    DoubleHeading,
    #[error("the section is empty: write it or remove the heading")]
    EmptySection,
    #[error("there is no section: write at least one below a heading such as `## {expected}`")]
    NoSection { expected: &'static str },
}

pub(crate) const FENCE: &str = "+++";

type SectionError = (usize, String, ArticleProblem);

fn parse_sections(
    lines: &[&str],
    first_line: usize,
    language: Language,
) -> Result<Vec<(Section, String)>, SectionError> {
    let mut sections: Vec<(Section, usize, String)> = Vec::new();
    for (number, line) in (first_line..).zip(lines) {
        if let Some(heading) = line.strip_prefix('#') {
            let name = heading.trim_start_matches('#').trim();
            let known = heading
                .strip_prefix("# ")
                .and_then(|it| Section::from_heading(it, language));
            let Some(section) = known else {
                let expected = Section::ALL.map(|it| it.heading(language)).join(", ");
                return Err((
                    number,
                    name.to_owned(),
                    ArticleProblem::UnknownHeading { expected },
                ));
            };
            if sections.iter().any(|it| it.0 == section) {
                return Err((number, name.to_owned(), ArticleProblem::DoubleHeading));
            }
            sections.push((section, number, String::new()));
        } else if let Some((_, _, text)) = sections.last_mut() {
            text.push_str(line.trim_end());
            text.push('\n');
        } else if !line.trim().is_empty() {
            let expected = Section::Definition.heading(language);
            return Err((
                number,
                "text".to_owned(),
                ArticleProblem::TextBeforeHeading { expected },
            ));
        }
    }
    if let Some((section, line, _)) = sections.iter().find(|it| it.2.trim().is_empty()) {
        return Err((
            *line,
            section.heading(language).to_owned(),
            ArticleProblem::EmptySection,
        ));
    }
    if sections.is_empty() {
        let expected = Section::Definition.heading(language);
        return Err((
            first_line,
            "sections".to_owned(),
            ArticleProblem::NoSection { expected },
        ));
    }
    Ok(sections
        .into_iter()
        .map(|(section, _, text)| (section, text.trim().to_owned()))
        .collect())
}

#[cfg(test)]
#[path = "article_tests.rs"]
mod tests;
