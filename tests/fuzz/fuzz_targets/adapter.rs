//! Adapters: the first line is `adapter_config.json`, the rest the file of tensors; or all of it a GGUF file.
#![no_main]

use bedside_formats::SavedAdapter;
use libfuzzer_sys::fuzz_target;

#[path = "common/on_disk.rs"]
mod on_disk;

fuzz_target!(|data: &[u8]| {
    let path = if data.starts_with(b"GGUF") {
        on_disk::write("fuzz.gguf", data)
    } else {
        let end = data.iter().position(|it| *it == b'\n').unwrap_or(data.len());
        let (config, tensors) = data.split_at(end);
        on_disk::write("adapter_config.json", config);
        on_disk::write("adapter_model.safetensors", tensors.get(1..).unwrap_or_default())
    };
    let Ok(adapter) = SavedAdapter::open(&path) else {
        return;
    };
    for update in &adapter.updates {
        assert_eq!(update.a.len(), update.rank * update.columns);
        assert_eq!(update.b.len(), update.rows * update.rank);
    }
    if let Some(prefix) = &adapter.prefix {
        assert_eq!(prefix.numbers.len(), prefix.tokens * prefix.width);
    }
});
