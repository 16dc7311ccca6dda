//! Trained weights as a file: a magic line, a header in JSON, then arrays of bytes.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    features::{BUCKETS, Vocabulary},
    heads::{HeadName, Heads},
};

/// A header longer than this is none.
const LONGEST_HEADER: usize = 1 << 20;

/// Why a file is no trained model.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    #[error(
        "the file does not begin with {expected}: it is no model of this reader, or one of another version"
    )]
    Magic { expected: &'static str },
    #[error("the header cannot be read: {reason}")]
    Header { reason: String },
    #[error("the model has {found} buckets, this program reads {expected}: train it again")]
    Buckets { found: usize, expected: usize },
    #[error("the file ends early: {needed} bytes of weights are needed, {left} are there")]
    Short { needed: usize, left: usize },
}

impl ModelFileError {
    pub(crate) fn header(reason: impl ToString) -> Self {
        Self::Header {
            reason: reason.to_string(),
        }
    }
}

/// How a head stands in a header.
#[derive(Debug, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadHeader {
    pub(crate) name: String,
    pub(crate) scale: f32,
    pub(crate) bias: f32,
}

impl HeadHeader {
    pub(crate) fn all_of(heads: &Heads) -> Vec<Self> {
        let names = heads.names.iter().map(|it| Self {
            name: it.id.clone(),
            scale: it.scale,
            bias: it.bias,
        });
        names.collect()
    }
}

/// `magic` and the header; arrays follow.
pub(crate) fn begin(magic: &str, header: &impl Serialize) -> Vec<u8> {
    let header = serde_json::to_vec(header).unwrap_or_default();
    let mut bytes = magic.as_bytes().to_vec();
    bytes.push(b'\n');
    bytes.extend(u32::try_from(header.len()).unwrap_or_default().to_le_bytes());
    bytes.extend(header);
    bytes
}

pub(crate) fn write_heads(bytes: &mut Vec<u8>, heads: &Heads) {
    bytes.extend(&heads.vocabulary.rarity);
    bytes.extend(heads.weights.iter().map(|it| it.cast_unsigned()));
}

/// The arrays of a file that are not read yet.
pub(crate) struct Arrays<'a> {
    rest: &'a [u8],
}

impl<'a> Arrays<'a> {
    /// Reads the header, and stands before the first array.
    pub(crate) fn open<H: DeserializeOwned>(
        bytes: &'a [u8],
        magic: &'static str,
    ) -> Result<(H, Self), ModelFileError> {
        let rest = bytes
            .strip_prefix(magic.as_bytes())
            .and_then(|it| it.strip_prefix(b"\n"))
            .ok_or(ModelFileError::Magic { expected: magic })?;
        let (length, rest) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| ModelFileError::header("it has no length"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > LONGEST_HEADER || length > rest.len() {
            return Err(ModelFileError::header(format!(
                "{length} bytes is no length of a header"
            )));
        }
        let (header, rest) = rest.split_at(length);
        let header = serde_json::from_slice(header).map_err(ModelFileError::header)?;
        Ok((header, Self { rest }))
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ModelFileError> {
        let (taken, left) = self.rest.split_at_checked(count).ok_or(ModelFileError::Short {
            needed: count,
            left: self.rest.len(),
        })?;
        self.rest = left;
        Ok(taken)
    }

    pub(crate) fn vocabulary(&mut self) -> Result<Vocabulary, ModelFileError> {
        Ok(Vocabulary {
            rarity: self.take(BUCKETS)?.to_vec(),
        })
    }

    pub(crate) fn weights(&mut self, count: usize) -> Result<Vec<i8>, ModelFileError> {
        Ok(self.take(count)?.iter().map(|it| it.cast_signed()).collect())
    }

    /// What [`write_heads`] wrote.
    pub(crate) fn heads(&mut self, headers: Vec<HeadHeader>) -> Result<Heads, ModelFileError> {
        let vocabulary = self.vocabulary()?;
        let known = vocabulary.rarity.iter().filter(|it| **it > 0).count();
        let weights = self.weights(known.saturating_mul(headers.len()))?;
        let names = headers.into_iter().map(|it| HeadName {
            id: it.name,
            scale: it.scale,
            bias: it.bias,
        });
        Ok(Heads::new(vocabulary, names.collect(), weights))
    }
}

/// Whether a file was made for as many buckets as this program has.
pub(crate) fn check_buckets(found: usize) -> Result<(), ModelFileError> {
    if found == BUCKETS {
        return Ok(());
    }
    Err(ModelFileError::Buckets {
        found,
        expected: BUCKETS,
    })
}
