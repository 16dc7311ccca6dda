//! The output gate lets the starter articles through: what patients are quoted is never cut.

use std::{fs, path::Path};

use bedside_triage::{OutputGate, OutputVerdict};

#[test]
fn no_sentence_of_an_article_is_withheld() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/knowledge/data/conditions");
    let (mut count, mut withheld) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let body = text.split("+++").nth(2).unwrap();
        let body = body
            .replace("{emergency_number}", "120")
            .replace("{crisis_line}", "12356");
        for line in body.lines().filter(|it| !it.starts_with('#')) {
            for sentence in line.replace(". ", ".\n").replace('。', "。\n").lines() {
                count += 1;
                if OutputGate::default().check(sentence) != OutputVerdict::Pass {
                    withheld.push(format!("{}: {sentence}", path.display()));
                }
            }
        }
    }
    assert!(count > 3000, "{count}");
    assert!(withheld.is_empty(), "{}", withheld.join("\n"));
}
