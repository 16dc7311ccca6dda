//! Finds in a question the names and signs of conditions that the articles list.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use aho_corasick::BuildError;

use crate::{
    article::{Article, Raised},
    negation::denied_units,
    phrases::{Phrases, longest, overlap},
    section::Language,
    units::{STOP, UnitText, is_mark},
    vocabulary::{Vocabulary, vocabulary},
};

/// What a term is to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TermKind {
    Name,
    Alias,
    Colloquial,
    /// A general complaint that usually has to do with the condition, from the vocabulary.
    Complaint,
    Symptom,
}

/// A term found in a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mention {
    pub(crate) term: usize,
    pub(crate) units: Range<usize>,
    /// The share of the term's words that are there, less if they stand apart or in another order; 1 if
    /// the term stands there as it is.
    pub(crate) closeness: f32,
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
    /// The terms in their order, then the phrases that block them.
    phrases: Phrases,
    /// From a word (in Chinese a pair of characters) to the terms of several words that have it.
    by_word: HashMap<String, Vec<usize>>,
    /// Words of names and aliases: a disease of such a word is not an unknown one.
    name_words: HashSet<String>,
    language: Language,
}

pub(crate) struct Term {
    pub(crate) units: UnitText,
    content: Vec<String>,
    /// It has a negation of its own, such as 疼得不能碰.
    negative: bool,
    /// Places of articles, with the strongest thing that the term is to each.
    pub(crate) owners: Vec<(usize, TermKind)>,
    /// Places of articles that are usually less urgent than this term.
    raised: Vec<(usize, Raised)>,
}

impl Term {
    /// How urgent the term is for an article, if that is more than the article itself.
    pub(crate) fn raised(&self, place: usize) -> Option<Raised> {
        self.raised.iter().filter(|it| it.0 == place).map(|it| it.1).max()
    }
}

impl Linker {
    pub(crate) fn new(articles: &[Article], language: Language) -> Result<Self, BuildError> {
        let vocabulary = vocabulary(language);
        let mut owners: BTreeMap<String, (UnitText, BTreeMap<usize, TermKind>)> = BTreeMap::new();
        let mut raised: HashMap<String, Vec<(usize, Raised)>> = HashMap::new();
        for (place, article) in articles.iter().enumerate() {
            for (text, urgency) in &article.raised {
                let units = vocabulary.units(text);
                raised
                    .entry(units.as_str().to_owned())
                    .or_default()
                    .push((place, *urgency));
            }
            let complaints = vocabulary
                .complaints
                .iter()
                .filter(|it| it.1.contains(&article.id));
            let complaints = complaints.map(|it| (TermKind::Complaint, it.0.clone()));
            for (kind, text) in terms_of(article).into_iter().chain(complaints) {
                let units = vocabulary.units(&text);
                if is_term(&units, kind, vocabulary, language) {
                    let (_, kinds) = owners
                        .entry(units.as_str().to_owned())
                        .or_insert_with(|| (units, BTreeMap::new()));
                    kinds
                        .entry(place)
                        .and_modify(|it| *it = kind.min(*it))
                        .or_insert(kind);
                }
            }
        }
        let terms: Vec<Term> = owners
            .into_values()
            .map(|(units, owners)| Term {
                content: content_words(&units, vocabulary),
                negative: denied_units(&units, &[]).contains(&true),
                owners: owners.into_iter().collect(),
                raised: raised.remove(units.as_str()).unwrap_or_default(),
                units,
            })
            .collect();
        let mut by_word: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, term) in terms.iter().enumerate() {
            let words = match language {
                Language::En if term.content.len() >= 2 => term.content.clone(),
                Language::Zh if term.units.len() >= CHINESE_PARTIAL => pairs(&term.units),
                _ => continue,
            };
            for word in words {
                by_word.entry(word).or_default().push(index);
            }
        }
        let names = terms
            .iter()
            .filter(|it| it.owners.iter().any(|it| it.1 <= TermKind::Alias));
        let name_words = names
            .flat_map(|it| match language {
                Language::En => it.units.units().map(str::to_owned).collect(),
                Language::Zh => pairs(&it.units),
            })
            .collect();
        let phrases = Phrases::new(
            terms
                .iter()
                .map(|it| &it.units)
                .chain(&vocabulary.blocked)
                .chain(&vocabulary.unknown.names),
        )?;
        Ok(Self {
            vocabulary,
            terms,
            phrases,
            by_word,
            name_words,
            language,
        })
    }

    pub(crate) fn term(&self, mention: &Mention) -> Option<&Term> {
        self.terms.get(mention.term)
    }

    pub(crate) fn len(&self) -> usize {
        self.terms.len()
    }

    /// All terms in a question.
    pub(crate) fn link(&self, text: &UnitText) -> Mentions {
        let exact = self.phrases.find_longest(text);
        let named: Vec<Range<usize>> = exact.iter().map(|it| it.units.clone()).collect();
        let denied = denied_units(text, &named);
        let is_denied = |units: &Range<usize>| units.clone().any(|it| denied.get(it) == Some(&true));
        let taken: HashSet<usize> = exact.iter().flat_map(|it| it.units.clone()).collect();
        let (terms, blocked): (Vec<_>, Vec<_>) =
            exact.into_iter().partition(|it| it.phrase < self.terms.len());
        let mut found: Vec<Mention> = terms
            .into_iter()
            .map(|it| Mention {
                term: it.phrase,
                units: it.units,
                closeness: 1.0,
            })
            .collect();
        let blocked: Vec<Range<usize>> = blocked.into_iter().map(|it| it.units).collect();
        let (squeezed, kept) = self.without_fillers(text);
        let again = self
            .exact_again(&squeezed)
            .into_iter()
            .chain(self.partial(&squeezed));
        let again = again.filter_map(|it| {
            let (first, last) = (*kept.get(it.units.start)?, *kept.get(it.units.end - 1)?);
            Some(Mention {
                units: first..last + 1,
                ..it
            })
        });
        for mention in again {
            let new = mention.units.clone().any(|it| !taken.contains(&it));
            let blocked = blocked.iter().any(|it| overlap(it, &mention.units));
            if new && !blocked && found.iter().all(|it| it.term != mention.term) {
                found.push(mention);
            }
        }
        let covered = found.iter().flat_map(|it| it.units.clone()).collect();
        found.retain(|it| {
            let negative = self.terms.get(it.term).is_some_and(|it| it.negative);
            // Within a term whose words stand apart there may be a "not" as well.
            let telling = if it.closeness < 1.0 {
                it.units.clone()
            } else {
                it.units.start..it.units.start + 1
            };
            negative || !is_denied(&telling)
        });
        Mentions {
            found,
            covered,
            denied,
        }
    }

    /// Whether the question names a disease that no article is about.
    pub(crate) fn names_unknown_disease(&self, text: &UnitText, covered: &HashSet<usize>) -> bool {
        let unknown = &self.vocabulary.unknown;
        let generic: HashSet<usize> = unknown
            .generic
            .find(text)
            .into_iter()
            .flat_map(|it| it.units)
            .collect();
        let named = unknown.words.find(text).into_iter().map(|it| it.units);
        let by_ending = (0..text.len())
            .filter(|it| self.ends_as_disease(text, *it))
            .map(|it| it..it + 1);
        named.chain(by_ending).any(|units| {
            units
                .clone()
                .all(|it| !covered.contains(&it) && !generic.contains(&it))
        })
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
                    index + 1 >= length
                        && it
                            .chars()
                            .zip(index + 1 - length..)
                            .all(|(c, at)| text.unit(at).starts_with(c))
                });
                let Some(before) = ending.and_then(|it| (index + 1).checked_sub(it.chars().count() + 1))
                else {
                    return false;
                };
                let pair = format!("{}{}", text.unit(before), text.unit(before + 1));
                !is_mark(text.unit(before)) && !self.name_words.contains(&pair)
            }
        }
    }

    /// Terms most of whose words stand near each other in one sentence: "my nose is all runny".
    fn partial(&self, text: &UnitText) -> Vec<Mention> {
        let words: Vec<String> = match self.language {
            Language::En => text.units().map(str::to_owned).collect(),
            Language::Zh => (1..text.len())
                .map(|it| format!("{}{}", text.unit(it - 1), text.unit(it)))
                .collect(),
        };
        let mut best: BTreeMap<usize, Mention> = BTreeMap::new();
        for (index, word) in words.iter().enumerate() {
            for term in self.by_word.get(word).into_iter().flatten().copied() {
                let Some(content) = self.terms.get(term) else {
                    continue;
                };
                let close = match self.language {
                    Language::En => words_near(text, index, &content.content),
                    Language::Zh => characters_near(text, index, &content.units),
                };
                let Some((units, share)) = close else { continue };
                let mention = Mention {
                    term,
                    units,
                    closeness: share * APART,
                };
                if best.get(&term).is_none_or(|it| it.closeness < mention.closeness) {
                    best.insert(term, mention);
                }
            }
        }
        best.into_values().collect()
    }

    /// Terms that are found once the fillers are left out: 头有点痛.
    fn exact_again(&self, squeezed: &UnitText) -> Vec<Mention> {
        let found = longest(self.phrases.find(squeezed))
            .into_iter()
            .filter(|it| it.phrase < self.terms.len());
        found
            .map(|it| Mention {
                term: it.phrase,
                units: it.units,
                closeness: APART,
            })
            .collect()
    }

    /// The text without fillers, and where each of its units stood.
    fn without_fillers(&self, text: &UnitText) -> (UnitText, Vec<usize>) {
        let fillers: HashSet<usize> = self
            .vocabulary
            .fillers
            .find_longest(text)
            .into_iter()
            .flat_map(|it| it.units)
            .collect();
        let kept: Vec<usize> = (0..text.len()).filter(|it| !fillers.contains(it)).collect();
        let units = kept.iter().map(|it| (text.unit(*it), text.origin(*it..it + 1)));
        let squeezed = UnitText::from_units(units, text, self.language);
        (squeezed, kept)
    }
}

/// What a term counts whose words stand apart.
pub(crate) const APART: f32 = 0.85;
/// Shorter Chinese terms must be there as they are, but for fillers.
const CHINESE_PARTIAL: usize = 4;
/// The share of a term that must be there.
const MOST: f32 = 0.75;

/// The span around `index` with the words of `content`, and the share of them that it has: all, or all
/// but one of four and more.
fn words_near(text: &UnitText, index: usize, content: &[String]) -> Option<(Range<usize>, f32)> {
    let reach = content.len() * 3;
    let stops = |it: &usize| text.unit(*it) == STOP;
    let first = (index.saturating_sub(reach)..index)
        .rev()
        .take_while(|it| !stops(it))
        .last()
        .unwrap_or(index);
    let last = (index..(index + reach + 1).min(text.len()))
        .take_while(|it| !stops(it))
        .last()
        .unwrap_or(index);
    let places: Vec<usize> = content
        .iter()
        .filter_map(|word| {
            (first..=last)
                .filter(|it| text.unit(*it) == word)
                .min_by_key(|it| it.abs_diff(index))
        })
        .collect();
    let (start, end) = (*places.iter().min()?, *places.iter().max()? + 1);
    let missing = content.len() - places.len();
    let enough = missing == 0 || (missing == 1 && content.len() >= 4);
    (enough && end - start <= reach).then(|| (start..end, places.len() as f32 / content.len() as f32))
}

/// The span around `index` in which most characters of a term stand in its order, and the share of them.
/// The first and the last must be there: 尿里有血 is not 尿里有糖.
fn characters_near(text: &UnitText, index: usize, term: &UnitText) -> Option<(Range<usize>, f32)> {
    const BETWEEN: usize = 3;
    let reach = term.len() + BETWEEN;
    let first = (index.saturating_sub(reach)..index)
        .rev()
        .take_while(|it| text.unit(*it) != STOP)
        .last();
    let first = first.unwrap_or(index.saturating_sub(1));
    let mut best: Option<(Range<usize>, f32)> = None;
    for start in first..=index {
        let window: Vec<&str> = (start..(start + reach).min(text.len()))
            .map(|it| text.unit(it))
            .take_while(|it| *it != STOP)
            .collect();
        let wanted: Vec<&str> = term.units().collect();
        let ends = [wanted.first(), wanted.last()];
        let share = longest_common_subsequence(&window, &wanted) as f32 / term.len() as f32;
        let enough = share >= MOST && ends.iter().flatten().all(|it| window.contains(it));
        if enough && best.as_ref().is_none_or(|it| it.1 < share) {
            best = Some((start..start + window.len(), share));
        }
    }
    best
}

fn longest_common_subsequence(a: &[&str], b: &[&str]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (column, y) in (1..).zip(b) {
            let above = row.get(column).copied().unwrap_or_default();
            let left = row.get(column - 1).copied().unwrap_or_default();
            let value = if x == y { diagonal + 1 } else { above.max(left) };
            if let Some(cell) = row.get_mut(column) {
                *cell = value;
            }
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn terms_of(article: &Article) -> Vec<(TermKind, String)> {
    let mut terms = vec![(TermKind::Name, article.name.clone())];
    // "Sore throat (pharyngitis and tonsillitis)", "胃炎和消化不良": each part names it too.
    let parts = article
        .name
        .split(['(', ')', '（', '）', '和', '、'])
        .flat_map(|it| it.split(" and "))
        .map(str::trim);
    terms.extend(
        parts
            .filter(|it| it.chars().count() >= 2)
            .map(|it| (TermKind::Name, it.to_owned())),
    );
    terms.extend(article.aliases.iter().map(|it| (TermKind::Alias, it.clone())));
    terms.extend(
        article
            .colloquial
            .iter()
            .map(|it| (TermKind::Colloquial, it.clone())),
    );
    for symptom in &article.symptoms {
        terms.push((TermKind::Symptom, symptom.clone()));
        // "phlegm, sometimes with blood", "chills or fever", 乏力或麻木
        let head = symptom.split([',', '，', '、']).next().unwrap_or_default();
        let alternatives = head
            .split(" or ")
            .flat_map(|it| it.split(['或', '和']))
            .map(str::trim);
        // A lone "pain" or 麻木 would point anywhere.
        let telling = |it: &&str| it.contains(' ') || (!it.is_ascii() && it.chars().count() >= 3);
        terms.extend(
            alternatives
                .filter(telling)
                .map(|it| (TermKind::Symptom, it.to_owned())),
        );
    }
    terms
}

fn is_term(units: &UnitText, kind: TermKind, vocabulary: &Vocabulary, language: Language) -> bool {
    let content = content_words(units, vocabulary);
    let long_enough = language == Language::En || units.as_str().chars().count() >= 2;
    // "Often no symptoms" is a remark, not a symptom.
    let remark = kind == TermKind::Symptom && denied_units(units, &[]).contains(&true);
    long_enough && !content.is_empty() && !remark
}

fn content_words(units: &UnitText, vocabulary: &Vocabulary) -> Vec<String> {
    let mut seen = HashSet::new();
    let content = units
        .units()
        .filter(|it| !vocabulary.is_stop(it) && seen.insert(*it));
    content.map(str::to_owned).collect()
}

/// Pairs of neighbouring characters.
fn pairs(units: &UnitText) -> Vec<String> {
    let pairs = (1..units.len()).map(|it| (units.unit(it - 1), units.unit(it)));
    pairs
        .filter(|it| !is_mark(it.0) && !is_mark(it.1))
        .map(|it| format!("{}{}", it.0, it.1))
        .collect()
}
