//! What is in the models folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::PullError;

/// All model files in the folder and in the folders of sources in it, by name. A folder that is not there is empty.
///
/// # Errors
/// If it is there and cannot be read.
pub fn model_files(models_dir: &Path) -> Result<Vec<PathBuf>, PullError> {
    let mut files = Vec::new();
    for path in entries(models_dir)? {
        if path.is_dir() {
            files.extend(entries(&path)?.into_iter().filter(|it| is_model(it)));
        } else if is_model(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What is in a folder, but for hidden files, such as a download's own folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PullError> {
    let failed = |source| PullError::Io {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

fn is_model(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "gguf" || it == "bin") && path.is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::model_files;

    #[test]
    fn files_of_all_sources_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        assert!(model_files(&models).unwrap().is_empty());
        for name in ["one", ".fetch-x"] {
            fs::create_dir_all(models.join(name)).unwrap();
        }
        let files = [
            "b.bin",
            "one/a.gguf",
            "one/a.gguf.sha256",
            "one/a.gguf.part",
            ".fetch-x/a.gguf",
            "x.txt",
        ];
        for file in files {
            fs::write(models.join(file), b"x").unwrap();
        }
        assert_eq!(
            model_files(&models).unwrap(),
            [models.join("b.bin"), models.join("one/a.gguf")]
        );
    }
}
