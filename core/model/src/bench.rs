//! How fast a model is on this machine.

use std::{fs, hint::black_box, time::Instant};

use serde::Serialize;

use crate::{
    decoder::{
        Adapter, AdapterError, BLOCK_TOKENS, Decoder, DecoderError, Executor, KvCache, KvPrecision,
        LinearKind, LowRankUpdate, Slice,
    },
    model::Model,
    threads::Threads,
};

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tokens of each prompt.
    pub prompt: usize,
    /// Tokens generated behind it.
    pub generate: usize,
    pub threads: usize,
    /// Sequences at the same time, one measurement each.
    pub batches: Vec<usize>,
    /// Random LoRA adapters of rank 8 on all linears, dealt among the sequences; 0 is the base model.
    pub adapters: usize,
    pub precision: KvPrecision,
}

/// One figure; its JSON is what `bedside model bench --json` prints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measurement {
    pub kind: Kind,
    /// In each sequence.
    pub tokens: usize,
    pub batch: usize,
    pub threads: usize,
    pub adapters: usize,
    /// Of all sequences together.
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
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error("{count} threads cannot be started: {error}")]
    Threads { count: usize, error: std::io::Error },
}

/// Prompt tokens of one pass: as many as the engine reads when nothing else runs.
const CHUNK: usize = 256;
/// Rank of the random adapters.
const RANK: usize = 8;

/// Reads prompts and generates behind them; what the tokens are does not matter.
///
/// # Errors
/// If they do not fit into the context.
pub fn measure(model: &Model, plan: &Plan) -> Result<Vec<Measurement>, BenchError> {
    let mut bench = Bench::new(model, plan)?;
    // Weights and buffers are touched for the first time.
    bench.read_prompts(1)?;
    let mut results = Vec::new();
    for batch in plan.batches.iter().copied() {
        for (kind, tokens) in [(Kind::Pp, plan.prompt), (Kind::Tg, plan.generate)] {
            let start = Instant::now();
            match kind {
                Kind::Pp => bench.read_prompts(batch)?,
                Kind::Tg => bench.generate(batch)?,
            }
            results.push(Measurement {
                kind,
                tokens,
                batch,
                threads: plan.threads,
                adapters: plan.adapters,
                tokens_per_s: (tokens * batch) as f64 / start.elapsed().as_secs_f64().max(1e-9),
            });
        }
    }
    Ok(results)
}

struct Bench<'a> {
    decoder: &'a Decoder,
    executor: Executor,
    cache: KvCache,
    adapters: Vec<Adapter>,
    /// Of each sequence.
    blocks: Vec<Vec<u32>>,
    prompt: Vec<u32>,
    answer: Vec<u32>,
}

impl<'a> Bench<'a> {
    fn new(model: &'a Model, plan: &Plan) -> Result<Self, BenchError> {
        let decoder = &model.decoder;
        let count = plan.threads;
        let threads = Threads::new(count).map_err(|error| BenchError::Threads { count, error })?;
        let size = model.tokenizer.size().max(1);
        let mut tokens = (0..).map(|it: usize| ((it * 7919) % size) as u32);
        let each = (plan.prompt + plan.generate).div_ceil(BLOCK_TOKENS);
        let sequences = plan.batches.iter().copied().max().unwrap_or(1);
        let mut blocks = 0..;
        Ok(Self {
            decoder,
            executor: decoder.executor(threads),
            cache: decoder.cache(each * sequences, plan.precision),
            adapters: (0..plan.adapters)
                .map(|it| random_adapter(model, it as u64))
                .collect::<Result<_, _>>()?,
            blocks: (0..sequences)
                .map(|_| blocks.by_ref().take(each).collect())
                .collect(),
            prompt: tokens.by_ref().take(plan.prompt).collect(),
            answer: tokens.take(plan.generate).collect(),
        })
    }

    /// One prompt after the other, as an engine reads prompts that have nothing in common.
    fn read_prompts(&mut self, batch: usize) -> Result<(), DecoderError> {
        for sequence in 0..batch {
            let mut start = 0;
            // A context that is seen in both directions is read as one.
            let chunk = if self.context() > 0 {
                self.prompt.len()
            } else {
                CHUNK
            };
            for tokens in self.prompt.chunks(chunk) {
                let slice = Slice {
                    tokens,
                    start,
                    blocks: self.blocks.get(sequence).map_or(&[], Vec::as_slice),
                    logits: usize::from(start + tokens.len() == self.prompt.len()),
                    adapter: self.adapters.get(sequence % self.adapters.len().max(1)),
                    context: self.context(),
                };
                self.decoder
                    .forward(&mut self.executor, &mut self.cache, &[slice])?;
                start += tokens.len();
            }
        }
        Ok(())
    }

    fn context(&self) -> usize {
        self.decoder.context(self.prompt.len())
    }

    /// All sequences together, token by token.
    fn generate(&mut self, batch: usize) -> Result<(), DecoderError> {
        let context = self.context();
        for (number, token) in self.answer.iter().enumerate() {
            let slices = self
                .blocks
                .iter()
                .enumerate()
                .take(batch)
                .map(|(sequence, blocks)| Slice {
                    tokens: std::slice::from_ref(token),
                    start: self.prompt.len() + number,
                    blocks,
                    logits: 1,
                    adapter: self.adapters.get(sequence % self.adapters.len().max(1)),
                    context,
                });
            let slices: Vec<Slice<'_>> = slices.collect();
            self.decoder
                .forward(&mut self.executor, &mut self.cache, &slices)?;
        }
        Ok(())
    }
}

fn random_adapter(model: &Model, seed: u64) -> Result<Adapter, AdapterError> {
    let description = model.decoder.description();
    let mut state = seed.wrapping_mul(2) | 1;
    let mut numbers = |count: usize| -> Vec<f32> {
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 0.01
        };
        (0..count).map(|_| next()).collect()
    };
    let places = (0..description.layers).flat_map(|layer| LinearKind::ALL.map(|linear| (layer, linear)));
    let updates = places.map(|(layer, linear)| {
        let (rows, columns) = linear.shape(description);
        LowRankUpdate {
            layer,
            linear,
            rank: RANK,
            a: numbers(RANK * columns),
            b: numbers(rows * RANK),
        }
    });
    Adapter::new(description, updates.collect(), None)
}

/// What all threads together read from memory, in bytes per second: the roof of generating for one.
///
/// # Errors
/// If the threads cannot be started.
pub fn read_bandwidth(count: usize) -> Result<f64, BenchError> {
    const NUMBERS: usize = 64 << 20;
    const ROUNDS: usize = 4;
    let threads = Threads::new(count).map_err(|error| BenchError::Threads { count, error })?;
    let numbers: Vec<u64> = (0..NUMBERS as u64).collect();
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        threads.run_parts(NUMBERS, NUMBERS >> 17, |part| {
            let (eights, _) = numbers.get(part).unwrap_or_default().as_chunks::<16>();
            let mut sums = [0_u64; 16];
            for eight in eights {
                for (sum, number) in sums.iter_mut().zip(eight) {
                    *sum = sum.wrapping_add(*number);
                }
            }
            black_box(sums);
        });
        best = best.max(size_of_val(numbers.as_slice()) as f64 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Memory of this process that is in use now, where the system tells.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

/// The most memory that it has used.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::{BenchError, Kind, Plan, measure, read_bandwidth, resident_bytes};
    use crate::{decoder::KvPrecision, model::Model, pull::NoProgress, testing::TinyModel};

    #[test]
    fn all_figures_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        let model = Model::load(&path, &NoProgress).unwrap();
        let mut plan = Plan {
            prompt: 16,
            generate: 8,
            threads: 2,
            batches: vec![1, 3],
            adapters: 2,
            precision: KvPrecision::F16,
        };
        let results = measure(&model, &plan).unwrap();
        let kinds: Vec<_> = results.iter().map(|it| (it.kind, it.tokens, it.batch)).collect();
        assert_eq!(
            kinds,
            [
                (Kind::Pp, 16, 1),
                (Kind::Tg, 8, 1),
                (Kind::Pp, 16, 3),
                (Kind::Tg, 8, 3)
            ]
        );
        assert!(results.iter().all(|it| it.tokens_per_s > 0.0));
        let json = serde_json::to_string(&results[0]).unwrap();
        let start = r#"{"kind":"pp","tokens":16,"batch":1,"threads":2,"adapters":2,"tokens_per_s":"#;
        assert!(json.starts_with(start), "{json}");
        plan.prompt = 600;
        assert!(matches!(measure(&model, &plan), Err(BenchError::Decoder(_))));
    }

    #[test]
    fn the_machine_is_looked_at() {
        assert!(read_bandwidth(1).unwrap() > 1e8);
        assert!(resident_bytes().is_none_or(|it| it > 1 << 20));
    }
}
