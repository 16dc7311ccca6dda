//! Makes a [`SecondReader`](super::SecondReader) from labelled messages: in minutes on two cores, reproducible to
//! the bit on one machine.

use bedside_contract::{Disposition, EmbedError, Embedder};
use serde::{Deserialize, Serialize};

pub use crate::learning::TrainingError;

use super::{
    department_heads::{DepartmentHeads, Example, examples_of_terms},
    meaning::{MeaningHeads, Sample},
    message_blocks::{OF_URGENCY, blocks, features},
    model_file::{Calibration, ModelFile, Thresholds},
    surroundings::in_surroundings,
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

/// Measured on messages of batches that the measured model had not seen (five folds).
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub messages: usize,
    pub area_under_curve: f32,
    pub thresholds: Thresholds,
    /// Of the emergencies, those that the reader alone finds.
    pub emergencies_found: f32,
    /// Of the others, those that the reader alone calls emergencies.
    pub others_called: f32,
    /// By rules and reader together.
    pub found_together: f32,
    pub called_together: f32,
    pub dispositions_right: f32,
    /// Share with at least the right urgency.
    pub safe: f32,
    /// Of the messages for self-care, those left there.
    pub self_care_found: f32,
    /// The best department is one of the right ones.
    pub department_right: f32,
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

/// Of the messages that are no emergencies, the reader alone may call this share.
const FALSE_ALARMS: f32 = 0.045;
/// A red flag of which the rules see only weaker signs does not count where an emergency is less likely than this. Of
/// 1,220 emergencies that the reader had not seen, none that the rules suspected was less likely than 0.4; of the 24
/// other messages below 0.2 in batches 01 to 03, the reader had the right level for each.
const DOUBT: f32 = 0.25;
const FOLDS: usize = 5;

const LEVELS: [Disposition; 4] = [
    Disposition::Emergency,
    Disposition::SameDay,
    Disposition::OutPatient,
    Disposition::SelfCare,
];

/// Trains on all batches; thresholds and figures come from five-fold cross-validation by batch. With an embedder,
/// departments are also learned from what texts mean; the figures are those without.
///
/// # Errors
/// [`TrainingError`] if there is too little to learn from, or the embedder fails.
pub fn train(
    rules: &Rules,
    batches: &[Batch],
    embedder: Option<&dyn Embedder>,
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
    cases.extend(around.map(|(text, disposition)| Case::new(rules, &text, disposition)));
    let held_out = cross_validate(rules, &cases, messages);
    let calibration = calibrate(&held_out, &cases);
    let thresholds = choose_thresholds(&held_out, &cases, calibration);
    let all: Vec<usize> = (0..cases.len()).collect();
    let vocabulary = vocabulary_of(&cases, &all);
    let features: Vec<Features> = cases.iter().map(|it| it.features(&vocabulary)).collect();
    let rows: Vec<&Features> = features.iter().collect();
    let [emergency, a, b, c, d] = urgency_heads(&cases, &all, &rows);
    let departments = department_heads(rules, cases.iter());
    let meaning = embedder.map(|it| meaning_heads(rules, batches, &departments, it));
    let meaning = meaning.transpose()?;
    let report = measure(&held_out, &cases, calibration, thresholds);
    let model = ModelFile {
        vocabulary,
        emergency,
        dispositions: [a, b, c, d],
        departments,
        meaning,
        thresholds,
        calibration,
        messages,
    };
    Ok(Trained {
        bytes: model.write(),
        report,
    })
}

/// A message as the rules read it.
struct Case {
    text: String,
    evidence: Vec<String>,
    disposition: Disposition,
    floor: Disposition,
    suspected: bool,
    departments: Vec<String>,
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

    fn is_emergency(&self) -> bool {
        self.disposition == Disposition::Emergency
    }

    fn features(&self, vocabulary: &Vocabulary) -> Features {
        features(&self.text, &self.evidence, OF_URGENCY, vocabulary)
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

/// What a model that has not seen a case makes of it.
#[derive(Clone, Default)]
struct HeldOut {
    score: f32,
    /// Of emergency, same-day, out-patient, self-care.
    levels: [f32; 4],
    department: Option<String>,
}

/// The first `messages` of the cases have a fold.
fn cross_validate(rules: &Rules, cases: &[Case], messages: usize) -> Vec<HeldOut> {
    let mut held_out = vec![HeldOut::default(); messages];
    for fold in 0..FOLDS {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..cases.len()).partition(|index| cases.get(*index).is_some_and(|it| it.fold != Some(fold)));
        if outside.is_empty() || inside.is_empty() {
            continue;
        }
        let vocabulary = vocabulary_of(cases, &inside);
        let features: Vec<Features> = cases.iter().map(|it| it.features(&vocabulary)).collect();
        let rows: Vec<&Features> = inside.iter().filter_map(|it| features.get(*it)).collect();
        let [emergency, levels @ ..] = urgency_heads(cases, &inside, &rows);
        let departments = if fold == 0 {
            Some(department_heads(
                rules,
                inside.iter().filter_map(|it| cases.get(*it)),
            ))
        } else {
            None
        };
        for index in outside {
            let (Some(case), Some(features), Some(result)) =
                (cases.get(index), features.get(index), held_out.get_mut(index))
            else {
                continue;
            };
            let scores = levels.each_ref().map(|it| it.score(features).exp());
            let sum: f32 = scores.iter().sum();
            *result = HeldOut {
                score: emergency.score(features),
                levels: scores.map(|it| it / sum),
                department: departments
                    .as_ref()
                    .and_then(|it| it.best(&case.text, &case.evidence)),
            };
        }
    }
    held_out
}

fn vocabulary_of(cases: &[Case], chosen: &[usize]) -> Vocabulary {
    let chosen = chosen.iter().filter_map(|it| cases.get(*it));
    let messages = chosen.map(|it| Block::distinct(&blocks(&it.text, &it.evidence, OF_URGENCY)));
    Vocabulary::counted(messages, 2)
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

/// For the departments that have a head.
fn meaning_heads(
    rules: &Rules,
    batches: &[Batch],
    heads: &DepartmentHeads,
    embedder: &dyn Embedder,
) -> Result<MeaningHeads, EmbedError> {
    let terms = examples_of_terms(rules);
    let messages = batches.iter().flat_map(|it| &it.messages).map(|it| Sample {
        text: &it.text,
        departments: &it.departments,
        weight: 1.0,
    });
    let terms = terms.iter().map(|it| Sample {
        text: &it.text,
        departments: &it.departments,
        weight: it.weight,
    });
    let speaks = |it: &Sample<'_>| it.departments.iter().any(|it| it != "emergency");
    let samples: Vec<Sample<'_>> = messages.chain(terms).filter(speaks).collect();
    let ids: Vec<&str> = heads.heads.names.iter().map(|it| it.id.as_str()).collect();
    MeaningHeads::train(&samples, &ids, embedder)
}

/// Emergency or not, then each of the four levels.
fn urgency_heads(cases: &[Case], chosen: &[usize], rows: &[&Features]) -> [Head; 5] {
    let labels = |level: Disposition| -> Vec<bool> {
        let chosen = chosen.iter().filter_map(|it| cases.get(*it));
        chosen.map(|it| it.disposition == level).collect()
    };
    let [a, b, c, d] = LEVELS.map(labels);
    let fitted = in_parallel(&[&a, &b, &c, &d], |labels| fit(rows, labels));
    let mut heads = fitted.into_iter().map(|it| Head::rounded(&it.weights, it.bias));
    // Each level against the rest; the first is the emergency's head too.
    let first = heads.next();
    let empty = || Head::rounded(&[0.0; BUCKETS], 0.0);
    let emergency = first.clone().unwrap_or_else(empty);
    [
        emergency,
        first.unwrap_or_else(empty),
        heads.next().unwrap_or_else(empty),
        heads.next().unwrap_or_else(empty),
        heads.next().unwrap_or_else(empty),
    ]
}

/// Platt's slope and intercept by Newton's method on the held-out scores.
fn calibrate(held_out: &[HeldOut], cases: &[Case]) -> Calibration {
    let (mut slope, mut intercept) = (1.0_f64, 0.0_f64);
    for _ in 0..50 {
        let (mut g, mut h) = ([0.0; 2], [[1e-6, 0.0], [0.0, 1e-6]]);
        for (it, case) in held_out.iter().zip(cases) {
            let score = f64::from(it.score);
            let probability = 1.0 / (1.0 + (-(slope * score + intercept)).exp());
            let off = probability - f64::from(u8::from(case.is_emergency()));
            let steep = probability * (1.0 - probability);
            g = [g[0] + off * score, g[1] + off];
            h = [
                [h[0][0] + steep * score * score, h[0][1] + steep * score],
                [h[1][0] + steep * score, h[1][1] + steep],
            ];
        }
        let determinant = h[0][0] * h[1][1] - h[0][1] * h[1][0];
        slope -= (h[1][1] * g[0] - h[0][1] * g[1]) / determinant;
        intercept -= (h[0][0] * g[1] - h[1][0] * g[0]) / determinant;
    }
    Calibration {
        slope: slope as f32,
        intercept: intercept as f32,
    }
}

fn probability(it: &HeldOut, calibration: Calibration) -> f32 {
    crate::learning::logistic(calibration.slope * it.score + calibration.intercept)
}

/// The emergency's threshold by false alarms, the others by what is worth most together with the rules.
fn choose_thresholds(held_out: &[HeldOut], cases: &[Case], calibration: Calibration) -> Thresholds {
    let mut of_others: Vec<f32> = held_out
        .iter()
        .zip(cases)
        .filter(|(_, case)| !case.is_emergency())
        .map(|(it, _)| probability(it, calibration))
        .collect();
    of_others.sort_by(|a, b| b.total_cmp(a));
    let allowed = (of_others.len() as f32 * FALSE_ALARMS) as usize;
    let emergency = of_others.get(allowed).map_or(0.5, |it| it + 1e-4);
    let steps = || (6..=19).map(|it| it as f32 * 0.05);
    let mut best = (
        i32::MIN,
        Thresholds {
            emergency,
            suspicion: DOUBT,
            same_day: 0.95,
            out_patient: 0.95,
        },
    );
    for same_day in steps() {
        for out_patient in steps() {
            let thresholds = Thresholds {
                emergency,
                suspicion: DOUBT,
                same_day,
                out_patient,
            };
            let worth: i32 = held_out
                .iter()
                .zip(cases)
                .map(|(it, case)| worth(case.disposition, together(it, case, calibration, thresholds)))
                .sum();
            if worth > best.0 {
                best = (worth, thresholds);
            }
        }
    }
    best.1
}

/// What an urgency is worth where another is right. Self-care counts three times: whoever is sent to a doctor with a cold
/// does not ask again. Two levels too low takes away what a right one gives.
fn worth(right: Disposition, said: Disposition) -> i32 {
    let rank = |level: Disposition| LEVELS.iter().position(|it| *it == level).unwrap_or(0);
    match (rank(said), rank(right)) {
        (said, right) if said == right && LEVELS.get(right) == Some(&Disposition::SelfCare) => 3,
        (said, right) if said == right => 1,
        (said, right) if said > right + 1 => -1,
        _ => 0,
    }
}

fn by_reader(it: &HeldOut, calibration: Calibration, thresholds: Thresholds) -> Disposition {
    let [_, same_day, out_patient, _] = it.levels;
    thresholds.level(probability(it, calibration), same_day, out_patient)
}

fn together(it: &HeldOut, case: &Case, calibration: Calibration, thresholds: Thresholds) -> Disposition {
    if case.suspected && probability(it, calibration) >= thresholds.suspicion {
        return Disposition::Emergency;
    }
    by_reader(it, calibration, thresholds).max(case.floor)
}

fn measure(held_out: &[HeldOut], cases: &[Case], calibration: Calibration, thresholds: Thresholds) -> Report {
    let share = |of: &dyn Fn(&HeldOut, &Case) -> bool, is: &dyn Fn(&HeldOut, &Case) -> bool| -> f32 {
        let (mut all, mut hits) = (0.0_f32, 0.0_f32);
        for (it, case) in held_out.iter().zip(cases).filter(|(it, case)| of(it, case)) {
            all += 1.0;
            hits += f32::from(u8::from(is(it, case)));
        }
        hits / all.max(1.0)
    };
    let emergency = |_: &HeldOut, case: &Case| case.is_emergency();
    let other = |_: &HeldOut, case: &Case| !case.is_emergency();
    let any = |_: &HeldOut, _: &Case| true;
    let alone = |it: &HeldOut, _: &Case| by_reader(it, calibration, thresholds) == Disposition::Emergency;
    let both =
        |it: &HeldOut, case: &Case| together(it, case, calibration, thresholds) == Disposition::Emergency;
    Report {
        messages: held_out.len(),
        area_under_curve: area_under_curve(held_out, cases),
        thresholds,
        emergencies_found: share(&emergency, &alone),
        others_called: share(&other, &alone),
        found_together: share(&emergency, &both),
        called_together: share(&other, &both),
        dispositions_right: share(&any, &|it, case| {
            together(it, case, calibration, thresholds) == case.disposition
        }),
        safe: share(&any, &|it, case| {
            together(it, case, calibration, thresholds) >= case.disposition
        }),
        self_care_found: share(
            &|_, case| case.disposition == Disposition::SelfCare,
            &|it, case| together(it, case, calibration, thresholds) == Disposition::SelfCare,
        ),
        department_right: share(
            &|it, case| it.department.is_some() && !case.departments.is_empty(),
            &|it, case| {
                it.department
                    .as_ref()
                    .is_some_and(|it| case.departments.contains(it))
            },
        ),
    }
}

/// The chance that an emergency scores higher than another message.
fn area_under_curve(held_out: &[HeldOut], cases: &[Case]) -> f32 {
    let mut scored: Vec<(f32, bool)> = held_out
        .iter()
        .zip(cases)
        .map(|(it, case)| (it.score, case.is_emergency()))
        .collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut others, mut won, mut emergencies) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (_, emergency) in scored {
        if emergency {
            emergencies += 1.0;
            won += others;
        } else {
            others += 1.0;
        }
    }
    (won / (others * emergencies).max(1.0)) as f32
}
