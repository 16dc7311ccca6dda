//! One head a department, trained with the messages and with the names of diseases and symptoms.
//!
//! The messages were written for urgency and know few words for what is never urgent (隆鼻, 艾灸, 矫正牙齿). So each term
//! of `departments::terms` is an example by itself and as patients ask about it.

use super::message_blocks::{OF_DEPARTMENTS, blocks, features};
use crate::{
    departments::terms,
    learning::{
        features::{Block, Features, Vocabulary},
        heads::{Head, Heads},
        logistic::{FREEDOM, Fitted, fit_weighed},
        parallel::in_parallel,
    },
    rules::Rules,
};

/// One head a department.
pub(super) struct DepartmentHeads {
    pub(super) heads: Heads,
}

/// A text with the departments that are right for it.
pub(super) struct Example {
    pub(super) text: String,
    pub(super) evidence: Vec<String>,
    pub(super) departments: Vec<String>,
    /// Beside a message's 1.
    pub(super) weight: f64,
}

/// A department with fewer examples gets no head.
const FEWEST: usize = 25;
/// N-grams of fewer examples have no weights.
const RAREST: u32 = 8;
const OF_OWN_TERMS: f64 = 0.5;
const OF_COUNTED_TERMS: f64 = 0.2;

const QUESTIONS_ZH: [&str; 7] = [
    "{}怎么办",
    "医生您好，请问{}应该怎么治疗？",
    "我最近{}，想咨询一下是怎么回事",
    "{}需要注意什么？",
    "{}挂什么科",
    "我有{}，一直不好，很担心",
    "请问{}严重吗？能治好吗",
];
const QUESTIONS_EN: [&str; 5] = [
    "what can i do about {}",
    "i have had {} for a while, which doctor should i see",
    "question about {}",
    "is {} serious",
    "my doctor mentioned {} and i would like advice",
];

impl DepartmentHeads {
    /// Examples without a department say nothing. The emergency department is the urgency's.
    pub(super) fn train(mut examples: Vec<Example>) -> Self {
        examples
            .iter_mut()
            .for_each(|it| it.departments.retain(|it| it != "emergency"));
        examples.retain(|it| !it.departments.is_empty());
        let all = examples
            .iter()
            .map(|it| Block::distinct(&blocks(&it.text, &it.evidence, OF_DEPARTMENTS)));
        let vocabulary = Vocabulary::counted(all, RAREST);
        let vectors: Vec<Features> = examples
            .iter()
            .map(|it| features(&it.text, &it.evidence, OF_DEPARTMENTS, &vocabulary))
            .collect();
        let rows: Vec<&Features> = vectors.iter().collect();
        let freedom: Vec<f64> = examples.iter().map(|it| it.weight * FREEDOM).collect();

        let mut ids: Vec<&str> = examples
            .iter()
            .flat_map(|it| it.departments.iter().map(String::as_str))
            .collect();
        ids.sort_unstable();
        let ids: Vec<&str> = ids
            .chunk_by(|a, b| a == b)
            .filter(|same| same.len() >= FEWEST)
            .filter_map(|same| same.first().copied())
            .collect();
        let fitted = in_parallel(&ids.iter().collect::<Vec<_>>(), |id| {
            let labels: Vec<bool> = examples
                .iter()
                .map(|it| it.departments.iter().any(|it| it == *id))
                .collect();
            let Fitted { weights, bias } = fit_weighed(&rows, &labels, &freedom);
            Head::rounded(&weights, bias)
        });
        let fitted: Vec<(&str, Head)> = ids.into_iter().zip(fitted).collect();
        Self {
            heads: Heads::side_by_side(vocabulary, &fitted),
        }
    }

    /// The log odds of each department, by id.
    pub(super) fn read(&self, text: &str, evidence: &[String]) -> Vec<(&str, f32)> {
        let heads = &self.heads;
        heads.read(&features(text, evidence, OF_DEPARTMENTS, &heads.vocabulary))
    }
}

/// Each term of our own by itself and in two questions, each counted one in a question.
pub(super) fn examples_of_terms(rules: &Rules) -> Vec<Example> {
    let mut examples = Vec::new();
    for (place, term) in terms::all().iter().enumerate() {
        let departments: Vec<String> = term.departments.iter().map(|it| it.0.to_owned()).collect();
        let questions = if term.name.is_ascii() {
            QUESTIONS_EN.as_slice()
        } else {
            &QUESTIONS_ZH
        };
        let turns = if term.own { 2 } else { 1 };
        let asked = (0..turns)
            .filter_map(|turn| questions.get((place * 3 + turn * 2) % questions.len()))
            .map(|it| it.replace("{}", &term.name));
        let itself = term.own.then(|| term.name.clone());
        for text in itself.into_iter().chain(asked) {
            let read = rules.read_for_training(&text);
            examples.push(Example {
                text: read.text,
                evidence: read.evidence,
                departments: departments.clone(),
                weight: if term.own { OF_OWN_TERMS } else { OF_COUNTED_TERMS },
            });
        }
    }
    examples
}
