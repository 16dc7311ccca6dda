//! `bedside triage`: urgency and departments only, no model.

use std::{io::BufRead as _, process::ExitCode};

use anyhow::Context;
use bedside_contract::Language;
use bedside_triage::{Assessment, EmergencyContacts, PatientFacts, Rules, Sex};
use serde::Deserialize;
use serde_json::json;

use crate::{cli::TriageArguments, config::Config, output::say, wiring::rules};

/// One line of input.
#[derive(Debug, Deserialize)]
struct Case {
    id: serde_json::Value,
    text: String,
    /// Years.
    #[serde(default)]
    age: Option<f32>,
    #[serde(default)]
    sex: Option<String>,
    /// Choose among these only.
    #[serde(default)]
    departments: Option<Vec<String>>,
}

pub(crate) fn run(config: &Config, arguments: &TriageArguments) -> anyhow::Result<ExitCode> {
    let rules = rules(config)?;
    if arguments.jsonl {
        return lines(rules);
    }
    let text = super::text_or_standard_input(arguments.text.as_deref())?;
    let language = Language::detect(&text).unwrap_or(config.bot.default_language);
    let assessment = rules.assess(&text, &PatientFacts::default());
    say(&in_words(rules, &assessment, language, &config.bot.contacts()));
    Ok(ExitCode::SUCCESS)
}

fn lines(rules: &Rules) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line.with_context(|| format!("line {number}: not UTF-8"))?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Case>(&line) {
            Ok(case) => say(&assess(rules, &case).to_string()),
            Err(error) => {
                failed = true;
                // The parser's message may quote what a patient wrote; its place does not.
                crate::output::complain(&format!(
                    "bedside: line {number}, column {}: not an object with \"id\" and \"text\"",
                    error.column()
                ));
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn assess(rules: &Rules, case: &Case) -> serde_json::Value {
    let sex = case
        .sex
        .as_deref()
        .and_then(|word| match word.trim().to_lowercase().as_str() {
            "f" | "female" | "woman" | "girl" | "女" | "女性" => Some(Sex::Female),
            "m" | "male" | "man" | "boy" | "男" | "男性" => Some(Sex::Male),
            _ => None,
        });
    let facts = PatientFacts {
        age_years: case.age,
        sex,
        ..PatientFacts::default()
    };
    let assessment = rules.assess(&case.text, &facts);
    let departments = match &case.departments {
        Some(offered) => rules.choose_departments(&assessment, offered),
        None => {
            let language = Language::detect(&case.text).unwrap_or_default();
            assessment
                .departments
                .iter()
                .map(|it| rules.department_name(it, language))
                .collect()
        }
    };
    json!({
        "id": case.id,
        "disposition": assessment.disposition.name(),
        "level": assessment.level,
        "red_flags": assessment.red_flags.iter().map(|it| &it.id).collect::<Vec<_>>(),
        "departments": departments,
        "findings": assessment.findings,
        "missing": assessment.missing,
    })
}

fn in_words(
    rules: &Rules,
    assessment: &Assessment,
    language: Language,
    contacts: &EmergencyContacts,
) -> String {
    let mut lines = vec![
        rules.disposition_text(assessment.disposition, language),
        rules.level_text(assessment, language, contacts),
    ];
    for flag in &assessment.red_flags {
        let title = if language == Language::Zh {
            &flag.title_zh
        } else {
            &flag.title_en
        };
        lines.push(format!("! {title}"));
    }
    let departments: Vec<_> = assessment
        .departments
        .iter()
        .map(|it| rules.department_name(it, language))
        .collect();
    if !departments.is_empty() {
        lines.push(departments.join(if language == Language::Zh { "、" } else { ", " }));
    }
    lines.extend(
        assessment
            .missing
            .iter()
            .filter_map(|it| rules.question_for(it, language))
            .map(|it| format!("? {it}")),
    );
    lines.join("\n")
}
