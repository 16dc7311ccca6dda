use std::collections::BTreeSet;

use super::{LANGUAGES, words::Words};
use bedside_language::normalized;

#[test]
fn the_file_is_complete() {
    let file = &LANGUAGES.file;
    let ids: BTreeSet<&str> = file.language.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids.len(), file.language.len());
    for id in ["es", "fr", "de", "pt", "ru", "ar", "ja", "ko", "vi", "th", "id"] {
        let language = file.language(id).unwrap();
        assert!(
            language.emergency.len() >= 25,
            "{id}: {}",
            language.emergency.len()
        );
        assert!(language.self_harm.len() >= 4, "{id}");
    }
    for id in [
        "es", "fr", "de", "pt", "it", "ru", "uk", "ar", "fa", "hi", "ja", "ko", "vi", "th", "id", "ms", "tr",
    ] {
        let language = file.language(id).unwrap();
        for (sentence, crisis) in [
            (&language.sentence, false),
            (&language.emergency_sentence, false),
            (&language.self_harm_sentence, true),
        ] {
            assert!(sentence.contains("{emergency_number}"), "{id}: {sentence}");
            assert_eq!(sentence.contains("{crisis_line}"), crisis, "{id}: {sentence}");
        }
    }
}

/// What stands for several words, filled with one, is met in its language.
#[test]
fn every_form_is_met() {
    let languages = &LANGUAGES;
    let mut missed = Vec::new();
    for language in &languages.file.language {
        let all = [
            &language.emergency,
            &language.self_harm,
            &language.emergency_within,
        ];
        for form in all.into_iter().flatten() {
            let gap = if form.contains(" ~") { "" } else { "とて" };
            let text = form.replace('*', "").replace('~', gap);
            let met = languages
                .emergency_words
                .find(&Words::of(&normalized(&text)), Some(&language.id));
            let is_long_enough = form.trim_end_matches('*').chars().count() >= 2;
            if !is_long_enough || met.is_none_or(|it| it.language != language.id) || form.ends_with('~') {
                missed.push(format!("{}: {form}", language.id));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// A form that counts everywhere must not be plain English.
#[test]
fn no_form_is_made_of_english_words_only() {
    let file = &LANGUAGES.file;
    let english: BTreeSet<&str> = file.english.split_whitespace().collect();
    let mut wrong = Vec::new();
    for language in &file.language {
        for form in language.emergency.iter().chain(&language.self_harm) {
            let text = normalized(form);
            let words = Words::of(&text);
            if words.iter().all(|it| english.contains(it)) {
                wrong.push(format!("{}: {form}", language.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
