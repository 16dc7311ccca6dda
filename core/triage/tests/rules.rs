//! The built-in rules against texts of our own: vignettes, statuses, red flags' examples, speed.

use std::{collections::BTreeMap, time::Instant};

use bedside_contract::{Disposition, Language};
use bedside_triage::{Assessment, EmergencyContacts, FindingStatus, PatientFacts, Rules, Sex};
use proptest::prelude::*;
use serde::Deserialize;

fn assess(text: &str) -> Assessment {
    Rules::builtin().assess(text, &PatientFacts::default())
}

fn flags(assessment: &Assessment) -> Vec<&str> {
    assessment.red_flags.iter().map(|it| it.id.as_str()).collect()
}

#[test]
fn every_red_flag_has_examples_that_raise_it() {
    let mut failures = Vec::new();
    for (id, examples) in Rules::builtin().red_flag_examples() {
        let chinese = examples
            .iter()
            .any(|it| Language::detect(it) == Some(Language::Zh));
        let english = examples
            .iter()
            .any(|it| Language::detect(it) == Some(Language::En));
        if !chinese || !english {
            failures.push(format!("{id}: needs a Chinese and an English example"));
        }
        for example in examples {
            let assessment = assess(example);
            if !flags(&assessment).contains(&id) {
                failures.push(format!(
                    "{id}: {example}: {:?} {:?}",
                    flags(&assessment),
                    assessment.findings
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The manual's file does what it says.
#[test]
fn the_manual_s_own_rules_work() {
    let manual = include_str!("../../../docs/triage-rules.md");
    let (_, rest) = manual.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let rules = Rules::with_additions(example, "triage.toml").unwrap();
    let assess = |text: &str| rules.assess(text, &PatientFacts::default());
    let splash = assess("在电池厂上班，电解液溅上来了，眼睛刺挠得慌");
    assert_eq!(flags(&splash)[0], "electrolyte-splash");
    let spilled = assess("Some electrolyte has spilled over my boots, nothing else");
    assert_eq!(spilled.disposition, Disposition::SameDay);
    let no_pain = assess("some battery fluid on my boots, my eyes do not hurt");
    assert!(!flags(&no_pain).contains(&"electrolyte-splash"));
}

#[test]
fn vignettes_get_their_level() {
    let data: BTreeMap<Disposition, Vec<String>> =
        toml::from_str(include_str!("data/vignettes.toml")).unwrap();
    let (mut right, mut safe, mut missed, mut total) = (0, 0, Vec::new(), 0);
    let mut wrong = Vec::new();
    for (expect, texts) in &data {
        for text in texts {
            let assessment = assess(text);
            total += 1;
            right += usize::from(assessment.disposition == *expect);
            safe += usize::from(assessment.disposition >= *expect);
            if !assessment.medical {
                wrong.push(format!("{text}: not taken for medical"));
            }
            if assessment.disposition != *expect {
                wrong.push(format!(
                    "{text}: {} for {}, {:?}",
                    assessment.disposition.name(),
                    expect.name(),
                    flags(&assessment)
                ));
            }
            if *expect == Disposition::Emergency && assessment.disposition != Disposition::Emergency {
                missed.push(text.clone());
            }
        }
    }
    assert!(total >= 120, "{total}");
    println!("{right} right, {safe} safe of {total}\n{}", wrong.join("\n"));
    assert_eq!(missed, Vec::<String>::new(), "emergencies missed");
    assert!(
        safe * 100 >= total * 98 && right * 100 >= total * 95,
        "{right} right, {safe} safe of {total}\n{}",
        wrong.join("\n")
    );
}

#[derive(Deserialize)]
struct Statuses {
    cases: Vec<String>,
}

#[test]
fn negation_and_experiencer() {
    let data: Statuses = toml::from_str(include_str!("data/statuses.toml")).unwrap();
    assert!(data.cases.len() >= 60);
    let (mut hits, mut said, mut wanted) = (0_f32, 0_f32, 0_f32);
    let mut wrong = Vec::new();
    for case in &data.cases {
        let [text, finding, status] = case.split('|').collect::<Vec<_>>()[..] else {
            panic!("{case}")
        };
        let assessment = assess(text);
        let found = assessment
            .findings
            .iter()
            .find(|it| it.name == finding)
            .map(|it| it.status);
        let expect: FindingStatus = serde_json::from_value(status.into()).unwrap();
        wanted += f32::from(u8::from(expect == FindingStatus::Absent));
        said += f32::from(u8::from(found == Some(FindingStatus::Absent)));
        hits += f32::from(u8::from(found == Some(expect) && expect == FindingStatus::Absent));
        if found != Some(expect) {
            wrong.push(format!("{case}: {found:?}"));
        }
    }
    let f1 = 2.0 * hits / (said + wanted);
    assert!(f1 >= 0.95, "F1 of 'absent' is {f1}\n{}", wrong.join("\n"));
    assert!(wrong.len() * 20 <= data.cases.len(), "{}", wrong.join("\n"));
}

#[test]
fn what_must_be_an_emergency() {
    for text in [
        "My chest feels crushed and my left arm is numb",
        "胸口压榨样疼，左胳膊发麻",
        "胸口壓榨樣疼，左胳膊發麻",
    ] {
        let assessment = assess(text);
        assert_eq!(assessment.disposition, Disposition::Emergency, "{text}");
        assert_eq!(assessment.level, 1);
        assert_eq!(assessment.departments[..2], ["emergency", "cardiology"], "{text}");
    }
    let other = assess("我爸突然晕倒了");
    assert_eq!(other.disposition, Disposition::Emergency);
    assert_eq!(other.findings[0].status, FindingStatus::OtherPerson);
    assert_eq!(assess("My father collapsed").disposition, Disposition::Emergency);
}

#[test]
fn stories_and_questions_are_no_emergency() {
    for text in [
        "My father had a heart attack years ago",
        "我爷爷得过脑梗",
        "What are the symptoms of a stroke?",
        "心梗有什么症状",
        "中风的早期症状有哪些？",
        "Can stress cause a heart attack?",
        "小时候抽搐过，现在体检",
        "What should I do if someone has a seizure?",
        "打疫苗会不会抽搐？",
        "My uncle died of a stroke",
        "没有胸痛，没有呼吸困难，只是有点咳嗽",
        "No chest pain, no trouble breathing, just a cough",
    ] {
        let assessment = assess(text);
        assert_ne!(
            assessment.disposition,
            Disposition::Emergency,
            "{text}: {:?}",
            flags(&assessment)
        );
        assert!(assessment.red_flags.is_empty());
    }
    let both = assess("What are the symptoms of a stroke? My face is drooping and my speech is slurred.");
    assert_eq!(both.disposition, Disposition::Emergency);
}

#[test]
fn talk_that_is_not_medical() {
    for text in [
        "你好",
        "hello",
        "谢谢你",
        "今天天气不错",
        "What time do you open?",
        "🙂",
        "",
        "120",
    ] {
        let assessment = assess(text);
        assert!(!assessment.medical, "{text}: {:?}", assessment.findings);
        assert!(assessment.departments.is_empty() && assessment.missing.is_empty());
    }
    assert!(assess("我不舒服").medical);
    assert_eq!(assess("我不舒服").disposition, Disposition::OutPatient);
}

#[test]
fn known_facts_count() {
    let facts = |age: f32, sex: Sex, pregnant: Option<bool>| PatientFacts {
        age_years: Some(age),
        sex: Some(sex),
        pregnant,
    };
    let rules = Rules::builtin();
    let baby = rules.assess("fever since last night", &facts(0.15, Sex::Male, None));
    assert_eq!(baby.disposition, Disposition::Emergency);
    let grown_up = rules.assess_by_rules("fever since last night", &facts(30.0, Sex::Male, None));
    assert_eq!(grown_up.disposition, Disposition::SelfCare);
    let pregnant = rules.assess_by_rules("肚子痛", &facts(30.0, Sex::Female, Some(true)));
    assert_eq!(pregnant.disposition, Disposition::SameDay);
    assert!(
        rules
            .assess("肚子痛", &facts(30.0, Sex::Female, None))
            .missing
            .contains(&"pregnancy".to_owned())
    );
    assert!(
        !rules
            .assess("肚子痛", &facts(30.0, Sex::Male, None))
            .missing
            .contains(&"pregnancy".to_owned())
    );
}

#[test]
fn what_is_missing_has_a_question() {
    let rules = Rules::builtin();
    let assessment = assess("头疼");
    assert_eq!(assessment.missing[..2], ["age", "duration"]);
    for missing in &assessment.missing {
        for language in [Language::En, Language::Zh] {
            assert!(
                rules
                    .question_for(missing, language)
                    .is_some_and(|it| !it.is_empty()),
                "{missing}"
            );
        }
    }
    assert_eq!(
        rules.question_for("age", Language::En).as_deref(),
        Some("How old is the patient?")
    );
    assert!(
        assess("5岁孩子头疼两天")
            .missing
            .iter()
            .all(|it| it != "age" && it != "duration")
    );
}

#[test]
fn notices_say_what_to_do() {
    let rules = Rules::builtin();
    let contacts = EmergencyContacts {
        emergency_number: "999".to_owned(),
        crisis_line: "555".to_owned(),
    };
    let heart = rules.emergency_notice(&assess("胸口压榨样疼，左胳膊发麻"), Language::En, &contacts);
    assert!(
        heart.contains("Possible heart attack") && heart.contains("999") && !heart.contains('{'),
        "{heart}"
    );
    let harm = assess("我不想活了");
    assert!(harm.self_harm);
    let notice = rules.emergency_notice(&harm, Language::Zh, &contacts);
    assert!(
        notice.contains("555") && notice.contains("999") && notice.contains("身边"),
        "{notice}"
    );
    for (id, examples) in rules.red_flag_examples() {
        let assessment = assess(&examples[0]);
        for language in [Language::En, Language::Zh] {
            let notice = rules.emergency_notice(&assessment, language, &contacts);
            assert!(
                notice.contains("999") && !notice.contains('{') && notice.chars().count() < 900,
                "{id}: {notice}"
            );
        }
    }
    for disposition in [
        Disposition::Emergency,
        Disposition::SameDay,
        Disposition::OutPatient,
        Disposition::SelfCare,
    ] {
        assert!(!rules.disposition_text(disposition, Language::En).is_empty());
        assert!(!rules.disposition_text(disposition, Language::Zh).contains('{'));
    }
    assert!(
        rules
            .safety_net(&["cough".to_owned()], Language::En)
            .contains("blood")
    );
    assert!(!rules.safety_net(&[], Language::Zh).is_empty());
}

#[test]
fn departments_are_found() {
    // Both see to it.
    let thyroid = assess("甲状腺结节").departments;
    assert!(
        thyroid
            .iter()
            .all(|it| it == "endocrinology" || it == "thyroid-breast-surgery")
            && !thyroid.is_empty(),
        "{thyroid:?}"
    );
    for (text, expect) in [
        ("皮肤起红疹很痒", "dermatology"),
        ("牙疼两天", "dentistry"),
        ("膝盖疼", "orthopedics"),
        ("月经不规律", "gynecology"),
        ("失眠两个月", "psychology"),
        ("My ear hurts", "ent"),
        ("blurred vision", "ophthalmology"),
        ("4岁孩子咳嗽", "pediatrics"),
        ("白内障手术怎么挂号", "ophthalmology"),
        ("胃疼反酸", "gastroenterology"),
    ] {
        let assessment = assess(text);
        assert_eq!(
            assessment.departments.first().map(String::as_str),
            Some(expect),
            "{text}"
        );
    }
    let rules = Rules::builtin();
    let offered = ["骨科", "心血管内科", "消化科"].map(str::to_owned);
    assert_eq!(
        rules.choose_departments(&assess("心慌，早搏"), &offered),
        ["心血管内科"]
    );
    assert_eq!(rules.department_name("cardiology", Language::Zh), "心内科");
    assert_eq!(rules.department_name("cardiology", Language::En), "Cardiology");
}

#[test]
fn offsets_count_characters_of_the_original() {
    let text = "🙂我頭 疼，没有 發燒";
    let characters: Vec<char> = text.chars().collect();
    let assessment = assess(text);
    let words: Vec<String> = assessment
        .findings
        .iter()
        .map(|it| characters[it.start..it.end].iter().collect())
        .collect();
    assert_eq!(words, ["頭 疼", "發燒"]);
}

#[test]
fn fast_enough_to_run_on_every_message() {
    let texts = [
        "我胸口疼了半个小时，像压着东西，出了一身冷汗，没有发烧、咳嗽，以前有高血压，吃降压药，昨天晚上开始的，越来越厉害，怎么办",
        "58-year-old man with chest pain radiating to his left arm and nausea for 40 minutes, no fever, no cough, history of diabetes and high blood pressure, takes metformin",
        "感冒两天，流鼻涕打喷嚏",
    ];
    let started = Instant::now();
    assess("先装载");
    let load = started.elapsed();
    for text in texts {
        assess(text);
    }
    let mut times: Vec<_> = (0..300)
        .map(|round| {
            let started = Instant::now();
            std::hint::black_box(assess(texts[round % texts.len()]));
            started.elapsed()
        })
        .collect();
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "load {load:?}, median {median:?}, slowest {:?}",
        times[times.len() - 1]
    );
    assert!(median.as_micros() < 1000, "{median:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_without_panic(text in any_text()) {
        let length = text.chars().count();
        for finding in assess(&text).findings {
            prop_assert!(finding.start < finding.end && finding.end <= length, "{finding:?} in {length}");
        }
    }
}

/// Random Unicode, and random joins of what the rules know.
fn any_text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "没有",
        "发烧",
        "，",
        "、",
        "胸痛",
        "我爸",
        "突然",
        "no ",
        "fever",
        ", ",
        " or ",
        "chest pain",
        "3个月",
        "38.5℃",
        "？",
        "。",
        "\u{301}",
        "ﬁ",
        "頭疼",
        " ",
        "\n",
        "如果",
        "what are the symptoms of ",
        "'",
        "120/80",
        "🙂",
        "半",
        "i can",
        "ß",
        "İ",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(words, 0..25).prop_map(|it| it.concat())
    ]
}
