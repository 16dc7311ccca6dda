use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use bedside_tensors::gguf::{GgufFile, GgufWriter};
use proptest::prelude::{ProptestConfig, any, proptest};
use serde::Deserialize;

use super::of_folder;
use crate::tokenizer::Tokenizer;

/// Texts and the tokens that the library of the tokenizer makes of them.
#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

/// What tests/python/tokenizers_and_texts.py writes with sentencepiece, tokenizers and tiktoken.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = tempfile::tempdir().unwrap();
        let python = root.join("target/test-python/bin/python");
        let run = Command::new(&python)
            .arg(root.join("tests/python/tokenizers_and_texts.py"))
            .arg(folder.path())
            .status()
            .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", python.display()));
        assert!(run.success(), "the script failed");
        folder
    });
    made.path()
}

fn read(folder: &Path, architecture: &str, rows: usize) -> (Tokenizer, GgufFile, PathBuf) {
    let entries = of_folder(folder, architecture, rows).unwrap().metadata;
    let path = folder.join(format!("{architecture}-{rows}.gguf"));
    GgufWriter::create(&path, &entries, Vec::new())
        .unwrap()
        .finish()
        .unwrap();
    let gguf = GgufFile::open(&path).unwrap();
    (Tokenizer::from_gguf(&gguf).unwrap(), gguf, path)
}

fn check(name: &str, architecture: &str, rows: usize) -> (Tokenizer, GgufFile) {
    let folder = trained().join(name);
    let (tokenizer, gguf, _) = read(&folder, architecture, rows);
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    assert!(cases.len() > 400);
    for case in cases {
        let found = tokenizer.encode_text(&case.text).unwrap();
        assert_eq!(found, case.ids, "{name}: {:?}", case.text);
    }
    (tokenizer, gguf)
}

/// One test, so that the models are trained once: nextest gives each test its own process.
#[test]
fn texts_become_the_tokens_that_the_libraries_make_of_them() {
    for name in [
        "unigram_nfkc_bytes",
        "unigram_unknown",
        "unigram_folded",
        "bpe_bytes",
        "bpe_unused",
    ] {
        check(name, "llama", 1000);
    }
    for name in [
        "json_qwen2",
        "json_llama3",
        "json_glm4",
        "json_gpt2",
        "json_smollm",
    ] {
        let (tokenizer, gguf) = check(name, "qwen2", 1000);
        assert_eq!(tokenizer.size(), 1000, "as many tokens as rows");
        let id = |text: &str| {
            gguf.texts("tokenizer.ggml.tokens")
                .unwrap()
                .iter()
                .position(|it| it == text)
        };
        let end = gguf.optional_unsigned("tokenizer.ggml.eos_token_id").unwrap();
        assert_eq!(end, id("<|im_end|>"));
        let turn_end = gguf.optional_unsigned("tokenizer.ggml.eot_token_id").unwrap();
        assert_eq!(turn_end, id("<|endoftext|>"));
        assert_eq!(tokenizer.first_token().is_some(), name == "json_llama3");
    }
    // As llama.cpp writes them, so that its files are read, too.
    let (_, gguf, _) = read(&trained().join("bpe_bytes"), "llama", 1000);
    let tokens = gguf.texts("tokenizer.ggml.tokens").unwrap();
    assert!(tokens.contains(&"  ".to_owned()) && !tokens.contains(&"▁▁".to_owned()));
    let (tokenizer, _) = check("json_llama2", "llama", 700);
    assert_eq!(tokenizer.first_token(), Some(1));
    check("tiktoken_glm4", "chatglm", 1000);

    for (name, rows, offset) in [("chatglm1_slim", 1000, 0), ("chatglm1_old", 21_000, 20_000)] {
        let (tokenizer, gguf) = check(name, "chatglm1", rows);
        let prompt = [crate::tokenizer::Stretch::Template("头疼[gMASK]<sop>".to_owned())];
        let tokens = tokenizer.encode_chat(&prompt).unwrap();
        let written: Vec<String> = tokens
            .iter()
            .rev()
            .take(2)
            .map(|it| tokenizer.spelling(*it))
            .collect();
        assert_eq!(written, ["<sop>", "[gMASK]"]);
        let [mask, start] = [1, 4].map(|place| 400 + place + offset);
        assert_eq!(tokens[tokens.len() - 2..], [mask, start]);
        let text = "发烧\n\t了   两天👋";
        let mut stream = tokenizer.stream(&[]);
        let pieces = tokenizer.encode_text(text).unwrap();
        let back: String = pieces.iter().map(|it| stream.push(*it)).collect();
        assert_eq!(back.trim_start(), text, "{name}");
        assert!(gguf.text("tokenizer.chat_template").unwrap().contains("[Round "));
        assert!(tokenizer.is_end(405 + offset), "<eop>");
    }

    // ChatGLM2 and ChatGLM3 differ by what their code says.
    let folder = trained().join("bpe_bytes");
    let (tokenizer, gguf, _) = read(&folder, "chatglm", 1000);
    assert!(gguf.text("tokenizer.chat_template").unwrap().contains("[Round "));
    assert_eq!(tokenizer.spelling(700 + 4), "eop");
    fs::write(
        folder.join("tokenization_chatglm.py"),
        "role_special_tokens = [\"<|user|>\"]",
    )
    .unwrap();
    let (_, gguf, _) = read(&folder, "chatglm", 1000);
    assert!(
        gguf.text("tokenizer.chat_template")
            .unwrap()
            .contains("message.role")
    );
}

#[test]
fn added_tokens_keep_their_ids_and_those_without_a_row_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.model"), small_model()).unwrap();
    let added = r#"{"added_tokens_decoder": {
        "5": {"content": "<|turn|>", "special": true}, "6": {"content": "<image>", "special": true}}}"#;
    fs::write(folder.path().join("tokenizer_config.json"), added).unwrap();
    let found = of_folder(folder.path(), "llama", 6).unwrap();
    assert!(
        found
            .notes
            .iter()
            .any(|it| it.contains("<image>") && it.contains('6')),
        "{:?}",
        found.notes
    );
    let (tokenizer, gguf, _) = read(folder.path(), "llama", 6);
    assert_eq!(
        gguf.texts("tokenizer.ggml.tokens").unwrap()[4..],
        ["[PAD4]", "<|turn|>"]
    );
    assert!(tokenizer.is_special(5) && tokenizer.is_end(5));
}

fn error(files: &[(&str, &[u8])], rows: usize) -> String {
    error_of("llama", files, rows)
}

fn error_of(architecture: &str, files: &[(&str, &[u8])], rows: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    of_folder(folder.path(), architecture, rows)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_cannot_be_read_is_said() {
    let json = |model: &str, cutter: &str| {
        format!("{{\"model\": {model}, \"pre_tokenizer\": {cutter}, \"added_tokens\": []}}")
    };
    let bytes = r#"{"type": "ByteLevel", "use_regex": true, "add_prefix_space": false}"#;
    let cases = [
        (error(&[], 10), "--tokenizer-from"),
        (error(&[("tokenizer.model", b"not a model")], 10), "no model of sentencepiece"),
        (error(&[("tokenizer.model", b"")], 10), "no pieces"),
        (error_of("chatglm", &[("tokenizer.model", b"YQ== 0\nYg== 7\n")], 10), "line 2 has rank 7"),
        (error(&[("tokenizer.model", b"YQ== 0\nYg== 1\n")], 10), "--tokenizer-from"),
        (error(&[("tokenizer.json", b"{\n  nothing")], 10), "line 2"),
        (
            error(&[("tokenizer.json", json(r#"{"type": "WordPiece"}"#, bytes).as_bytes())], 10),
            "WordPiece",
        ),
        (
            error(
                &[(
                    "tokenizer.json",
                    json(r#"{"type": "BPE", "vocab": {"a": 0, "b": 4000000000}, "merges": []}"#, bytes).as_bytes(),
                )],
                10,
            ),
            "id 4000000000",
        ),
        (
            error(
                &[(
                    "tokenizer.json",
                    json(
                        r#"{"type": "BPE", "vocab": {"a": 0}, "merges": []}"#,
                        r#"{"type": "Sequence", "pretokenizers": [{"type": "BertPreTokenizer"}, {"type": "ByteLevel"}]}"#,
                    )
                    .as_bytes(),
                )],
                10,
            ),
            "BertPreTokenizer",
        ),
    ];
    for (error, part) in cases {
        assert!(error.contains(part), "{error}");
    }
}

/// A small model of sentencepiece, written by hand: four pieces, a map of characters, both kinds of pairs.
fn small_model() -> Vec<u8> {
    let mut model = Vec::new();
    for (text, kind) in [("<unk>", 2), ("\u{2581}", 1), ("a", 1), ("<0x61>", 6)] {
        let text = text.as_bytes();
        let length = u8::try_from(text.len()).unwrap();
        model.extend([0x0a, length + 9, 0x0a, length]);
        model.extend(text);
        model.push(0x15);
        model.extend((-1.5_f32).to_le_bytes());
        model.extend([0x18, kind]);
    }
    model.extend([0x12, 2, 0x18, 2]);
    model.extend([0x1a, 14, 0x12, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0x18, 1, 0x20, 0]);
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn broken_models_of_sentencepiece_never_panic(
        cut in 0..80_usize,
        flips in proptest::collection::vec((0..80_usize, any::<u8>()), 0..5),
        chatglm: bool,
    ) {
        let mut bytes = small_model();
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(40)));
        for (place, bits) in flips {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= bits;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.model"), bytes).unwrap();
        let _ = of_folder(folder.path(), if chatglm { "chatglm1" } else { "llama" }, 600);
    }
}

#[test]
fn a_model_of_sentencepiece_is_read_by_its_fields() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.model"), small_model()).unwrap();
    let (tokenizer, _, _) = read(folder.path(), "llama", 6);
    assert_eq!(tokenizer.encode_text("a").unwrap(), [1, 2]);
    assert_eq!(tokenizer.size(), 6);
}
