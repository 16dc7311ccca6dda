//! Departments measured on labelled first messages that are not in the repository.
//!
//! Such files are split in halves by a hash of the text: one may be read and worked with, the other only measures.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::Context;
use bedside_triage::{PatientFacts, Rules};
use clap::ValueEnum;
use serde::Deserialize;

use crate::measure::Share;

/// Which messages of a file are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Half {
    /// Never to be read: the figure that counts.
    HeldBack,
    /// To be worked with.
    Development,
    All,
}

/// How often departments were right, in all and by label.
#[derive(Debug, Default)]
pub(crate) struct DepartmentFigures {
    all: Figures,
    by_label: BTreeMap<String, Figures>,
    /// Messages whose label is no department of ours.
    left_out: u32,
}

#[derive(Debug, Default)]
struct Figures {
    first: Share,
    two: Share,
    /// Over the labels of the file as a hospital's own list; where it has such labels.
    own_list: Share,
    /// Departments named and right, named and wrong, right and not named.
    counts: [u32; 3],
    named: u32,
}

/// A message, and the departments that are right for it.
struct Labelled {
    text: String,
    label: String,
    right: Vec<String>,
    /// One of the departments is right, not all of them.
    any: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meanings {
    label: BTreeMap<String, Vec<String>>,
    also: BTreeMap<String, Vec<String>>,
}

/// Measures one file: `.json` (an array of `text`, `area`, `department`), `.csv` (`department,title,ask,answer`, UTF-8
/// or GB18030) or `.jsonl` (`text`, `departments`). Of a `.jsonl`, which is in nobody's way, all messages are measured.
pub(crate) fn measure(
    rules: &Rules,
    file: &Path,
    half: Half,
    mut look: impl FnMut(&str, &str, &[String]),
) -> anyhow::Result<DepartmentFigures> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let meanings: Meanings = toml::from_str(include_str!("../departments.toml"))?;
    let cases = match file.extension().and_then(|it| it.to_str()) {
        Some("json") => areas(&bytes, &meanings),
        Some("csv") => questions(&bytes, &meanings),
        _ => messages(rules, &bytes),
    }
    .with_context(|| format!("{} holds no labelled messages", file.display()))?;
    let offered: Vec<String> = meanings
        .label
        .keys()
        .filter(|label| cases.iter().any(|it| it.any && it.label == **label))
        .cloned()
        .collect();
    let mut figures = DepartmentFigures::default();
    for case in cases {
        let is_held_back = hash(&case.text) & 1 == 1;
        match half {
            Half::HeldBack if case.any && !is_held_back => continue,
            Half::Development if case.any && is_held_back => continue,
            _ => {}
        }
        if case.right.is_empty() {
            figures.left_out += 1;
            continue;
        }
        let said = rules.assess(&case.text, &PatientFacts::default());
        let named: Vec<String> = said
            .departments
            .iter()
            .filter(|it| *it != "emergency")
            .cloned()
            .collect();
        if !named.first().is_some_and(|it| case.right.contains(it)) {
            look(&case.label, &case.text, &named);
        }
        let best = said.department_chances.iter().map(|it| it.0.as_str());
        let best: Vec<&str> = best.take(2).collect();
        let own = rules.choose_departments(&said, &offered);
        for it in [
            &mut figures.all,
            figures.by_label.entry(case.label.clone()).or_default(),
        ] {
            it.count(&case, &best, &named, own.first());
        }
    }
    Ok(figures)
}

impl Figures {
    fn count(&mut self, case: &Labelled, best: &[&str], named: &[String], own: Option<&String>) {
        let is_right = |it: &str| case.right.iter().any(|right| right == it);
        self.first.count(best.first().is_some_and(|it| is_right(it)));
        self.two.count(best.iter().any(|it| is_right(it)));
        if case.any {
            self.own_list.count(own.is_some_and(|it| *it == case.label));
        }
        let right = named.iter().filter(|it| is_right(it)).count() as u32;
        let named = named.len() as u32;
        self.named += named;
        let (hits, wanted) = if case.any {
            (right.min(1), 1)
        } else {
            (right, case.right.len() as u32)
        };
        let wrong = named - right;
        for (sum, more) in self.counts.iter_mut().zip([hits, wrong, wanted - hits]) {
            *sum += more;
        }
    }

    fn micro_f1(&self) -> f32 {
        let [right, wrong, missed] = self.counts.map(|it| it as f32);
        2.0 * right / (2.0 * right + wrong + missed).max(1.0)
    }
}

impl fmt::Display for DepartmentFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = &self.all;
        writeln!(f, "  first right  {}", all.first)?;
        writeln!(f, "  two best     {}", all.two)?;
        if all.own_list.of > 0 {
            writeln!(
                f,
                "  first right of the labels as the hospital's list  {}",
                all.own_list
            )?;
        }
        let each = all.named as f32 / all.first.of.max(1) as f32;
        writeln!(
            f,
            "  micro-F1 of those named  {:.3}, {each:.2} named each",
            all.micro_f1()
        )?;
        writeln!(f, "  left out, no department of ours  {}", self.left_out)?;
        for (label, it) in &self.by_label {
            writeln!(f, "    {label}: first {}; two {}", it.first, it.two)?;
        }
        Ok(())
    }
}

fn areas(bytes: &[u8], meanings: &Meanings) -> anyhow::Result<Vec<Labelled>> {
    #[derive(Deserialize)]
    struct Row {
        text: String,
        area: String,
        department: String,
    }
    let rows: Vec<Row> = serde_json::from_slice(bytes)?;
    let cases = rows.into_iter().map(|row| {
        let also = meanings.also.get(&format!("{}/{}", row.area, row.department));
        let mut case = labelled(&row.text, &row.area, meanings);
        case.right.extend(also.into_iter().flatten().cloned());
        case
    });
    Ok(cases.collect())
}

/// The question; its title where there is next to none.
fn questions(bytes: &[u8], meanings: &Meanings) -> anyhow::Result<Vec<Labelled>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::GB18030.decode(bytes).0.into_owned(),
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut cases = Vec::new();
    for row in reader.records() {
        let row = row?;
        let cell = |index: usize| row.get(index).unwrap_or_default().trim();
        if row.len() < 4 {
            continue;
        }
        let ask = if cell(2).chars().count() >= 6 {
            cell(2)
        } else {
            cell(1)
        };
        cases.push(labelled(ask, cell(0), meanings));
    }
    Ok(cases)
}

fn labelled(text: &str, label: &str, meanings: &Meanings) -> Labelled {
    Labelled {
        text: text.trim().to_owned(),
        label: label.to_owned(),
        right: meanings.label.get(label).cloned().unwrap_or_default(),
        any: true,
    }
}

/// All departments of a message but the emergency department, about which the urgency decides.
fn messages(rules: &Rules, bytes: &[u8]) -> anyhow::Result<Vec<Labelled>> {
    #[derive(Deserialize)]
    struct Row {
        text: String,
        departments: Vec<String>,
    }
    let lines = std::str::from_utf8(bytes)?
        .lines()
        .filter(|it| !it.trim().is_empty());
    lines
        .map(|line| {
            let row: Row = serde_json::from_str(line)?;
            let ids = row.departments.iter().flat_map(|it| rules.departments_called(it));
            let mut right: Vec<String> = ids.map(str::to_owned).filter(|it| it != "emergency").collect();
            right.dedup();
            Ok(Labelled {
                label: if row.text.is_ascii() { "English" } else { "Chinese" }.to_owned(),
                text: row.text,
                right,
                any: false,
            })
        })
        .collect()
}

/// FNV-1a of 64 bits, mixed.
fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (fnv ^ (fnv >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bedside_triage::Rules;

    use super::{Half, hash, measure};

    #[test]
    fn a_file_in_gb18030_is_measured_by_halves() {
        let rows = "department,title,ask,answer\n心血管科,高血压,我有高血压，头晕怎么办？,请就诊\n消化科,胃痛,\"胃痛,反酸三个月了怎么办\",请就诊\n其他,无,无,无\n";
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(&encoding_rs::GB18030.encode(rows).0).unwrap();
        let rules = Rules::builtin();
        let measured = |half| measure(rules, file.path(), half, |_, _, _| ()).unwrap();
        let [held_back, development, all] = [Half::HeldBack, Half::Development, Half::All].map(measured);
        assert_eq!(all.all.first.of, 2);
        assert_eq!(held_back.all.first.of + development.all.first.of, 2);
        assert_eq!(all.left_out, 1);
        assert!(all.to_string().contains("消化科"));
    }

    #[test]
    fn halves_never_change() {
        assert_eq!(["", "a", "胃痛"].map(|it| hash(it) & 1), [0, 1, 1]);
    }
}
