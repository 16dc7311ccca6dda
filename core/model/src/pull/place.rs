//! Where the files lie. What is fetched has a folder of its own for each source, so that another model whose file
//! has the same name is never taken for it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{
    PackagedFile,
    verify::{hex, known_sha256},
};
use crate::source::{ModelSource, Place};

/// Hex digits of a source's folder.
const DIGITS: usize = 16;

/// Where the source's file is, or will be once it is fetched.
#[must_use]
pub fn place_of(source: &ModelSource, default: &PackagedFile, models_dir: &Path) -> PathBuf {
    let own = match (&source.place, source.file_name_or(default)) {
        (Place::File(path), _) => path.clone(),
        (Place::Default, _) => models_dir.join(default.file),
        (place, Some(name)) => models_dir.join(folder_of(place)).join(name),
        (_, None) => models_dir.to_owned(),
    };
    if own.is_file() || source.sha256.is_none() {
        return own;
    }
    earlier_place(source, models_dir)
        .filter(|it| known_sha256(it) == source.sha256)
        .unwrap_or(own)
}

/// A file that lies where earlier versions put what they fetched: under its bare name, with nothing that tells of
/// which source it is.
pub(super) fn earlier_place(source: &ModelSource, models_dir: &Path) -> Option<PathBuf> {
    match source.place {
        Place::Default | Place::File(_) => None,
        Place::HuggingFace { .. } | Place::Url(_) => {
            let path = models_dir.join(source.file_name()?);
            path.is_file().then_some(path)
        }
    }
}

fn folder_of(place: &Place) -> String {
    let digest = hex(&Sha256::digest(place.to_string().as_bytes()));
    digest.chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::place_of;
    use crate::source::{DEFAULT_MODEL, ModelSource};

    #[test]
    fn every_source_has_a_place_of_its_own_and_keeps_the_name() {
        let sources = [
            "hf:a/x/model.Q4_0.gguf",
            "hf:b/x/model.Q4_0.gguf",
            "hf:a/y/model.Q4_0.gguf",
            "hf:a/x@v2/model.Q4_0.gguf",
            "hf:a/x/q4/model.Q4_0.gguf",
            "https://host/model.Q4_0.gguf",
            "https://other/model.Q4_0.gguf",
            "https://host/model.Q4_0.gguf?version=2",
        ];
        let mut places = BTreeSet::new();
        for text in sources {
            let source: ModelSource = text.parse().unwrap();
            let place = place_of(&source, &DEFAULT_MODEL, Path::new("/models"));
            assert!(
                place.ends_with("model.Q4_0.gguf") && place.starts_with("/models"),
                "{}",
                place.display()
            );
            let pinned = format!("{text}#sha256={}", "a".repeat(64));
            let pinned: ModelSource = pinned.parse().unwrap();
            assert_eq!(place_of(&pinned, &DEFAULT_MODEL, Path::new("/models")), place);
            places.insert(place);
        }
        assert_eq!(places.len(), sources.len(), "{places:?}");
    }

    #[test]
    fn the_default_and_files_of_ones_own_stay_where_they_were() {
        let check = |text: &str, expect: &str| {
            let source: ModelSource = text.parse().unwrap();
            let place = place_of(&source, &DEFAULT_MODEL, Path::new("/models"));
            assert_eq!(place, Path::new(expect), "{text}");
        };
        check("default", "/models/SmolLM2-135M-Instruct.Q4_1.gguf");
        check("/srv/own.gguf", "/srv/own.gguf");
    }
}
