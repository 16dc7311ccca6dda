//! Which department sees to a disease or a symptom by its name: statistics, and own knowledge.
//!
//! `data/departments/statistics.tsv` is made by `scripts/make-department-statistics.py`, `own_terms.txt` is written
//! by hand. The second reader's heads are trained with both, too.

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use crate::normal_text::{is_han, normalized_built_in};

/// A name with the departments that see to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term<'a> {
    /// In the texts' spelling.
    pub(crate) name: String,
    /// Ids with shares, best first.
    pub(crate) departments: Vec<(&'a str, f32)>,
    /// Written by hand, not counted.
    pub(crate) own: bool,
}

/// What a counted term says beside one that was written by hand.
const COUNTED: f32 = 0.6;
/// In characters.
const LONGEST_CHINESE: usize = 8;
const LONGEST_ENGLISH: usize = 36;

/// By how much the terms of a normal text speak for each department, by id. A term counts once, the longest at a
/// place; `denied` are ranges of bytes that do not count.
pub(crate) fn speak_for(text: &str, denied: &[Range<usize>]) -> HashMap<&'static str, f32> {
    let mut scores = HashMap::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|it| !it.is_empty()) {
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let begins = text
            .get(..from)
            .is_none_or(|it| !it.ends_with(in_word) || !rest.starts_with(in_word));
        let Some((length, term)) = begins.then(|| longest(rest)).flatten() else {
            from += first;
            continue;
        };
        let place = from..from + length;
        from = place.end;
        let is_denied = denied
            .iter()
            .any(|it| it.start < place.end && place.start < it.end);
        if is_denied || seen.contains(&term.name.as_str()) {
            continue;
        }
        seen.push(&term.name);
        let weight = if term.own { 1.0 } else { COUNTED };
        for (department, share) in &term.departments {
            *scores.entry(*department).or_default() += weight * share;
        }
    }
    scores
}

/// A baby, stress or a meal alone is no matter for a department.
pub(crate) fn are_medical(scores: &HashMap<&'static str, f32>) -> bool {
    const SAY_LITTLE: [&str; 7] = [
        "pediatrics",
        "child-health",
        "psychology",
        "nutrition",
        "geriatrics",
        "rehabilitation",
        "general-practice",
    ];
    scores.keys().any(|it| !SAY_LITTLE.contains(it))
}

/// All terms, those of own knowledge first; a name stands once.
pub(crate) fn all() -> &'static [Term<'static>] {
    &TERMS.list
}

/// Reads the terms into memory, so that the first message does not wait for it.
pub(crate) fn prepare() {
    LazyLock::force(&TERMS);
}

struct Terms {
    list: Vec<Term<'static>>,
    places: HashMap<String, usize>,
}

static TERMS: LazyLock<Terms> = LazyLock::new(|| {
    let mut list = own(include_str!("../../data/departments/own_terms.txt"));
    let mut places: HashMap<String, usize> = (0..).zip(&list).map(|(at, it)| (it.name.clone(), at)).collect();
    for term in counted(include_str!("../../data/departments/statistics.tsv")) {
        if !places.contains_key(&term.name) {
            places.insert(term.name.clone(), list.len());
            list.push(term);
        }
    }
    Terms { list, places }
});

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// The longest term that a text begins with, and its length in bytes.
fn longest(text: &str) -> Option<(usize, &'static Term<'static>)> {
    let chinese = text.starts_with(is_han);
    let most = if chinese { LONGEST_CHINESE } else { LONGEST_ENGLISH };
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(most);
    let mut found = None;
    for end in ends {
        let (Some(name), Some(rest)) = (text.get(..end), text.get(end..)) else {
            break;
        };
        if name.ends_with(['\n', ',']) {
            break;
        }
        if name.ends_with(in_word) && rest.starts_with(in_word) {
            continue;
        }
        if let Some(term) = TERMS.places.get(name).and_then(|it| TERMS.list.get(*it)) {
            found = Some((end, term));
        }
    }
    found
}

/// Lines `department: term, term`.
fn own(text: &str) -> Vec<Term<'_>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut terms: Vec<Term<'_>> = Vec::new();
    for (department, names) in lines(text).filter_map(|it| it.split_once(':')) {
        for name in names.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let name = normalized_built_in(name);
            let place = *places.entry(name.clone()).or_insert_with(|| {
                terms.push(Term {
                    name,
                    departments: Vec::new(),
                    own: true,
                });
                terms.len() - 1
            });
            if let Some(term) = terms.get_mut(place)
                && term.departments.iter().all(|it| it.0 != department.trim())
            {
                term.departments.push((department.trim(), 1.0));
            }
        }
    }
    for term in &mut terms {
        let share = 1.0 / term.departments.len() as f32;
        term.departments.iter_mut().for_each(|it| it.1 = share);
    }
    terms
}

/// Lines `term <tab> department percent <tab> …`.
fn counted(text: &str) -> impl Iterator<Item = Term<'_>> {
    lines(text).filter_map(|line| {
        let mut cells = line.split('\t');
        let name = normalized_built_in(cells.next()?);
        let departments = cells.filter_map(|it| {
            let (department, percent) = it.split_once(' ')?;
            Some((department, percent.parse::<f32>().ok()? / 100.0))
        });
        Some(Term {
            name,
            departments: departments.collect(),
            own: false,
        })
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|it| !it.is_empty() && !it.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::{all, speak_for};
    use crate::{Rules, normal_text::normalized};

    #[test]
    fn every_term_has_known_departments_and_the_texts_spelling() {
        let known = &Rules::builtin().bundle().departments.by_id;
        assert!(all().len() > 5000);
        for term in all() {
            assert_eq!(normalized(&term.name), term.name);
            assert!(!term.departments.is_empty(), "{}", term.name);
            for (department, share) in &term.departments {
                assert!(known.contains_key(*department), "{}: {department}", term.name);
                assert!(*share > 0.0 && *share <= 1.0, "{}", term.name);
            }
        }
    }

    #[test]
    fn the_longest_term_counts_once() {
        let scores = speak_for("我的半月板损伤，半月板", &[]);
        assert!(
            scores.get("orthopedics").is_some_and(|it| *it <= 2.0),
            "{scores:?}"
        );
        assert!(speak_for("the pillow", &[]).get("gynecology").is_none());
        assert!(speak_for("the pill", &[]).contains_key("gynecology"));
        assert!(speak_for("没有湿疹", &[6..12]).is_empty());
    }
}
