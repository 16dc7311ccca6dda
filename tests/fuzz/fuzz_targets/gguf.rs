//! A model's file: whatever is in it, it is read or refused.
#![no_main]

use bedside_model::{ChatTemplate, GgufFile, Tokenizer, decoder::Description};
use libfuzzer_sys::fuzz_target;

#[path = "common/on_disk.rs"]
mod on_disk;

fuzz_target!(|data: &[u8]| {
    let path = on_disk::write("fuzz.gguf", data);
    let Ok(gguf) = GgufFile::open(&path) else {
        return;
    };
    for (name, tensor) in gguf.tensors() {
        match tensor.shape.as_slice() {
            [length] => drop(gguf.floats(name, *length)),
            [rows, columns] => drop(gguf.matrix(name, *rows, *columns)),
            shape => drop(gguf.tensor_data(name, shape)),
        }
    }
    let _ = Description::read(&gguf);
    if let Ok(tokenizer) = Tokenizer::from_gguf(&gguf) {
        let _ = ChatTemplate::from_gguf(&gguf, &tokenizer, None);
        let text = "fever 39.5°C\n头疼 <|im_end|>";
        let tokens = tokenizer.encode_text(text).unwrap_or_default();
        let mut stream = tokenizer.stream(&tokens);
        for token in tokens {
            assert!(!tokenizer.is_special(token), "a text became a marker");
            stream.push(token);
        }
        stream.finish();
    }
});
