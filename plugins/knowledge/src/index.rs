//! The articles of one language, ready to be searched.

use std::{collections::HashSet, ops::Range};

use aho_corasick::BuildError;

use crate::{
    article::Article,
    bm25::Bm25,
    linker::Linker,
    passage::{StoredPassage, passages},
    section::{Language, Section},
    units::{UnitText, is_mark},
    vocabulary::{Vocabulary, vocabulary},
};

/// The articles of one language with all that a search needs.
pub struct Index {
    pub(crate) language: Language,
    pub(crate) entries: Vec<Entry>,
    pub(crate) linker: Linker,
    pub(crate) bm25: Bm25,
    pub(crate) vocabulary: &'static Vocabulary,
}

/// An article and its passages.
pub(crate) struct Entry {
    pub(crate) article: Article,
    pub(crate) passages: Vec<IndexedPassage>,
}

pub(crate) struct IndexedPassage {
    pub(crate) stored: StoredPassage,
    pub(crate) tokens: HashSet<String>,
}

impl Index {
    /// Builds the index. All articles must be in `language`.
    ///
    /// # Errors
    /// [`BuildError`] if there are more terms than an automaton can hold (about a hundred million).
    pub fn build(articles: Vec<Article>, language: Language) -> Result<Self, BuildError> {
        let vocabulary = vocabulary(language);
        let linker = Linker::new(&articles, language)?;
        let tokens_of = |text: &str| tokens(&vocabulary.units(text), language);
        let mut documents = Vec::with_capacity(articles.len());
        let mut entries = Vec::with_capacity(articles.len());
        for article in articles {
            let head = format!("{}. {}.", article.name, article.aliases.join(". "));
            let signs = format!(
                "{}. {}.",
                article.colloquial.join(". "),
                article.symptoms.join(". ")
            );
            // Names and signs count double: they say what the article is about.
            let mut document = tokens_of(&[head.as_str(), &signs, &head, &signs].join(" "));
            let indexed: Vec<IndexedPassage> = passages(&article)
                .into_iter()
                .map(|stored| {
                    let tokens = tokens_of(&stored.text);
                    document.extend(tokens.iter().cloned());
                    IndexedPassage {
                        stored,
                        tokens: tokens.into_iter().collect(),
                    }
                })
                .collect();
            documents.push(document);
            entries.push(Entry {
                article,
                passages: indexed,
            });
        }
        Ok(Self {
            language,
            entries,
            linker,
            bm25: Bm25::new(documents),
            vocabulary,
        })
    }

    /// The articles in the order of their ids.
    pub fn articles(&self) -> impl Iterator<Item = &Article> {
        self.entries.iter().map(|it| &it.article)
    }

    /// How many passages there are.
    #[must_use]
    pub fn passage_count(&self) -> usize {
        self.entries.iter().map(|it| it.passages.len()).sum()
    }

    /// How many names and signs lead to an article.
    #[must_use]
    pub fn term_count(&self) -> usize {
        self.linker.len()
    }

    /// Tokens of a question that say what it is about, without the units in `skip`, each with its units.
    /// No token reaches over the border of a term.
    pub(crate) fn content_tokens(
        &self,
        text: &UnitText,
        skip: &HashSet<usize>,
        terms: &[Range<usize>],
    ) -> Vec<Token> {
        let in_term = |index: &usize| terms.iter().any(|it| it.contains(index));
        let stop = self
            .vocabulary
            .stop
            .find_longest(text)
            .into_iter()
            .flat_map(|it| it.units);
        let stop: HashSet<usize> = stop.filter(|it| !in_term(it)).collect();
        let border = |index| terms.iter().any(|it| it.start == index || it.end == index);
        let mut row = Row::new(self.language);
        for (index, unit) in text.units().enumerate() {
            if border(index) {
                row.end();
            }
            if skip.contains(&index) || stop.contains(&index) || is_mark(unit) {
                row.end();
            } else {
                row.push(index, unit);
            }
        }
        row.into_tokens()
    }
}

impl Entry {
    pub(crate) fn of_section(&self, section: Section) -> impl Iterator<Item = &IndexedPassage> {
        self.passages
            .iter()
            .filter(move |it| it.stored.section == section)
    }
}

/// A token and the units of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) units: Range<usize>,
}

/// All tokens of an article's text. English: stems that are no stop words. Chinese: pairs of characters
/// and Latin words.
fn tokens(text: &UnitText, language: Language) -> Vec<String> {
    let vocabulary = vocabulary(language);
    let mut row = Row::new(language);
    for (index, unit) in text.units().enumerate() {
        let apart = match language {
            Language::En => vocabulary.is_stop(unit),
            Language::Zh => is_mark(unit),
        };
        if apart {
            row.end();
        } else {
            row.push(index, unit);
        }
    }
    row.into_tokens().into_iter().map(|it| it.text).collect()
}

/// Makes tokens of neighbouring units.
struct Row<'a> {
    language: Language,
    before: Option<&'a str>,
    tokens: Vec<Token>,
}

impl<'a> Row<'a> {
    fn new(language: Language) -> Self {
        Self {
            language,
            before: None,
            tokens: Vec::new(),
        }
    }

    fn push(&mut self, index: usize, unit: &'a str) {
        let whole_word =
            self.language == Language::En || unit.starts_with(|it: char| it.is_ascii_alphanumeric());
        if whole_word {
            self.before = None;
            self.tokens.push(Token {
                text: unit.to_owned(),
                units: index..index + 1,
            });
        } else if let Some(before) = self.before.replace(unit) {
            self.tokens.push(Token {
                text: format!("{before}{unit}"),
                units: index - 1..index + 1,
            });
        }
    }

    fn end(&mut self) {
        self.before = None;
    }

    fn into_tokens(self) -> Vec<Token> {
        self.tokens
    }
}
