//! How fast a model is on this machine.

use std::time::Instant;

use serde::Serialize;

use crate::{
    decoder::{DecoderError, Want},
    model::Model,
};

/// One figure; its JSON is what `bedside model bench --json` prints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measurement {
    pub kind: Kind,
    pub tokens: usize,
    pub batch: usize,
    pub threads: usize,
    pub tokens_per_s: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Reading a prompt.
    Pp,
    /// Generating, one token after the other, behind that prompt.
    Tg,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    #[error("{0} threads cannot be started")]
    Threads(usize),
}

/// Reads a prompt of so many tokens and generates so many more; what the tokens are does not matter.
///
/// # Errors
/// If they do not fit into the context.
pub fn measure(
    model: &Model,
    prompt: usize,
    generate: usize,
    threads: usize,
) -> Result<[Measurement; 2], BenchError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|_| BenchError::Threads(threads))?;
    pool.install(|| {
        let size = model.tokenizer.size().max(1);
        let tokens: Vec<u32> = (0..prompt + generate)
            .map(|it| ((it * 7919) % size) as u32)
            .collect();
        let (before, after) = tokens.split_at(prompt);
        // The first pass touches the weights for the first time.
        model.decoder.forward(
            &mut model.decoder.session(),
            before.get(..8.min(prompt)).unwrap_or_default(),
            Want::Logits,
        )?;
        let mut session = model.decoder.session();
        let start = Instant::now();
        model.decoder.forward(&mut session, before, Want::Logits)?;
        let read = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for token in after {
            model.decoder.forward(&mut session, &[*token], Want::Logits)?;
        }
        let generated = start.elapsed().as_secs_f64();
        let measurement = |kind, tokens: usize, seconds: f64| Measurement {
            kind,
            tokens,
            batch: 1,
            threads,
            tokens_per_s: tokens as f64 / seconds.max(1e-9),
        };
        Ok([
            measurement(Kind::Pp, prompt, read),
            measurement(Kind::Tg, generate, generated),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, measure};
    use crate::{model::Model, pull::NoProgress, testing::TinyModel};

    #[test]
    fn both_figures_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        let model = Model::load(&path, &NoProgress).unwrap();
        let [pp, tg] = measure(&model, 16, 8, 1).unwrap();
        assert_eq!(
            (pp.kind, pp.tokens, tg.kind, tg.tokens),
            (Kind::Pp, 16, Kind::Tg, 8)
        );
        assert!(pp.tokens_per_s > 0.0 && tg.tokens_per_s > 0.0);
        assert!(measure(&model, 600, 1, 1).is_err());
        let json = serde_json::to_string(&pp).unwrap();
        assert!(
            json.starts_with(r#"{"kind":"pp","tokens":16,"batch":1,"threads":1,"tokens_per_s":"#),
            "{json}"
        );
    }
}
