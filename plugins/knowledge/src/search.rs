//! From a question to the passages that answer it, or to none.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    ops::Range,
};

use crate::{
    article::{Article, Raised},
    index::{Entry, Index, IndexedPassage},
    linker::{APART, Mentions, TermKind},
    passage::StoredPassage,
    section::{Language, Section},
    units::UnitText,
    vocabulary::Intent,
};

/// At most this many passages, from at most [`MOST_CONDITIONS`].
pub const MOST_PASSAGES: usize = 3;
pub const MOST_CONDITIONS: usize = 2;

/// What a search found; no hits mean that nothing in the base answers the question.
#[derive(Debug, Clone, Default)]
pub struct Found<'a> {
    /// Best first.
    pub hits: Vec<Hit<'a>>,
    /// The question tells of somebody's own trouble, or asks what to do; it does not only ask for facts.
    pub reports: bool,
}

/// A passage found.
#[derive(Debug, Clone)]
pub struct Hit<'a> {
    pub article: &'a Article,
    pub passage: &'a StoredPassage,
    /// Confidence that the passage's condition is what the question is about, 0 to 1.
    pub score: f32,
    /// What the question says of the condition is more urgent than the article usually is.
    pub raised: Option<Raised>,
}

impl Hit<'_> {
    /// The article's usual urgency, or that of what the question names: one of
    /// [`DISPOSITIONS`](crate::article::DISPOSITIONS).
    #[must_use]
    pub fn disposition(&self) -> &str {
        self.raised
            .map_or(self.article.disposition.as_str(), |it| it.name())
    }
}

/// How much each kind of evidence counts, and how much is enough. Set on `tests/questions`.
mod weight {
    pub(super) const NAME: f32 = 0.9;
    pub(super) const COLLOQUIAL: f32 = 0.7;
    pub(super) const COMPLAINT: f32 = 0.5;
    pub(super) const SYMPTOM: f32 = 0.42;
    /// A sign of n conditions counts n^-this for each.
    pub(super) const SHARED: f32 = 0.4;
    /// What a perfect BM25 fit adds to what the terms leave open.
    pub(super) const TEXT: f32 = 0.5;
    /// Without a name or a telling phrase: how many signs, and how much they must amount to.
    pub(super) const SIGNS: usize = 2;
    pub(super) const SIGNS_ENOUGH: f32 = 0.4;
    /// The share of the question that must be known of the condition.
    pub(super) const SIGNS_COVERAGE: f32 = 0.4;
    pub(super) const TELLING_ENOUGH: f32 = 0.4;
    pub(super) const TELLING_COVERAGE: f32 = 0.25;
    /// Without any term.
    pub(super) const TEXT_ONLY_COVERAGE: f32 = 0.85;
    pub(super) const TEXT_ONLY_TOKENS: usize = 5;
    /// The second condition must come this near to the first.
    pub(super) const SECOND: f32 = 0.8;
    /// What a named thing needs when the talk is of something else.
    pub(super) const OFF_TOPIC: f32 = 0.85;
}

/// How much is known of one condition.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    place: usize,
    score: f32,
    named: bool,
    /// Signs of it are told.
    described: bool,
    /// Where in the question its first term stands.
    first: usize,
    raised: Option<Raised>,
}

impl Index {
    /// Finds passages for `question`. `earlier` is what the same patient wrote before, newest first: a
    /// question such as "how is it treated?" is then read as one about the condition named there.
    #[must_use]
    pub fn search(&self, question: &str, earlier: &[&str]) -> Found<'_> {
        let question: String = question.chars().take(LONGEST_QUESTION).collect();
        let text = self.vocabulary.units(&question);
        if text.is_empty() || !self.vocabulary.animals.find(&text).is_empty() {
            return Found::default();
        }
        let intent = self.vocabulary.intent(&text);
        let mentions = self.linker.link(&text);
        let mut candidates = self.candidates(&text, &mentions, &intent);
        if candidates.is_empty() && mentions.covered.is_empty() {
            candidates = self.carried_over(&text, &intent, earlier);
        }
        let Some(top) = candidates.first().copied() else {
            return Found::default();
        };
        // Who names an emergency and asks for no facts has it.
        let alarmed = top.raised == Some(Raised::Emergency) && intent.section.is_none();
        let reports = top.described || alarmed || !self.vocabulary.reports.find(&text).is_empty();
        let tokens = self.content_tokens(&text, &intent.cue_units, &[]);
        let tokens: HashSet<String> = tokens.into_iter().map(|it| it.text).collect();
        Found {
            hits: self.hits(&candidates, intent.section, reports, &tokens),
            reports,
        }
    }

    /// The conditions that the question is about, best first.
    fn candidates(&self, text: &UnitText, mentions: &Mentions, intent: &Intent) -> Vec<Candidate> {
        let links = self.links(mentions);
        let skip: HashSet<usize> = intent
            .cue_units
            .iter()
            .copied()
            .filter(|it| !mentions.covered.contains(it))
            .chain((0..text.len()).filter(|it| mentions.denied.get(*it) == Some(&true)))
            .collect();
        let terms: Vec<Range<usize>> = mentions.found.iter().map(|it| it.units.clone()).collect();
        let (tokens, places): (Vec<String>, Vec<Range<usize>>) = self
            .content_tokens(text, &skip, &terms)
            .into_iter()
            .map(|it| (it.text, it.units))
            .unzip();
        let fits = self.bm25.fits(&tokens);
        let best_fit = fits.iter().map(|it| it.score).fold(f32::MIN_POSITIVE, f32::max);
        let mut candidates: Vec<Candidate> = fits
            .iter()
            .enumerate()
            .filter_map(|(place, fit)| {
                let link = links.get(&place).cloned().unwrap_or_default();
                let explained = |token: usize| {
                    let units = places.get(token).cloned().unwrap_or_default();
                    link.spans
                        .iter()
                        .any(|it| it.start <= units.start && units.end <= it.end)
                };
                let coverage = self.bm25.coverage(&tokens, place, explained);
                let score = score(&link, coverage, fit.tokens, fit.score / best_fit)?;
                Some(Candidate {
                    place,
                    score,
                    named: link.named,
                    described: link.described,
                    first: link.first(),
                    raised: link.raised,
                })
            })
            .collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.first.cmp(&b.first)));
        let named = candidates.first().is_some_and(|it| it.named);
        let strong = candidates.first().is_some_and(|it| it.score >= weight::OFF_TOPIC);
        let unknown = !named && self.linker.names_unknown_disease(text, &mentions.covered);
        let off_topic = !strong && !self.vocabulary.off_topic.find(text).is_empty();
        if unknown || off_topic {
            candidates.clear();
        }
        candidates
    }

    /// What the terms say of each condition.
    fn links(&self, mentions: &Mentions) -> HashMap<usize, Link> {
        let mut links: HashMap<usize, Link> = HashMap::new();
        let mut seen = HashSet::new();
        for mention in &mentions.found {
            let Some(term) = self.linker.term(mention) else {
                continue;
            };
            let again = !seen.insert(mention.term);
            let owners = |kind| term.owners.iter().filter(|it| it.1 == kind).count();
            let (phrases, signs) = (owners(TermKind::Colloquial), owners(TermKind::Symptom));
            let shared = |count: usize| (count.max(1) as f32).powf(-weight::SHARED);
            for (place, kind) in &term.owners {
                let weight = mention.closeness
                    * match kind {
                        TermKind::Name | TermKind::Alias => weight::NAME,
                        TermKind::Colloquial => weight::COLLOQUIAL * shared(phrases),
                        TermKind::Complaint => weight::COMPLAINT,
                        TermKind::Symptom => weight::SYMPTOM * shared(phrases + signs),
                    };
                let link = links.entry(*place).or_default();
                // Said twice is not twice as sure.
                let weight = if again { 0.0 } else { weight };
                link.evidence = 1.0 - (1.0 - link.evidence) * (1.0 - weight);
                link.named |= *kind <= TermKind::Alias && mention.closeness >= 1.0;
                link.described |= matches!(kind, TermKind::Colloquial | TermKind::Symptom);
                link.telling |= *kind <= TermKind::Complaint || self.is_telling(&term.units);
                // All words of it: part of "heat stroke" is "heat".
                let whole = mention.closeness >= APART;
                link.raised = link.raised.max(term.raised(*place).filter(|_| whole));
                link.terms.insert(mention.term);
                link.spans.push(mention.units.clone());
            }
        }
        links
    }

    /// Whether a sign says much alone: "swelling of one leg" does, "cough" does not.
    fn is_telling(&self, sign: &UnitText) -> bool {
        match self.language {
            Language::En => sign.units().filter(|it| !self.vocabulary.is_stop(it)).count() >= 3,
            Language::Zh => sign.len() >= 5,
        }
    }

    /// The condition of an earlier message, if this one has nothing of its own that does not fit it.
    fn carried_over(&self, text: &UnitText, intent: &Intent, earlier: &[&str]) -> Vec<Candidate> {
        let short = text.units().filter(|it| !crate::units::is_mark(it)).count() <= FOLLOW_UP_UNITS;
        if intent.section.is_none() || !short {
            return Vec::new();
        }
        let own = self.content_tokens(text, &intent.cue_units, &[]);
        for before in earlier.iter().take(FOLLOW_UP_TURNS) {
            let before = self.vocabulary.units(before);
            let mentions = self.linker.link(&before);
            let candidates = self.candidates(&before, &mentions, &self.vocabulary.intent(&before));
            let Some(top) = candidates.first() else { continue };
            let known =
                |entry: &Entry, token: &String| entry.passages.iter().any(|it| it.tokens.contains(token));
            let fits = self
                .entries
                .get(top.place)
                .is_some_and(|entry| own.iter().all(|it| known(entry, &it.text)));
            return if fits { candidates } else { Vec::new() };
        }
        Vec::new()
    }

    /// The passages of the first conditions: what was asked for, then when to seek care.
    fn hits(
        &self,
        candidates: &[Candidate],
        section: Option<Section>,
        reports: bool,
        question: &HashSet<String>,
    ) -> Vec<Hit<'_>> {
        let Some(top) = candidates.first() else {
            return Vec::new();
        };
        let near = |it: &&Candidate| it.score >= top.score * weight::SECOND && (it.named || !top.named);
        let chosen: Vec<&Candidate> = candidates.iter().filter(near).take(MOST_CONDITIONS).collect();
        // Who asks of a condition wants to know of it, who tells of his own wants to get rid of it.
        let asked = section.unwrap_or(if reports {
            Section::Treatment
        } else {
            Section::Definition
        });
        let second = if asked == Section::WhenToSeekCare {
            Section::Treatment
        } else {
            Section::WhenToSeekCare
        };
        let mut hits: Vec<Hit<'_>> = Vec::new();
        let mut add = |candidate: &Candidate, section: Section, most: usize| {
            let Some(entry) = self.entries.get(candidate.place) else {
                return;
            };
            for passage in best_first(entry, section, question).into_iter().take(most) {
                let hit = Hit {
                    article: &entry.article,
                    passage: &passage.stored,
                    score: candidate.score,
                    raised: candidate.raised,
                };
                if hits.len() < MOST_PASSAGES && hits.iter().all(|it| it.passage.id != hit.passage.id) {
                    hits.push(hit);
                }
            }
        };
        for candidate in &chosen {
            add(candidate, asked, 1);
        }
        // What is urgent may take two pieces.
        add(top, second, if second == Section::WhenToSeekCare { 2 } else { 1 });
        add(top, asked, MOST_PASSAGES);
        hits
    }
}

/// What a condition's terms in a question amount to.
#[derive(Debug, Clone, Default)]
struct Link {
    evidence: f32,
    named: bool,
    described: bool,
    /// There is more than general signs.
    telling: bool,
    terms: HashSet<usize>,
    raised: Option<Raised>,
    /// Where the terms stand.
    spans: Vec<Range<usize>>,
}

impl Link {
    fn first(&self) -> usize {
        self.spans.iter().map(|it| it.start).min().unwrap_or(usize::MAX)
    }
}

/// Characters that are read; more than any chat platform lets through in one message.
const LONGEST_QUESTION: usize = 4096;

/// Longer messages stand for themselves.
const FOLLOW_UP_UNITS: usize = 14;
const FOLLOW_UP_TURNS: usize = 2;

/// The fused confidence, if it is enough to answer. `tokens` is how many tokens of the question the text
/// has, `nearness` its fit as a share of the best one.
fn score(link: &Link, coverage: f32, tokens: usize, nearness: f32) -> Option<f32> {
    let enough = if link.named {
        true
    } else if link.telling {
        link.evidence >= weight::TELLING_ENOUGH && coverage >= weight::TELLING_COVERAGE
    } else if link.evidence > 0.0 {
        // "Chest pain" alone may be anything: no passage is better than one of the wrong condition.
        link.terms.len() >= weight::SIGNS
            && link.evidence >= weight::SIGNS_ENOUGH
            && coverage >= weight::SIGNS_COVERAGE
    } else {
        coverage >= weight::TEXT_ONLY_COVERAGE && tokens >= weight::TEXT_ONLY_TOKENS && nearness >= 1.0
    };
    enough.then_some(1.0 - (1.0 - link.evidence) * (1.0 - weight::TEXT * coverage * nearness))
}

/// The pieces of a section, those that share most with the question first. When to seek care keeps its order:
/// nobody may be told of "today" without what is an emergency.
fn best_first<'a>(entry: &'a Entry, section: Section, question: &HashSet<String>) -> Vec<&'a IndexedPassage> {
    let mut pieces: Vec<&IndexedPassage> = entry.of_section(section).collect();
    if section == Section::WhenToSeekCare {
        return pieces;
    }
    pieces.sort_by_key(|it| Reverse(it.tokens.intersection(question).count()));
    pieces
}
