//! The articles of the package are whole, and there quickly.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bedside_plugin_api::msg::Contacts;
use bedside_plugin_knowledge::{
    library::{Folder, Library, Origin, read_folder},
    lint::{DEPARTMENTS, Numbers, missing_twins},
    section::{Language, Section},
};

fn conditions() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conditions")
}

#[test]
fn every_article_is_whole() {
    let files = read_folder(&conditions(), Numbers::Refused).unwrap();
    assert!(files.len() >= 90, "{} articles", files.len());
    let findings: Vec<String> = files
        .iter()
        .flat_map(|it| &it.findings)
        .map(ToString::to_string)
        .collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    for file in &files {
        let article = file.article.as_ref().unwrap();
        let sections: Vec<Section> = article.sections.iter().map(|it| it.0).collect();
        assert_eq!(sections, Section::ALL, "{}", file.path.display());
        assert!(
            article
                .departments
                .iter()
                .all(|it| DEPARTMENTS.contains(&it.as_str())),
            "{}",
            file.path.display()
        );
        assert!(!article.review.is_empty(), "{}", file.path.display());
    }
    let articles = files
        .iter()
        .map(|it| (it.path.to_str().unwrap(), it.article.as_ref().unwrap()));
    let lone: Vec<String> = missing_twins(articles).iter().map(ToString::to_string).collect();
    assert!(lone.is_empty(), "{}", lone.join("\n"));
}

#[test]
fn both_languages_say_the_same_of_a_condition() {
    let files = read_folder(&conditions(), Numbers::Refused).unwrap();
    let mut facts = BTreeMap::new();
    for article in files.iter().filter_map(|it| it.article.as_ref()) {
        let own = (
            &article.icd10,
            &article.departments,
            &article.disposition,
            &article.edition,
        );
        let first = *facts.entry(&article.id).or_insert(own);
        assert_eq!(
            first, own,
            "{}: codes, departments, disposition or edition differ",
            article.id
        );
    }
}

#[test]
fn the_longest_message_is_read_within_the_deadline() {
    let starter = [Folder {
        path: conditions(),
        origin: Origin::Starter,
    }];
    let library = Library::load(&starter, &Contacts::default()).unwrap();
    for (language, text) in [
        (
            Language::Zh,
            "我最近大脚趾又红又肿，疼得不能碰，晚上睡不着，早上起来头也疼，",
        ),
        (
            Language::En,
            "my big toe is red and swollen and sore and my head hurts and I cough at night, ",
        ),
    ] {
        let long: String = text.chars().cycle().take(8000).collect();
        let started = std::time::Instant::now();
        let hits = library.search(language, &long, &[]).hits.len();
        assert!(hits > 0, "{language}");
        assert!(
            started.elapsed() < Duration::from_millis(400),
            "{language}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn the_index_is_built_quickly() {
    let path = conditions();
    let folders = [
        Folder {
            path: path.clone(),
            origin: Origin::Starter,
        },
        Folder {
            path,
            origin: Origin::Hospital,
        },
    ];
    let library = Library::load(&folders, &Contacts::default()).unwrap();
    // Twice the files: 300 ms for a hundred files, with room for a busy machine.
    assert!(
        library.build_time() < Duration::from_secs(2),
        "{:?}",
        library.build_time()
    );
    for language in Language::ALL {
        let index = library.of(language);
        assert!(index.passage_count() >= index.articles().count() * Section::ALL.len());
        assert!(
            index
                .articles()
                .all(|it| it.source.as_deref() == Some(Origin::Hospital.name(language)))
        );
    }
}
