//! Safetensors and PyTorch files: whatever is in them, they are read or refused, and nothing in them is run.
#![no_main]

use bedside_tensors::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

#[path = "common/on_disk.rs"]
mod on_disk;

fuzz_target!(|data: &[u8]| {
    let path = on_disk::write("fuzz.bin", data);
    let Ok(checkpoint) = Checkpoint::open(&path) else {
        return;
    };
    for (name, tensor) in checkpoint.tensors() {
        let numbers: usize = tensor.shape.iter().product();
        let read = checkpoint.floats(name);
        assert!(read.is_ok_and(|it| it.len() == numbers), "{name} is not what was promised");
        checkpoint.release(name);
    }
});
