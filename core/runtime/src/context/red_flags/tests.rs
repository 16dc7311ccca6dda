use bedside_contract::{Disposition, Language};
use bedside_triage::Rules;
use proptest::prelude::{prop_assert, proptest};

use super::{assess_alone, assess_long, assess_together};

/// Before what patients write in fear.
const PREFIXES: [&str; 9] = [
    "/new ",
    "/start ",
    "/human ",
    "/language ",
    "/help me ",
    "/emergency ",
    "／sos ",
    "/救命 ",
    "language:",
];

fn examples() -> Vec<(&'static str, &'static str)> {
    let rules = Rules::builtin();
    rules
        .red_flag_examples()
        .flat_map(|(id, examples)| examples.iter().map(move |it| (id, it.as_str())))
        .collect()
}

fn is_emergency(text: &str) -> bool {
    assess_alone(Rules::builtin(), text).disposition == Disposition::Emergency
}

#[test]
fn no_command_hides_a_red_flag() {
    let mut hidden = Vec::new();
    for (id, example) in examples() {
        for prefix in PREFIXES {
            if !is_emergency(&format!("{prefix}{example}")) {
                hidden.push(format!("{id}: {prefix}{example}"));
            }
        }
    }
    assert_eq!(hidden, Vec::<String>::new());
}

#[test]
fn a_command_alone_is_no_emergency() {
    for text in [
        "/new",
        "/start",
        "/help",
        "/human",
        "/stop",
        "／新对话",
        "language:zh",
        "consent:yes",
        "/delete",
    ] {
        assert!(!is_emergency(text), "{text}");
    }
}

/// Every place where an example may be cut between two words, so that neither half is a red flag alone.
#[test]
fn a_red_flag_in_two_messages_is_put_together() {
    let rules = Rules::builtin();
    let (mut cut, mut missed) = (0, Vec::new());
    for (id, example) in examples() {
        let is_chinese = Language::detect(example) == Some(Language::Zh);
        let places = example.char_indices().skip(1).filter(|(_, it)| {
            if is_chinese {
                matches!(it, '，' | '、' | '。' | ' ')
            } else {
                *it == ' '
            }
        });
        for (at, _) in places {
            let (first, second) = example.split_at(at);
            let (first, second) = (first.trim(), second.trim());
            let second = second.trim_start_matches(['，', '、', '。', ',', '.']).trim();
            if first.is_empty() || second.is_empty() || is_emergency(first) || is_emergency(second) {
                continue;
            }
            // Cut there, the words themselves must still make the flag.
            if ![" ", "\n", ""]
                .iter()
                .any(|it| is_emergency(&format!("{first}{it}{second}")))
            {
                continue;
            }
            cut += 1;
            let together = assess_together(rules, &[first], second);
            if together.disposition < Disposition::Emergency {
                missed.push(format!("{id}: {first} | {second}"));
            }
        }
    }
    assert!(cut > 200, "only {cut} examples could be cut");
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn all_that_waits_for_consent_counts_and_what_had_its_notice_does_not() {
    let rules = Rules::builtin();
    let check = |before: &[&str], text: &str, expect: bool| {
        let found = assess_together(rules, before, text).disposition == Disposition::Emergency;
        assert_eq!(found, expect, "{before:?} and {text}");
    };
    check(
        &["I have crushing chest pain and cannot breathe"],
        "thank you",
        false,
    );
    check(&["what helps against a cold?"], "yes", false);
    check(&["感冒了怎么办？"], "谢谢", false);
    check(&[], "hello", false);
}

#[test]
fn nothing_is_too_long_to_be_read() {
    let rules = Rules::builtin();
    let noise = "the weather was fine and we went home. ".repeat(3_000);
    let flag = "My chest feels crushed and my left arm is numb. ";
    let started = std::time::Instant::now();
    for text in [
        format!("{flag}{noise}"),
        format!("{noise}{flag}{noise}"),
        format!("{noise}{flag}"),
    ] {
        assert_eq!(assess_long(rules, &text).disposition, Disposition::Emergency);
    }
    assert!(assess_long(rules, &noise).disposition < Disposition::Emergency);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,80}", before in proptest::collection::vec("\\PC{0,40}", 0..3)) {
        let rules = Rules::builtin();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let alone = assess_alone(rules, &text).disposition;
        prop_assert!(assess_together(rules, &before, &text).disposition >= alone);
        prop_assert!(assess_long(rules, &text).disposition >= alone);
    }
}
