//! The trained weights as a file: a header in JSON, then arrays of bytes.

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};

use super::features::{BUCKETS, Features, Vocabulary};

/// Departments share fewer buckets: there are many of them and they need less.
pub(super) const DEPARTMENT_BUCKETS: usize = 1 << 16;
const MAGIC: &[u8] = b"BEDSIDE-READER-1\n";
/// A header longer than this is none.
const LONGEST_HEADER: usize = 1 << 20;

/// A linear function of the features, its weights in whole steps of `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    /// As many as a power of two; a bucket's weight stands at its lower bits.
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
        let mask = self.weights.len().wrapping_sub(1);
        self.weights
            .get(bucket as usize & mask)
            .copied()
            .unwrap_or_default()
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
    pub(super) departments: Vec<(String, Head)>,
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
    department_buckets: usize,
    messages: usize,
    thresholds: Thresholds,
    calibration: Calibration,
    /// The emergency's, the four dispositions', then the departments' by id.
    heads: Vec<HeadHeader>,
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
        "the file does not begin with BEDSIDE-READER-1: it is no model of the second reader, or one of another version"
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
        let all = || {
            let first = std::iter::once(&self.emergency).chain(&self.dispositions);
            FIRST_HEADS
                .iter()
                .copied()
                .zip(first)
                .chain(self.departments.iter().map(|(id, head)| (id.as_str(), head)))
        };
        let header = Header {
            buckets: BUCKETS,
            department_buckets: DEPARTMENT_BUCKETS,
            messages: self.messages,
            thresholds: self.thresholds,
            calibration: self.calibration,
            heads: all()
                .map(|(name, head)| HeadHeader {
                    name: name.to_owned(),
                    scale: head.scale,
                    bias: head.bias,
                })
                .collect(),
        };
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(header.len()).unwrap_or_default().to_le_bytes());
        bytes.extend(header);
        bytes.extend(&self.vocabulary.rarity);
        for (_, head) in all() {
            bytes.extend(head.weights.iter().map(|it| it.cast_unsigned()));
        }
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
        for (found, expected) in [
            (header.buckets, BUCKETS),
            (header.department_buckets, DEPARTMENT_BUCKETS),
        ] {
            if found != expected {
                return Err(ModelFileError::Buckets { found, expected });
            }
        }
        let mut take = |count: usize| -> Result<&[u8], ModelFileError> {
            let (taken, left) = rest.split_at_checked(count).ok_or(ModelFileError::Short {
                needed: count,
                left: rest.len(),
            })?;
            rest = left;
            Ok(taken)
        };
        let rarity = take(BUCKETS)?.to_vec();
        let mut heads = Vec::with_capacity(header.heads.len());
        for (index, head) in header.heads.into_iter().enumerate() {
            let count = if index < FIRST_HEADS.len() {
                BUCKETS
            } else {
                DEPARTMENT_BUCKETS
            };
            let weights = take(count)?.iter().map(|it| it.cast_signed()).collect();
            heads.push((
                head.name,
                Head {
                    weights,
                    scale: head.scale,
                    bias: head.bias,
                },
            ));
        }
        let departments = heads.split_off(FIRST_HEADS.len().min(heads.len()));
        let first: Vec<Head> = heads.into_iter().map(|(_, head)| head).collect();
        let [emergency, a, b, c, d]: [Head; 5] = first
            .try_into()
            .map_err(|_| unreadable("heads are missing".to_owned()))?;
        Ok(Self {
            vocabulary: Vocabulary { rarity },
            emergency,
            dispositions: [a, b, c, d],
            departments,
            thresholds: header.thresholds,
            calibration: header.calibration,
            messages: header.messages,
        })
    }
}
