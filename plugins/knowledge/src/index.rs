//! The articles of one language, ready to be searched.

use std::collections::HashSet;

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
            let signs = format!("{}. {}.", article.colloquial.join(". "), article.symptoms.join(". "));
            // Names and signs count double: they say what the article is about.
            let mut document = tokens_of(&[head.as_str(), &signs, &head, &signs].join(" "));
            let indexed: Vec<IndexedPassage> = passages(&article)
                .into_iter()
                .map(|stored| {
                    let tokens = tokens_of(&stored.text);
                    document.extend(tokens.iter().cloned());
                    IndexedPassage { stored, tokens: tokens.into_iter().collect() }
                })
                .collect();
            documents.push(document);
            entries.push(Entry { article, passages: indexed });
        }
        Ok(Self { language, entries, linker, bm25: Bm25::new(documents), vocabulary })
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

    /// Words of a question that say what it is about, without those in `skip`.
    pub(crate) fn content_tokens(&self, text: &UnitText, skip: &HashSet<usize>) -> Vec<String> {
        let stop: HashSet<usize> =
            self.vocabulary.stop.find_longest(text).into_iter().flat_map(|it| it.units).collect();
        let mut kept = Vec::new();
        let mut row: Vec<&str> = Vec::new();
        for (index, unit) in text.units().enumerate() {
            if skip.contains(&index) || stop.contains(&index) || is_mark(unit) {
                flush(&mut row, &mut kept, self.language);
            } else {
                row.push(unit);
            }
        }
        flush(&mut row, &mut kept, self.language);
        kept
    }
}

impl Entry {
    pub(crate) fn of_section(&self, section: Section) -> impl Iterator<Item = &IndexedPassage> {
        self.passages.iter().filter(move |it| it.stored.section == section)
    }
}

/// English: stems that are no stop words. Chinese: pairs of characters and Latin words.
fn tokens(text: &UnitText, language: Language) -> Vec<String> {
    let vocabulary = vocabulary(language);
    let mut kept = Vec::new();
    let mut row: Vec<&str> = Vec::new();
    for unit in text.units() {
        let apart = match language {
            Language::En => vocabulary.is_stop(unit),
            Language::Zh => is_mark(unit),
        };
        if apart {
            flush(&mut row, &mut kept, language);
        } else {
            row.push(unit);
        }
    }
    flush(&mut row, &mut kept, language);
    kept
}

/// Turns a row of neighbouring units into tokens.
fn flush(row: &mut Vec<&str>, tokens: &mut Vec<String>, language: Language) {
    let is_latin = |it: &str| it.starts_with(|it: char| it.is_ascii_alphanumeric());
    match language {
        Language::En => tokens.extend(row.iter().map(|it| (*it).to_owned())),
        Language::Zh => {
            tokens.extend(row.iter().filter(|it| is_latin(it)).map(|it| (*it).to_owned()));
            let pairs = row.windows(2).filter(|it| it.iter().all(|it| !is_latin(it)));
            tokens.extend(pairs.map(<[&str]>::concat));
        }
    }
    row.clear();
}
