//! The encoder of the second reader: multilingual-e5-small with the pieces of text that Chinese and English patients
//! write, its last layers tuned to urgency and departments by `scripts/train-encoder.py`. It is part of the program, so
//! that no emergency depends on a download.

use std::{
    collections::VecDeque,
    sync::{Mutex, OnceLock, PoisonError},
};

use bedside_contract::{EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose};

use crate::{Bytes, Embeddings};

static FILE: &[u8] = include_bytes!("../data/encoder.bin");

/// Read when it is first needed. Of longer texts than 128 tokens it reads the two ends.
#[derive(Default)]
pub struct PatientEncoder {
    model: OnceLock<Result<Embeddings, EmbedError>>,
    /// A message is read more than once on its way, alone and with those before it; so is a sentence of an answer, as it
    /// is written and at the end.
    recent: Mutex<VecDeque<(String, Vec<f32>)>>,
}

const RECENT: usize = 256;

impl PatientEncoder {
    fn load(&self) -> Result<&Embeddings, EmbedError> {
        let read = || Embeddings::read(Bytes::Linked(FILE), id());
        let model = self.model.get_or_init(|| {
            read().map_err(|fault| EmbedError::Unavailable(format!("encoder.bin: {}", fault.problem)))
        });
        model.as_ref().map_err(Clone::clone)
    }

    fn vector(&self, model: &Embeddings, text: &str) -> Vec<f32> {
        let known = |recent: &VecDeque<(String, Vec<f32>)>| {
            let known = recent.iter().find(|it| it.0 == text);
            known.map(|it| it.1.clone())
        };
        if let Some(vector) = known(&self.recent()) {
            return vector;
        }
        let vector = model.embed_ends(text);
        let mut recent = self.recent();
        recent.push_front((text.to_owned(), vector.clone()));
        recent.truncate(RECENT);
        vector
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Vec<f32>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedder for PatientEncoder {
    fn model(&self) -> Option<EmbeddingModel> {
        let model = self.model.get()?.as_ref().ok()?;
        Some(model.info().clone())
    }

    fn embed(&self, texts: &[&str], _: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let model = self.load()?;
        Ok(texts.iter().map(|it| self.vector(model, it)).collect())
    }
}

impl std::fmt::Debug for PatientEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PatientEncoder")
    }
}

/// Tells one training from another: FNV-1a over the file's end, where the tuned layers lie.
fn id() -> String {
    let end = FILE.get(FILE.len().saturating_sub(1 << 16)..).unwrap_or(FILE);
    let hash = end.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("encoder-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Embedder, EmbeddingPurpose};

    use super::{PatientEncoder, RECENT};

    #[test]
    fn it_reads_texts_of_any_length_and_keeps_few() {
        let encoder = PatientEncoder::default();
        assert!(encoder.model().is_none());
        let embed = |text: &str| {
            encoder
                .embed(&[text], EmbeddingPurpose::Query)
                .unwrap()
                .swap_remove(0)
        };
        let long = "我头疼三天了，没有发烧。".repeat(200);
        for text in ["", "胸口疼", "chest pain", &long, "\u{fffd}\0 ﷺ 𐀀"] {
            let vector = embed(text);
            assert_eq!(vector.len(), 384);
            let length: f32 = vector.iter().map(|it| it * it).sum();
            assert!((length - 1.0).abs() < 1e-3, "{text}: {length}");
            assert_eq!(embed(text), vector);
        }
        // What lies between the ends changes nothing.
        let around = |middle: &str| format!("{}{middle}{}", "好".repeat(300), "痛".repeat(300));
        assert_eq!(embed(&around("心")), embed(&around("发烧咳嗽")));
        (0..2 * RECENT).for_each(|it| drop(embed(&it.to_string())));
        assert_eq!(encoder.recent().len(), RECENT);
        assert!(encoder.model().unwrap().id.starts_with("encoder-"));
    }
}
