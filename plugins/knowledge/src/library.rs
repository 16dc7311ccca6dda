//! Reads folders of articles and keeps an index of each language.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bedside_plugin_api::msg::Contacts;

use crate::{
    article::Article,
    index::Index,
    lint::{Finding, Numbers, Severity, lint_text},
    placeholders,
    search::Found,
    section::Language,
};

/// Larger files are no articles.
const LARGEST_FILE: u64 = 256 * 1024;

/// A folder of articles, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub path: PathBuf,
    pub origin: Origin,
}

/// Whose text an article is that names no source itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Starter,
    Hospital,
}

impl Origin {
    /// As it is cited.
    #[must_use]
    pub fn name(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Starter, Language::En) => "Bedside starter knowledge",
            (Self::Starter, Language::Zh) => "Bedside 入门知识库",
            (Self::Hospital, Language::En) => "Hospital knowledge",
            (Self::Hospital, Language::Zh) => "本院知识库",
        }
    }
}

/// All articles that can be used, searchable.
pub struct Library {
    english: Index,
    chinese: Index,
    findings: Vec<Finding>,
    build_time: Duration,
}

/// An article file as it was read.
#[derive(Debug, Clone)]
pub struct FileRead {
    pub path: PathBuf,
    pub text: String,
    /// `None` if it cannot be parsed.
    pub article: Option<Article>,
    pub findings: Vec<Finding>,
}

impl FileRead {
    /// Whether the article may be used.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.article.is_some() && self.findings.iter().all(|it| it.severity < Severity::Error)
    }
}

/// A folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error("{}: {source}: give a folder with files <id>.<en or zh>.md that the plugin may read (in a sandbox: one in its data folder)", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: there is no file named <id>.<en or zh>.md in it", path.display())]
    NoArticles { path: PathBuf },
    #[error("the terms of {language} do not fit an automaton: remove articles ({reason})")]
    TooManyTerms { language: Language, reason: String },
}

impl Library {
    /// Reads the folders; an article of a later one replaces one of the same id and language of an earlier
    /// one. Articles with errors, and folders of the hospital that cannot be read, are left out and told in
    /// [`Library::findings`]: the rest must go on answering. `contacts` are put into the texts.
    ///
    /// # Errors
    /// [`LibraryError`] if the starter knowledge cannot be read.
    pub fn load(folders: &[Folder], contacts: &Contacts) -> Result<Self, LibraryError> {
        let started = Instant::now();
        let mut findings = Vec::new();
        let mut articles: BTreeMap<(Language, String), Article> = BTreeMap::new();
        for folder in folders {
            // A hospital's article that has answered so far goes on answering with the number that it names.
            let numbers = match folder.origin {
                Origin::Starter => Numbers::Refused,
                Origin::Hospital => Numbers::Tolerated,
            };
            let files = match read_folder(&folder.path, numbers) {
                Ok(files) => files,
                Err(error) if folder.origin == Origin::Hospital => {
                    findings.push(Finding::of_folder(&folder.path, &error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for file in files {
                let usable = file.is_usable();
                findings.extend(file.findings);
                if let Some(mut article) = file.article.filter(|_| usable) {
                    article
                        .source
                        .get_or_insert_with(|| folder.origin.name(article.language).to_owned());
                    for (_, text) in &mut article.sections {
                        *text = placeholders::fill(text, article.language, contacts);
                    }
                    articles.insert((article.language, article.id.clone()), article);
                }
            }
        }
        let mut build = |language: Language| {
            let of_language = articles
                .extract_if(.., |key, _| key.0 == language)
                .map(|it| it.1)
                .collect();
            Index::build(of_language, language).map_err(|error| LibraryError::TooManyTerms {
                language,
                reason: error.to_string(),
            })
        };
        let (english, chinese) = (build(Language::En)?, build(Language::Zh)?);
        Ok(Self {
            english,
            chinese,
            findings,
            build_time: started.elapsed(),
        })
    }

    /// Finds passages in one language, never in the other.
    #[must_use]
    pub fn search(&self, language: Language, question: &str, earlier: &[&str]) -> Found<'_> {
        self.of(language).search(question, earlier)
    }

    #[must_use]
    pub fn of(&self, language: Language) -> &Index {
        match language {
            Language::En => &self.english,
            Language::Zh => &self.chinese,
        }
    }

    /// What is wrong with the files that were read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How long reading and indexing took.
    #[must_use]
    pub fn build_time(&self) -> Duration {
        self.build_time
    }
}

/// The source and edition of an article, as it is cited.
#[must_use]
pub fn citation(article: &Article) -> String {
    let source = article
        .source
        .as_deref()
        .unwrap_or(Origin::Starter.name(article.language));
    match article.language {
        Language::En => format!("{source}, {}", article.edition),
        Language::Zh => format!("{source}，{}", article.edition),
    }
}

/// Reads and checks the articles of a folder (not of folders inside it), or a single file.
///
/// # Errors
/// [`LibraryError`] if the folder cannot be read or holds no article.
pub fn read_folder(path: &Path, numbers: Numbers) -> Result<Vec<FileRead>, LibraryError> {
    let unreadable = |path: &Path, source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    if path.is_file() {
        files.push(path.to_owned());
    } else {
        for entry in fs::read_dir(path).map_err(|it| unreadable(path, it))? {
            files.push(entry.map_err(|it| unreadable(path, it))?.path());
        }
        files.retain(|it| it.is_file() && is_article_name(it));
    }
    if files.is_empty() {
        return Err(LibraryError::NoArticles {
            path: path.to_owned(),
        });
    }
    files.sort();
    files
        .into_iter()
        .map(|it| read_file(&it, numbers).map_err(|error| unreadable(&it, error)))
        .collect()
}

fn read_file(path: &Path, numbers: Numbers) -> std::io::Result<FileRead> {
    let name = path.display().to_string();
    let refuse = |problem: &str| FileRead {
        path: path.to_owned(),
        text: String::new(),
        article: None,
        findings: vec![Finding {
            file: name.clone(),
            line: 0,
            severity: Severity::Error,
            problem: problem.to_owned(),
        }],
    };
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Ok(refuse(
            "the file is larger than 256 KiB: one file holds one condition, split it",
        ));
    }
    let Ok(text) = String::from_utf8(fs::read(path)?) else {
        return Ok(refuse("the file is not UTF-8: save it as UTF-8"));
    };
    let (article, findings) = lint_text(&name, &text, numbers);
    Ok(FileRead {
        path: path.to_owned(),
        text,
        article,
        findings,
    })
}

/// `<id>.en.md` or `<id>.zh.md`; others, such as a readme, are not looked at.
fn is_article_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    Language::ALL
        .iter()
        .any(|it| name.ends_with(&format!(".{}.md", it.code())))
        && !name.starts_with('.')
}
