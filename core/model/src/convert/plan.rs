//! What a converted file will hold, and where each of its tensors comes from.

use bedside_tensors::{checkpoint::Checkpoint, gguf::Entry};

use crate::{quantize::Sizes, rows::Rows};

use super::{ConvertError, config::ModelConfig};

/// The whole file but its vocabulary.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) architecture: &'static str,
    pub(super) metadata: Vec<(String, Entry)>,
    pub(super) tensors: Vec<TensorPlan>,
    /// Vectors that stand in no checkpoint but follow from its config.
    pub(super) computed: Vec<(String, Vec<f32>)>,
    pub(super) sizes: Sizes,
    /// What stands before every name in the checkpoint: `module.`, `_forward_module.` …
    pub(super) prefix: String,
    pub(super) notes: Vec<String>,
}

/// One tensor.
#[derive(Debug)]
pub(super) struct TensorPlan {
    pub(super) name: String,
    /// Its name in the checkpoint, without [`Plan::prefix`].
    pub(super) from: String,
    /// Slowest dimension first, as it will be.
    pub(super) shape: Vec<usize>,
    pub(super) rows: Rows,
    /// Added to every number.
    pub(super) plus: f32,
}

impl Plan {
    /// `anchor` is the embedding's name in the checkpoint, which every one has: what stands before it stands before
    /// all names.
    pub(super) fn new(
        architecture: &'static str,
        config: &ModelConfig,
        checkpoint: &Checkpoint,
        anchor: &str,
        sizes: Sizes,
    ) -> Result<Self, ConvertError> {
        let names = checkpoint.tensors().keys();
        let prefix = names
            .filter_map(|it| it.strip_suffix(anchor))
            .find(|it| it.is_empty() || it.ends_with('.'));
        let prefix = prefix.ok_or_else(|| ConvertError::Missing {
            path: checkpoint.path().to_owned(),
            tensor: anchor.to_owned(),
        })?;
        let mut plan = Self {
            architecture,
            metadata: Vec::new(),
            tensors: Vec::new(),
            computed: Vec::new(),
            sizes,
            prefix: prefix.to_owned(),
            notes: Vec::new(),
        };
        for (key, value) in [
            ("architecture", architecture),
            ("type", "model"),
            ("name", &config.name()),
        ] {
            let entry = Entry::Text(value.to_owned());
            plan.metadata.push((format!("general.{key}"), entry));
        }
        plan.number("block_count", sizes.layers);
        Ok(plan)
    }

    pub(super) fn number(&mut self, key: &str, value: usize) {
        let value = Entry::U32(u32::try_from(value).unwrap_or(u32::MAX));
        self.entry(key, value);
    }

    pub(super) fn float(&mut self, key: &str, value: f32) {
        self.entry(key, Entry::F32(value));
    }

    pub(super) fn entry(&mut self, key: &str, value: Entry) {
        self.metadata
            .push((format!("{}.{key}", self.architecture), value));
    }

    pub(super) fn put(&mut self, name: impl Into<String>, from: impl Into<String>, shape: &[usize]) {
        self.put_rows(name, from, shape, Rows::Same);
    }

    pub(super) fn put_rows(
        &mut self,
        name: impl Into<String>,
        from: impl Into<String>,
        shape: &[usize],
        rows: Rows,
    ) {
        self.tensors.push(TensorPlan {
            name: name.into(),
            from: from.into(),
            shape: shape.to_vec(),
            rows,
            plus: 0.0,
        });
    }

    /// Rows of the embedding.
    pub(super) fn vocabulary_rows(&self) -> usize {
        let embedding = self.tensors.iter().find(|it| it.name == "token_embd.weight");
        embedding.and_then(|it| it.shape.first()).copied().unwrap_or(0)
    }

    pub(super) fn has(&self, checkpoint: &Checkpoint, from: &str) -> bool {
        checkpoint
            .tensors()
            .contains_key(&format!("{}{from}", self.prefix))
    }

    /// Refuses a checkpoint with tensors that would be left out in silence. Some have no weight: `ignored` is what
    /// their names hold.
    pub(super) fn check_nothing_is_left(
        &self,
        checkpoint: &Checkpoint,
        ignored: &[&str],
    ) -> Result<(), ConvertError> {
        let used: std::collections::HashSet<_> = self
            .tensors
            .iter()
            .map(|it| format!("{}{}", self.prefix, it.from))
            .collect();
        let left: Vec<_> = checkpoint
            .tensors()
            .keys()
            .filter(|name| {
                let own = name.strip_suffix("_scale").unwrap_or(name);
                !used.contains(own) && !ignored.iter().any(|it| name.contains(it))
            })
            .collect();
        match left.first() {
            None => Ok(()),
            Some(tensor) => Err(ConvertError::Unknown {
                path: checkpoint.path().to_owned(),
                family: self.architecture.to_owned(),
                count: left.len(),
                tensor: (*tensor).clone(),
            }),
        }
    }
}
