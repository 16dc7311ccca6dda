//! The trained weights as a file: a header in JSON, then arrays of bytes.

use serde::{Deserialize, Serialize};

use super::{chances::Judgement, department_heads::DepartmentHeads, encoder::EncoderHeads};
use crate::learning::{
    ModelFileError,
    features::{BUCKETS, Vocabulary},
    heads::Head,
    weights_file::{Arrays, HeadHeader, begin, check_buckets, write_heads},
};

const MAGIC: &str = "BEDSIDE-READER-6";

pub(super) struct ModelFile {
    pub(super) vocabulary: Vocabulary,
    /// Emergency, same day, out-patient, self-care.
    pub(super) dispositions: [Head; 4],
    pub(super) departments: DepartmentHeads,
    /// By n-grams alone.
    pub(super) alone: Judgement,
    /// Where it was trained with an encoder.
    pub(super) with_encoder: Option<WithEncoder>,
    /// The number of messages that it was trained on.
    pub(super) messages: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithEncoder {
    pub(super) heads: EncoderHeads,
    pub(super) judgement: Judgement,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    buckets: usize,
    messages: usize,
    alone: Judgement,
    with_encoder: Option<WithEncoder>,
    /// The four dispositions'.
    heads: Vec<HeadHeader>,
    departments: Vec<HeadHeader>,
}

const DISPOSITIONS: [&str; 4] = ["emergency", "same-day", "out-patient", "self-care"];

impl ModelFile {
    pub(super) fn emergency(&self) -> &Head {
        let [emergency, ..] = &self.dispositions;
        emergency
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let header = Header {
            buckets: BUCKETS,
            messages: self.messages,
            alone: self.alone.clone(),
            with_encoder: self.with_encoder.clone(),
            heads: DISPOSITIONS
                .iter()
                .zip(&self.dispositions)
                .map(|(name, head)| HeadHeader {
                    name: (*name).to_owned(),
                    scale: head.scale,
                    bias: head.bias,
                })
                .collect(),
            departments: HeadHeader::all_of(&self.departments.heads),
        };
        let mut bytes = begin(MAGIC, &header);
        bytes.extend(&self.vocabulary.rarity);
        for head in &self.dispositions {
            bytes.extend(head.weights.iter().map(|it| it.cast_unsigned()));
        }
        write_heads(&mut bytes, &self.departments.heads);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, ModelFileError> {
        let (header, mut arrays) = Arrays::open::<Header>(bytes, MAGIC)?;
        check_buckets(header.buckets)?;
        let vocabulary = arrays.vocabulary()?;
        let mut dispositions = Vec::with_capacity(DISPOSITIONS.len());
        for head in header.heads {
            dispositions.push(Head {
                weights: arrays.weights(BUCKETS)?,
                scale: head.scale,
                bias: head.bias,
            });
        }
        let departments = DepartmentHeads {
            heads: arrays.heads(header.departments)?,
        };
        let dispositions: [Head; 4] = dispositions
            .try_into()
            .map_err(|_| ModelFileError::header("heads are missing"))?;
        Ok(Self {
            vocabulary,
            dispositions,
            departments,
            alone: header.alone,
            with_encoder: header.with_encoder,
            messages: header.messages,
        })
    }
}
