//! The invariants of ARCHITECTURE.md that a program can check: who knows what, and where `unsafe` may stand.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use bedside_tests::places::repository;
use regex::Regex;
use serde_json::Value;

/// Folder of each crate → the crates that it may use in its product code (not in its tests).
const ARROWS: [(&str, &[&str]); 20] = [
    ("core/contract", &[]),
    ("core/language", &[]),
    ("core/triage", &["core/contract", "core/language"]),
    ("core/tensors", &[]),
    (
        "core/model",
        &["core/contract", "core/tensors", "adapters/formats"],
    ),
    (
        "core/embeddings",
        &["core/contract", "core/model", "core/tensors"],
    ),
    ("core/engine", &["core/contract", "core/model"]),
    ("core/remote", &["core/contract"]),
    ("core/store", &["core/contract"]),
    ("core/plugin-api", &[]),
    ("core/plugin-runner", &["core/plugin-api"]),
    (
        "core/plugin-host",
        &["core/contract", "core/plugin-runner", "core/plugin-api"],
    ),
    ("core/runtime", &["core/contract", "core/language", "core/triage"]),
    ("adapters/formats", &["core/contract", "core/tensors"]),
    ("adapters/trainer", &["core/model", "adapters/formats"]),
    (
        "plugins/triage",
        &["core/plugin-api", "core/triage", "core/embeddings"],
    ),
    ("plugins/knowledge", &["core/plugin-api", "core/language"]),
    (
        "tests/eval",
        &["core/contract", "core/language", "core/embeddings", "core/triage"],
    ),
    ("tests/load", &[]),
    ("tests/reference", &[]),
];

/// Crates in which `unsafe` may stand; the macro of plugin-api puts it into the plugins.
const UNSAFE_IN: [&str; 6] = [
    // It does what a plugin must not do, and is never installed.
    "tests/plugins/evil",
    "core/model",
    "core/tensors",
    "core/plugin-api",
    "core/plugin-host",
    "core/plugin-runner",
];

/// What only some crates may know.
const KNOWN_BY: [(&str, &[&str]); 7] = [
    ("teloxide", &["bots/telegram"]),
    ("serenity", &["bots/discord"]),
    ("quick-xml", &["bots/wechat"]),
    ("libloading", &["core/plugin-host", "core/plugin-runner"]),
    ("rusqlite", &["core/store"]),
    ("redis", &["core/store"]),
    (
        "candle-core",
        &[
            "core/tensors",
            "core/model",
            "adapters/formats",
            "adapters/trainer",
        ],
    ),
];

/// The runtime's modules from the lowest floor up: each knows only itself and those before it.
const FLOORS: [&str; 6] = ["context", "delivery", "answer", "turn", "dispatcher", "bot"];

struct Crate {
    /// Below the repository.
    folder: String,
    name: String,
    /// Names of normal and build dependencies.
    uses: BTreeSet<String>,
    roots: Vec<PathBuf>,
}

fn crates() -> Vec<Crate> {
    let text = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--offline",
        "--locked",
        "--no-deps",
    ]);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(crate_of)
        .collect()
}

fn crate_of(package: &Value) -> Crate {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let folder = manifest.parent().unwrap().strip_prefix(repository()).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let roots = package["targets"].as_array().unwrap().iter().filter(|it| {
        let kind = it["kind"][0].as_str().unwrap();
        kind != "test" && kind != "bench" && kind != "example"
    });
    Crate {
        folder: folder.to_str().unwrap().to_owned(),
        name: package["name"].as_str().unwrap().to_owned(),
        uses: dependencies
            .filter(|it| it["kind"] != "dev")
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect(),
        roots: roots
            .map(|it| PathBuf::from(it["src_path"].as_str().unwrap()))
            .collect(),
    }
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What a crate is built from, itself left out.
fn tree(name: &str) -> BTreeSet<String> {
    let text = cargo(&[
        "tree",
        "-p",
        name,
        "-e",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--offline",
        "--locked",
    ]);
    text.lines()
        .skip(1)
        .filter_map(|it| it.split(' ').next())
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_crate_is_named_by_its_folder() {
    for it in crates() {
        let last = it.folder.rsplit('/').next().unwrap();
        let expect = match it.folder.as_str() {
            "bots/bedside" => "bedside".to_owned(),
            folder if folder.starts_with("plugins/") || folder.starts_with("tests/plugins/") => {
                format!("bedside-plugin-{last}")
            }
            _ => format!("bedside-{last}"),
        };
        assert_eq!(it.name, expect, "{}", it.folder);
    }
}

#[test]
fn arrows_point_one_way() {
    let crates = crates();
    let names: BTreeMap<&str, &str> = crates
        .iter()
        .map(|it| (it.name.as_str(), it.folder.as_str()))
        .collect();
    for it in &crates {
        let ours: BTreeSet<&str> = it
            .uses
            .iter()
            .filter_map(|name| names.get(name.as_str()).copied())
            .collect();
        let named = ARROWS
            .iter()
            .find(|(folder, _)| *folder == it.folder)
            .map(|(_, may)| may.to_vec());
        let may = match it.folder.as_str() {
            // The one place that knows every implementation.
            "bots/bedside" => continue,
            "bots/kit" => vec!["core/contract"],
            folder if folder.starts_with("bots/") => vec!["core/contract", "bots/kit"],
            folder if named.is_none() && folder.contains("plugins/") => vec!["core/plugin-api"],
            "tests" => Vec::new(),
            folder => named.unwrap_or_else(|| panic!("{folder} is not in the table of arrows")),
        };
        let wrong: Vec<_> = ours.iter().filter(|used| !may.contains(used)).collect();
        assert!(wrong.is_empty(), "{} must not use {wrong:?}", it.folder);
    }
}

#[test]
fn the_binary_links_no_plugin() {
    let plugins: Vec<_> = tree("bedside")
        .into_iter()
        .filter(|it| it.starts_with("bedside-plugin-"))
        .collect();
    let may = [
        "bedside-plugin-api",
        "bedside-plugin-host",
        "bedside-plugin-runner",
    ];
    assert!(plugins.iter().all(|it| may.contains(&it.as_str())), "{plugins:?}");
}

#[test]
fn platforms_loader_and_database_are_known_in_one_place() {
    for it in crates() {
        for (library, may) in KNOWN_BY {
            assert!(
                !it.uses.contains(library) || may.contains(&it.folder.as_str()),
                "{} uses {library}",
                it.folder
            );
        }
    }
}

#[test]
fn synchronous_crates_are_free_of_tokio() {
    for it in crates() {
        if [
            "core/contract",
            "core/language",
            "core/tensors",
            "core/model",
            "core/embeddings",
            "core/triage",
            "core/plugin-api",
        ]
        .contains(&it.folder.as_str())
            || it.folder.starts_with("adapters/")
        {
            assert!(
                !tree(&it.name).contains("tokio"),
                "{} is built with tokio",
                it.folder
            );
        }
    }
}

#[test]
fn plugin_api_depends_on_serde_alone() {
    let api = crates()
        .into_iter()
        .find(|it| it.folder == "core/plugin-api")
        .unwrap();
    assert_eq!(api.uses, ["serde", "serde_json"].map(ToOwned::to_owned).into());
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let word = Regex::new(r"(?m)^[^/\n]*\bunsafe\s*(?:\{|fn\b|impl\b|extern\b|trait\b)").unwrap();
    for it in crates() {
        if UNSAFE_IN.contains(&it.folder.as_str()) {
            continue;
        }
        // The entry points of a cdylib come out of plugin-api's macro: there the plugin's own files are read.
        let is_plugin = it.folder.contains("plugins/");
        for root in it.roots.iter().filter(|_| !is_plugin) {
            let text = fs::read_to_string(root).unwrap();
            assert!(
                text.contains("#![forbid(unsafe_code)]"),
                "{} lacks forbid(unsafe_code)",
                root.display()
            );
        }
        for file in sources(&repository().join(&it.folder).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!word.is_match(&text), "unsafe in {}", file.display());
        }
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let block = Regex::new(r"\bunsafe\s*(?:\{|impl\b)").unwrap();
    let mut seen = 0;
    for folder in UNSAFE_IN {
        for file in sources(&repository().join(folder).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                if line.trim_start().starts_with("//") || !block.is_match(line) {
                    continue;
                }
                seen += 1;
                let near = lines.get(number.saturating_sub(12)..=number).unwrap();
                assert!(
                    near.iter().any(|it| it.contains("SAFETY:")),
                    "{}:{} has no SAFETY line",
                    file.display(),
                    number + 1
                );
            }
        }
    }
    assert!(seen > 0, "the search finds no unsafe block any more");
}

#[test]
fn the_runtimes_floors_know_only_what_is_below() {
    let folder = repository().join("core/runtime/src");
    let mut seen = BTreeSet::new();
    for file in sources(&folder) {
        let inside = file.strip_prefix(&folder).unwrap().to_str().unwrap();
        let module = inside.split(['/', '.']).next().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        if inside == "lib.rs" || inside.contains("tests") {
            continue;
        }
        let floor = |name: &str| FLOORS.iter().position(|it| *it == name);
        let own = floor(module).unwrap_or_else(|| panic!("{inside} is on no floor"));
        for used in modules_of_the_crate(code) {
            let below = floor(&used).unwrap_or_else(|| panic!("{inside} uses {used}, which is on no floor"));
            assert!(below <= own, "{inside} uses {used}, which is above it");
            seen.insert(used);
        }
    }
    assert!(
        seen.len() >= FLOORS.len() - 1,
        "the search finds no uses any more"
    );
}

/// The first names behind `crate::`, also in braces.
fn modules_of_the_crate(code: &str) -> BTreeSet<String> {
    let single = Regex::new(r"\bcrate::(\w+)").unwrap();
    let block = Regex::new(r"(?s)\bcrate::\{(.*?)\};").unwrap();
    let inner = Regex::new(r"\{[^{}]*\}").unwrap();
    let mut found: BTreeSet<String> = single.captures_iter(code).map(|it| it[1].to_owned()).collect();
    for names in block.captures_iter(code) {
        let mut names = names[1].to_owned();
        while inner.is_match(&names) {
            names = inner.replace_all(&names, "").into_owned();
        }
        let first = |it: &str| it.trim().split("::").next().unwrap_or_default().to_owned();
        found.extend(names.split(',').map(first).filter(|it| !it.is_empty()));
    }
    found
}

/// A connector that could reach the store could read or delete any conversation.
#[test]
fn no_connector_holds_a_store() {
    let role = Regex::new(
        r"\b(?:dyn|impl)\s+(?:Store|Inbox|Outbox|Conversations|Transcripts|PluginStorage|AuditLog)\b",
    )
    .unwrap();
    let connectors = crates()
        .into_iter()
        .filter(|it| it.folder.starts_with("bots/") && it.folder != "bots/bedside");
    let mut seen = 0;
    for file in connectors.flat_map(|it| sources(&repository().join(&it.folder).join("src"))) {
        seen += 1;
        let mut text = fs::read_to_string(&file).unwrap();
        if file.starts_with(repository().join("bots/admin")) {
            // No connector: it writes down who changed what.
            text = text.replace("dyn AuditLog", "").replace("impl AuditLog", "");
        }
        assert!(!role.is_match(&text), "{} holds a store", file.display());
    }
    assert!(seen > 30, "the search finds no sources any more");
}

/// What a platform can do is declared by its connector and asked of it; its name decides nothing.
#[test]
fn no_platform_is_asked_by_name() {
    let name = Regex::new(
        r#""(?:telegram|discord|wechat|web|terminal)"|\[(?:telegram|discord|wechat|web|terminal)\]"#,
    )
    .unwrap();
    let asked = ["core", "plugins"].iter().flat_map(|it| {
        let mut files = sources(&repository().join(it));
        files.extend(files_of(&repository().join(it), "ftl"));
        files
    });
    let mut seen = 0;
    for file in asked {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let path = file.display().to_string();
        if ["/tests/", "/tests.rs", "/examples/", "/conformance", "_test"]
            .iter()
            .any(|it| path.contains(it))
        {
            continue;
        }
        seen += 1;
        for (number, line) in code.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            assert!(
                is_comment || !name.is_match(line),
                "{path}:{}: {line}",
                number + 1
            );
        }
    }
    assert!(seen > 50, "the search finds no sources any more");
}

#[test]
fn files_are_short_enough_to_read() {
    for it in crates() {
        for file in sources(&repository().join(&it.folder).join("src")) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines: split it", file.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    files_of(folder, "rs")
}

fn files_of(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_of(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}
