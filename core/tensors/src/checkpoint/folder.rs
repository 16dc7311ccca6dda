//! Which files of a folder are the checkpoint.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Checkpoint, CheckpointError, file_error, tensor_error};

const MAX_INDEX_BYTES: u64 = 100 << 20;
const MAX_SHARDS: usize = 4096;
/// What training leaves beside the weights.
const NO_WEIGHTS: [&str; 3] = ["training_args.bin", "optimizer.bin", "scheduler.bin"];

/// As Hugging Face writes it beside shards: which file each tensor is in.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn open(folder: &Path, checkpoint: &mut Checkpoint) -> Result<(), CheckpointError> {
    let names = names(folder)?;
    let has = |name: &&str| names.iter().any(|it| it == name);
    let like = |start: &str, end: &str| {
        let fits =
            |it: &&String| it.starts_with(start) && it.ends_with(end) && !NO_WEIGHTS.contains(&it.as_str());
        names.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    for (index, singles, patterns) in [
        (
            "model.safetensors.index.json",
            ["model.safetensors", "adapter_model.safetensors"],
            [("model", ".safetensors"), ("", ".safetensors")],
        ),
        (
            "pytorch_model.bin.index.json",
            ["pytorch_model.bin", "adapter_model.bin"],
            [("pytorch_model", ".bin"), ("", ".bin")],
        ),
    ] {
        if has(&index) {
            return open_index(&folder.join(index), folder, checkpoint);
        }
        if let Some(single) = singles.iter().find(|it| has(it)) {
            return checkpoint.add(&folder.join(single));
        }
        let shards = patterns.iter().map(|(start, end)| like(start, end));
        if let Some(shards) = shards.into_iter().find(|it| !it.is_empty()) {
            return shards.iter().try_for_each(|it| checkpoint.add(&folder.join(it)));
        }
    }
    Err(CheckpointError::EmptyFolder {
        path: folder.to_owned(),
    })
}

/// In order, so that the same folder always gives the same answer.
fn names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let io = |error| CheckpointError::Io {
        path: folder.to_owned(),
        error,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if let Some(name) = name.to_str().filter(|it| !it.starts_with('.')) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn open_index(path: &Path, folder: &Path, checkpoint: &mut Checkpoint) -> Result<(), CheckpointError> {
    let index = read_index(path)?;
    let mut shards: Vec<&String> = index.weight_map.values().collect();
    shards.sort();
    shards.dedup();
    if shards.len() > MAX_SHARDS {
        return Err(file_error(
            path,
            format!("it names more than {MAX_SHARDS} shards"),
        ));
    }
    let mut paths = BTreeMap::<&String, PathBuf>::new();
    for shard in shards {
        if shard.contains(['/', '\\', '\0']) || shard.starts_with('.') {
            return Err(file_error(path, format!("shard {shard:?} is no file name")));
        }
        let shard_path = folder.join(shard);
        match checkpoint.add(&shard_path) {
            Err(CheckpointError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::MissingShard {
                    path: path.to_owned(),
                    shard: shard.clone(),
                });
            }
            added => added?,
        }
        paths.insert(shard, shard_path);
    }
    for (tensor, shard) in &index.weight_map {
        let found = checkpoint.find(tensor).ok().map(|(file, _)| &file.path);
        if found.is_none() || found != paths.get(shard) {
            let problem = format!("the index says it is in {shard}, it is not; fetch both again");
            return Err(tensor_error(path, tensor, problem));
        }
    }
    Ok(())
}

fn read_index(path: &Path) -> Result<Index, CheckpointError> {
    let io = |error| CheckpointError::Io {
        path: path.to_owned(),
        error,
    };
    let length = fs::metadata(path).map_err(io)?.len();
    if length > MAX_INDEX_BYTES {
        return Err(file_error(
            path,
            format!("an index of {length} bytes is no index"),
        ));
    }
    let text = fs::read(path).map_err(io)?;
    serde_json::from_slice(&text).map_err(|error| file_error(path, format!("no index of shards: {error}")))
}
