//! The trained weights as a file: a header in JSON, then arrays of bytes.

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};

use super::{department_heads::DepartmentHeads, meaning::MeaningHeads};
use crate::learning::{
    ModelFileError,
    features::{BUCKETS, Vocabulary},
    heads::Head,
    weights_file::{Arrays, HeadHeader, begin, check_buckets, write_heads},
};

const MAGIC: &str = "BEDSIDE-READER-4";

/// From which probability on an urgency is raised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Of the emergency's probability.
    pub emergency: f32,
    /// Of the emergency's probability where the rules suspect a red flag.
    pub suspicion: f32,
    /// Of the probability of an emergency or a case for today.
    pub same_day: f32,
    /// Of the probability of anything but self-care.
    pub out_patient: f32,
}

impl Thresholds {
    pub(super) fn level(self, emergency: f32, same_day: f32, out_patient: f32) -> Disposition {
        if emergency >= self.emergency {
            Disposition::Emergency
        } else if emergency + same_day >= self.same_day {
            Disposition::SameDay
        } else if emergency + same_day + out_patient >= self.out_patient {
            Disposition::OutPatient
        } else {
            Disposition::SelfCare
        }
    }
}

pub(super) struct ModelFile {
    pub(super) vocabulary: Vocabulary,
    pub(super) emergency: Head,
    /// Emergency, same day, out-patient, self-care.
    pub(super) dispositions: [Head; 4],
    pub(super) departments: DepartmentHeads,
    /// Where it was trained with vectors.
    pub(super) meaning: Option<MeaningHeads>,
    pub(super) thresholds: Thresholds,
    pub(super) calibration: Calibration,
    /// The number of messages that it was trained on.
    pub(super) messages: usize,
}

/// Platt's: the probability is logistic(slope · score + intercept).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calibration {
    pub(super) slope: f32,
    pub(super) intercept: f32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    buckets: usize,
    messages: usize,
    thresholds: Thresholds,
    calibration: Calibration,
    /// The emergency's, then the four dispositions'.
    heads: Vec<HeadHeader>,
    departments: Vec<HeadHeader>,
    meaning: Option<MeaningHeads>,
}

const FIRST_HEADS: [&str; 5] = [
    "emergency-or-not",
    "emergency",
    "same-day",
    "out-patient",
    "self-care",
];

impl ModelFile {
    pub(super) fn emergency_probability(&self, score: f32) -> f32 {
        crate::learning::logistic(self.calibration.slope * score + self.calibration.intercept)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let first = || std::iter::once(&self.emergency).chain(&self.dispositions);
        let header = Header {
            buckets: BUCKETS,
            messages: self.messages,
            thresholds: self.thresholds,
            calibration: self.calibration,
            heads: FIRST_HEADS
                .iter()
                .zip(first())
                .map(|(name, head)| HeadHeader {
                    name: (*name).to_owned(),
                    scale: head.scale,
                    bias: head.bias,
                })
                .collect(),
            departments: HeadHeader::all_of(&self.departments.heads),
            meaning: self.meaning.clone(),
        };
        let mut bytes = begin(MAGIC, &header);
        bytes.extend(&self.vocabulary.rarity);
        for head in first() {
            bytes.extend(head.weights.iter().map(|it| it.cast_unsigned()));
        }
        write_heads(&mut bytes, &self.departments.heads);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, ModelFileError> {
        let (header, mut arrays) = Arrays::open::<Header>(bytes, MAGIC)?;
        check_buckets(header.buckets)?;
        let vocabulary = arrays.vocabulary()?;
        let mut first = Vec::with_capacity(FIRST_HEADS.len());
        for head in header.heads {
            first.push(Head {
                weights: arrays.weights(BUCKETS)?,
                scale: head.scale,
                bias: head.bias,
            });
        }
        let departments = DepartmentHeads {
            heads: arrays.heads(header.departments)?,
        };
        let [emergency, a, b, c, d]: [Head; 5] = first
            .try_into()
            .map_err(|_| ModelFileError::header("heads are missing"))?;
        Ok(Self {
            vocabulary,
            emergency,
            dispositions: [a, b, c, d],
            departments,
            meaning: header.meaning,
            thresholds: header.thresholds,
            calibration: header.calibration,
            messages: header.messages,
        })
    }
}
