//! Unlabelled questions as people ask them: which are called emergencies, each shown so that a person can judge.

use std::{io::Write, path::Path};

use anyhow::{Context, bail};
use bedside_triage::{Assessment, Disposition, FindingStatus, PatientFacts, Rules};
use serde_json::Value;

/// Where a question stands in an object or under which heading of a table, the likeliest first.
const NAMES: &[&str] = &[
    "text", "question", "ask", "input", "message", "query", "q", "title",
];

/// Reads the questions of a file, shows each that is called an emergency, and counts them.
pub(crate) fn show_alarms(
    rules: &Rules,
    file: &Path,
    sample: Option<usize>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let questions = read(file)?;
    let chosen = spread(&questions, sample.unwrap_or(questions.len()));
    let (mut by_rules, mut together) = (0, 0);
    for question in &chosen {
        let facts = PatientFacts::default();
        let alone = rules.assess_by_rules(question, &facts);
        let both = rules.assess(question, &facts);
        by_rules += usize::from(alone.disposition == Disposition::Emergency);
        if both.disposition == Disposition::Emergency {
            together += 1;
            writeln!(out, "{}: {}", why(&both), question.replace('\n', " / "))?;
        }
    }
    let share = |count: usize| 100.0 * count as f32 / chosen.len().max(1) as f32;
    writeln!(
        out,
        "{}: {} questions, called emergencies: {together} ({:.1} %), by the rules alone {by_rules} ({:.1} %)",
        file.display(),
        chosen.len(),
        share(together),
        share(by_rules)
    )?;
    Ok(())
}

/// `[heart-attack] chest-pain, sweating`, or the second reader's probability where no red flag is raised.
fn why(said: &Assessment) -> String {
    let flags: Vec<_> = said.red_flags.iter().map(|it| it.id.as_str()).collect();
    if flags.is_empty() {
        let reader = said.second_reading.as_ref().map_or(0.0, |it| it.emergency);
        return format!("[second reader {reader:.2}]");
    }
    let mut findings: Vec<_> = said
        .findings
        .iter()
        .filter(|it| it.status != FindingStatus::Absent)
        .map(|it| it.name.as_str())
        .collect();
    findings.dedup();
    format!("[{}] {}", flags.join(", "), findings.join(", "))
}

/// `count` of them at even distances.
fn spread(questions: &[String], count: usize) -> Vec<&String> {
    let count = count.min(questions.len());
    (0..count)
        .filter_map(|it| questions.get(it * questions.len() / count))
        .collect()
}

fn read(file: &Path) -> anyhow::Result<Vec<String>> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let text = String::from_utf8(bytes).with_context(|| {
        format!(
            "{} is not UTF-8: convert it first, e.g. iconv -f gb18030 -t utf-8",
            file.display()
        )
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    let questions = match extension.as_ref() {
        "json" => serde_json::from_str::<Vec<Value>>(text)
            .with_context(|| format!("{} is no JSON array", file.display()))?
            .iter()
            .filter_map(of_value)
            .collect(),
        "jsonl" => text
            .lines()
            .filter_map(|it| of_value(&serde_json::from_str(it).ok()?))
            .collect(),
        "csv" => of_table(&rows(text)),
        _ => text.lines().map(str::to_owned).collect::<Vec<_>>(),
    };
    let questions: Vec<_> = questions.into_iter().filter(|it| !it.trim().is_empty()).collect();
    if questions.is_empty() {
        bail!(
            "{} holds no question; in objects and tables it is looked for as {}",
            file.display(),
            NAMES.join(", ")
        );
    }
    Ok(questions)
}

fn of_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        _ => NAMES
            .iter()
            .find_map(|it| Some(value.get(it)?.as_str()?.to_owned())),
    }
}

/// The column with a known heading, or the first one of a table without headings.
fn of_table(rows: &[Vec<String>]) -> Vec<String> {
    let headings = rows.first().map(Vec::as_slice).unwrap_or_default();
    let known = NAMES
        .iter()
        .find_map(|name| headings.iter().position(|it| it.trim() == *name));
    rows.iter()
        .skip(usize::from(known.is_some()))
        .filter_map(|it| it.get(known.unwrap_or(0)).cloned())
        .collect()
}

/// RFC 4180.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let Some(row) = rows.last_mut() else { break };
        match c {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => push(row, '"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => rows.push(vec![String::new()]),
            _ => push(row, c),
        }
    }
    rows
}

fn push(row: &mut [String], c: char) {
    if let Some(field) = row.last_mut() {
        field.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::{of_table, read, rows, spread};

    #[test]
    fn questions_are_read_from_every_form() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.txt", "one\n\ntwo, or more\n"),
            ("a.csv", "department,ask\nx,one\ny,\"two, or more\"\n"),
            ("a.json", r#"[{"text": "one"}, "two, or more"]"#),
            ("a.jsonl", "{\"input\": \"one\"}\n{\"ask\": \"two, or more\"}\n"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap(), ["one", "two, or more"], "{name}");
        }
        let path = folder.path().join("b.csv");
        std::fs::write(&path, b"ask\n\xb8\xdf\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn tables_without_headings() {
        assert_eq!(
            of_table(&rows("a \"\"b,c\n\"d \"\"e\"\"\",f")),
            ["a b", "d \"e\""]
        );
    }

    #[test]
    fn samples_are_spread_evenly() {
        let all: Vec<String> = (0..10).map(|it| it.to_string()).collect();
        assert_eq!(spread(&all, 5), ["0", "2", "4", "6", "8"]);
        assert_eq!(spread(&all, 50).len(), 10);
        assert!(spread(&[], 5).is_empty());
    }
}
