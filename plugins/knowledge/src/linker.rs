//! Finds in a question the names and signs of conditions that the articles list.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use aho_corasick::BuildError;

use crate::{
    article::Article,
    negation::denied_units,
    phrases::{PhraseMatch, Phrases, longest},
    section::Language,
    units::{COMMA, LIST_COMMA, STOP, UnitText},
    vocabulary::{Vocabulary, vocabulary},
};

/// What a term is to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TermKind {
    Name,
    Alias,
    Colloquial,
    Symptom,
}

/// A term found in a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) term: usize,
    pub(crate) units: Range<usize>,
    /// The words stand apart or in another order.
    pub(crate) loose: bool,
}

/// What was found in a question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentions {
    /// Those that are not denied.
    pub(crate) found: Vec<Mention>,
    /// Units of terms, of denied ones too: they need no further explanation.
    pub(crate) covered: HashSet<usize>,
    pub(crate) denied: Vec<bool>,
}

/// The terms of all articles of one language.
pub(crate) struct Linker {
    vocabulary: &'static Vocabulary,
    terms: Vec<Term>,
    /// The terms in their order, then the phrases that block.
    phrases: Phrases,
    /// From a content word to the terms that have it and another one; English only.
    loose: HashMap<String, Vec<usize>>,
    /// Words of names and aliases: a disease of such a word is not an unknown one.
    name_words: HashSet<String>,
    language: Language,
}

pub(crate) struct Term {
    units: UnitText,
    content: Vec<String>,
    /// Places of articles, with the strongest thing that the term is to each.
    pub(crate) owners: Vec<(usize, TermKind)>,
}

impl Linker {
    pub(crate) fn new(articles: &[Article], language: Language) -> Result<Self, BuildError> {
        let vocabulary = vocabulary(language);
        let mut owners: BTreeMap<String, (UnitText, BTreeMap<usize, TermKind>)> = BTreeMap::new();
        for (place, article) in articles.iter().enumerate() {
            for (kind, text) in terms_of(article) {
                let units = vocabulary.units(&text);
                if is_term(&units, kind, vocabulary, language) {
                    let (_, kinds) =
                        owners.entry(units.as_str().to_owned()).or_insert_with(|| (units, BTreeMap::new()));
                    kinds.entry(place).and_modify(|it| *it = kind.min(*it)).or_insert(kind);
                }
            }
        }
        let terms: Vec<Term> = owners
            .into_values()
            .map(|(units, owners)| {
                let content = content_words(&units, vocabulary);
                Term { units, content, owners: owners.into_iter().collect() }
            })
            .collect();
        let mut loose: HashMap<String, Vec<usize>> = HashMap::new();
        if language == Language::En {
            for (index, term) in terms.iter().enumerate().filter(|it| it.1.content.len() >= 2) {
                loose.entry(term.content.first().cloned().unwrap_or_default()).or_default().push(index);
            }
        }
        let names = terms.iter().filter(|it| it.owners.iter().any(|it| it.1 <= TermKind::Alias));
        let name_words = names.flat_map(|it| words(&it.units, language)).collect();
        let phrases = Phrases::new(terms.iter().map(|it| &it.units).chain(&vocabulary.blocked))?;
        Ok(Self { vocabulary, terms, phrases, loose, name_words, language })
    }

    pub(crate) fn term(&self, mention: &Mention) -> Option<&Term> {
        self.terms.get(mention.term)
    }

    pub(crate) fn len(&self) -> usize {
        self.terms.len()
    }

    /// All terms in a question.
    pub(crate) fn link(&self, text: &UnitText) -> Mentions {
        let denied = denied_units(text, &self.vocabulary.negation);
        let is_denied = |units: &Range<usize>| units.clone().any(|it| denied.get(it) == Some(&true));
        let exact = self.phrases.find_longest(text);
        let mut covered: HashSet<usize> = exact.iter().flat_map(|it| it.units.clone()).collect();
        let mut found: Vec<Mention> = exact
            .into_iter()
            .filter(|it| it.phrase < self.terms.len())
            .map(|it| Mention { term: it.phrase, units: it.units, loose: false })
            .collect();
        let again = match self.language {
            Language::En => self.loose_words(text),
            Language::Zh => self.without_fillers(text),
        };
        for mention in again {
            let new = mention.units.clone().any(|it| !covered.contains(&it));
            if new && found.iter().all(|it| it.term != mention.term) {
                found.push(mention);
            }
        }
        covered.extend(found.iter().flat_map(|it| it.units.clone()));
        found.retain(|it| match it.loose {
            true => !is_denied(&it.units),
            false => !is_denied(&(it.units.start..it.units.start + 1)),
        });
        Mentions { found, covered, denied }
    }

    /// Whether the question names a disease that no article is about.
    pub(crate) fn names_unknown_disease(&self, text: &UnitText, covered: &HashSet<usize>) -> bool {
        let unknown = &self.vocabulary.unknown;
        let generic: HashSet<usize> = unknown.generic.find(text).into_iter().flat_map(|it| it.units).collect();
        let named = unknown.words.find(text).into_iter().map(|it| it.units);
        let by_ending = (0..text.len()).filter(|it| self.ends_as_disease(text, *it)).map(|it| it..it + 1);
        named.chain(by_ending).any(|units| units.clone().all(|it| !covered.contains(&it) && !generic.contains(&it)))
    }

    fn ends_as_disease(&self, text: &UnitText, index: usize) -> bool {
        let unit = text.unit(index);
        match self.language {
            Language::En => {
                crate::vocabulary::has_ending(unit, &self.vocabulary.unknown.endings)
                    && !self.name_words.contains(unit)
            }
            Language::Zh => {
                let ending = self.vocabulary.unknown.endings.iter().find(|it| {
                    let length = it.chars().count();
                    index + 1 >= length && it.chars().zip(index + 1 - length..).all(|(c, at)| text.unit(at).starts_with(c))
                });
                let Some(before) = ending.and_then(|it| (index + 1).checked_sub(it.chars().count() + 1)) else {
                    return false;
                };
                let pair = format!("{}{}", text.unit(before), text.unit(before + 1));
                !crate::units::is_mark(text.unit(before)) && !self.name_words.contains(&pair)
            }
        }
    }

    /// Terms whose words all stand near each other in one sentence, in any order: "my nose is all runny".
    fn loose_words(&self, text: &UnitText) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (index, unit) in text.units().enumerate() {
            for term in self.loose.get(unit).into_iter().flatten().copied() {
                if let Some(term_units) = self.terms.get(term).and_then(|it| near(text, index, &it.content))
                    && seen.insert(term)
                {
                    found.push(Mention { term, units: term_units, loose: true });
                }
            }
        }
        found
    }

    /// Terms that are found once the fillers are left out: 头有点痛.
    fn without_fillers(&self, text: &UnitText) -> Vec<Mention> {
        let fillers: HashSet<usize> =
            self.vocabulary.fillers.find_longest(text).into_iter().flat_map(|it| it.units).collect();
        let kept: Vec<usize> = (0..text.len()).filter(|it| !fillers.contains(it)).collect();
        let squeezed = UnitText::from_units(kept.iter().map(|it| text.unit(*it)), self.language);
        let back = |found: PhraseMatch| {
            let first = *kept.get(found.units.start)?;
            let last = *kept.get(found.units.end - 1)?;
            Some(Mention { term: found.phrase, units: first..last + 1, loose: true })
        };
        let found = longest(self.phrases.find(&squeezed));
        found.into_iter().filter(|it| it.phrase < self.terms.len()).filter_map(back).collect()
    }
}

/// The span that holds all `content`, at most this many other units apart, around `index`.
fn near(text: &UnitText, index: usize, content: &[String]) -> Option<Range<usize>> {
    const APART: usize = 4;
    let reach = content.len() + APART;
    let stops = |it: &usize| text.unit(*it) == STOP;
    let first = (index.saturating_sub(reach)..index).rev().take_while(|it| !stops(it)).last().unwrap_or(index);
    let last = (index..(index + reach + 1).min(text.len())).take_while(|it| !stops(it)).last().unwrap_or(index);
    let places: Option<Vec<usize>> = content
        .iter()
        .map(|word| (first..=last).filter(|it| text.unit(*it) == word).min_by_key(|it| it.abs_diff(index)))
        .collect();
    let places = places?;
    let (start, end) = (*places.iter().min()?, *places.iter().max()? + 1);
    (end - start <= reach).then_some(start..end)
}

fn terms_of(article: &Article) -> Vec<(TermKind, String)> {
    let mut terms = vec![(TermKind::Name, article.name.clone())];
    // "Sore throat (pharyngitis and tonsillitis)", "胃炎和消化不良": each part names it too.
    let parts = article.name.split(['(', ')', '（', '）', '和', '、']).flat_map(|it| it.split(" and ")).map(str::trim);
    terms.extend(parts.filter(|it| it.chars().count() >= 2).map(|it| (TermKind::Name, it.to_owned())));
    terms.extend(article.aliases.iter().map(|it| (TermKind::Alias, it.clone())));
    terms.extend(article.colloquial.iter().map(|it| (TermKind::Colloquial, it.clone())));
    for symptom in &article.symptoms {
        terms.push((TermKind::Symptom, symptom.clone()));
        // "phlegm, sometimes with blood", "chills or fever", 乏力或麻木
        let head = symptom.split([',', '，', '、']).next().unwrap_or_default();
        let alternatives = head.split(" or ").flat_map(|it| it.split(['或', '和'])).map(str::trim);
        // A lone "pain" or 麻木 would point anywhere.
        let telling = |it: &&str| it.contains(' ') || (!it.is_ascii() && it.chars().count() >= 3);
        terms.extend(alternatives.filter(telling).map(|it| (TermKind::Symptom, it.to_owned())));
    }
    terms
}

fn is_term(units: &UnitText, kind: TermKind, vocabulary: &Vocabulary, language: Language) -> bool {
    let content = content_words(units, vocabulary);
    let long_enough = language == Language::En || units.as_str().chars().count() >= 2;
    // "Often no symptoms" is a remark, not a symptom.
    let remark = kind == TermKind::Symptom && denied_units(units, &vocabulary.negation).contains(&true);
    long_enough && !content.is_empty() && !remark
}

fn content_words(units: &UnitText, vocabulary: &Vocabulary) -> Vec<String> {
    let mut seen = HashSet::new();
    let content = units.units().filter(|it| !vocabulary.is_stop(it) && seen.insert(*it));
    content.map(str::to_owned).collect()
}

/// Single words, in Chinese pairs of characters.
fn words(units: &UnitText, language: Language) -> Vec<String> {
    match language {
        Language::En => units.units().map(str::to_owned).collect(),
        Language::Zh => {
            let marks = |it: &str| [STOP, COMMA, LIST_COMMA].contains(&it);
            let pairs = (1..units.len()).map(|it| (units.unit(it - 1), units.unit(it)));
            pairs.filter(|it| !marks(it.0) && !marks(it.1)).map(|it| format!("{}{}", it.0, it.1)).collect()
        }
    }
}
