//! Readers map files, so each input becomes one, in memory where the system has such a place.

use std::{fs, path::PathBuf, sync::OnceLock};

pub fn write(name: &str, data: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = root.join(format!("bedside-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    });
    let path = folder.join(name);
    fs::write(&path, data).expect("a file can be written");
    path
}
