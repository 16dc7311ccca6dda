//! Which texts are in another language, and which emergency words of it are understood.

use std::time::Instant;

use bedside_triage::{Disposition, EmergencyContacts, Language, PatientFacts, Rules};
use proptest::prelude::*;

/// Lines of language, `!` for an emergency, text.
const OTHERS: &str = include_str!("data/other_languages.txt");
const CHINESE_AND_ENGLISH: &str = include_str!("data/chinese_and_english.txt");

fn others() -> impl Iterator<Item = (&'static str, bool, &'static str)> {
    OTHERS.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ' ');
        Some((parts.next()?, parts.next()? == "!", parts.next()?))
    })
}

#[test]
fn other_languages_are_recognised_with_their_emergency_words() {
    let rules = Rules::builtin();
    let mut wrong = Vec::new();
    let (mut count, mut emergencies) = (0, 0);
    for (language, emergency, text) in others() {
        count += 1;
        emergencies += usize::from(emergency);
        let read = rules.other_language(text);
        // Indonesian and Malay share most of their words.
        let same = |id: &str| id == language || matches!((id, language), ("id", "ms") | ("ms", "id"));
        if !read
            .as_ref()
            .is_some_and(|it| same(it.id) && it.whole_message && it.emergency == emergency)
        {
            wrong.push(format!("{language} {emergency} {text}: {read:?}"));
            continue;
        }
        let assessment = rules.assess(text, &PatientFacts::default());
        let is_emergency = assessment.disposition == Disposition::Emergency;
        let flagged = assessment
            .red_flags
            .iter()
            .any(|it| it.id == "emergency-in-another-language");
        if is_emergency != emergency || flagged != emergency || assessment.other_language.is_none() {
            wrong.push(format!("{language} {text}: {assessment:?}"));
        }
    }
    assert!(
        count >= 120 && emergencies * 2 >= count - 10,
        "{emergencies} of {count}"
    );
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn chinese_and_english_are_never_another_language() {
    let rules = Rules::builtin();
    let taken = |text: &str| rules.other_language(text).map(|it| format!("{text}: {it:?}"));
    let list: Vec<&str> = CHINESE_AND_ENGLISH.lines().collect();
    assert!(list.len() >= 200, "{}", list.len());
    let wrong: Vec<String> = list.into_iter().filter_map(taken).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_examples_of_all_red_flags_and_vignettes_are_chinese_or_english() {
    let rules = Rules::builtin();
    let examples = rules
        .red_flag_examples()
        .flat_map(|(_, it)| it.iter().map(String::as_str));
    let vignettes = include_str!("data/vignettes.toml")
        .lines()
        .filter_map(|it| it.split('"').nth(1));
    let mut count = 0;
    let mut wrong = Vec::new();
    for text in examples.chain(vignettes) {
        count += 1;
        for text in [text.to_owned(), text.to_uppercase()] {
            wrong.extend(rules.other_language(&text).map(|it| format!("{text}: {it:?}")));
        }
    }
    assert!(count >= 500, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_emergency_stays_one_however_it_is_written() {
    let rules = Rules::builtin();
    let mut wrong = Vec::new();
    for (_, _, text) in others().filter(|it| it.1) {
        let changes = [
            text.to_uppercase(),
            text.to_lowercase(),
            format!("{text}!!!"),
            text.replace(' ', "  "),
            format!("ok. {text}"),
            format!("Hello doctor, I need help with this: {text}"),
            format!("医生您好，我不会写中文：{text}"),
            format!("{text}\nplease answer me in English"),
        ];
        for changed in changes {
            if rules
                .assess_by_rules(&changed, &PatientFacts::default())
                .disposition
                != Disposition::Emergency
            {
                wrong.push(changed);
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn accents_may_be_left_out() {
    use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
    let rules = Rules::builtin();
    let mut wrong = Vec::new();
    for (language, emergency, text) in others().filter(|it| ["es", "fr", "pt", "vi", "it"].contains(&it.0)) {
        let bare: String = text
            .nfd()
            .filter(|it| !is_combining_mark(*it))
            .collect::<String>()
            .replace(['đ', 'Đ'], "d");
        let decomposed: String = text.nfd().collect();
        for changed in [bare, decomposed] {
            let read = rules.other_language(&changed);
            if !read
                .as_ref()
                .is_some_and(|it| it.id == language && it.emergency == emergency)
            {
                wrong.push(format!("{changed}: {read:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_chinese_or_english_sentence_keeps_its_rules_beside_other_words() {
    let rules = Rules::builtin();
    for (text, flag) in [
        (
            "My chest feels crushed and my left arm is numb, gracias",
            "emergency-in-another-language",
        ),
        (
            "胸口压榨样疼，出冷汗，ありがとう",
            "emergency-in-another-language",
        ),
    ] {
        let assessment = rules.assess(text, &PatientFacts::default());
        assert_eq!(assessment.disposition, Disposition::Emergency, "{text}");
        assert!(
            assessment.red_flags.iter().all(|it| it.id != flag),
            "{text}: {assessment:?}"
        );
    }
    for (text, language) in [
        ("I am a tourist and I have this: dolor en el pecho", "es"),
        ("please translate for my mother: 숨을 못 쉬어요", "ko"),
        ("我老公说他 Brustschmerzen，怎么办", "de"),
        ("我不会说，他说 не могу дышать", "ru"),
    ] {
        let read = rules.other_language(text).unwrap();
        assert_eq!(
            (read.id, read.emergency, read.whole_message),
            (language, true, false),
            "{text}"
        );
    }
}

#[test]
fn the_notice_speaks_the_patients_language_then_english_and_chinese() {
    let rules = Rules::builtin();
    let contacts = EmergencyContacts {
        emergency_number: "999".to_owned(),
        crisis_line: "555".to_owned(),
    };
    for (language, _, text) in others().filter(|it| it.1) {
        let assessment = rules.assess(text, &PatientFacts::default());
        let notice = rules.emergency_notice(&assessment, Language::En, &contacts);
        assert!(
            notice.contains("Please call") && notice.contains("请"),
            "{notice}"
        );
        assert!(!notice.contains(['{', '}']), "{notice}");
        assert!(
            !assessment.self_harm || notice.matches("555").count() >= 2,
            "{notice}"
        );
        if !["nl", "pl", "fil"].contains(&language) {
            assert!(notice.lines().next().unwrap().contains("999"), "{notice}");
            assert!(notice.matches("999").count() >= 3, "{notice}");
        }
    }
    for (language, _, text) in others().filter(|it| !it.1) {
        let sentence = rules.other_language(text).unwrap().sentence(&contacts);
        let own = if ["nl", "pl", "fil", "el", "he", "bn"].contains(&language) {
            2
        } else {
            3
        };
        assert_eq!(
            sentence.lines().filter(|it| it.contains("999")).count(),
            own,
            "{sentence}"
        );
    }
}

#[test]
fn a_text_is_read_in_less_than_a_third_of_a_millisecond() {
    let rules = Rules::builtin();
    let texts: Vec<&str> = others()
        .map(|it| it.2)
        .chain(CHINESE_AND_ENGLISH.lines())
        .collect();
    let read_all = || {
        texts
            .iter()
            .filter(|it| rules.other_language(it).is_some())
            .count()
    };
    read_all();
    // The quickest of some rounds: other programs share the machine.
    let quickest = (0..5).map(|_| {
        let started = Instant::now();
        read_all();
        started.elapsed()
    });
    let each = quickest.min().unwrap() / u32::try_from(texts.len()).unwrap();
    assert!(each.as_micros() < 300, "{each:?}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", start in 0_usize..400, cut in 0_usize..40) {
        let rules = Rules::builtin();
        let _ = rules.other_language(&text);
        let known = OTHERS.lines().nth(start % 150).unwrap_or_default();
        let mixed: String = known.chars().skip(cut).chain(text.chars()).chain(known.chars().take(cut)).collect();
        let _ = rules.assess_by_rules(&mixed, &PatientFacts::default());
    }
}
