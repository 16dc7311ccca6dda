use super::Rules;
use crate::{assessment::PatientFacts, error::RulesProblem};

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
    let duplicate = Rules::with_additions(
        "[[red_flag]]\nid = \"stroke\"\ntitle = { en = \"\", zh = \"\" }\nlevel = 1\nwhen = \"fever\"",
        "own.toml",
    );
    let problem = duplicate.err().map(|it| it.problem);
    assert!(matches!(problem.as_deref(), Some(RulesProblem::Duplicate { .. })));
}
