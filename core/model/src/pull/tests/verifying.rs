//! What is noted beside a file, and when it is believed.

use super::{
    Manner, NoProgress, PullError, body, fs, hash, known_sha256, noted, pinned, pull, serve, source,
};
use crate::pull::{Verdict, verify, with_suffix};

/// Writes other bytes of the same length and gives the file its old time back.
fn change_in_secret(path: &std::path::Path) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before).unwrap();
}

#[test]
fn every_byte_is_read_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    fs::write(&path, body()).unwrap();
    let verdict = |given: Option<&str>| verify(&path, given, &NoProgress).unwrap().verdict;
    let right = hash(&body());
    assert_eq!(verdict(None), Verdict::New);
    assert_eq!(verdict(None), Verdict::Right);
    assert_eq!(verdict(Some(&right)), Verdict::Right);
    let other = "0".repeat(64);
    assert_eq!(
        verdict(Some(&other)),
        Verdict::Wrong {
            wanted: other.clone()
        }
    );
    // Neither size nor time show it.
    verify(&path, None, &NoProgress).unwrap();
    change_in_secret(&path);
    assert_eq!(known_sha256(&path), Some(right.clone()));
    let found = verify(&path, None, &NoProgress).unwrap();
    assert_eq!(found.sha256, hash(&fs::read(&path).unwrap()));
    assert_eq!(found.verdict, Verdict::Wrong { wanted: right });
    // And again: what was wrong does not become right by having been looked at.
    assert!(matches!(verdict(None), Verdict::Wrong { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        verify(&path, None, &NoProgress),
        Err(PullError::Io { .. })
    ));
}

#[test]
fn what_was_fetched_and_has_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut url = pinned(&serve(body(), Manner::Honest), "tiny.gguf");
    let path = pull(&url, folder.path(), &NoProgress).unwrap();
    // As if nobody had named a checksum.
    url.sha256 = None;
    assert_eq!(pull(&url, folder.path(), &NoProgress).unwrap(), path);
    fs::write(&path, b"GGUF, another").unwrap();
    for _ in 0..2 {
        let error = pull(&url, folder.path(), &NoProgress).unwrap_err();
        let note = with_suffix(&path, ".sha256").display().to_string();
        assert!(
            matches!(error, PullError::Changed { .. }) && error.to_string().contains(&note),
            "{error}"
        );
        assert_eq!(noted(&path).unwrap().sha256, hash(&body()));
    }
    // Replaced on purpose: the operator deletes the note.
    fs::remove_file(with_suffix(&path, ".sha256")).unwrap();
    assert_eq!(pull(&url, folder.path(), &NoProgress).unwrap(), path);
}

#[test]
fn what_verifying_finds_wrong_is_not_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut url = pinned(&serve(body(), Manner::Honest), "tiny.gguf");
    let path = pull(&url, folder.path(), &NoProgress).unwrap();
    change_in_secret(&path);
    assert_eq!(
        pull(&url, folder.path(), &NoProgress).unwrap(),
        path,
        "size and time are the same"
    );
    let found = verify(&path, url.sha256.as_deref(), &NoProgress).unwrap();
    assert!(matches!(found.verdict, Verdict::Wrong { .. }));
    let error = pull(&url, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, PullError::WrongHash { .. }), "{error}");
    url.sha256 = None;
    let error = pull(&url, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, PullError::Changed { .. }), "{error}");
}

#[test]
fn a_file_that_was_only_touched_stays_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let url = pinned(&serve(body(), Manner::Honest), "tiny.gguf");
    let path = pull(&url, folder.path(), &NoProgress).unwrap();
    let before = noted(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000))
        .unwrap();
    assert!(!noted(&path).unwrap().is_current);
    assert_eq!(known_sha256(&path), None);
    pull(&url, folder.path(), &NoProgress).unwrap();
    assert_eq!(noted(&path).unwrap(), before);
    // A file of one's own has no source, and may change.
    let own = folder.path().join("own.gguf");
    fs::write(&own, body()).unwrap();
    pull(&source(&own.display().to_string()), folder.path(), &NoProgress).unwrap();
    assert_eq!(noted(&own).unwrap().source, None);
}
