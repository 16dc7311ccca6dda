//! Tiny models with random weights, for tests that must run without a real one.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use bedside_tensors::gguf::{Entry, GgufFile, GgufWriter, PlannedTensor};
use candle_core::{
    Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};

use crate::{
    decoder::{LinearKind, LowRankUpdate},
    tokenizer::character_of,
};

/// A model of a few thousand weights whose answers are nonsense but always the same nonsense.
#[derive(Debug, Clone)]
pub struct TinyModel {
    pub architecture: &'static str,
    pub seed: u64,
    pub layers: usize,
    pub context_length: usize,
    pub weights: GgmlDType,
    /// ChatML by default; `None` writes none.
    pub chat_template: Option<&'static str>,
    /// The head has weights of its own instead of the embedding's.
    pub own_head: bool,
    /// How far the local layers of gemma3 see.
    pub window: usize,
    /// Added to the weights before they are written.
    pub merged: Vec<LowRankUpdate>,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self {
            architecture: "llama",
            seed: 1,
            layers: 2,
            context_length: 512,
            weights: GgmlDType::F32,
            chat_template: Some(TEMPLATE),
            own_head: false,
            window: 8,
            merged: Vec::new(),
        }
    }
}

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' \
    + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Pairs that are joined, first the first.
const MERGES: [(&str, &str); 5] = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("in", "g")];
pub const WIDTH: usize = 64;
pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const HEAD_WIDTH: usize = 16;
pub const FEED_WIDTH: usize = 96;

impl TinyModel {
    /// Writes the model as a GGUF file.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) {
        let mut file = BufWriter::new(File::create(path).expect("the test's folder can be written to"));
        let metadata = self.metadata();
        let tensors = self.tensors();
        let metadata: Vec<(&str, &Value)> = metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let tensors: Vec<(&str, &QTensor)> = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
            .collect();
        gguf_file::write(&mut file, &metadata, &tensors).expect("the model is well formed");
    }

    /// Spelling of each token: special ones first, then the bytes, then what merges give; filled up to a
    /// multiple of eight.
    #[must_use]
    pub fn vocabulary() -> Vec<String> {
        let special = SPECIAL.iter().map(|it| (*it).to_owned());
        let bytes = (0..=255).map(|it| character_of(it).to_string());
        let merged = MERGES.iter().map(|(left, right)| format!("{left}{right}"));
        let mut all: Vec<String> = special.chain(bytes).chain(merged).collect();
        while !all.len().is_multiple_of(8) {
            all.push(format!("<unused{}>", all.len()));
        }
        all
    }

    fn metadata(&self) -> Vec<(String, Value)> {
        let vocabulary = Self::vocabulary();
        let types = (0..vocabulary.len()).map(|it| match it {
            _ if it < SPECIAL.len() => Value::I32(3),
            _ if it < SPECIAL.len() + 256 + MERGES.len() => Value::I32(1),
            _ => Value::I32(5),
        });
        let types = types.collect();
        let size = |it: usize| Value::U32(u32::try_from(it).expect("sizes are small"));
        let text = |it: &str| Value::String(it.to_owned());
        let own = |name: &str| format!("{}.{name}", self.architecture);
        let mut metadata = vec![
            ("general.architecture".to_owned(), text(self.architecture)),
            ("general.dtype".to_owned(), Value::U32(0)),
            (own("block_count"), size(self.layers)),
            (own("context_length"), size(self.context_length)),
            (own("embedding_length"), size(WIDTH)),
            (own("feed_forward_length"), size(FEED_WIDTH)),
            (own("attention.head_count"), size(HEADS)),
            (own("attention.head_count_kv"), size(KV_HEADS)),
            (own("attention.key_length"), size(HEAD_WIDTH)),
            (own("attention.value_length"), size(HEAD_WIDTH)),
            (own("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)),
            (own("attention.layer_norm_epsilon"), Value::F32(1e-5)),
            (
                own("rope.dimension_count"),
                size(HEAD_WIDTH / if self.is_chatglm1() { 2 } else { 1 }),
            ),
            (own("rope.freq_base"), Value::F32(10_000.0)),
            ("tokenizer.ggml.model".to_owned(), text("gpt2")),
            ("tokenizer.ggml.pre".to_owned(), text("smollm")),
            (
                "tokenizer.ggml.tokens".to_owned(),
                Value::Array(vocabulary.iter().map(|it| text(it)).collect()),
            ),
            ("tokenizer.ggml.token_type".to_owned(), Value::Array(types)),
            (
                "tokenizer.ggml.merges".to_owned(),
                Value::Array(
                    MERGES
                        .iter()
                        .map(|(left, right)| text(&format!("{left} {right}")))
                        .collect(),
                ),
            ),
            ("tokenizer.ggml.bos_token_id".to_owned(), Value::U32(1)),
            ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(2)),
            ("tokenizer.ggml.add_bos_token".to_owned(), Value::Bool(false)),
        ];
        if self.architecture == "gemma3" {
            metadata.push((own("attention.sliding_window"), size(self.window)));
        }
        if let Some(template) = self.chat_template {
            metadata.push(("tokenizer.chat_template".to_owned(), text(template)));
        }
        metadata
    }

    /// ChatGLM-6B has biases everywhere and no gate.
    fn is_chatglm1(&self) -> bool {
        self.architecture == "chatglm1"
    }

    fn merge(&self, layer: usize, linear: LinearKind, columns: usize, numbers: &mut [f32]) {
        let updates = self
            .merged
            .iter()
            .filter(|it| it.layer == layer && it.linear == linear);
        for update in updates {
            for (row, b) in numbers
                .chunks_exact_mut(columns)
                .zip(update.b.chunks_exact(update.rank))
            {
                for (b, a) in b.iter().zip(update.a.chunks_exact(columns)) {
                    row.iter_mut().zip(a).for_each(|(number, a)| *number += b * a);
                }
            }
        }
    }

    fn tensors(&self) -> Vec<(String, QTensor)> {
        let mut random = Random(self.seed);
        let rows = Self::vocabulary().len();
        let mut embedding = random.numbers(rows * WIDTH, 1.0);
        // Special tokens have no likelihood to speak of, so answers go on until they are cut.
        embedding
            .iter_mut()
            .take(SPECIAL.len() * WIDTH)
            .for_each(|it| *it = 0.0);
        let matrix = |numbers: Vec<f32>, rows: usize, columns: usize| {
            let tensor = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).expect("the sizes fit");
            QTensor::quantize(&tensor, self.weights).expect("columns are whole blocks")
        };
        let vector = |numbers: Vec<f32>| {
            let tensor =
                Tensor::from_vec(numbers.clone(), numbers.len(), &Device::Cpu).expect("the size fits");
            QTensor::quantize(&tensor, GgmlDType::F32).expect("f32 takes any length")
        };
        let mut tensors = vec![(
            "token_embd.weight".to_owned(),
            matrix(embedding.clone(), rows, WIDTH),
        )];
        if self.own_head {
            let mut head = random.numbers(rows * WIDTH, 1.0);
            head.iter_mut()
                .take(SPECIAL.len() * WIDTH)
                .for_each(|it| *it = 0.0);
            tensors.push(("output.weight".to_owned(), matrix(head, rows, WIDTH)));
        }
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let (query, kv) = (HEADS * HEAD_WIDTH, KV_HEADS * HEAD_WIDTH);
            for (part, linear, rows, columns) in [
                ("attn_q", LinearKind::Query, query, WIDTH),
                ("attn_k", LinearKind::Key, kv, WIDTH),
                ("attn_v", LinearKind::Value, kv, WIDTH),
                ("attn_output", LinearKind::Output, WIDTH, query),
                ("ffn_gate", LinearKind::Gate, FEED_WIDTH, WIDTH),
                ("ffn_up", LinearKind::Up, FEED_WIDTH, WIDTH),
                ("ffn_down", LinearKind::Down, WIDTH, FEED_WIDTH),
            ] {
                if self.is_chatglm1() && linear == LinearKind::Gate {
                    continue;
                }
                // Its residual is multiplied by the root of 56: answers would only repeat the last token.
                let into_residual = [LinearKind::Output, LinearKind::Down].contains(&linear);
                let size = if self.is_chatglm1() && into_residual {
                    2.5
                } else {
                    0.25
                };
                let mut numbers = random.numbers(rows * columns, size);
                self.merge(layer, linear, columns, &mut numbers);
                tensors.push((name(&format!("{part}.weight")), matrix(numbers, rows, columns)));
                let has_bias = self.architecture == "qwen2" && ["attn_q", "attn_k", "attn_v"].contains(&part);
                if has_bias || self.is_chatglm1() {
                    tensors.push((name(&format!("{part}.bias")), vector(random.numbers(rows, 0.5))));
                }
            }
            let mut norms = vec![("attn_norm", WIDTH), ("ffn_norm", WIDTH)];
            if ["qwen3", "gemma3"].contains(&self.architecture) {
                norms.extend([("attn_q_norm", HEAD_WIDTH), ("attn_k_norm", HEAD_WIDTH)]);
            }
            if self.architecture == "gemma3" {
                norms.extend([("post_attention_norm", WIDTH), ("post_ffw_norm", WIDTH)]);
            }
            for (part, length) in norms {
                let numbers = random
                    .numbers(length, 0.2)
                    .into_iter()
                    .map(|it| it + 1.0)
                    .collect();
                tensors.push((name(&format!("{part}.weight")), vector(numbers)));
                if self.is_chatglm1() {
                    tensors.push((name(&format!("{part}.bias")), vector(random.numbers(length, 0.2))));
                }
            }
        }
        tensors.push(("output_norm.weight".to_owned(), vector(vec![1.0; WIDTH])));
        if self.is_chatglm1() {
            tensors.push(("output_norm.bias".to_owned(), vector(vec![0.0; WIDTH])));
        }
        tensors
    }
}

/// Writes a model's file as so many parts beside it, as llama-gguf-split does; gives their paths.
///
/// # Panics
/// If the file cannot be read, or the parts cannot be written.
#[must_use]
pub fn split(whole: &Path, count: usize) -> Vec<PathBuf> {
    let gguf = GgufFile::open(whole).expect("the test wrote a model");
    let stem = whole.file_stem().and_then(|it| it.to_str());
    let stem = stem.expect("the test named it");
    let tensors: Vec<_> = gguf.tensors().iter().collect();
    let each = tensors.len().div_ceil(count);
    let parts: Vec<PathBuf> = tensors
        .chunks(each)
        .enumerate()
        .map(|(place, tensors)| {
            let number = |it: usize| Entry::U32(u32::try_from(it).expect("there are few"));
            let mut metadata = vec![
                ("split.no".to_owned(), number(place)),
                ("split.count".to_owned(), number(count)),
                ("split.tensors.count".to_owned(), number(gguf.tensors().len())),
            ];
            if place == 0 {
                let raw = |key: &str| gguf.entry(key).expect("it is there").to_vec();
                metadata.extend(gguf.keys().map(|key| (key.to_owned(), Entry::Raw(raw(key)))));
            }
            let planned = tensors.iter().map(|(name, it)| PlannedTensor {
                name: (*name).clone(),
                dtype: it.dtype,
                shape: it.shape.clone(),
            });
            let path = whole.with_file_name(format!("{stem}-{:05}-of-{count:05}.gguf", place + 1));
            let mut writer =
                GgufWriter::create(&path, &metadata, planned.collect()).expect("the folder is the test's");
            for (name, it) in tensors {
                let (_, data) = gguf.tensor_data(name, &it.shape).expect("it is there");
                writer.write(data).expect("the folder is the test's");
            }
            writer.finish().expect("all are written");
            path
        })
        .collect();
    assert_eq!(parts.len(), count, "tensors for so many parts");
    parts
}

struct Random(u64);

impl Random {
    fn numbers(&mut self, count: usize, size: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0) * size
        };
        (0..count).map(|_| next()).collect()
    }
}
