use super::{Article, ArticleProblem};
use crate::section::{Language, Section};

const GOOD: &str = r#"+++
id = "hiccups"
language = "en"
icd10 = ["R06.6"]
name = "Hiccups"
aliases = ["singultus"]
symptoms = ["hiccup"]
departments = ["general-medicine"]
disposition = "self-care"
edition = "2026-11"
review = "needs review by a clinician"
+++
## Definition
Sudden movements of the diaphragm.

They pass by themselves.
## Treatment
Hold your breath.
"#;

#[test]
fn a_whole_article_is_read() {
    let article = Article::parse("data/hiccups.en.md", GOOD).unwrap();
    assert_eq!((article.id.as_str(), article.language), ("hiccups", Language::En));
    assert_eq!(
        article.section(Section::Definition),
        Some("Sudden movements of the diaphragm.\n\nThey pass by themselves.")
    );
    assert_eq!(article.section(Section::Treatment), Some("Hold your breath."));
    assert_eq!(article.section(Section::Causes), None);
    assert!(article.colloquial.is_empty());
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_do_no_harm() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    let article = Article::parse("hiccups.en.md", &text).unwrap();
    assert_eq!(article, Article::parse("hiccups.en.md", GOOD).unwrap());
}

#[test]
fn errors_name_line_and_key() {
    let check = |from: &str, to: &str, line: usize, key: &str, words: &str| {
        assert!(GOOD.contains(from), "{from}");
        let error = Article::parse("hiccups.en.md", &GOOD.replacen(from, to, 1)).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().starts_with("hiccups.en.md, line "), "{error}");
    };
    check(
        "+++\nid",
        "id",
        1,
        "front matter",
        "begin the file with a line +++",
    );
    check(
        "review = \"needs review by a clinician\"\n+++",
        "review = \"r\"",
        17,
        "front matter",
        "does not end",
    );
    check(
        "icd10 = [\"R06.6\"]",
        "icd10 = [\"hiccup\"]",
        4,
        "icd10",
        "no ICD-10 code",
    );
    check("icd10 = [\"R06.6\"]", "icd10 = 6", 4, "icd10", "correct the TOML");
    check("name = \"Hiccups\"", "name = \"  \"", 5, "name", "fill it in");
    check(
        "name = \"Hiccups\"",
        "nmae = \"Hiccups\"",
        5,
        "nmae",
        "unknown field",
    );
    check("symptoms = [\"hiccup\"]\n", "", 2, "symptoms", "missing field");
    check(
        "[\"general-medicine\"]",
        "[\"General medicine\"]",
        8,
        "departments",
        "lower-case",
    );
    check(
        "\"self-care\"",
        "\"soon\"",
        9,
        "disposition",
        "emergency, same-day, out-patient, self-care",
    );
    check("\"2026-11\"", "\"2026-13\"", 10, "edition", "year and month");
    check(
        "id = \"hiccups\"",
        "id = \"hiccup\"",
        2,
        "id",
        "name the file hiccup.en.md",
    );
    check(
        "language = \"en\"",
        "language = \"fr\"",
        2,
        "id",
        "name the file hiccups.fr.md",
    );
    check("## Treatment", "## Therapy", 17, "Therapy", "Definition, Causes");
    check(
        "## Treatment",
        "### Treatment",
        17,
        "Treatment",
        "unknown heading",
    );
    check("## Treatment", "## Definition", 17, "Definition", "join the two");
    check("Hold your breath.", "", 17, "Treatment", "the section is empty");
    check("## Definition\n", "", 13, "text", "before the first heading");
}

#[test]
fn an_unknown_language_and_a_bare_front_matter_are_refused() {
    let french = Article::parse("hiccups.fr.md", &GOOD.replace("\"en\"", "\"fr\"")).unwrap_err();
    assert_eq!(
        french.problem,
        ArticleProblem::UnknownLanguage {
            found: "fr".to_owned()
        }
    );
    let bare = GOOD.split_inclusive("+++\n").take(2).collect::<String>();
    let error = Article::parse("hiccups.en.md", &bare).unwrap_err();
    assert_eq!(
        error.problem,
        ArticleProblem::NoSection {
            expected: "Definition"
        }
    );
}
