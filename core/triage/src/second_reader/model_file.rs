//! The trained weights as a file: a header in JSON, then arrays of bytes.

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};

use super::{
    department_heads::{DepartmentHead, DepartmentHeads},
    features::{BUCKETS, Features, OF_DEPARTMENTS, OF_URGENCY, Vocabulary},
    meaning::MeaningHeads,
};

const MAGIC: &[u8] = b"BEDSIDE-READER-3\n";
/// A header longer than this is none.
const LONGEST_HEADER: usize = 1 << 20;

/// A linear function of the features, its weights in whole steps of `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    /// By bucket.
    pub(super) weights: Vec<i8>,
    pub(super) scale: f32,
    pub(super) bias: f32,
}

impl Head {
    pub(super) fn rounded(weights: &[f32], bias: f32) -> Self {
        let largest = weights.iter().fold(0.0_f32, |a, b| a.max(b.abs())).max(1e-6);
        let scale = largest / 127.0;
        Self {
            weights: weights.iter().map(|it| (it / scale).round() as i8).collect(),
            scale,
            bias,
        }
    }

    pub(super) fn score(&self, features: &Features) -> f32 {
        let sum: f32 = features
            .entries
            .iter()
            .map(|(bucket, value)| f32::from(self.weight(*bucket)) * value)
            .sum();
        self.bias + self.scale * sum
    }

    pub(super) fn weight(&self, bucket: u32) -> i8 {
        self.weights.get(bucket as usize).copied().unwrap_or_default()
    }
}

/// From which probability on an urgency is raised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Of the emergency's probability.
    pub emergency: f32,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadHeader {
    name: String,
    scale: f32,
    bias: f32,
}

/// Why a file is no model of the second reader.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    #[error(
        "the file does not begin with BEDSIDE-READER-3: it is no model of the second reader, or one of another version"
    )]
    Magic,
    #[error("the header cannot be read: {reason}")]
    Header { reason: String },
    #[error("the model has {found} buckets, this program reads {expected}: train it again")]
    Buckets { found: usize, expected: usize },
    #[error("the file ends early: {needed} bytes of weights are needed, {left} are there")]
    Short { needed: usize, left: usize },
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
        super::logistic(self.calibration.slope * score + self.calibration.intercept)
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
            departments: self
                .departments
                .departments
                .iter()
                .map(|it| HeadHeader {
                    name: it.id.clone(),
                    scale: it.scale,
                    bias: it.bias,
                })
                .collect(),
            meaning: self.meaning.clone(),
        };
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(header.len()).unwrap_or_default().to_le_bytes());
        bytes.extend(header);
        bytes.extend(&self.vocabulary.rarity);
        for head in first() {
            bytes.extend(head.weights.iter().map(|it| it.cast_unsigned()));
        }
        bytes.extend(&self.departments.vocabulary.rarity);
        bytes.extend(self.departments.weights.iter().map(|it| it.cast_unsigned()));
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, ModelFileError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ModelFileError::Magic)?;
        let unreadable = |reason: String| ModelFileError::Header { reason };
        let (length, rest) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| unreadable("it has no length".to_owned()))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > LONGEST_HEADER || length > rest.len() {
            return Err(unreadable(format!("{length} bytes is no length of a header")));
        }
        let (header, mut rest) = rest.split_at(length);
        let header: Header = serde_json::from_slice(header).map_err(|it| unreadable(it.to_string()))?;
        if header.buckets != BUCKETS {
            return Err(ModelFileError::Buckets {
                found: header.buckets,
                expected: BUCKETS,
            });
        }
        let mut take = |count: usize| -> Result<&[u8], ModelFileError> {
            let (taken, left) = rest.split_at_checked(count).ok_or(ModelFileError::Short {
                needed: count,
                left: rest.len(),
            })?;
            rest = left;
            Ok(taken)
        };
        let vocabulary = Vocabulary {
            rarity: take(BUCKETS)?.to_vec(),
            reach: OF_URGENCY,
        };
        let signed = |bytes: &[u8]| bytes.iter().map(|it| it.cast_signed()).collect();
        let mut first = Vec::with_capacity(FIRST_HEADS.len());
        for head in header.heads {
            first.push(Head {
                weights: signed(take(BUCKETS)?),
                scale: head.scale,
                bias: head.bias,
            });
        }
        let names = Vocabulary {
            rarity: take(BUCKETS)?.to_vec(),
            reach: OF_DEPARTMENTS,
        };
        let known = names.rarity.iter().filter(|it| **it > 0).count();
        let weights = signed(take(known.saturating_mul(header.departments.len()))?);
        let departments = header.departments.into_iter().map(|it| DepartmentHead {
            id: it.name,
            scale: it.scale,
            bias: it.bias,
        });
        let departments = DepartmentHeads::new(names, departments.collect(), weights);
        let [emergency, a, b, c, d]: [Head; 5] = first
            .try_into()
            .map_err(|_| unreadable("heads are missing".to_owned()))?;
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
