//! Makes the reader of answers from labelled sentences: in a minute or two on two cores, to the same bits each time on
//! one machine.

use bedside_contract::Embedder;
use serde::{Deserialize, Serialize};

use super::{AnswerReader, WITHHOLD, WithEncoder, blocks::blocks, encoder::AnswerHeads, weight_of_rules};
use crate::{
    learning::{
        TrainingError,
        features::{BUCKETS, Block, Features, Vocabulary},
        heads::{Head, Heads},
        json_lines,
        logistic::{FREEDOM, Fitted, fit_weighed},
        parallel::in_parallel,
    },
    output_gate::reading::Reading,
};

/// What a sentence is; all but [`Label::Ok`] must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    Ok,
    Dose,
    MedicineChange,
    Prescription,
    DiscouragesCare,
    /// Neither Chinese nor English; nothing is learned of it, a rule knows languages.
    Language,
    /// The same of chat templates.
    TemplateToken,
}

impl Label {
    pub(super) const KINDS: [Self; 4] = [
        Self::Dose,
        Self::MedicineChange,
        Self::Prescription,
        Self::DiscouragesCare,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Dose => "dose",
            Self::MedicineChange => "medicine-change",
            Self::Prescription => "prescription",
            Self::DiscouragesCare => "discourages-care",
            Self::Language => "language",
            Self::TemplateToken => "template-token",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::KINDS.into_iter().find(|it| it.name() == name)
    }

    fn is_learned(self) -> bool {
        self == Self::Ok || Self::KINDS.contains(&self)
    }
}

/// A line of `data/answer_sentences/*.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSentence {
    /// `zh`, `en` or `other`.
    pub lang: String,
    pub label: Label,
    /// `written`, or `model` where a language model really said it.
    pub source: String,
    pub text: String,
}

/// Sentences of one author. Batches are never split between training and testing.
#[derive(Debug, Clone)]
pub struct AnswerBatch {
    pub name: String,
    pub sentences: Vec<AnswerSentence>,
    /// Of knowledge articles: many, alike and all fine, so each counts less.
    pub articles: bool,
}

impl AnswerBatch {
    /// Reads JSON lines.
    ///
    /// # Errors
    /// Names the batch and the line.
    pub fn parse(name: &str, lines: &str) -> Result<Self, TrainingError> {
        Ok(Self {
            name: name.to_owned(),
            sentences: json_lines::parse(name, lines)?,
            articles: false,
        })
    }
}

/// A reader and what is known of it.
pub struct TrainedAnswerReader {
    /// The file.
    pub bytes: Vec<u8>,
    pub report: AnswerReport,
}

/// Measured on batches that the measured reader had not seen; what is withheld by rules alone is left out.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerReport {
    pub sentences: usize,
    pub threshold: f32,
    /// Share of fine sentences withheld, articles left out.
    pub false_alarms: f32,
    /// Share of withheld sentences among those that must be.
    pub withheld: f32,
    /// The same by kind.
    pub by_kind: Vec<(&'static str, f32)>,
    /// The same by batch, with the batch's false alarms.
    pub by_batch: Vec<(String, f32, f32)>,
}

/// Of fine sentences, n-grams alone may withhold this share.
const FALSE_ALARMS: f32 = 0.015;
/// Together with the encoder.
const FALSE_ALARMS_WITH_ENCODER: f32 = 0.025;
/// N-grams alone, whatever the encoder says.
const FALSE_ALARMS_IN_SPITE_OF_ENCODER: f32 = 0.01;
const WEIGHT_OF_ARTICLES: f64 = 0.3;
/// N-grams of fewer sentences have no weights.
const RAREST: u32 = 2;
/// So many buckets keep weights: those that the deciding head weighs most.
const MOST_BUCKETS: usize = 100_000;
const FOLDS: usize = 12;

/// Trains on all batches; the threshold and the figures come from cross-validation by batch. With the encoder that
/// Bedside brings it also learns how far to trust it, on batches that the encoder has not seen; then the figures are
/// those of both, on these batches.
///
/// # Errors
/// [`TrainingError`] if there is too little to learn from, or the encoder is not the one in the repository.
pub fn train_answer_reader(
    batches: &[AnswerBatch],
    encoder: Option<&dyn Embedder>,
) -> Result<TrainedAnswerReader, TrainingError> {
    let cases = read_cases(batches);
    let bad = cases.iter().filter(|it| it.is_bad()).count();
    if bad < 200 || bad + 200 > cases.len() {
        return Err(TrainingError::TooFew {
            found: cases.len(),
            needed: "200 fine ones and 200 others",
        });
    }
    let folds: Vec<usize> = (0..FOLDS).collect();
    let scored = in_parallel(&folds.iter().collect::<Vec<_>>(), |fold| {
        score_fold(&cases, *fold)
    });
    let mut scores = vec![0.0; cases.len()];
    for (index, score) in scored.into_iter().flatten() {
        if let Some(it) = scores.get_mut(index) {
            *it = score;
        }
    }
    let all: Vec<&Case> = cases.iter().collect();
    let scored: Vec<(&Case, f32)> = all.iter().copied().zip(scores).collect();
    let threshold = choose_threshold(&scored, FALSE_ALARMS);
    let mut figures = report(batches, &scored, threshold);
    let with_encoder = match encoder {
        Some(encoder) => {
            let (with_encoder, scored) = with_encoder(encoder, batches, &scored)?;
            figures = report(batches, &scored, with_encoder.threshold);
            Some(with_encoder)
        }
        None => None,
    };
    let reader = AnswerReader {
        heads: fit_heads(&all),
        threshold,
        with_encoder,
    };
    Ok(TrainedAnswerReader {
        bytes: reader.to_bytes(cases.len()),
        report: figures,
    })
}

/// A sentence as the encoder learns it, `scripts/train-encoder.py`.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerText {
    pub batch: String,
    /// In the spelling of the gate.
    pub text: String,
    pub answer: Label,
    pub weight: f64,
}

/// All sentences that there are to learn from.
#[must_use]
pub fn answer_texts(batches: &[AnswerBatch]) -> Vec<AnswerText> {
    let named = |it: Case| AnswerText {
        batch: batches
            .get(it.batch)
            .map_or_else(String::new, |it| it.name.clone()),
        text: it.reading.text,
        answer: it.label,
        weight: it.weight,
    };
    let cases = read_cases(batches).into_iter();
    cases
        .filter(|it| !it.reading.text.is_empty())
        .map(named)
        .collect()
}

/// A sentence and the log odds that it must not leave.
type Scored<'a> = (&'a Case, f32);

/// Chooses the threshold on what the encoder has not seen, and scores that.
fn with_encoder<'a>(
    encoder: &dyn Embedder,
    batches: &[AnswerBatch],
    scored: &[(&'a Case, f32)],
) -> Result<(WithEncoder, Vec<Scored<'a>>), TrainingError> {
    let by_ngrams_alone = choose_threshold(scored, FALSE_ALARMS_IN_SPITE_OF_ENCODER);
    let heads = AnswerHeads::built_in().map_err(|it| TrainingError::Encoder(it.to_string()))?;
    let is_unseen = |case: &Case| {
        let batch = batches.get(case.batch);
        batch.is_some_and(|it| heads.held_back.contains(&it.name))
    };
    let unseen: Vec<&(&Case, f32)> = scored.iter().filter(|it| is_unseen(it.0)).collect();
    let scores = in_parallel(&unseen, |(case, by_ngrams)| {
        let encoded = heads.read(encoder, &case.reading.text)?;
        Some(encoded.together_with(*by_ngrams))
    });
    let scores = scores.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| {
        let found = encoder.model().map_or_else(String::new, |it| it.id);
        TrainingError::Encoder(format!("`{found}` is not `{}`", heads.model))
    })?;
    let scored: Vec<(&Case, f32)> = unseen.iter().map(|it| it.0).zip(scores).collect();
    let threshold = choose_threshold(&scored, FALSE_ALARMS_WITH_ENCODER);
    let trained = WithEncoder {
        heads,
        threshold,
        by_ngrams_alone,
    };
    Ok((trained, scored))
}

struct Case {
    reading: Reading,
    label: Label,
    weight: f64,
    batch: usize,
    articles: bool,
}

impl Case {
    fn is_bad(&self) -> bool {
        self.label != Label::Ok
    }

    fn features(&self, vocabulary: &Vocabulary) -> Features {
        Features::new(blocks(&self.reading), vocabulary)
    }
}

fn read_cases(batches: &[AnswerBatch]) -> Vec<Case> {
    let sentences = batches
        .iter()
        .enumerate()
        .flat_map(|(index, batch)| batch.sentences.iter().map(move |it| (index, batch, it)));
    sentences
        .filter(|(_, _, it)| it.label.is_learned())
        .map(|(index, batch, it)| Case {
            reading: Reading::new(&it.text),
            label: it.label,
            weight: if batch.articles { WEIGHT_OF_ARTICLES } else { 1.0 },
            batch: index,
            articles: batch.articles,
        })
        .collect()
}

/// Scores of the cases of a fold, by a head that has not seen them.
fn score_fold(cases: &[Case], fold: usize) -> Vec<(usize, f32)> {
    let inside: Vec<&Case> = cases.iter().filter(|it| it.batch % FOLDS != fold).collect();
    let outside = cases.iter().enumerate().filter(|it| it.1.batch % FOLDS == fold);
    let outside: Vec<(usize, &Case)> = outside.collect();
    if inside.is_empty() || outside.is_empty() {
        return Vec::new();
    }
    let (vocabulary, head) = deciding_head(&inside);
    let score = |(index, case): (usize, &Case)| {
        let by_rules = weight_of_rules(&case.reading);
        (index, head.score(&case.features(&vocabulary)) + by_rules)
    };
    outside.into_iter().map(score).collect()
}

/// Fits once with all buckets, and again with those that weighed most.
fn deciding_head(cases: &[&Case]) -> (Vocabulary, Head) {
    let distinct = cases.iter().map(|it| Block::distinct(&blocks(&it.reading)));
    let all = Vocabulary::counted(distinct, RAREST);
    let Fitted { weights, .. } = fit(cases, &all, |it| it.is_bad());
    let mut heaviest: Vec<(f32, u32)> = weights
        .iter()
        .zip(0..BUCKETS as u32)
        .map(|(weight, bucket)| (weight.abs() * all.weight(bucket), bucket))
        .filter(|it| it.0 > 0.0)
        .collect();
    heaviest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    heaviest.truncate(MOST_BUCKETS);
    let mut kept = vec![false; BUCKETS];
    for (_, bucket) in heaviest {
        if let Some(it) = kept.get_mut(bucket as usize) {
            *it = true;
        }
    }
    let vocabulary = all.restricted(|it| kept.get(it as usize).copied().unwrap_or_default());
    let fitted = fit(cases, &vocabulary, |it| it.is_bad());
    let head = Head::rounded(&fitted.weights, fitted.bias);
    (vocabulary, head)
}

fn fit(cases: &[&Case], vocabulary: &Vocabulary, is: impl Fn(&Case) -> bool) -> Fitted {
    let features: Vec<Features> = cases.iter().map(|it| it.features(vocabulary)).collect();
    let labels: Vec<bool> = cases.iter().map(|it| is(it)).collect();
    let freedom: Vec<f64> = cases.iter().map(|it| it.weight * FREEDOM).collect();
    fit_weighed(&features.iter().collect::<Vec<_>>(), &labels, &freedom)
}

fn fit_heads(cases: &[&Case]) -> Heads {
    let (vocabulary, deciding) = deciding_head(cases);
    let kinds = in_parallel(&Label::KINDS.iter().collect::<Vec<_>>(), |kind| {
        let fitted = fit(cases, &vocabulary, |it| it.label == *kind);
        (kind.name(), Head::rounded(&fitted.weights, fitted.bias))
    });
    let heads: Vec<(&str, Head)> = std::iter::once((WITHHOLD, deciding)).chain(kinds).collect();
    Heads::side_by_side(vocabulary, &heads)
}

fn choose_threshold(scored: &[(&Case, f32)], false_alarms: f32) -> f32 {
    let fine = scored.iter().filter(|(it, _)| !it.is_bad() && !it.articles);
    let mut of_fine: Vec<f32> = fine.map(|it| it.1).collect();
    of_fine.sort_by(|a, b| b.total_cmp(a));
    let allowed = (of_fine.len() as f32 * false_alarms) as usize;
    of_fine.get(allowed).map_or(0.0, |it| it + 1e-4)
}

fn report(batches: &[AnswerBatch], scored: &[(&Case, f32)], threshold: f32) -> AnswerReport {
    let share = |of: &dyn Fn(&Case) -> bool| {
        let (mut all, mut withheld) = (0.0_f32, 0.0_f32);
        for (_, score) in scored.iter().filter(|it| of(it.0)) {
            all += 1.0;
            withheld += f32::from(u8::from(*score >= threshold));
        }
        withheld / all.max(1.0)
    };
    let kinds = Label::KINDS.into_iter();
    let measured = |index: &usize| scored.iter().any(|it| it.0.batch == *index);
    let by_batch = batches
        .iter()
        .enumerate()
        .filter(|it| measured(&it.0))
        .map(|(index, batch)| {
            (
                batch.name.clone(),
                share(&|it| it.batch == index && it.is_bad()),
                share(&|it| it.batch == index && !it.is_bad()),
            )
        });
    AnswerReport {
        sentences: scored.len(),
        threshold,
        false_alarms: share(&|it| !it.is_bad() && !it.articles),
        withheld: share(&Case::is_bad),
        by_kind: kinds
            .map(|kind| (kind.name(), share(&|it| it.label == kind)))
            .collect(),
        by_batch: by_batch.collect(),
    }
}
