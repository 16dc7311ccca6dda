//! PEFT's own files: LoRA (Hu et al., 2021), with rank-stabilized scales (Kalajdzievski, 2023) and patterns, and
//! prefix tuning (Li and Liang, 2021).

use std::collections::{BTreeMap, BTreeSet};

use bedside_tensors::checkpoint::Checkpoint;

use crate::{
    Format, FormatError, RowOrder, SavedAdapter, SavedPrefix, SavedUpdate,
    config::{AdapterConfig, MERGE},
    names,
};

/// What PEFT calls an adapter that nobody named.
const UNNAMED: &str = "default";

pub(crate) fn read(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    match config.kind() {
        "LORA" => lora(checkpoint, config),
        "PREFIX_TUNING" => prefix(checkpoint, config),
        _ => Err(config.unsupported(
            "peft_type",
            format!("only LORA and PREFIX_TUNING are supported; {MERGE}"),
        )),
    }
}

fn lora(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    config.check_maths()?;
    let mut updates = Vec::new();
    for (module, pair) in pairs(checkpoint)? {
        let name = pair.a.rsplit_once(".lora_A").map_or(module.as_str(), |it| it.0);
        let (layer, linear) =
            names::of_module(&module).ok_or_else(|| bad(checkpoint, &pair.a, names::not_adapted(&module)))?;
        let (rank, columns) = matrix(checkpoint, &pair.a)?;
        let (rows, of_b) = matrix(checkpoint, &pair.b)?;
        let (wanted, alpha) = config.rank_and_alpha(&module)?;
        if rank != wanted || of_b != wanted {
            let problem = format!(
                "lora_A has rank {rank}, lora_B {of_b}, by adapter_config.json it should be {wanted}"
            );
            return Err(bad(checkpoint, name, problem));
        }
        let divisor = if config.is("use_rslora") {
            (rank as f32).sqrt()
        } else {
            rank as f32
        };
        updates.push(SavedUpdate {
            name: name.to_owned(),
            layer,
            linear,
            rank,
            scale: alpha / divisor,
            columns,
            rows,
            a: checkpoint.floats(&pair.a)?,
            b: checkpoint.floats(&pair.b)?,
        });
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::PeftLora,
        base: config.base(),
        updates,
        prefix: None,
        order: RowOrder::Checkpoint,
    })
}

/// The two halves of an update by their tensors' names.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) a: String,
    pub(crate) b: String,
}

/// By the module's path in its model. Anything that is no half is an error, and so are halves of several adapters.
pub(crate) fn pairs(checkpoint: &Checkpoint) -> Result<BTreeMap<String, Pair>, FormatError> {
    let halves = checkpoint.tensors().keys().map(|tensor| match Half::of(tensor) {
        Some(half) => Ok((tensor, half)),
        None => Err(bad(checkpoint, tensor, no_half(tensor))),
    });
    let halves = halves.collect::<Result<Vec<_>, FormatError>>()?;
    let adapters: BTreeSet<&str> = halves.iter().map(|(_, half)| half.adapter).collect();
    if adapters.len() > 1 {
        let adapters: Vec<&str> = adapters.into_iter().collect();
        return Err(FormatError::Config {
            path: checkpoint.path().to_owned(),
            problem: format!(
                "it holds several adapters: {}; save each alone (selected_adapters of PEFT's save_pretrained) and \
                 name its folder",
                adapters.join(", ")
            ),
        });
    }
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for (tensor, half) in halves {
        let module = half.module.rsplit_once("base_model.model.");
        let module = module.map_or(half.module, |it| it.1);
        let pair = pairs.entry(module.to_owned()).or_default();
        let place = if half.is_a { &mut pair.a } else { &mut pair.b };
        if !place.is_empty() {
            return Err(bad(checkpoint, tensor, format!("so is {place}")));
        }
        tensor.clone_into(place);
    }
    for (module, pair) in &pairs {
        if pair.a.is_empty() || pair.b.is_empty() {
            return Err(bad(checkpoint, module, "one of lora_A and lora_B is missing"));
        }
    }
    Ok(pairs)
}

/// One of the two tensors of an update, by its name.
struct Half<'a> {
    module: &'a str,
    /// Some ways of saving leave the adapter's name in those of its tensors.
    adapter: &'a str,
    is_a: bool,
}

impl<'a> Half<'a> {
    /// `MODULE.lora_A.weight`, `MODULE.lora_A.NAME.weight`.
    fn of(tensor: &'a str) -> Option<Self> {
        let short = tensor.strip_suffix(".weight");
        let name = short.unwrap_or(tensor);
        let a = name.rsplit_once(".lora_A").map(|it| (it, true));
        let ((module, end), is_a) = a.or_else(|| Some((name.rsplit_once(".lora_B")?, false)))?;
        let adapter = match end.strip_prefix('.') {
            None if end.is_empty() => UNNAMED,
            None => return None,
            Some(adapter) => adapter,
        };
        // Without `.weight` it is something else: `lora_B.bias`.
        let is_name =
            !adapter.is_empty() && !adapter.contains('.') && (short.is_some() || adapter == UNNAMED);
        is_name.then_some(Self {
            module,
            adapter,
            is_a,
        })
    }
}

/// Why a tensor is no half of an update, and what to do.
fn no_half(tensor: &str) -> String {
    let why = if tensor.contains(".trainable_tokens") || tensor.contains(".token_adapter.") {
        "rows of the embedding were trained for single tokens"
    } else if tensor.contains(".lora_embedding_") {
        "the embedding has a LoRA of its own"
    } else if tensor.contains(".lora_magnitude_vector") {
        "its LoRA is a DoRA"
    } else if tensor.ends_with(".bias") {
        "biases were trained"
    } else if tensor.contains(".base_layer.") {
        return "it is the base's own weight; save the adapter alone, with PEFT's save_pretrained".to_owned();
    } else if let Some(part) = names::outside_layers(tensor) {
        return format!(
            "the whole {part} was saved, as PEFT does when it was trained (modules_to_save) or the vocabulary \
             resized, and an adapter cannot carry it here; if it was not trained, save again with \
             save_embedding_layers=False, else {MERGE}"
        );
    } else if tensor.contains(".lora_") {
        return "it is no part of a LoRA of linears".to_owned();
    } else {
        "a whole matrix was trained or saved"
    };
    format!("{why}, which an adapter cannot carry here; {MERGE}")
}

pub(crate) fn matrix(checkpoint: &Checkpoint, name: &str) -> Result<(usize, usize), FormatError> {
    let shape = checkpoint.tensors().get(name).map(|it| it.shape.as_slice());
    match shape {
        Some([rows, columns] | [rows, columns, 1]) if *rows > 0 && *columns > 0 => Ok((*rows, *columns)),
        other => {
            let shape = other.unwrap_or_default();
            Err(bad(
                checkpoint,
                name,
                format!("its shape is {shape:?}, a matrix is needed"),
            ))
        }
    }
}

pub(crate) fn bad(checkpoint: &Checkpoint, tensor: &str, problem: impl Into<String>) -> FormatError {
    FormatError::Tensor {
        path: checkpoint.path().to_owned(),
        tensor: tensor.to_owned(),
        problem: problem.into(),
    }
}

fn prefix(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    const TENSOR: &str = "prompt_embeddings";
    let (tokens, width) = matrix(checkpoint, TENSOR)?;
    let wanted = (
        config.size("num_virtual_tokens")?,
        2 * config.size("num_layers")? * config.size("token_dim")?,
    );
    if (tokens, width) != wanted {
        let problem = format!(
            "its shape is {:?}, by adapter_config.json it should be {wanted:?}",
            (tokens, width)
        );
        return Err(bad(checkpoint, TENSOR, problem));
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::PeftPrefix,
        base: config.base(),
        updates: Vec::new(),
        prefix: Some(SavedPrefix {
            tokens,
            width,
            numbers: checkpoint.floats(TENSOR)?,
            takes_positions: true,
        }),
        order: RowOrder::Checkpoint,
    })
}
