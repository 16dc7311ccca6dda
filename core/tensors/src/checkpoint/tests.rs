use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Checkpoint, Numbers, pickle};

/// What CPython's pickler wrote, see tests/python/torch_file.py.
static TORCH: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/torch_file.py");
    let written = Command::new("python3").arg(script).arg(folder.path()).output();
    let written = written.expect("python3 is needed for this test");
    assert!(
        written.status.success(),
        "{}",
        String::from_utf8_lossy(&written.stderr)
    );
    folder
});

fn torch(name: &str) -> PathBuf {
    TORCH.path().join(name)
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// One tensor of two floats.
fn single(name: &str) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#);
    safetensors(&header, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0])
}

fn error(path: &Path) -> String {
    Checkpoint::open(path).unwrap_err().to_string()
}

fn refused(bytes: &[u8], expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    fs::write(&path, bytes).unwrap();
    let error = error(&path);
    assert!(error.contains(expect) && error.contains("weights.bin"), "{error}");
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors().keys().map(String::as_str).collect()
}

/// Opens these bytes; whatever opens must be readable or refused, without a panic.
fn tried(path: &Path, bytes: &[u8]) -> Option<String> {
    fs::write(path, bytes).unwrap();
    match Checkpoint::open(path) {
        Err(error) => Some(error.to_string()),
        Ok(checkpoint) => {
            for (name, tensor) in checkpoint.tensors() {
                let elements: usize = tensor.shape.iter().product();
                let read = checkpoint.bytes(name).unwrap();
                assert_eq!(read.len(), elements * tensor.numbers.bytes());
                assert_eq!(checkpoint.floats(name).unwrap().len(), elements);
                checkpoint.release(name);
            }
            None
        }
    }
}

#[test]
fn a_torch_file_is_read() {
    for protocol in 2..=5 {
        let checkpoint = Checkpoint::open(&torch(&format!("state{protocol}.pt"))).unwrap();
        let check = |name: &str, numbers: Numbers, shape: &[usize], expect: &[f32]| {
            let tensor = &checkpoint.tensors()[name];
            assert_eq!(
                (tensor.numbers, tensor.shape.as_slice()),
                (numbers, shape),
                "{name}"
            );
            checkpoint.release(name);
            assert_eq!(checkpoint.floats(name).unwrap(), expect, "{name}");
        };
        let whole: Vec<f32> = (0..12_u8).map(|it| f32::from(it) / 2.0).collect();
        check("whole", Numbers::F32, &[3, 4], &whole);
        check("row", Numbers::F32, &[4], &whole[4..8]);
        let transposed = [0.0, 2.0, 4.0, 0.5, 2.5, 4.5, 1.0, 3.0, 5.0, 1.5, 3.5, 5.5];
        check("transposed", Numbers::F32, &[4, 3], &transposed);
        check("column", Numbers::F32, &[3, 1], &[0.5, 2.5, 4.5]);
        check("parameter", Numbers::F16, &[2], &[1.0, -2.5]);
        check("brain", Numbers::BF16, &[2, 1], &[1.0, -2.0]);
        check("ids", Numbers::I64, &[2], &[3.0, -1.0]);
        check("flags", Numbers::Bool, &[2], &[1.0, 0.0]);
        check("scalar", Numbers::F32, &[], &[7.0]);
        check("empty", Numbers::F32, &[0, 5], &[]);
        check("sized", Numbers::F32, &[2, 2], &[0.0, 0.5, 2.0, 2.5]);
        assert_eq!(checkpoint.tensors().len(), 11);
    }
}

#[test]
fn nested_dicts_give_dotted_names() {
    for protocol in 2..=5 {
        let checkpoint = Checkpoint::open(&torch(&format!("wrapped{protocol}.pt"))).unwrap();
        let expect = [
            "module.layer.weight",
            "module.layers.0",
            "optimizer.state.0.exp_avg",
        ];
        assert_eq!(names(&checkpoint), expect);
        assert_eq!(checkpoint.floats("module.layer.weight").unwrap(), [1.0, 2.0]);
    }
}

#[test]
fn nothing_in_a_pickle_is_run() {
    let checkpoint = Checkpoint::open(&torch("system.pt")).unwrap();
    assert_eq!(names(&checkpoint), ["good"]);
    assert!(!torch("it-ran").exists());
}

#[test]
fn torch_files_that_cannot_be_read_say_why() {
    let check = |name: &str, expect: &str| {
        let error = error(&torch(name));
        assert!(error.contains(expect) && error.contains(name), "{error}");
    };
    check(
        "whole.pt",
        "no tensors in it; if it is a whole model, save its state_dict()",
    );
    check("big.pt", "not little-endian");
    check("packed.pt", "compressed");
    check(
        "sparse.pt",
        "tensor bad: it is made by torch._utils._rebuild_sparse_tensor",
    );
    check(
        "complex.pt",
        "tensor bad: its storage torch.ComplexFloatStorage is not supported",
    );
    check(
        "beyond.pt",
        "tensor bad: shape [4], strides [1], offset 1 do not fit 4 numbers",
    );
    check("stretched.pt", "tensor bad: shape [1099511627776], strides [0]");
    check("absurd.pt", "tensor bad: shape");
    check(
        "negative.pt",
        "tensor bad: its offset, shape or strides make no sense",
    );
    check(
        "ranks.pt",
        "tensor bad: its offset, shape or strides make no sense",
    );
    check(
        "claims.pt",
        "should hold 2305843009213693952 numbers of 4 bytes, it has 16 bytes",
    );
    check("nested.pt", "nested deeper than 32");
    check("laughs.pt", "more than 65536 tensors");
    check("cycle.pt", "nested deeper than 32");
    check("twice.pt", "tensor a.b: it is there twice");
    check("legacy.pt", "save it again with torch >= 1.6");
}

#[test]
fn a_broken_zip_is_refused() {
    let good = fs::read(torch("small.pt")).unwrap();
    let place = |magic: &[u8]| good.windows(4).rposition(|it| it == magic).unwrap();
    let (entry, end) = (place(b"PK\x01\x02"), place(b"PK\x05\x06"));
    let check = |at: usize, bytes: &[u8], expect: &str| {
        let mut broken = good.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&broken, expect);
    };
    check(entry, b"PKxx", "the zip's entry at byte");
    check(entry + 24, &[0xff; 3], "is broken");
    check(
        entry + 20,
        &[0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0],
        "does not lie in the file",
    );
    check(entry + 42, &[0, 0], "overlaps");
    check(end + 16, &[0xff; 3], "the zip's table does not lie in the file");
    check(end + 10, &[9, 0], "the zip's entry at byte");
    refused(b"PK\x05\x06 and nothing more of a zip", "truncated");
}

#[test]
fn pickles_are_held_to_what_they_may_do() {
    let check = |bytes: &[u8], expect: &str| {
        let error = pickle::read(bytes).unwrap_err();
        assert!(error.problem.contains(expect), "{error:?}");
    };
    check(b"", "truncated");
    check(b"\x80\x01.", "protocol 1 is not supported");
    check(b"\x80\x02.", "the stack is empty");
    check(b"\x80\x02t.", "there is no mark");
    check(b"\x80\x02(R.", "the stack is empty");
    check(b"\x80\x02h\x05.", "there is no memo 5");
    check(
        b"\x80\x02X\xff\xff\xff\xff.",
        "truncated: 4294967295 bytes are needed",
    );
    check(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "truncated");
    check(b"\x80\x02cos\nsystem", "a line has no end");
    check(b"\x80\x02}(K\x01u.", "a dict's last key has no value");
    check(b"\x80\x02NQ.", "a storage's id is no tuple");
    check(b"\x80\x02i", "opcode 0x69 is not supported");
    let mut endless = vec![b')'; 1 << 22];
    endless.push(b'.');
    check(&endless, "more than 2097152 opcodes");
}

#[test]
fn a_safetensors_file_is_read() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},
        "b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]},
        "c":{"dtype":"BF16","shape":[],"data_offsets":[11,13]}}   "#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any-name");
    let data = [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 1, 2, 0xff, 0x80, 0x3f];
    fs::write(&path, safetensors(header, &data)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(
        (checkpoint.path(), names(&checkpoint)),
        (&*path, vec!["a", "b", "c"])
    );
    assert_eq!(checkpoint.tensors()["a"].shape, [1, 2]);
    assert_eq!(&*checkpoint.bytes("b").unwrap(), [1, 2, 0xff]);
    let check = |name: &str, expect: &[f32]| assert_eq!(checkpoint.floats(name).unwrap(), expect);
    check("a", &[1.0, -2.0]);
    check("b", &[1.0, 2.0, -1.0]);
    check("c", &[1.0]);
    let missing = checkpoint.bytes("d").unwrap_err().to_string();
    assert!(missing.ends_with("tensor d is missing"), "{missing}");
}

#[test]
fn broken_safetensors_are_refused() {
    let check = |entries: &str, expect: &str| refused(&safetensors(entries, &[0; 8]), expect);
    let one = |dtype: &str, shape: &str, offsets: &str, expect: &str| {
        let entry = format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#);
        check(&entry, expect);
    };
    one(
        "F32",
        "[2]",
        "[0,9]",
        "tensor w: it ends at byte 9 of 8, beyond the file",
    );
    one(
        "F32",
        "[3]",
        "[0,8]",
        "tensor w: its shape [3] in F32 takes 12 bytes, it has 8",
    );
    one(
        "F32",
        "[2]",
        "[8,0]",
        "tensor w: it ends at byte 0, before it begins at 8",
    );
    one(
        "F8_E4M3",
        "[8]",
        "[0,8]",
        "tensor w: numbers of kind F8_E4M3 are not supported",
    );
    one("F32", "[4611686018427387904,4]", "[0,8]", "tensor w: its shape");
    one("F32", "[0,4611686018427387904,4]", "[0,0]", "tensor w: its shape");
    one("F32", "[-1]", "[0,8]", "tensor w");
    one(
        "F32",
        "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
        "[0,4]",
        "tensor w: it has 17 dimensions",
    );
    let part = |range: &str| format!(r#"{{"dtype":"U8","shape":[5],"data_offsets":{range}}}"#);
    check(
        &format!(r#"{{"v":{},"w":{}}}"#, part("[0,5]"), part("[3,8]")),
        "tensor w: it overlaps v",
    );
    check(
        &format!(r#"{{"w":{0},"w":{0}}}"#, part("[0,5]")),
        "tensor w is there twice",
    );
    check("{not json", "its header");
    refused(
        &[b"\xff\xff\xff\xff\xff\xff\xff\xff{".as_slice(), &[0; 9]].concat(),
        "its header claims",
    );
    refused(
        &[b"\xff\xff\0\0\0\0\0\0{".as_slice(), &[0; 9]].concat(),
        "truncated: the header",
    );
}

#[test]
fn foreign_files_are_refused() {
    refused(b"", "truncated");
    refused(
        b"<!DOCTYPE html>",
        "neither safetensors nor a PyTorch file: it begins with 3c 21",
    );
    refused(
        b"version https://git-lfs.github.com/spec/v1",
        "fetch it with git lfs pull",
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(error(&folder.path().join("none")).contains("none: "));
    assert!(error(folder.path()).contains("no checkpoint in this folder"));
}

#[test]
fn a_folder_is_read_by_its_best_files() {
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &str, bytes: &[u8], expect: &[&str]| {
        fs::write(folder.path().join(file), bytes).unwrap();
        assert_eq!(names(&Checkpoint::open(folder.path()).unwrap()), expect, "{file}");
    };
    let weights = fs::read(torch("small.pt")).unwrap();
    fs::write(folder.path().join("training_args.bin"), "no weights").unwrap();
    check("other.bin", &weights, &["w"]);
    check("adapter_model.bin", &single("adapter"), &["adapter"]);
    check("pytorch_model.bin", &weights, &["w"]);
    check("consolidated.safetensors", &single("c"), &["c"]);
    check("model-1.safetensors", &single("m1"), &["m1"]);
    check("model-2.safetensors", &single("m2"), &["m1", "m2"]);
    check("adapter_model.safetensors", &single("a"), &["a"]);
    check("model.safetensors", &single("m"), &["m"]);
    let index = r#"{"metadata":{},"weight_map":{"m1":"model-1.safetensors","m2":"model-2.safetensors"}}"#;
    check("model.safetensors.index.json", index.as_bytes(), &["m1", "m2"]);
}

#[test]
fn shards_must_be_as_the_index_says() {
    let folder = tempfile::tempdir().unwrap();
    let check = |map: &str, expect: &str| {
        let index = folder.path().join("model.safetensors.index.json");
        fs::write(index, format!(r#"{{"weight_map":{map}}}"#)).unwrap();
        let error = error(folder.path());
        assert!(error.contains(expect), "{error}");
    };
    for (file, tensor) in [("1", "x"), ("2", "y"), ("3", "x")] {
        fs::write(folder.path().join(file), single(tensor)).unwrap();
    }
    check(r#"{"x":"1","y":"9"}"#, "shard 9 is missing");
    check(
        r#"{"x":"1","z":"2"}"#,
        "tensor z: the index says it is in 2, it is not",
    );
    check(
        r#"{"x":"2","y":"1"}"#,
        "tensor x: the index says it is in 2, it is not",
    );
    check(r#"{"x":"1","y":"3"}"#, "tensor x is in");
    check(r#"{"x":"../1"}"#, "is no file name");
    check("[]", "no index of shards");
}

#[test]
fn a_file_cut_anywhere_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for bytes in [fs::read(torch("state2.pt")).unwrap(), single("w")] {
        for length in 0..bytes.len() {
            assert!(tried(&path, &bytes[..length]).is_some(), "{length}");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped");
    for bytes in [fs::read(torch("small.pt")).unwrap(), single("w")] {
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] = value;
                tried(&path, &flipped);
            }
        }
    }
}

fn pickle_of(name: &str) -> Vec<u8> {
    let bytes = fs::read(torch(name)).unwrap();
    let start = bytes.windows(2).position(|it| it == b"\x80\x02").unwrap();
    let end = bytes
        .windows(4)
        .skip(start)
        .position(|it| it == b"PK\x03\x04")
        .unwrap();
    bytes[start..start + end].to_vec()
}

proptest! {
    #[test]
    fn mutated_pickles_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
        nested in any::<bool>(),
    ) {
        let mut bytes = pickle_of(if nested { "wrapped2.pt" } else { "state2.pt" });
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = pickle::read(&bytes);
    }

    #[test]
    fn mutated_torch_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = fs::read(torch("state2.pt")).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        tried(&folder.path().join("mutated"), &bytes);
    }
}
