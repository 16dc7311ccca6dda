//! How well a model foretells a text: what quantizing costs it.

use crate::{
    decoder::{KvPrecision, Positions, Solo},
    model::{Model, ModelError},
    pull::Progress,
    threads::Threads,
    tokenizer::Stretch,
};

/// What a model made of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perplexity {
    /// The exponential of the mean of the negative log-probability of each token.
    pub value: f64,
    /// Tokens that were foretold.
    pub tokens: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum PerplexityError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the text has {tokens} tokens, two windows of {window} are the least")]
    Short { tokens: usize, window: usize },
}

/// Tokens whose logits are computed at a time.
const PIECE: usize = 64;

/// The text is cut into windows; of each, the second half is foretold from all that stands before it in the
/// window, as llama.cpp's `perplexity` does, so figures can be compared.
///
/// # Errors
/// If the text is too short or the model cannot read it.
pub fn perplexity(
    model: &Model,
    text: &str,
    window: usize,
    progress: &dyn Progress,
) -> Result<Perplexity, PerplexityError> {
    let tokens = model.tokenizer.encode_text(text).map_err(ModelError::from)?;
    let window = window.min(model.facts.context_length).max(4);
    if tokens.len() < 2 * window {
        return Err(PerplexityError::Short {
            tokens: tokens.len(),
            window,
        });
    }
    let threads = Threads::new(crate::physical_cores()).map_err(ModelError::Threads)?;
    // ChatGLM-6B foretells only behind these.
    let before_answer = match model.decoder.description().positions {
        Positions::Blocks { .. } => {
            let marks = [Stretch::Template("[gMASK]<sop>".to_owned())];
            model.tokenizer.encode_chat(&marks).map_err(ModelError::from)?
        }
        Positions::Index => Vec::new(),
    };
    let room = window + before_answer.len();
    let mut solo = Solo::new(&model.decoder, threads, room, KvPrecision::F16);
    progress.phase("reading");
    progress.total((tokens.len() / window * window) as u64);
    let (mut sum, mut count) = (0.0, 0);
    for chunk in tokens.chunks_exact(window) {
        let mut chunk = chunk.to_vec();
        if let (Some(bos), Some(first)) = (model.tokenizer.first_token(), chunk.first_mut()) {
            *first = bos;
        }
        solo.truncate(0);
        let (known, foretold) = chunk.split_at(window / 2);
        let known = [known, &before_answer].concat();
        // The last logits of what is known foretell the first of the rest.
        let mut logits = solo.read(&known, 1, None).map_err(ModelError::from)?;
        for piece in foretold.chunks(PIECE) {
            let rows = solo.read(piece, piece.len(), None).map_err(ModelError::from)?;
            for (row, token) in logits.iter().chain(&rows).zip(piece) {
                sum -= log_probability(row, *token);
                count += 1;
            }
            logits = rows.into_iter().last().into_iter().collect();
        }
        progress.advance(window as u64);
    }
    Ok(Perplexity {
        value: (sum / f64::from(count)).exp(),
        tokens: count as usize,
    })
}

fn log_probability(logits: &[f32], token: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|it| f64::from(it - largest).exp()).sum();
    let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    f64::from(own - largest) - sum.ln()
}
