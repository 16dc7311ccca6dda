//! Which tensor gets how many bits.

use std::{fmt, str::FromStr};

use bedside_tensors::gguf::Entry;
use candle_core::quantized::GgmlDType::{
    self, BF16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
};

use crate::decoder::Description;

/// What of a model's sizes decides how many bits a tensor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    /// Heads that share keys and values.
    pub(crate) heads_per_kv: usize,
}

impl From<&Description> for Sizes {
    fn from(description: &Description) -> Self {
        Self {
            layers: description.layers,
            heads_per_kv: description.heads / description.kv_heads.max(1),
        }
    }
}

/// What a file's name ends with: the kind of most of its weights, and of those that are worth more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantization(&'static Kind);

#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    most: GgmlDType,
    /// `general.file_type`, as llama.cpp counts them.
    file_type: u32,
    /// Where the mixtures of k-quants differ.
    mixture: Mixture,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mixture {
    None,
    Small,
    Medium,
}

const KINDS: [Kind; 15] = [
    kind("F32", F32, 0, Mixture::None),
    kind("F16", F16, 1, Mixture::None),
    kind("BF16", BF16, 32, Mixture::None),
    kind("Q8_0", Q8_0, 7, Mixture::None),
    kind("Q6_K", Q6K, 18, Mixture::None),
    kind("Q5_K_M", Q5K, 17, Mixture::Medium),
    kind("Q5_K_S", Q5K, 16, Mixture::Small),
    kind("Q5_1", Q5_1, 9, Mixture::None),
    kind("Q5_0", Q5_0, 8, Mixture::None),
    kind("Q4_K_M", Q4K, 15, Mixture::Medium),
    kind("Q4_K_S", Q4K, 14, Mixture::Small),
    kind("Q4_1", Q4_1, 3, Mixture::None),
    kind("Q4_0", Q4_0, 2, Mixture::None),
    kind("Q3_K_M", Q3K, 12, Mixture::Medium),
    kind("Q2_K", Q2K, 10, Mixture::Medium),
];

const fn kind(name: &'static str, most: GgmlDType, file_type: u32, mixture: Mixture) -> Kind {
    Kind {
        name,
        most,
        file_type,
        mixture,
    }
}

impl Quantization {
    /// The kinds that can be written.
    pub const NAMES: [&str; KINDS.len()] = {
        let mut names = [""; KINDS.len()];
        let mut number = 0;
        while number < names.len() {
            names[number] = KINDS[number].name;
            number += 1;
        }
        names
    };

    /// What a file says of it.
    pub(crate) fn metadata(self) -> Vec<(String, Entry)> {
        vec![
            ("general.file_type".to_owned(), Entry::U32(self.0.file_type)),
            ("general.quantization_version".to_owned(), Entry::U32(2)),
        ]
    }

    /// That of one tensor. Norms, biases and tables stay as they are; so do rows that are no whole blocks, in the
    /// next kind that has smaller ones. The mixtures are llama.cpp's (`llama_tensor_get_type`): the head, the values
    /// and the way out of the feed-forward are worth more bits, in some layers.
    pub(crate) fn dtype(
        self,
        sizes: Sizes,
        tied: bool,
        name: &str,
        shape: &[usize],
        now: GgmlDType,
    ) -> GgmlDType {
        let [_, columns] = *shape else { return now };
        if !name.ends_with(".weight") || name.starts_with("rope_") {
            return now;
        }
        let wanted = match layer_of(name) {
            Some((layer, matrix)) => self.in_layer(sizes, layer, matrix),
            None if name == "output.weight" || (tied && name == "token_embd.weight") => self.head(),
            None => self.0.most,
        };
        fitting(wanted, columns)
    }

    /// The head decides every token.
    fn head(self) -> GgmlDType {
        match self.0.most {
            F32 | F16 | BF16 | Q8_0 => self.0.most,
            _ => Q6K,
        }
    }

    fn in_layer(self, sizes: Sizes, layer: usize, matrix: &str) -> GgmlDType {
        let (layers, most) = (sizes.layers, self.0.most);
        let eighth = layers / 8;
        let more = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
        match (self.0.mixture, most, matrix) {
            (Mixture::Medium, Q4K | Q5K, "attn_v" | "ffn_down") if more => Q6K,
            (Mixture::Medium, Q4K, "attn_qkv") => Q5K,
            (Mixture::Medium, Q5K, "attn_qkv") => Q6K,
            (Mixture::Small, Q4K, "attn_v") if layer < 4 => Q5K,
            (Mixture::Small, Q4K, "ffn_down") if layer < eighth => Q5K,
            (Mixture::Medium, Q3K, "attn_v") => {
                if layer < 2 {
                    Q5K
                } else {
                    Q4K
                }
            }
            (Mixture::Medium, Q3K, "ffn_down") if layer < layers / 16 => Q5K,
            (Mixture::Medium, Q3K, "ffn_down") if more => Q4K,
            (Mixture::Medium, Q3K, "attn_output" | "attn_qkv") => Q4K,
            (Mixture::Medium, Q2K, "attn_v") if sizes.heads_per_kv >= 4 => Q4K,
            (Mixture::Medium, Q2K, "attn_v" | "attn_qkv" | "attn_output" | "ffn_down") => Q3K,
            _ => most,
        }
    }
}

/// `blk.3.attn_v.weight` → 3, `attn_v`.
fn layer_of(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest.strip_suffix(".weight")?))
}

/// The next kind whose blocks fit.
fn fitting(wanted: GgmlDType, columns: usize) -> GgmlDType {
    let fits = |dtype: GgmlDType| columns.is_multiple_of(dtype.block_size());
    let smaller = match wanted {
        Q2K | Q3K => Q4_0,
        Q4K => Q5_0,
        Q5K => Q5_1,
        Q6K => Q8_0,
        other => other,
    };
    [wanted, smaller].into_iter().find(|it| fits(*it)).unwrap_or(F16)
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|it| it.name.eq_ignore_ascii_case(text));
        found
            .map(Self)
            .ok_or_else(|| format!("there is no such kind; use one of {}", Self::NAMES.join(", ")))
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}
