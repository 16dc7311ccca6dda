//! Tells the crate for which target and with which compiler it is built, for the note in each plugin.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=BEDSIDE_PLUGIN_TARGET={target}");

    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().ok();
    let version = version
        .and_then(|it| String::from_utf8(it.stdout).ok())
        .unwrap_or_default();
    println!("cargo:rustc-env=BEDSIDE_PLUGIN_RUSTC={}", version.trim());
}
