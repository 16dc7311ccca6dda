//! What an operator hands to a plugin lies outside its sandbox: it gets a copy in its own data folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const MOST_FILES: usize = 5_000;
const MOST_BYTES: u64 = 128 << 20;

/// The copy; deleted when dropped.
pub(super) struct HandedOver {
    _folder: TempDir,
    original: PathBuf,
    copy: PathBuf,
}

impl HandedOver {
    /// Copies a file, or the files of a folder without those of its subfolders, into a plugin's data folder.
    pub(super) fn copy(original: &Path, plugin_dir: &Path) -> Result<Self, String> {
        let problem = |path: &Path, error: &std::io::Error| {
            format!(
                "{}: the bot cannot copy it for its plugin: {error}",
                path.display()
            )
        };
        let files = files_of(original)?;
        let plugin_dir = plugin_dir
            .canonicalize()
            .map_err(|error| problem(plugin_dir, &error))?;
        let folder = tempfile::Builder::new()
            .prefix("handed-over-")
            .tempdir_in(&plugin_dir)
            .map_err(|error| problem(&plugin_dir, &error))?;
        for file in &files {
            let Some(name) = file.file_name() else { continue };
            fs::copy(file, folder.path().join(name)).map_err(|error| problem(file, &error))?;
        }
        let single = original.is_file().then(|| original.file_name()).flatten();
        let copy = match single {
            Some(name) => folder.path().join(name),
            None => folder.path().to_owned(),
        };
        Ok(Self {
            _folder: folder,
            original: original.to_owned(),
            copy,
        })
    }

    /// What the plugin is told to read.
    pub(super) fn path(&self) -> String {
        self.copy.display().to_string()
    }

    /// The plugin's words with the operator's own path in them.
    pub(super) fn in_own_words(&self, text: &str) -> String {
        text.replace(&self.path(), &self.original.display().to_string())
    }
}

fn files_of(original: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| {
        format!(
            "{}: the bot cannot read it: {error}; copy it to where the bot's user can",
            original.display()
        )
    };
    let found = fs::metadata(original).map_err(unreadable)?;
    let mut files = Vec::new();
    let mut bytes = 0;
    if found.is_file() {
        files.push(original.to_owned());
        bytes = found.len();
    } else {
        for entry in fs::read_dir(original).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let metadata = fs::metadata(&path).map_err(unreadable)?;
            if metadata.is_file() {
                bytes += metadata.len();
                files.push(path);
            }
        }
    }
    if files.len() > MOST_FILES || bytes > MOST_BYTES {
        return Err(format!(
            "{}: {} files with {bytes} bytes are too much at once, {MOST_FILES} files with {MOST_BYTES} bytes go: \
             divide it",
            original.display(),
            files.len()
        ));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::HandedOver;

    #[test]
    fn a_folders_files_are_copied_and_gone_afterwards() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("感冒.zh.md"), "a").unwrap();
        fs::write(from.path().join("cold.en.md"), "b").unwrap();
        fs::create_dir(from.path().join("inner")).unwrap();
        let handed = HandedOver::copy(from.path(), to.path()).unwrap();
        let copied: Vec<_> = fs::read_dir(handed.path())
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        assert_eq!(copied.len(), 2, "{copied:?}");
        let said = handed.in_own_words(&format!("{}/cold.en.md:3: wrong", handed.path()));
        assert_eq!(said, format!("{}/cold.en.md:3: wrong", from.path().display()));
        drop(handed);
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_single_file_is_named_itself() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = from.path().join("cold.en.md");
        fs::write(&file, "b").unwrap();
        let handed = HandedOver::copy(&file, to.path()).unwrap();
        assert!(handed.path().ends_with("/cold.en.md"), "{}", handed.path());
        assert_eq!(fs::read_to_string(handed.path()).unwrap(), "b");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let to = tempfile::tempdir().unwrap();
        let problem = HandedOver::copy("/nowhere/kb".as_ref(), to.path()).err().unwrap();
        assert!(problem.starts_with("/nowhere/kb: "), "{problem}");
    }
}
