//! Golden tensors, which are no part of this repository.

use std::path::{Path, PathBuf};

/// A file below `BEDSIDE_FIXTURES`, by default `../shared/fixtures` beside the repository. Where there is none
/// it says so, and the test is to be left out.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that is left out has to say so")]
pub(crate) fn fixture(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BEDSIDE_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "skipped: there is no {}; BEDSIDE_FIXTURES says where such files are",
        path.display()
    );
    None
}
