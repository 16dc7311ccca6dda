//! Telephone numbers in articles: each hospital has its own, so articles hold placeholders.

use bedside_plugin_api::msg::Contacts;

use crate::section::Language;

/// Filled with the number for emergencies when an article is read.
pub const EMERGENCY_NUMBER: &str = "{emergency_number}";
/// Filled with the line for people who think of ending their life.
pub const CRISIS_LINE: &str = "{crisis_line}";

/// Puts the hospital's numbers in; where it has none, words.
#[must_use]
pub fn fill(text: &str, language: Language, contacts: &Contacts) -> String {
    let (emergency, crisis) = match language {
        Language::En => ("the emergency services", "of your area"),
        Language::Zh => ("急救电话", ""),
    };
    let told = |number: &str, words: &str| match number.trim() {
        "" => words.to_owned(),
        number => number.to_owned(),
    };
    text.replace(EMERGENCY_NUMBER, &told(&contacts.emergency_number, emergency))
        .replace(CRISIS_LINE, &told(&contacts.crisis_line, crisis))
}

/// A brace that belongs to no placeholder, with what it begins: it would reach patients as it is.
pub(crate) fn unknown_placeholder(line: &str) -> Option<String> {
    let rest = line.replace(EMERGENCY_NUMBER, "").replace(CRISIS_LINE, "");
    let start = rest.find(['{', '}', '｛', '｝'])?;
    let tail = rest.get(start..).unwrap_or_default();
    let end = tail.find(['}', '｝']).map_or(tail.len(), |it| it + 1);
    let shown: String = tail.chars().take(24).collect();
    Some(
        tail.get(..end)
            .filter(|it| it.len() <= 24)
            .unwrap_or(&shown)
            .to_owned(),
    )
}

/// Numbers of emergency services and crisis lines around the world that an article could name.
const TELEPHONE_NUMBERS: [&str; 22] = [
    "000", "100", "101", "102", "103", "108", "110", "111", "112", "118", "119", "120", "122", "811", "911",
    "988", "995", "997", "999", "12320", "12355", "12356",
];

/// What stands behind such a number if it is a measured value or an amount.
const UNITS: [&str; 20] = [
    "mm", "cm", "ml", "kg", "kcal", "mg/", "g/", "mmol", "%", "°", "degree", "beat", "bpm", "per ", "times",
    "毫米", "毫升", "次", "度", "℃",
];

/// A telephone number that stands in the text itself. `line` is folded to half-width lower case.
pub(crate) fn telephone_number(line: &str) -> Option<&'static str> {
    let mut from = 0;
    while let Some(start) = line.get(from..)?.find(|it: char| it.is_ascii_digit()) {
        let start = from + start;
        let digits = leading_digits(line.get(start..)?);
        from = start + digits.len();
        let found = TELEPHONE_NUMBERS.iter().find(|it| **it == digits);
        if let Some(number) = found
            && !is_value(line.get(..start)?, line.get(from..)?)
        {
            return Some(number);
        }
    }
    None
}

/// Whether the number between `before` and `after` is part of a larger one (`1.120`, `180/120`, `2026-112`)
/// or has a unit.
fn is_value(before: &str, after: &str) -> bool {
    const JOINS: [char; 5] = ['/', '.', ',', '-', ':'];
    // Two telephone numbers may be joined as well: 999/112.
    let is_part = |it: &str| !it.is_empty() && !TELEPHONE_NUMBERS.contains(&it);
    let part_before = before.strip_suffix(JOINS).is_some_and(|it| {
        let start = it.trim_end_matches(|it: char| it.is_ascii_digit()).len();
        is_part(it.get(start..).unwrap_or_default())
    });
    let part_after = after
        .strip_prefix(JOINS)
        .is_some_and(|it| is_part(leading_digits(it)));
    let unit = after.trim_start_matches([' ', '-']);
    part_before || part_after || UNITS.iter().any(|it| unit.starts_with(it))
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bedside_plugin_api::msg::Contacts;

    use super::{fill, telephone_number, unknown_placeholder};
    use crate::section::Language;

    #[test]
    fn numbers_of_the_hospital_are_put_in() {
        let contacts = |emergency: &str, crisis: &str| Contacts {
            emergency_number: emergency.to_owned(),
            crisis_line: crisis.to_owned(),
        };
        let english = "Call {emergency_number} at once. The crisis line {crisis_line} can also help.";
        let chinese = "请立即拨打{emergency_number}。也可拨打心理援助热线{crisis_line}。";
        for (contacts, expect_english, expect_chinese) in [
            (
                contacts("999", "2389 2222"),
                "Call 999 at once. The crisis line 2389 2222 can also help.",
                "请立即拨打999。也可拨打心理援助热线2389 2222。",
            ),
            (
                contacts(" ", ""),
                "Call the emergency services at once. The crisis line of your area can also help.",
                "请立即拨打急救电话。也可拨打心理援助热线。",
            ),
        ] {
            assert_eq!(fill(english, Language::En, &contacts), expect_english);
            assert_eq!(fill(chinese, Language::Zh, &contacts), expect_chinese);
        }
    }

    #[test]
    fn telephone_numbers_are_told_from_values() {
        for (line, expect) in [
            ("call 120 at once", Some("120")),
            ("请立即拨打120。", Some("120")),
            ("拨打120,不要等", Some("120")),
            ("call 999/112", Some("999")),
            ("911", Some("911")),
            ("(12356)", Some("12356")),
            ("dial 1-1-9 or 119.", Some("119")),
            ("call 120 day and night", Some("120")),
            ("a reading of 180/120 after rest", None),
            ("120/80", None),
            ("above 120 mmhg", None),
            ("120 beats a minute", None),
            ("每分钟120次", None),
            ("more than 1120 people", None),
            ("38.5", None),
            ("within 24 hours", None),
            ("", None),
        ] {
            assert_eq!(telephone_number(line), expect, "{line}");
        }
    }

    #[test]
    fn braces_of_no_placeholder_are_found() {
        for (line, expect) in [
            ("call {emergency_number}", None),
            ("line {crisis_line}{emergency_number}", None),
            ("call {emergency}", Some("{emergency}")),
            ("call {emergency number} now", Some("{emergency number}")),
            ("call {emergency_number", Some("{emergency_number")),
            ("拨打｛急救电话｝", Some("｛急救电话｝")),
            ("plain", None),
        ] {
            assert_eq!(unknown_placeholder(line).as_deref(), expect, "{line}");
        }
    }
}
