use bedside_contract::Disposition;

use super::Rules;
use crate::{
    assessment::{Assessment, FindingStatus, PatientFacts},
    error::RulesProblem,
};

#[test]
fn built_in_files_load() {
    let rules = Rules::load(None).unwrap();
    assert!(
        rules.bundle.red_flags.len() >= 60,
        "{}",
        rules.bundle.red_flags.len()
    );
    assert!(
        rules.bundle.departments.list.len() >= 40,
        "{}",
        rules.bundle.departments.list.len()
    );
}

#[test]
fn a_hospital_may_write_traditional_characters() {
    let own = "[[finding]]\nid = \"cough\"\nzh = [\"嗆嗽\"]\n[[department]]\nid = \"cardiology\"\naliases = [\"心臟專科\"]";
    let rules = Rules::with_additions(own, "own.toml").unwrap();
    assert_eq!(
        rules.assess("呛嗽三天", &PatientFacts::default()).findings[0].name,
        "cough"
    );
}

#[test]
fn a_hospital_adds_its_own() {
    let rules = Rules::with_additions(
        r#"
        [[finding]]
        id = "cough"
        zh = ["呛得慌"]
        [[finding]]
        id = "mine-dust"
        name = { en = "Mine dust", zh = "矿尘" }
        zh = ["矿尘吸入"]
        [[red_flag]]
        id = "mine-dust-cough"
        title = { en = "Mine dust and cough", zh = "吸入矿尘后咳嗽" }
        level = 2
        when = "mine-dust & cough"
        "#,
        "hospital.toml",
    )
    .unwrap();
    let assessment = rules.assess("矿尘吸入后呛得慌", &PatientFacts::default());
    assert_eq!(assessment.red_flags[0].id, "mine-dust-cough");
}

/// Weaker signs stand where nobody doubts them: no second reader, or little else to read.
#[test]
fn only_weaker_signs_are_doubted() {
    let own = |key: &str| {
        let flag = format!(
            "[[red_flag]]\nid = \"pit\"\ntitle = {{ en = \"Pit\", zh = \"矿\" }}\nlevel = 2\n{key} = \"mine-dust\""
        );
        let finding = "[[finding]]\nid = \"mine-dust\"\nname = { en = \"Mine dust\", zh = \"矿尘\" }\nen = [\"mine dust\"]";
        Rules::with_additions(&format!("{finding}\n{flag}"), "own.toml").unwrap()
    };
    let (certain, suspected) = (own("when"), own("suspect"));
    let story = "On the train today I read a lovely old book about how people used to live near the pits, and the \
                 chapter on mine dust was the most interesting one. Have a nice weekend!";
    let little = "mine dust everywhere here";
    let nobody = PatientFacts::default();
    let is_red = |it: Assessment| it.red_flags.iter().any(|it| it.id == "pit");
    for text in [story, little] {
        assert!(is_red(certain.assess(text, &nobody)), "{text}");
        assert!(is_red(certain.assess_by_rules(text, &nobody)), "{text}");
        assert!(is_red(suspected.assess_by_rules(text, &nobody)), "{text}");
    }
    assert!(is_red(suspected.assess(little, &nobody)));

    let rules = Rules::builtin();
    let leaflet = "I'm volunteering for a listening line next month. Is there a leaflet for how to ask a person about \
                   suicide? I'm fine myself.";
    assert!(!rules.assess_by_rules(leaflet, &nobody).red_flags.is_empty());
    let doubted = rules.assess(leaflet, &nobody);
    assert!(doubted.red_flags.is_empty() && doubted.disposition < Disposition::Emergency);
    assert!(doubted.medical && !doubted.self_harm);
}

/// What a hospital writes as certain holds below an emergency, too.
#[test]
fn a_rule_is_doubted_only_where_it_suspects() {
    let own = |key: &str| {
        let finding = "[[finding]]\nid = \"mine-dust\"\nname = { en = \"Mine dust\", zh = \"矿尘\" }\nen = [\"mine dust\"]";
        let rule =
            format!("[[rule]]\nid = \"dust-today\"\n{key} = \"mine-dust\"\ndisposition = \"same-day\"");
        Rules::with_additions(&format!("{finding}\n{rule}"), "own.toml").unwrap()
    };
    let story = "On the train today I read a lovely old book about how people used to live near the pits, and the \
                 chapter on mine dust was the most interesting one. Have a nice weekend!";
    let nobody = PatientFacts::default();
    let (certain, suspected) = (own("when"), own("suspect"));
    for (rules, with_reader) in [
        (&certain, Disposition::SameDay),
        (&suspected, Disposition::SelfCare),
    ] {
        assert_eq!(
            rules.assess_by_rules(story, &nobody).disposition,
            Disposition::SameDay
        );
        assert_eq!(rules.assess(story, &nobody).disposition, with_reader);
        assert_eq!(
            rules.assess("mine dust everywhere", &nobody).disposition,
            Disposition::SameDay
        );
    }
}

#[test]
fn errors_name_the_place() {
    let error = |text: &str| {
        Rules::with_additions(text, "own.toml")
            .err()
            .map(|it| it.to_string())
            .unwrap()
    };
    let unknown = error("\n\n[[rule]]\nid = \"x\"\nwhen = \"fever & nonsense\"\ndisposition = \"same-day\"");
    assert!(
        unknown.starts_with("own.toml:4: rule `x`: nothing is called `nonsense`"),
        "{unknown}"
    );
    let syntax = error("\n[[rule]\n");
    assert!(syntax.starts_with("own.toml:2: "), "{syntax}");
    let form = error("[[finding]]\nid = \"cough\"\nzh = [\"{a\"]");
    assert!(form.contains("own.toml:2: finding `cough`: form `{a`"), "{form}");
    let condition = error("[[rule]]\nid = \"x\"\nwhen = \"fever &\"\ndisposition = \"same-day\"");
    assert!(condition.contains("at character 8"), "{condition}");
    let never = error("[[red_flag]]\nid = \"x\"\ntitle = { en = \"\", zh = \"\" }\nlevel = 1");
    assert!(
        never.starts_with("own.toml:2: red flag `x`: `when` or `suspect`"),
        "{never}"
    );
    let example = error(
        "[[red_flag]]\nid = \"x\"\ntitle = { en = \"\", zh = \"\" }\nlevel = 1\nwhen = \"fever\"\nexamples = [\"fever\", \"no fever\"]",
    );
    assert!(
        example.starts_with("own.toml:2: red flag `x`: its example `no fever`"),
        "{example}"
    );
    let duplicate = Rules::with_additions(
        "[[red_flag]]\nid = \"stroke\"\ntitle = { en = \"\", zh = \"\" }\nlevel = 1\nwhen = \"fever\"",
        "own.toml",
    );
    let problem = duplicate.err().map(|it| it.problem);
    assert!(matches!(problem.as_deref(), Some(RulesProblem::Duplicate { .. })));
}

/// "No bleeding" is a circumstance of its own; its "no" still reaches over the list behind it.
#[test]
fn denials_that_are_circumstances_reach_over_the_list_behind_them() {
    let rules = Rules::builtin();
    for (text, denied) in [
        (
            "INR today 7.2. No bleeding, bruising, headache or falls. Obs normal.",
            "headache",
        ),
        ("No bleeding of any kind, vomiting or headache", "headache"),
        ("No warning signs, cough, fever or rash", "fever"),
        ("没有出血、头痛、呕吐", "headache"),
        ("无出血，无头痛、发热", "fever"),
    ] {
        let said = rules.assess_by_rules(text, &PatientFacts::default());
        let found = said.findings.iter().filter(|it| it.name == denied);
        let statuses: Vec<_> = found.map(|it| it.status).collect();
        assert_eq!(statuses, [FindingStatus::Absent], "{text}: {denied}");
    }
}
