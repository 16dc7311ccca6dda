//! What an operator writes in the configuration or in variables, as the program reads it: no shell stands between.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use bedside_tests::places;

/// A home directory and an empty folder, in which the program runs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["home", "here"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

/// With nothing of the caller's variables.
fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(places::bedside().unwrap())
        .env_clear()
        .env("HOME", folder.join("home"))
        .envs(variables.iter().copied())
        .current_dir(folder.join("here"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_home_directory_is_found_wherever_it_is_written() {
    let folder = folder();
    let file = folder.path().join("bedside.toml");
    fs::write(&file, "data_dir = \"~/bed\"").unwrap();
    let file = file.to_str().unwrap();
    let expected = format!("data directory: {}/home/bed", folder.path().display());
    let by_file: (&[(&str, &str)], &[&str]) = (&[], &["--config", file]);
    let by_variable: (&[(&str, &str)], &[&str]) = (&[("BEDSIDE_DATA_DIR", "~/bed")], &[]);
    for (variables, arguments) in [by_file, by_variable] {
        let output = run(folder.path(), variables, &[arguments, &["check-config"]].concat());
        let said = said(&output);
        assert!(output.status.success() && said.contains(&expected), "{said}");

        // Makes the data directory, then finds no such file.
        let pull = ["model", "pull", "file:/nowhere/model.gguf"];
        run(folder.path(), variables, &[arguments, &pull].concat());
        let here: Vec<_> = fs::read_dir(folder.path().join("here")).unwrap().collect();
        assert!(here.is_empty(), "{here:?}");
        fs::remove_dir_all(folder.path().join("home/bed")).unwrap();
    }
}

#[test]
fn a_variable_that_cannot_be_meant_is_named() {
    let folder = folder();
    for (variable, value, expected) in [
        ("BEDSIDE_DATA_DIR", "~nobody/bed", "only ~/ is read"),
        ("BEDSIDE_DATA_DIR", "$HOME/bed", "variables are not read"),
        ("BEDSIDE_DATA_DIR", "", "is empty"),
        (
            "BEDSIDE_PLUGINS__DIR",
            "${HOME}/plugins",
            "variables are not read",
        ),
        ("BEDSIDE_MODEL__SOURCE", "~nobody/x.gguf", "only ~/ is read"),
        ("BEDSIDE_WEB__HOSTS", "name", "write a list as [\"a\", \"b\"]"),
        (
            "BEDSIDE_MODEL__LANGUAGES",
            "zh,en",
            "write a list as [\"a\", \"b\"]",
        ),
    ] {
        let output = run(folder.path(), &[(variable, value)], &["check-config"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains(&format!("{variable} (environment): ")) && said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn a_home_directory_that_is_none_holds_no_store() {
    let folder = folder();
    for variables in [&[("HOME", "")], &[("HOME", "relative")]] {
        let output = run(folder.path(), variables, &["check-config"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("data_dir: "), "{said}");
    }
}
