//! All that is known of one case, in the form in which conditions ask for it.

mod durations;
mod epilepsy;

use std::{collections::HashMap, ops::Range};

use durations::Lasting;

use crate::{
    assessment::{FindingStatus, PatientFacts, Sex},
    bundle::Bundle,
    condition::{Fact, Value},
    context::{self, Story, Subjects, is_family_history},
    data::FindingKind,
    facts::{Duration, TextFacts},
    lexicon::Mention,
    measurements::Measurements,
    pattern::{has_any, pattern},
};
use bedside_contract::Disposition;
use bedside_language::{
    NormalText, is_han,
    negation::{Layout, Polarity, Span, SpanKind, polarity},
};

pub(crate) struct Evidence {
    pub(crate) mentions: Vec<Reading>,
    pub(crate) facts: TextFacts,
    pub(crate) measurements: Measurements,
    active: Vec<bool>,
    mentioned: Vec<bool>,
    modified: Vec<(usize, usize)>,
    lasting: HashMap<usize, Lasting>,
    pub(crate) age_years: Option<f32>,
    pub(crate) sex: Option<Sex>,
    pub(crate) pregnant: Option<bool>,
    child: bool,
    infant: bool,
    elderly: bool,
}

/// A mention as it is understood.
pub(crate) struct Reading {
    pub(crate) mention: Mention,
    pub(crate) polarity: Polarity,
    pub(crate) other_person: bool,
    /// Counts for rules.
    pub(crate) active: bool,
}

impl Reading {
    /// It is spoken of in a story or an exam.
    fn imagine(&mut self) {
        if self.polarity == Polarity::Present {
            self.polarity = Polarity::Hypothetical;
        }
        self.active = false;
    }

    pub(crate) fn status(&self) -> FindingStatus {
        match self.polarity {
            Polarity::Absent => FindingStatus::Absent,
            Polarity::Possible | Polarity::Hypothetical => FindingStatus::Uncertain,
            _ if self.other_person => FindingStatus::OtherPerson,
            Polarity::Over => FindingStatus::Absent,
            Polarity::Present => FindingStatus::Present,
        }
    }
}

impl Evidence {
    pub(crate) fn gather(bundle: &Bundle, normal: &NormalText, patient: &PatientFacts) -> Self {
        let text = normal.text.as_str();
        let found = bundle.lexicon.mentions(text);
        let layout = Layout::new(text);
        let facts = TextFacts::read(text);
        let mut measurements = Measurements::read(text);
        let mut mentions = read_mentions(bundle, text, &layout, found, &facts.durations);
        match context::story(text, &facts, &measurements) {
            Story::None => {}
            Story::Whole => {
                mentions.iter_mut().for_each(Reading::imagine);
                measurements = Measurements::default();
            }
            Story::Sentences => mentions
                .iter_mut()
                .filter(|it| {
                    let sentence = text.get(layout.sentence_of(&it.mention.span));
                    context::tells_a_story(sentence.unwrap_or_default())
                })
                .for_each(Reading::imagine),
        }
        bind_to_sentences(bundle, &layout, &mut mentions);
        epilepsy::settle_told_attacks(bundle, text, &mut mentions);
        let mut evidence = Self {
            active: vec![false; bundle.findings.len()],
            mentioned: vec![false; bundle.findings.len()],
            modified: Vec::new(),
            lasting: HashMap::new(),
            measurements,
            age_years: facts.age_years.or(patient.age_years),
            sex: patient.sex.or(facts.sex),
            pregnant: patient.pregnant,
            child: false,
            infant: false,
            elderly: false,
            facts,
            mentions,
        };
        evidence.activate(bundle);
        evidence.collect_modifiers(bundle, text, &layout);
        evidence.collect_durations(bundle, text, &layout);
        evidence.settle_facts(bundle);
        evidence
    }

    pub(crate) fn is_active(&self, finding: usize) -> bool {
        self.active.get(finding).copied().unwrap_or_default()
    }

    /// Spoken of at all, be it denied.
    pub(crate) fn is_mentioned(&self, finding: usize) -> bool {
        self.mentioned.get(finding).copied().unwrap_or_default()
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = usize> {
        self.active
            .iter()
            .enumerate()
            .filter(|(_, it)| **it)
            .map(|(index, _)| index)
    }

    pub(crate) fn is_modified(&self, finding: usize, modifier: usize) -> bool {
        self.modified.contains(&(finding, modifier))
    }

    pub(crate) fn has_modifier(&self, modifier: usize) -> bool {
        self.modified.iter().any(|(_, it)| *it == modifier)
    }

    /// How long a finding that is there has lasted.
    pub(crate) fn lasting(&self, finding: usize) -> Lasting {
        self.lasting.get(&finding).copied().unwrap_or_default()
    }

    pub(crate) fn value(&self, value: Value) -> Option<f32> {
        match value {
            Value::Age => self.age_years,
            Value::Temperature => self.measurements.temperature,
            Value::OxygenSaturation => self.measurements.oxygen_saturation,
            Value::Systolic => self.measurements.systolic,
            Value::Diastolic => self.measurements.diastolic,
            Value::Glucose => self.measurements.glucose,
            Value::HeartRate => self.measurements.heart_rate,
            Value::BreathingRate => self.measurements.breathing_rate,
            Value::PainScore => self.measurements.pain_score,
            Value::Gestation => self.facts.gestation_weeks,
        }
    }

    pub(crate) fn fact(&self, fact: Fact) -> bool {
        match fact {
            Fact::Female => self.sex == Some(Sex::Female),
            Fact::Male => self.sex == Some(Sex::Male),
            Fact::Pregnant => self.pregnant == Some(true),
            Fact::Child => self.child,
            Fact::Infant => self.infant,
            Fact::Elderly => self.elderly,
        }
    }

    fn activate(&mut self, bundle: &Bundle) {
        let mut pending = Vec::new();
        for reading in &self.mentions {
            set(&mut self.mentioned, reading.mention.entry);
            if reading.active {
                pending.push(reading.mention.entry);
            }
        }
        if self.measurements.temperature.is_some_and(|it| it >= 37.5)
            && let Some(fever) = bundle.id("fever")
        {
            set(&mut self.mentioned, fever);
            pending.push(fever);
        }
        if self.measurements.pain_score.is_some_and(|it| it >= 8.0)
            && let Some(severe) = bundle.id("severe")
        {
            pending.push(severe);
        }
        while let Some(finding) = pending.pop() {
            if !self.is_active(finding) {
                set(&mut self.active, finding);
                set(&mut self.mentioned, finding);
                pending.extend(
                    bundle
                        .findings
                        .get(finding)
                        .into_iter()
                        .flat_map(|it| it.implies.iter().copied()),
                );
            }
        }
    }

    fn collect_modifiers(&mut self, bundle: &Bundle, text: &str, layout: &Layout) {
        let is_modifier = |it: &&Reading| {
            bundle
                .findings
                .get(it.mention.entry)
                .is_some_and(|it| it.kind == FindingKind::Modifier)
        };
        let mut found = Vec::new();
        for modifier in self.mentions.iter().filter(|it| is_modifier(it) && it.active) {
            for finding in self.mentions.iter().filter(|it| !is_modifier(it) && it.active) {
                if beside(text, layout, &modifier.mention.span, &finding.mention.span) {
                    found.push((finding.mention.entry, modifier.mention.entry));
                }
            }
        }
        if self.measurements.pain_score.is_some_and(|it| it >= 8.0)
            && let Some(severe) = bundle.id("severe")
        {
            found.extend(self.active().map(|it| (it, severe)));
        }
        // 剧烈的 heart attack pain is a 剧烈 chest pain too.
        let implied: Vec<_> = found
            .iter()
            .flat_map(|(finding, modifier)| {
                let implies = bundle
                    .findings
                    .get(*finding)
                    .map(|it| it.implies.as_slice())
                    .unwrap_or_default();
                implies.iter().map(|it| (*it, *modifier))
            })
            .collect();
        self.modified = found;
        self.modified.extend(implied);
    }

    fn collect_durations(&mut self, bundle: &Bundle, text: &str, layout: &Layout) {
        let kind = |entry: usize| bundle.findings.get(entry).map_or(FindingKind::Term, |it| it.kind);
        let mut lasting = durations::lasting(text, layout, &self.mentions, &self.facts.durations, kind);
        let unplaced = durations::of_the_text(&self.facts.durations);
        for finding in self.active().collect::<Vec<_>>() {
            lasting.entry(finding).or_insert(unplaced);
        }
        self.lasting = lasting;
    }

    fn settle_facts(&mut self, bundle: &Bundle) {
        let is_active = |name: &str| bundle.id(name).is_some_and(|it| self.is_active(it));
        let says_pregnant = is_active("pregnancy");
        // An unborn baby makes no infant of the mother.
        let says_infant = is_active("infant-words") && !says_pregnant;
        let says_child = is_active("child-words") && !says_pregnant;
        let says_old = is_active("elderly-words");
        let denied = bundle.id("pregnancy").is_some_and(|id| {
            self.mentions
                .iter()
                .any(|it| it.mention.entry == id && it.polarity == Polarity::Absent)
        });
        // A grown-up's profile says nothing of the child that he or she writes about.
        if self.facts.age_years.is_none()
            && (says_child || says_infant)
            && self.age_years.is_some_and(|it| it >= 18.0)
        {
            self.age_years = None;
        }
        self.child = self.age_years.map_or(says_child || says_infant, |it| it < 14.0);
        self.infant = self.age_years.map_or(says_infant, |it| it < 1.0);
        self.elderly = self.age_years.map_or(says_old, |it| it >= 75.0);
        if says_pregnant || self.facts.gestation_weeks.is_some() {
            self.pregnant = Some(true);
            self.sex = Some(Sex::Female);
        } else if denied || self.sex == Some(Sex::Male) {
            self.pregnant = Some(false);
        }
    }
}

/// What speaks of the complaint in its own sentence counts only where there is one: a cold that is over says nothing of
/// an arm that hangs.
fn bind_to_sentences(bundle: &Bundle, layout: &Layout, mentions: &mut [Reading]) {
    let finding = |it: &Reading| bundle.findings.get(it.mention.entry);
    let sentence = |it: &Reading| layout.sentence_of(&it.mention.span);
    let is_grave = |it: &&Reading| {
        finding(it).is_some_and(|it| {
            matches!(it.kind, FindingKind::Symptom | FindingKind::Event) && it.base >= Disposition::SameDay
        })
    };
    let told: Vec<Range<usize>> = mentions.iter().filter(is_grave).map(sentence).collect();
    for it in mentions.iter_mut() {
        let bound = finding(it).is_some_and(|it| it.of_its_sentence);
        it.active &= !bound || told.contains(&sentence(it));
    }
}

fn read_mentions(
    bundle: &Bundle,
    text: &str,
    layout: &Layout,
    found: Vec<Mention>,
    durations: &[Duration],
) -> Vec<Reading> {
    let kind = |mention: &Mention| {
        bundle
            .findings
            .get(mention.entry)
            .map_or(FindingKind::Term, |it| it.kind)
    };
    let generic = |mention: &Mention| bundle.findings.get(mention.entry).is_some_and(|it| it.generic);
    // 'chest really hurts' is not a chest pain and a pain besides.
    let wide: Vec<Mention> = found.iter().filter(|it| it.gap.is_some()).cloned().collect();
    let within = |inner: &Mention, outer: &Mention| {
        outer.span.start <= inner.span.start && inner.span.end <= outer.span.end
    };
    let is_covered = |it: &Mention| {
        found.iter().any(|whole| {
            let covers = bundle.findings.get(whole.entry).map(|it| it.covers.as_slice());
            covers.unwrap_or_default().contains(&it.entry) && within(it, whole)
        })
    };
    let is_part = |it: &Mention| {
        generic(it)
            && wide
                .iter()
                .any(|whole| whole.entry != it.entry && within(it, whole) && whole.span.len() > it.span.len())
    };
    // 没有呼吸困难 denies 呼吸困难; it does not say 没有呼吸.
    let is_misread = |it: &Mention| {
        let negative = text
            .get(it.span.clone())
            .is_some_and(|it| it.starts_with(['没', '无', '不']) || it.starts_with("no"));
        negative
            && found.iter().any(|other| {
                it.span.start < other.span.start
                    && other.span.start < it.span.end
                    && it.span.end < other.span.end
                    && !matches!(kind(other), FindingKind::Modifier | FindingKind::Term)
            })
    };
    // 烧三天，眼睛红 is a fever, no burn of the eye.
    let is_fever = |it: &Mention| {
        it.gap.is_some()
            && text
                .get(it.span.clone())
                .is_some_and(|it| it.starts_with('烧') && FEVER_FIRST.is_match(it))
    };
    let hidden: Vec<Mention> = found
        .iter()
        .filter(|it| is_misread(it) || is_covered(it) || is_part(it) || is_fever(it))
        .cloned()
        .collect();
    let masks: Vec<Range<usize>> = found
        .iter()
        .filter(|it| kind(it) == FindingKind::Mask)
        .map(|it| it.span.clone())
        .collect();
    let found: Vec<Mention> = found
        .into_iter()
        .filter(|it| kind(it) != FindingKind::Mask && !hidden.contains(it))
        .filter(|it| {
            !masks
                .iter()
                .any(|mask| mask.start <= it.span.start && it.span.end <= mask.end)
        })
        .collect();
    let spans: Vec<Span> = found
        .iter()
        .map(|it| Span {
            bytes: it.span.clone(),
            gap: it.gap.clone(),
            kind: span_kind(kind(it)),
        })
        .collect();
    let subjects = Subjects::new(text);
    let polarities: Vec<Polarity> = spans
        .iter()
        .map(|it| polarity(text, layout, &spans, it))
        .collect();
    let own_symptoms = subjects.has_own()
        && spans.iter().zip(&polarities).any(|(it, polarity)| {
            it.kind == SpanKind::Complaint
                && *polarity == Polarity::Present
                && !subjects.is_other(it.bytes.start)
        });
    found
        .iter()
        .zip(&polarities)
        .map(|(mention, &polarity)| {
            let kind = kind(mention);
            let counts_when_over = bundle
                .findings
                .get(mention.entry)
                .is_some_and(|it| it.counts_when_over);
            let exposure = bundle
                .findings
                .get(mention.entry)
                .is_some_and(|it| it.is_exposure);
            let days_ago = durations::days_ago(
                text,
                layout,
                &mention.span,
                durations,
                counts_when_over || exposure,
            );
            let happens = matches!(kind, FindingKind::Event | FindingKind::Symptom) && !exposure;
            let polarity = match polarity {
                Polarity::Present if happens && days_ago.is_some_and(|it| it >= LONG_AGO) => Polarity::Over,
                // What a bite or a rusty nail brings comes weeks later.
                Polarity::Over if exposure && days_ago.is_some_and(|it| it < EXPOSED_LONG_AGO) => {
                    Polarity::Present
                }
                polarity => polarity,
            };
            let other_person = kind != FindingKind::Context && subjects.is_other(mention.span.start);
            let said = match polarity {
                Polarity::Present => true,
                // Possible poison is treated as poison; a suspected diagnosis is not yet one.
                Polarity::Possible => kind != FindingKind::Condition,
                Polarity::Over => {
                    counts_when_over
                        && days_ago.is_none_or(|it| it < STILL_COUNTS)
                        && recent(text, layout, &mention.span)
                }
                Polarity::Absent | Polarity::Hypothetical => false,
            };
            let old_story = other_person
                && (kind == FindingKind::Condition && own_symptoms
                    || matches!(kind, FindingKind::Condition | FindingKind::Event)
                        && is_family_history(text, layout, &mention.span));
            Reading {
                mention: mention.clone(),
                polarity,
                other_person,
                active: said && !old_story,
            }
        })
        .collect()
}

pattern!(
    FEVER_FIRST,
    "^烧[^烫油火锅]{0,3}([0-9]|[一二两三四五六七八九十几]+(天|度|次|周|个|夜|晚))"
);

fn span_kind(kind: FindingKind) -> SpanKind {
    match kind {
        FindingKind::Symptom | FindingKind::Event => SpanKind::Complaint,
        FindingKind::Condition => SpanKind::Condition,
        FindingKind::Modifier => SpanKind::Modifier,
        FindingKind::Term => SpanKind::Term,
        FindingKind::Context | FindingKind::Mask => SpanKind::Other,
    }
}

/// Days after which an event is of the past, if nothing says that it goes on.
const LONG_AGO: f32 = 10.0;
/// Days after which what somebody was exposed to has done no harm.
const EXPOSED_LONG_AGO: f32 = 180.0;
/// Days within which a sign that counts when over still does.
const STILL_COUNTS: f32 = 3.0;

/// What is over counts only if it was lately.
fn recent(text: &str, layout: &Layout, span: &Range<usize>) -> bool {
    const OLD: &[&str] = &[
        "年前",
        "月前",
        "周前",
        "小时候",
        "去年",
        "前年",
        "那年",
        "上个月",
        "上周",
        "上星期",
        "上个星期",
        "上礼拜",
        "以前",
        "之前",
        "曾",
        "year",
        "ago as",
        "child",
        "in 19",
        "in 20",
        "back in",
        "history",
        "past",
        "used to",
        "previously",
        "last week",
        "last month",
        "last summer",
        "last winter",
        "months ago",
        "weeks ago",
        "when he was",
        "when she was",
        "when i was",
        "一样",
        "老样子",
        "一直这样",
        "从小",
        "先天",
        "天生",
        "出生就",
        "since birth",
        "since childhood",
        "all my life",
        "as always",
        "as usual",
        "unchanged",
    ];
    let sentence = text.get(layout.sentence_of(span)).unwrap_or_default();
    !has_any(sentence, OLD)
}

/// In one clause, or in one sentence with little between.
fn beside(text: &str, layout: &Layout, modifier: &Range<usize>, finding: &Range<usize>) -> bool {
    let between = if modifier.end <= finding.start {
        modifier.end..finding.start
    } else if finding.end <= modifier.start {
        finding.end..modifier.start
    } else {
        return true;
    };
    let between = text.get(between).unwrap_or_default();
    if layout.clause_of(modifier) == layout.clause_of(finding) {
        return between.split_whitespace().count() <= 8;
    }
    if layout.sentence_of(modifier) != layout.sentence_of(finding) {
        return false;
    }
    if between.chars().any(is_han) {
        between.chars().count() <= 4
    } else {
        between.split_whitespace().count() <= 3
    }
}

fn set(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}
