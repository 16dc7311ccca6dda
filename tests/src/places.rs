//! Where the things under test lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The directory that `make build` filled: found from the test's own executable, `…/release/deps/test-hash`.
///
/// # Errors
/// When the test's executable cannot be found.
pub fn build_directory() -> Result<PathBuf> {
    let own = std::env::current_exe().context("the test's own executable")?;
    let deps = own.parent().context("it lies in a directory")?;
    let release = if deps.ends_with("deps") {
        deps.parent()
    } else {
        Some(deps)
    };
    release.map(Path::to_path_buf).context("…/release")
}

/// The binary under test.
///
/// # Errors
/// When it has not been built.
pub fn bedside() -> Result<PathBuf> {
    let path = build_directory()?.join("bedside");
    ensure!(
        path.exists(),
        "{} is missing: run `make build` first",
        path.display()
    );
    Ok(path)
}

/// The model file: `BEDSIDE_TEST_MODEL`, else the default one where `bedside model pull` puts it.
///
/// # Errors
/// When there is none.
pub fn model() -> Result<PathBuf> {
    let path = match std::env::var_os("BEDSIDE_TEST_MODEL") {
        Some(path) => PathBuf::from(path),
        None => data_home()?.join("bedside/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
    };
    ensure!(
        path.exists(),
        "there is no model in {}: run `make model`, or name a GGUF file in BEDSIDE_TEST_MODEL",
        path.display()
    );
    Ok(path)
}

/// The embedding model's file: `BEDSIDE_TEST_EMBEDDINGS`, else the default one where `bedside model pull` puts it.
///
/// # Errors
/// When there is none.
pub fn embeddings() -> Result<PathBuf> {
    let path = match std::env::var_os("BEDSIDE_TEST_EMBEDDINGS") {
        Some(path) => PathBuf::from(path),
        None => data_home()?.join("bedside/models/e5-small-q4.bin"),
    };
    ensure!(
        path.exists(),
        "there is no embedding model in {}: run `bedside model pull`",
        path.display()
    );
    Ok(path)
}

fn data_home() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|it| it.is_absolute());
    set.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .context("neither XDG_DATA_HOME nor HOME is set")
}

/// `tests/node` with its packages.
///
/// # Errors
/// When `npm ci` has not been run there.
pub fn node() -> Result<PathBuf> {
    let path = repository().join("tests/node");
    ensure!(
        ["telegram-test-api", "playwright-core", "discord-digital-twin"]
            .iter()
            .all(|it| path.join("node_modules").join(it).exists()),
        "{} has no node_modules: run `make test`, or `npm ci` there",
        path.display()
    );
    Ok(path)
}

/// The Python that has `tests/python/requirements.txt`.
///
/// # Errors
/// When `scripts/setup.sh test` has not been run.
pub fn python() -> Result<PathBuf> {
    let path = repository().join("target/test-python/bin/python");
    ensure!(
        path.exists(),
        "{} is missing: run `make test`, or `scripts/setup.sh test`",
        path.display()
    );
    Ok(path)
}
