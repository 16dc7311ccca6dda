use super::{Article, ArticleProblem, Raised};
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
    assert!(article.colloquial.is_empty() && article.raised.is_empty());
}

#[test]
fn urgent_terms_are_read() {
    let disposition = "disposition = \"self-care\"\n";
    let keys = "emergency_terms = [\"singultus\"]\nsame_day_terms = [\"Hiccups\", \"hiccup\"]\n";
    let text = GOOD.replacen(disposition, &format!("{disposition}{keys}"), 1);
    let raised = Article::parse("hiccups.en.md", &text).unwrap().raised;
    let expect = [
        ("singultus", Raised::Emergency),
        ("Hiccups", Raised::SameDay),
        ("hiccup", Raised::SameDay),
    ];
    assert_eq!(raised, expect.map(|it| (it.0.to_owned(), it.1)));
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
    let disposition = "disposition = \"self-care\"";
    for (keys, line, key, words) in [
        (
            "disposition = \"self-care\"\nemergency_terms = [\"sobbing\"]",
            10,
            "emergency_terms",
            "`sobbing` is no name",
        ),
        (
            "disposition = \"same-day\"\nsame_day_terms = [\"singultus\"]",
            10,
            "same_day_terms",
            "`same-day` already",
        ),
        (
            "disposition = \"emergency\"\nsame_day_terms = [\"singultus\"]",
            10,
            "same_day_terms",
            "more urgent",
        ),
    ] {
        check(disposition, keys, line, key, words);
    }
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
