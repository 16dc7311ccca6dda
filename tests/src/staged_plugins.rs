//! A folder of plugins of a test's own, which it may spoil.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::places;

/// The plugins that `make build` staged, copied.
///
/// # Errors
/// When there are none.
pub fn staged() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    let built = places::build_directory()?.join("plugins");
    ensure!(
        built.exists(),
        "{} is missing: run `make build` first",
        built.display()
    );
    copy(&built, directory.path())?;
    Ok(directory)
}

/// Puts the test plugin beside the others, as `make build` does with those, and gives its folder.
///
/// # Errors
/// When it has not been built.
pub fn add_evil(plugins: &Path) -> Result<PathBuf> {
    let library = places::build_directory()?.join("libbedside_plugin_evil.so");
    ensure!(
        library.exists(),
        "{} is missing: `make test` builds it",
        library.display()
    );
    let source = places::repository().join("tests/plugins/evil");
    let manifest: toml::Table = fs::read_to_string(source.join("plugin.toml"))?.parse()?;
    let field = |key: &str| {
        let plugin = manifest.get("plugin").and_then(toml::Value::as_table);
        plugin
            .and_then(|it| it.get(key)?.as_str())
            .with_context(|| format!("plugin.{key} of the test plugin"))
    };
    let folder = plugins.join(field("id")?).join(field("version")?);
    fs::create_dir_all(&folder)?;
    fs::copy(source.join("plugin.toml"), folder.join("plugin.toml"))?;
    fs::copy(library, folder.join(field("library")?))?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
