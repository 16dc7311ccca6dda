//! Files are known by their source: none is taken for another's, and none comes from who knows where.

use super::{
    DEFAULT_MODEL, Manner, NoProgress, PackagedFile, Place, PullError, body, fs, hash, known_sha256, pinned,
    place, place_of, pull, pull_from, pull_or_default, serve, source,
};
use crate::source::ModelSource;

#[test]
fn another_source_with_the_same_file_name_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let other = [body(), b"another".to_vec()].concat();
    let first = pinned(&serve(body(), Manner::Honest), "tiny.gguf");
    let base = serve(other.clone(), Manner::Honest);
    let second = source(&format!("{base}/tiny.gguf#sha256={}", hash(&other)));
    let [first_path, second_path] = [&first, &second].map(|it| pull(it, folder.path(), &NoProgress).unwrap());
    assert_ne!(first_path, second_path);
    assert_eq!(fs::read(&first_path).unwrap(), body());
    assert_eq!(fs::read(&second_path).unwrap(), other);
    // Each is found again.
    assert_eq!(pull(&first, folder.path(), &NoProgress).unwrap(), first_path);
    assert_eq!(pull(&second, folder.path(), &NoProgress).unwrap(), second_path);
}

#[test]
fn a_bare_file_of_an_earlier_version_serves_only_where_its_checksum_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("tiny.gguf");
    fs::write(&bare, body()).unwrap();
    // Nobody answers at that address: it is used, or the error says what to do.
    let text = "https://127.0.0.1:1/tiny.gguf";
    let named = source(&format!("{text}#sha256={}", hash(&body())));
    assert_ne!(place(&named, folder.path()), bare, "it was never read");
    assert_eq!(pull(&named, folder.path(), &NoProgress).unwrap(), bare);
    assert_eq!(place(&named, folder.path()), bare);
    let refusing = serve(body(), Manner::Answers(404));
    let other = source(&format!("{refusing}/tiny.gguf#sha256={}", "0".repeat(64)));
    let error = pull(&other, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, PullError::Download { .. }), "{error}");
    assert!(!error.to_string().contains("move it"), "{error}");
    let unknown = source(text);
    let error = pull(&unknown, folder.path(), &NoProgress)
        .unwrap_err()
        .to_string();
    assert_ne!(place(&unknown, folder.path()), bare);
    for part in [&bare, &place(&unknown, folder.path())] {
        let part = part.display().to_string();
        assert!(
            error.contains("move it") && error.contains(&part),
            "{part}: {error}"
        );
    }
}

#[test]
fn the_default_is_found_where_earlier_versions_put_it() {
    let content = body();
    let sha256: &'static str = Box::leak(hash(&content).into_boxed_str());
    let packaged = PackagedFile {
        sha256,
        ..DEFAULT_MODEL
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(packaged.file);
    fs::write(&path, &content).unwrap();
    let found = pull_or_default(&source("default"), &packaged, folder.path(), "", &NoProgress);
    assert_eq!(found.unwrap(), path);
    assert_eq!(place_of(&source("default"), &packaged, folder.path()), path);
    // A sidecar as an earlier version has written it, without a source, is believed as before.
    let note = folder.path().join(format!("{}.sha256", packaged.file));
    let text = fs::read_to_string(&note).unwrap();
    assert!(!text.contains("source"), "{text}");
    assert_eq!(known_sha256(&path), Some(hash(&content)));
}

#[test]
fn plain_http_needs_a_checksum_wherever_the_address_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let base = serve(body(), Manner::Honest);
    let check = |source: &ModelSource| {
        let error = pull_from(source, folder.path(), &base, &NoProgress).unwrap_err();
        assert!(matches!(error, PullError::PlainHttp { .. }), "{error}");
    };
    check(&source("hf:org/repo/tiny.gguf"));
    check(&source("hf:org/repo@v1/tiny.gguf"));
    check(&ModelSource {
        place: Place::Url(format!("{base}/tiny.gguf")),
        sha256: None,
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let pinned = source(&format!("hf:org/repo/tiny.gguf#sha256={}", hash(&body())));
    assert!(pull_from(&pinned, folder.path(), &base, &NoProgress).is_ok());
}

#[test]
fn a_revision_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, expect: &'static str| {
        let base = serve(body(), Manner::ServesOnly(expect));
        let pinned = source(&format!("{text}#sha256={}", hash(&body())));
        let path = pull_from(&pinned, folder.path(), &base, &NoProgress).unwrap();
        assert_eq!(fs::read(path).unwrap(), body(), "{text}");
    };
    check("hf:org/repo/q4/tiny.gguf", "/org/repo/resolve/main/q4/tiny.gguf");
    check(
        "hf:org/repo@0a1b2c/q4/tiny.gguf",
        "/org/repo/resolve/0a1b2c/q4/tiny.gguf",
    );
}
