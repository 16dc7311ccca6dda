//! How well questions in patients' words are answered, and others not, with the articles of the package.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::Path;

use bedside_plugin_api::msg::Contacts;
use bedside_plugin_knowledge::{
    library::{Folder, Library, Origin},
    section::{Language, Section},
};

struct Question {
    language: Language,
    /// Empty: nothing may be answered.
    conditions: Vec<String>,
    section: Option<Section>,
    text: String,
}

#[derive(Debug, Default)]
struct Tally {
    answerable: usize,
    right_condition: usize,
    asked_section: usize,
    right_section: usize,
    unanswerable: usize,
    abstained: usize,
    mistakes: Vec<String>,
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn library() -> Library {
    let path = package().join("data/conditions");
    let folders = [Folder {
        path,
        origin: Origin::Starter,
    }];
    Library::load(&folders, &Contacts::default()).unwrap()
}

fn questions(file: &str) -> Vec<Question> {
    let text = std::fs::read_to_string(package().join("tests/questions").join(file)).unwrap();
    let lines = text.lines().filter(|it| !it.starts_with('#') && !it.is_empty());
    lines
        .map(|line| {
            let [language, conditions, section, text] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("four columns: {line}");
            };
            let conditions = conditions
                .split('|')
                .filter(|it| *it != "-")
                .map(str::to_owned)
                .collect();
            let section =
                (section != "-").then(|| Section::parse(section).unwrap_or_else(|| panic!("{line}")));
            Question {
                language: Language::parse(language).unwrap(),
                conditions,
                section,
                text: text.to_owned(),
            }
        })
        .collect()
}

fn tally(file: &str) -> Tally {
    let library = library();
    let mut tally = Tally::default();
    for question in questions(file) {
        let found = library.search(question.language, &question.text, &[]);
        let hits: Vec<_> = found
            .hits
            .iter()
            .map(|it| format!("{} {:.2}", it.passage.id, it.score))
            .collect();
        if question.conditions.is_empty() {
            tally.unanswerable += 1;
            tally.abstained += usize::from(hits.is_empty());
            if !hits.is_empty() {
                tally
                    .mistakes
                    .push(format!("not to be answered: {}: {hits:?}", question.text));
            }
            continue;
        }
        tally.answerable += 1;
        let first = found.hits.first();
        let condition = first.is_some_and(|it| question.conditions.contains(&it.article.id));
        tally.right_condition += usize::from(condition);
        let section = question
            .section
            .is_none_or(|section| first.is_some_and(|it| it.passage.section == section));
        tally.asked_section += usize::from(question.section.is_some());
        tally.right_section += usize::from(question.section.is_some() && section);
        if !condition || !section {
            tally
                .mistakes
                .push(format!("{} {:?}: {hits:?}", question.text, question.conditions));
        }
    }
    tally
}

fn assert_share(part: usize, whole: usize, least: f64, what: &str, mistakes: &[String]) {
    let share = part as f64 / whole as f64;
    assert!(
        share >= least,
        "{what}: {part} of {whole} is {share:.3}, not {least}: {mistakes:#?}"
    );
}

#[test]
fn questions_that_the_weights_were_set_on() {
    let tally = tally("tuning.tsv");
    assert!(tally.answerable >= 60 && tally.unanswerable >= 40, "{tally:?}");
    assert_share(
        tally.right_condition,
        tally.answerable,
        0.97,
        "right condition",
        &tally.mistakes,
    );
    assert_share(
        tally.right_section,
        tally.asked_section,
        0.95,
        "right section",
        &tally.mistakes,
    );
    assert_share(
        tally.abstained,
        tally.unanswerable,
        0.97,
        "abstained",
        &tally.mistakes,
    );
}

#[test]
fn questions_that_the_weights_have_not_seen() {
    let tally = tally("held-out.tsv");
    assert!(tally.answerable >= 60 && tally.unanswerable >= 40, "{tally:?}");
    assert_share(
        tally.right_condition,
        tally.answerable,
        0.9,
        "right condition",
        &tally.mistakes,
    );
    assert_share(
        tally.right_section,
        tally.asked_section,
        0.9,
        "right section",
        &tally.mistakes,
    );
    assert_share(
        tally.abstained,
        tally.unanswerable,
        0.95,
        "abstained",
        &tally.mistakes,
    );
}
