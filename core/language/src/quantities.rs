//! Numbers with their units, so that three days are not three weeks and half an hour is thirty minutes.

use std::sync::LazyLock;

use regex::Regex;

use crate::numerals::{ENGLISH, exact_number};

/// Value and unit; durations in minutes. A number without a unit agrees with the same number of any.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    value: f64,
    unit: Option<&'static str>,
}

impl Quantity {
    fn agrees(&self, other: &Self) -> bool {
        let same = (self.value - other.value).abs() < 1e-6 * self.value.abs().max(1.0);
        same && (self.unit == other.unit || self.unit.is_none() || other.unit.is_none())
    }
}

/// Whether each quantity of a sentence stands in its support too.
#[must_use]
pub fn all_stand_in(sentence: &[Quantity], support: &[Quantity]) -> bool {
    sentence
        .iter()
        .all(|it| support.iter().any(|other| it.agrees(other)))
}

const UNITS: &[(&str, &str, f64)] = &[
    ("seconds?|secs?|秒钟?", "time", 1.0 / 60.0),
    ("minutes?|mins?|分钟", "time", 1.0),
    ("hours?|hrs?|个?小时|个?钟头", "time", 60.0),
    ("days?|天|日", "time", 1440.0),
    ("weeks?|周|个?星期|个?礼拜", "time", 10080.0),
    ("months?|个?月", "time", 43200.0),
    ("years?|年", "time", 525_600.0),
    ("°c|℃|degrees?|摄氏度|度", "degree", 1.0),
    ("mmhg|毫米汞柱", "mmhg", 1.0),
    ("mmol|毫摩尔", "mmol", 1.0),
    ("mg|milligrams?|毫克", "gram", 0.001),
    ("kg|kilograms?|kilos?|公斤|千克", "gram", 1000.0),
    ("g|grams?|克", "gram", 1.0),
    ("ml|millilitres?|milliliters?|毫升", "litre", 0.001),
    ("l|litres?|liters?|升", "litre", 1.0),
    ("cm|centimetres?|centimeters?|厘米", "metre", 0.01),
    ("m|metres?|meters?|米", "metre", 1.0),
    ("times|次|回|遍", "times", 1.0),
    ("glass(?:es)?|cups?|杯", "glass", 1.0),
    ("%|percent|per cent", "percent", 1.0),
    ("years? old|岁", "age", 1.0),
    ("steps?|步", "step", 1.0),
    ("portions?|份", "portion", 1.0),
    ("breaths?", "breath", 1.0),
    ("个|种|例|片|粒|口|顿", "piece", 1.0),
];

static QUANTITY: LazyLock<Regex> = LazyLock::new(|| {
    let mut words: Vec<&str> = ENGLISH.iter().map(|(word, _)| *word).collect();
    words.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let words = words.join("|");
    let units: Vec<_> = UNITS.iter().map(|(unit, ..)| *unit).collect();
    let mut latin: Vec<_> = units.iter().flat_map(|it| it.split('|')).collect();
    latin.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let number = format!(
        r"[0-9]+(?:,[0-9]{{3}})*(?:\.[0-9]+)?|\b(?:{words})(?:[ -](?:and )?(?:{words}))*\b|[零〇一二两三四五六七八九十百千半]+"
    );
    Regex::new(&format!(
        r"(?P<number>{number})(?: ?(?:-|–|~|to|or|至|到|或) ?(?P<last>{number}))? ?-?(?P<unit>{})?",
        latin.join("|")
    ))
    .expect("the pattern is compiled by a test")
});

static UNIT_PATTERNS: LazyLock<Vec<(Regex, &str, f64)>> = LazyLock::new(|| {
    UNITS
        .iter()
        .map(|(unit, name, factor)| {
            let whole = Regex::new(&format!("^(?:{unit})$")).expect("the pattern is compiled by a test");
            (whole, *name, *factor)
        })
        .collect()
});

/// All quantities of a text, in order.
#[must_use]
pub fn quantities_of(text: &str) -> Vec<Quantity> {
    let text = text.to_lowercase();
    let mut found = Vec::new();
    for it in QUANTITY.captures_iter(&text) {
        let whole = it.get(0).map_or(0..0, |it| it.range());
        let unit = it.name("unit").filter(|unit| {
            // The "m" of "3 men" is no metre.
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
            !letter(unit.as_str().chars().next_back())
                || !letter(text.get(whole.end..).and_then(|rest| rest.chars().next()))
        });
        let unit = unit.and_then(|unit| {
            UNIT_PATTERNS
                .iter()
                .rev()
                .find(|(pattern, ..)| pattern.is_match(unit.as_str()))
        });
        for number in [it.name("number"), it.name("last")].into_iter().flatten() {
            let digits = number.as_str().starts_with(|c: char| c.is_ascii_digit());
            // "one of them", 一般, 十分 and "a sign" count nothing.
            if !digits && unit.is_none() {
                continue;
            }
            let Some(value) = exact_number(number.as_str()) else {
                continue;
            };
            let (unit, factor) = unit.map_or((None, 1.0), |(_, name, factor)| (Some(*name), *factor));
            found.push(Quantity {
                value: value * factor,
                unit,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{all_stand_in, quantities_of};

    #[test]
    fn the_same_quantity_in_other_words() {
        for (sentence, support, same) in [
            ("half an hour", "30 minutes", true),
            ("半小时", "30分钟", true),
            ("two weeks", "14 days", true),
            ("a week or two", "one to two weeks", true),
            ("三十九度", "39 °C", true),
            ("1,500 ml", "1.5 litres", true),
            ("one hundred and twenty times", "120 times", true),
            ("one of them", "", true),
            ("一般", "", true),
            ("three days", "ten days", false),
            ("3 days", "3 weeks", false),
            ("三天", "十天", false),
            ("半小时", "三小时", false),
            ("3 men", "3 men", true),
            ("5毫克", "5克", false),
            ("140/90 mmHg", "190/90 mmHg", false),
        ] {
            let found = all_stand_in(&quantities_of(sentence), &quantities_of(support));
            assert_eq!(found, same, "{sentence} | {support}");
        }
    }
}
