//! The child process without a plugin: it ends, and says why.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use bedside_plugin_api::{abi::Status, msg::Setup};
use bedside_plugin_runner::{Frame, FrameKind, Limits, RunnerHello, RunnerSetup};

/// What the runner writes to a host that sends these bytes and closes the pipe, and its last words.
fn run(bytes: &[u8]) -> (Vec<Frame>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bedside-plugin-runner"));
    command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the runner is built");
    let mut stdin = child.stdin.take().expect("piped");
    // It may end before it has read all.
    let _ = stdin.write_all(bytes);
    let (mut stdout, mut words, mut frames) =
        (child.stdout.take().expect("piped"), String::new(), Vec::new());
    while let Ok(frame) = Frame::read(&mut stdout) {
        frames.push(frame);
    }
    drop(stdin);
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("text");
    child.wait().expect("it ends");
    (frames, words)
}

#[test]
fn nonsense_ends_it_with_words() {
    let check = |bytes: &[u8], words: &str| {
        let (frames, told) = run(bytes);
        assert!(frames.is_empty(), "{frames:?}");
        assert!(told.contains(words), "{told}");
    };
    check(&[0xff; 64], "a frame of 4294967295 bytes");
    let mut no_setup = Vec::new();
    Frame::new(FrameKind::Setup, 0, 0, b"{}".to_vec())
        .write(&mut no_setup)
        .unwrap();
    check(&no_setup, "missing field `library`");
}

#[test]
fn it_locks_itself_in_and_says_what_is_wrong_with_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libmissing.so");
    let setup = RunnerSetup {
        library,
        limits: Limits {
            memory: 256 << 20,
            open_files: 64,
            file_size: 1 << 20,
        },
        sandbox_required: false,
        setup: Setup {
            package_dir: folder.path().display().to_string(),
            ..Setup::default()
        },
    };
    let mut bytes = Vec::new();
    Frame::new(FrameKind::Setup, 0, 0, serde_json::to_vec(&setup).unwrap())
        .write(&mut bytes)
        .unwrap();
    let (frames, _) = run(&bytes);
    let [hello, created] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    let hello: RunnerHello = serde_json::from_slice(&hello.body).unwrap();
    assert_eq!(hello.sandbox.is_full(), hello.sandbox.missing.is_empty());
    assert_eq!(
        (created.kind, created.code),
        (FrameKind::Created, Status::FAILED.0.unsigned_abs())
    );
    assert!(
        String::from_utf8_lossy(&created.body).contains("libmissing.so: No such file"),
        "{created:?}"
    );
}
