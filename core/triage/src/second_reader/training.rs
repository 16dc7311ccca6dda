//! Makes a [`SecondReader`](super::SecondReader) from labelled messages: in minutes on two cores, reproducible to
//! the bit on one machine.

use bedside_contract::{Disposition, Embedder};
use serde::{Deserialize, Serialize};

pub use crate::learning::TrainingError;

pub use super::held_out::Report;

use super::{
    department_heads::{DepartmentHeads, Example, examples_of_terms},
    encoder::EncoderHeads,
    held_out::{HeldOut, HeldOutReading},
    message_blocks::{OF_URGENCY, blocks, features},
    model_file::{ModelFile, WithEncoder},
    surroundings::{bare_complaints, in_surroundings},
};
use crate::{
    learning::{
        features::{BUCKETS, Block, Features, Vocabulary},
        heads::Head,
        json_lines,
        logistic::fit,
        parallel::in_parallel,
    },
    rules::Rules,
};

/// One labelled message, a line of `data/messages/*.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `zh` or `en`.
    pub lang: String,
    /// `chat`, `relative`, `slang`, `typo`, `clinical` or `long`.
    pub style: String,
    pub disposition: Disposition,
    /// Ids, best first. None: nothing is learned of departments.
    pub departments: Vec<String>,
    pub text: String,
    /// Why it is so urgent, in a few words.
    pub why: String,
}

/// Messages that one author wrote at one time. Batches are never split between training and testing.
#[derive(Debug, Clone)]
pub struct Batch {
    pub name: String,
    pub messages: Vec<Message>,
}

/// A model and what is known of it.
pub struct Trained {
    /// The file.
    pub bytes: Vec<u8>,
    pub report: Report,
}

impl Batch {
    /// Reads JSON lines.
    ///
    /// # Errors
    /// Names the batch and the line.
    pub fn parse(name: &str, lines: &str) -> Result<Self, TrainingError> {
        Ok(Self {
            name: name.to_owned(),
            messages: json_lines::parse(name, lines)?,
        })
    }
}

const FOLDS: usize = 5;

pub(super) const LEVELS: [Disposition; 4] = [
    Disposition::Emergency,
    Disposition::SameDay,
    Disposition::OutPatient,
    Disposition::SelfCare,
];

/// Trains on all batches; thresholds and figures come from five-fold cross-validation by batch. With the encoder that
/// Bedside brings it also learns how far to trust it, on batches that the encoder has not seen; then the figures are
/// those of both, on these batches.
///
/// # Errors
/// [`TrainingError`] if there is too little to learn from, or the encoder is not the one in the repository.
pub fn train(
    rules: &Rules,
    batches: &[Batch],
    encoder: Option<&dyn Embedder>,
) -> Result<Trained, TrainingError> {
    let mut cases = read_cases(rules, batches);
    let emergencies = cases.iter().filter(|it| it.is_emergency()).count();
    if cases.len() < 200 || emergencies < 20 || emergencies + 20 > cases.len() {
        return Err(TrainingError::TooFew {
            found: cases.len(),
            needed: "200, with emergencies among them,",
        });
    }
    let messages = cases.len();
    let written = batches.iter().flat_map(|it| &it.messages);
    let around = in_surroundings(rules, written).into_iter();
    let around = around.chain(bare_complaints(rules));
    cases.extend(around.map(|(text, disposition)| Case::new(rules, &text, disposition)));
    let mut readings = cross_validate(&cases, messages);
    let heads = match encoder {
        Some(encoder) => Some(encoder_heads(encoder, batches, &cases, &mut readings)?),
        None => None,
    };
    let alone = HeldOut::alone(&cases, &readings);
    let both = heads.map(|it| (it, HeldOut::with_encoder(&cases, &readings)));
    let all: Vec<usize> = (0..cases.len()).collect();
    let vocabulary = vocabulary_of(&cases, &all);
    let features = features_of(&cases, &vocabulary);
    let rows: Vec<&Features> = features.iter().collect();
    let dispositions = urgency_heads(&cases, &all, &rows);
    let departments = department_heads(rules, cases.iter());
    let judgement = alone.judgement();
    let mut report = alone.report(judgement.thresholds);
    let with_encoder = both.map(|(heads, held_out)| {
        let judgement = held_out.judgement();
        report = held_out.report(judgement.thresholds);
        WithEncoder { heads, judgement }
    });
    let model = ModelFile {
        vocabulary,
        dispositions,
        departments,
        alone: judgement,
        with_encoder,
        messages,
    };
    Ok(Trained {
        bytes: model.write(),
        report,
    })
}

/// A text that is learned from, as the encoder reads it.
#[derive(Debug, Clone, Serialize)]
pub struct TrainingText {
    /// The name of its batch; none: it was made of others, for training alone.
    pub batch: Option<String>,
    /// Normal.
    pub text: String,
    /// None: nothing is learned of urgency.
    pub disposition: Option<Disposition>,
    pub departments: Vec<String>,
}

/// All that there is to learn from: the messages, those in surroundings, terms with their departments. For the training
/// of the encoder, `scripts/train-encoder.py`.
#[must_use]
pub fn training_texts(rules: &Rules, batches: &[Batch]) -> Vec<TrainingText> {
    let messages = batches.iter().flat_map(|batch| {
        batch.messages.iter().map(|it| TrainingText {
            batch: Some(batch.name.clone()),
            text: rules.read_for_training(&it.text).text,
            disposition: Some(it.disposition),
            departments: it.departments.clone(),
        })
    });
    let written = batches.iter().flat_map(|it| &it.messages);
    let around = in_surroundings(rules, written).into_iter();
    let around = around.chain(bare_complaints(rules));
    let around = around.map(|(text, disposition)| TrainingText {
        batch: None,
        text: rules.read_for_training(&text).text,
        disposition: Some(disposition),
        departments: Vec::new(),
    });
    let terms = examples_of_terms(rules).into_iter().map(|it| TrainingText {
        batch: None,
        text: it.text,
        disposition: None,
        departments: it.departments,
    });
    messages.chain(around).chain(terms).collect()
}

/// A message as the rules read it.
pub(super) struct Case {
    text: String,
    evidence: Vec<String>,
    pub(super) disposition: Disposition,
    /// By certain signs.
    pub(super) floor: Disposition,
    /// By weaker signs, too.
    pub(super) suspected: Disposition,
    pub(super) departments: Vec<String>,
    /// Where it is held out; none: it is always learned from and never measured.
    fold: Option<usize>,
}

impl Case {
    fn new(rules: &Rules, text: &str, disposition: Disposition) -> Self {
        let read = rules.read_for_training(text);
        Self {
            text: read.text,
            evidence: read.evidence,
            disposition,
            floor: read.floor,
            suspected: read.suspected,
            departments: Vec::new(),
            fold: None,
        }
    }

    pub(super) fn is_emergency(&self) -> bool {
        self.disposition == Disposition::Emergency
    }
}

fn read_cases(rules: &Rules, batches: &[Batch]) -> Vec<Case> {
    batches
        .iter()
        .enumerate()
        .flat_map(|(index, batch)| batch.messages.iter().map(move |it| (index % FOLDS, it)))
        .map(|(fold, message)| Case {
            departments: message.departments.clone(),
            fold: Some(fold),
            ..Case::new(rules, &message.text, message.disposition)
        })
        .collect()
}

/// The first `messages` of the cases have a fold.
fn cross_validate(cases: &[Case], messages: usize) -> Vec<HeldOutReading> {
    let mut held_out = vec![HeldOutReading::default(); messages];
    for fold in 0..FOLDS {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..cases.len()).partition(|index| cases.get(*index).is_some_and(|it| it.fold != Some(fold)));
        if outside.is_empty() || inside.is_empty() {
            continue;
        }
        let vocabulary = vocabulary_of(cases, &inside);
        let features = features_of(cases, &vocabulary);
        let rows: Vec<&Features> = inside.iter().filter_map(|it| features.get(*it)).collect();
        let heads = urgency_heads(cases, &inside, &rows);
        for index in outside {
            if let (Some(features), Some(result)) = (features.get(index), held_out.get_mut(index)) {
                result.scores = heads.each_ref().map(|it| it.score(features));
            }
        }
    }
    held_out
}

fn vocabulary_of(cases: &[Case], chosen: &[usize]) -> Vocabulary {
    let chosen: Vec<&Case> = chosen.iter().filter_map(|it| cases.get(*it)).collect();
    let distinct = |it: &Case| Block::distinct(&blocks(&it.text, &it.evidence, OF_URGENCY));
    Vocabulary::counted(in_parallel(&chosen, distinct).into_iter(), 2)
}

fn features_of(cases: &[Case], vocabulary: &Vocabulary) -> Vec<Features> {
    let read = |it: &Case| features(&it.text, &it.evidence, OF_URGENCY, vocabulary);
    in_parallel(&cases.iter().collect::<Vec<_>>(), read)
}

fn department_heads<'a>(rules: &Rules, cases: impl Iterator<Item = &'a Case>) -> DepartmentHeads {
    let messages = cases.map(|it| Example {
        text: it.text.clone(),
        evidence: it.evidence.clone(),
        departments: it.departments.clone(),
        weight: 1.0,
    });
    DepartmentHeads::train(messages.chain(examples_of_terms(rules)).collect())
}

/// Lets the encoder read the messages that it has not seen.
fn encoder_heads(
    encoder: &dyn Embedder,
    batches: &[Batch],
    cases: &[Case],
    readings: &mut [HeldOutReading],
) -> Result<EncoderHeads, TrainingError> {
    let heads = EncoderHeads::built_in().map_err(|it| TrainingError::Encoder(it.to_string()))?;
    let unseen = batches.iter().flat_map(|batch| {
        let unseen = heads.held_back.contains(&batch.name);
        std::iter::repeat_n(unseen, batch.messages.len())
    });
    let unseen: Vec<(usize, &Case)> = cases
        .iter()
        .enumerate()
        .zip(unseen)
        .filter(|it| it.1)
        .map(|it| it.0)
        .collect();
    let read = in_parallel(&unseen.iter().collect::<Vec<_>>(), |(_, case)| {
        heads.read(encoder, &case.text)
    });
    for ((place, _), scores) in unseen.iter().zip(read) {
        let scores = scores.ok_or_else(|| {
            let found = encoder.model().map_or_else(String::new, |it| it.id);
            TrainingError::Encoder(format!("`{found}` is not `{}`", heads.model))
        })?;
        if let Some(it) = readings.get_mut(*place) {
            it.encoded = Some(scores.levels);
        }
    }
    Ok(heads)
}

/// Each of the four levels against the rest.
fn urgency_heads(cases: &[Case], chosen: &[usize], rows: &[&Features]) -> [Head; 4] {
    let labels = |level: Disposition| -> Vec<bool> {
        let chosen = chosen.iter().filter_map(|it| cases.get(*it));
        chosen.map(|it| it.disposition == level).collect()
    };
    let [a, b, c, d] = LEVELS.map(labels);
    let fitted = in_parallel(&[&a, &b, &c, &d], |labels| fit(rows, labels));
    let mut heads = fitted.into_iter().map(|it| Head::rounded(&it.weights, it.bias));
    [(); 4].map(|()| {
        heads
            .next()
            .unwrap_or_else(|| Head::rounded(&[0.0; BUCKETS], 0.0))
    })
}
