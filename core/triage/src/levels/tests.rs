use bedside_contract::{Disposition, Language};
use serde::Deserialize;

use super::{
    Colour, Level, Levels, LevelsSetting, Scheme,
    Urgency::{self, Emergency, Immediate, OutPatient, SameDay, SelfCare},
    time_text,
};
use crate::{
    OutputGate, OutputVerdict, Rules, Words,
    assessment::{EmergencyContacts, PatientFacts},
    notice,
};

#[derive(Deserialize)]
struct Section {
    levels: LevelsSetting,
}

fn setting(toml: &str) -> LevelsSetting {
    toml::from_str::<Section>(toml).unwrap().levels
}

/// A list of levels with these dispositions, minutes growing by ten.
fn own(dispositions: &[&[Urgency]]) -> Vec<Level> {
    let level = |(index, of): (usize, &&[Urgency])| Level {
        id: format!("L{index}"),
        name: Words {
            en: "name".to_owned(),
            zh: "名称".to_owned(),
        },
        colour: Colour::Grey,
        minutes: u32::try_from(index * 10).ok(),
        dispositions: of.to_vec(),
        ambulance: false,
    };
    dispositions.iter().enumerate().map(level).collect()
}

#[test]
fn each_urgency_has_its_number_in_every_scheme() {
    let all = [Immediate, Emergency, SameDay, OutPatient, SelfCare];
    let two = LevelsSetting::Own(own(&[&[Emergency], &[SelfCare, SameDay, OutPatient]]));
    let cases = [
        (LevelsSetting::BuiltIn(Scheme::China2018), [1, 2, 3, 4, 4]),
        (LevelsSetting::BuiltIn(Scheme::Five), [1, 2, 3, 4, 5]),
        // Whoever makes no difference within the emergency need not name both.
        (two, [1, 1, 2, 2, 2]),
    ];
    for (setting, expect) in cases {
        let levels = setting.levels().unwrap();
        assert_eq!(all.map(|it| levels.number(it)), expect, "{}", levels.name());
        for number in expect {
            assert!(levels.numbered(number).is_some());
        }
        assert_eq!(levels.numbered(0), None);
    }
}

#[test]
fn the_built_in_schemes_pass_the_checks_for_a_hospitals_own() {
    for scheme in [Scheme::China2018, Scheme::Five] {
        let list = Levels::built_in(scheme).list().to_vec();
        let levels = LevelsSetting::Own(list).levels().unwrap();
        assert!(levels.name().starts_with("own "), "{}", levels.name());
    }
}

#[test]
fn a_setting_is_a_name_or_a_list() {
    assert_eq!(setting("levels = 'five'"), LevelsSetting::BuiltIn(Scheme::Five));
    let list = include_str!("../../data/levels.toml");
    let LevelsSetting::Own(own) = setting(&list.replace("[[five]]", "[[levels]]").replace("china-2018", "x"))
    else {
        panic!("no list");
    };
    assert_eq!(own, Levels::built_in(Scheme::Five).list());
    let wrong = |toml: &str| toml::from_str::<Section>(toml).err().map(|it| it.to_string());
    assert!(wrong("levels = 'six'").unwrap().contains("china-2018"));
    assert!(wrong("levels = 4").unwrap().contains("[[triage.levels]]"));
    // As it goes to the triage plugin.
    for setting in [LevelsSetting::BuiltIn(Scheme::Five), LevelsSetting::Own(own)] {
        let sent = serde_json::to_value(&setting).unwrap();
        assert_eq!(serde_json::from_value::<LevelsSetting>(sent).unwrap(), setting);
    }
}

#[test]
fn what_is_wrong_with_a_list_is_told_with_its_place() {
    let check = |list: Vec<Level>, expect: &[(Option<usize>, Option<&str>, &str)]| {
        let problems = LevelsSetting::Own(list).levels().unwrap_err();
        let found: Vec<_> = problems
            .iter()
            .map(|it| (it.level, it.key, it.problem.to_string()))
            .collect();
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for ((level, key, words), found) in expect.iter().zip(&found) {
            assert!(
                found.0 == *level && found.1 == *key && found.2.contains(words),
                "{found:?}"
            );
        }
    };
    let dispositions = Some("dispositions");
    check(
        own(&[&[Emergency], &[SameDay, SelfCare]]),
        &[(
            None,
            None,
            "a gap: no level has \"out-patient\" among its dispositions",
        )],
    );
    check(
        Vec::new(),
        &[
            (None, None, "emergency"),
            (None, None, "same-day"),
            (None, None, "out-patient"),
            (None, None, "self-care"),
        ],
    );
    check(
        own(&[&[Emergency], &[SameDay, OutPatient], &[OutPatient, SelfCare]]),
        &[(
            Some(2),
            dispositions,
            "an overlap: \"out-patient\" leads to level \"L1\" already",
        )],
    );
    check(
        own(&[&[Emergency, Emergency], &[SameDay, OutPatient, SelfCare]]),
        &[(Some(0), dispositions, "an overlap")],
    );
    check(
        own(&[&[Emergency], &[OutPatient, SelfCare], &[SameDay]]),
        &[(Some(2), dispositions, "write the most urgent level first")],
    );
    check(
        own(&[&[Emergency], &[SameDay, OutPatient, SelfCare], &[]]),
        &[(Some(2), dispositions, "nothing leads to this level")],
    );
    let mut words = own(&[&[Emergency], &[SameDay, OutPatient, SelfCare], &[Immediate]]);
    words[1].id = "L0".to_owned();
    words[1].name.zh = " ".to_owned();
    words[1].minutes = None;
    words[2].dispositions.clear();
    words[2].minutes = Some(5);
    words[0].minutes = Some(6);
    check(
        words,
        &[
            (Some(1), Some("id"), "\"L0\" is the id of another level already"),
            (Some(1), Some("name"), "is empty"),
            (Some(2), dispositions, "nothing leads"),
            (Some(2), Some("minutes"), "5 is sooner than the 6 minutes"),
        ],
    );
}

#[test]
fn times_are_said_in_words() {
    let check = |minutes, en: &str, zh: &str| {
        assert_eq!(time_text(minutes, Language::En), en);
        assert_eq!(time_text(minutes, Language::Zh), zh);
    };
    check(1, "1 minute", "1分钟");
    check(90, "90 minutes", "90分钟");
    check(60, "1 hour", "1小时");
    check(240, "4 hours", "4小时");
    check(2880, "2 days", "2天");
}

#[test]
fn a_level_is_told_in_both_languages_whatever_the_scheme() {
    let contacts = EmergencyContacts::default();
    let china = Rules::with_additions("", "").unwrap();
    let five = Rules::with_additions("", "")
        .unwrap()
        .with_levels(Levels::built_in(Scheme::Five));
    let arrest = "My father is not breathing and has no pulse";
    let cold = "I have had a runny nose since yesterday, nothing else";
    let cases = [
        (
            &china,
            arrest,
            Language::En,
            "Level I, critical (red), to be seen at once. Ambulance: 120",
        ),
        (
            &china,
            arrest,
            Language::Zh,
            "I级 急危（红色），到院立即接诊。派救护车：120",
        ),
        (
            &china,
            cold,
            Language::En,
            "Level IV, sub-acute or routine (green)",
        ),
        (
            &five,
            arrest,
            Language::En,
            "Level 1, immediate (red), to be seen at once. Ambulance: 120",
        ),
        (&five, cold, Language::Zh, "5级 非急（蓝色），到院2小时内接诊"),
        (
            &five,
            cold,
            Language::En,
            "Level 5, routine (blue), to be seen within 2 hours of arrival",
        ),
    ];
    for (rules, text, language, expect) in cases {
        let assessment = rules.assess(text, &PatientFacts::default());
        let line = rules.level_text(&assessment, language, &contacts);
        assert_eq!(line, expect, "{text}");
        assert_eq!(OutputGate::default().check(&line), OutputVerdict::Pass, "{line}");
    }
    assert!(!china.version().contains("levels") && five.version().ends_with("levels five"));
    for colour in [
        "red", "orange", "yellow", "green", "blue", "purple", "white", "grey", "black",
    ] {
        let colour: Colour = serde_json::from_value(colour.into()).unwrap();
        let key = format!("colour-{}", colour.name());
        for language in [Language::En, Language::Zh] {
            assert!(!notice::text(china.bundle(), &key, language).is_empty(), "{key}");
        }
    }
}

/// Only how an emergency is told apart within itself decides between the first two levels.
#[test]
fn red_flags_decide_between_the_first_two_levels_and_no_scheme_changes_a_disposition() {
    let china = Rules::builtin();
    let five = Rules::with_additions("", "")
        .unwrap()
        .with_levels(Levels::built_in(Scheme::Five));
    let mut seen = [0; 2];
    for (_, examples) in china.red_flag_examples() {
        for example in examples {
            let of_four = china.assess(example, &PatientFacts::default());
            let of_five = five.assess(example, &PatientFacts::default());
            let flags: Vec<u8> = of_four
                .red_flags
                .iter()
                .filter_map(|it| china.bundle().red_flags.iter().find(|flag| flag.id == it.id))
                .map(|it| it.level)
                .collect();
            assert_eq!(Some(&of_four.level), flags.iter().min(), "{example}");
            assert_eq!(
                (of_five.level, of_five.disposition),
                (of_four.level, Disposition::Emergency)
            );
            if let Some(count) = seen.get_mut(usize::from(of_four.level) - 1) {
                *count += 1;
            }
        }
    }
    assert!(seen.iter().all(|it| *it > 50), "{seen:?}");
}
