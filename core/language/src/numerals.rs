//! Numbers as people write them.

/// Reads what [`exact_number`] reads and vague words: `a couple of` counts two, `a few` three, `几` and `several`
/// four.
#[must_use]
pub fn parse_number(text: &str) -> Option<f32> {
    let text = text.trim();
    let vague = match text {
        "the" | "about a" => Some(1.0),
        "a few" | "few" => Some(3.0),
        "several" | "some" | "many" => Some(4.0),
        _ => None,
    };
    let counted: String = text
        .trim_start_matches('好')
        .chars()
        .map(|c| if matches!(c, '几' | '数') { '四' } else { c })
        .collect();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "counts, ages and measurements are small"
    )]
    vague.or_else(|| exact_number(&counted).map(|it| it as f32))
}

/// Reads `38.5`, `1,500`, `三十八`, `两`, `半`, `ten`, `one hundred and twenty`, `half an`, `a couple of`.
#[must_use]
pub fn exact_number(text: &str) -> Option<f64> {
    if text.starts_with(|it: char| it.is_ascii_digit())
        && let Ok(number) = text.replace(',', "").parse()
    {
        return Some(number);
    }
    if text.is_ascii() {
        english(text)
    } else {
        chinese(text)
    }
}

/// What counts in English, a phrase before those that it begins with.
pub(crate) const ENGLISH: &[(&str, f64)] = &[
    ("half an", 0.5),
    ("half a", 0.5),
    ("half", 0.5),
    ("a couple of", 2.0),
    ("couple of", 2.0),
    ("a couple", 2.0),
    ("couple", 2.0),
    ("an", 1.0),
    ("a", 1.0),
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
    ("hundred", 100.0),
    ("thousand", 1000.0),
];

fn english(text: &str) -> Option<f64> {
    let of_word = |word: &str| ENGLISH.iter().find(|(it, _)| *it == word).map(|it| it.1);
    if let Some(value) = of_word(text) {
        return Some(value);
    }
    let mut total = 0.0;
    for word in text.split([' ', '-']).filter(|it| *it != "and") {
        let value = of_word(word)?;
        if value >= 100.0 {
            total = f64::max(total, 1.0) * value;
        } else {
            total += value;
        }
    }
    (total > 0.0).then_some(total)
}

/// Below ten thousand.
fn chinese(text: &str) -> Option<f64> {
    if text == "半" {
        return Some(0.5);
    }
    let (mut total, mut digit, mut seen) = (0.0, None, false);
    for c in text.chars() {
        let unit = match c {
            '十' => 10.0,
            '百' => 100.0,
            '千' => 1000.0,
            _ => {
                let value = "零一二三四五六七八九".chars().position(|it| it == c);
                digit = Some(value.or(match c {
                    '两' | '俩' => Some(2),
                    '〇' => Some(0),
                    _ => None,
                })? as f64);
                seen = true;
                continue;
            }
        };
        total += digit.take().unwrap_or(1.0) * unit;
        seen = true;
    }
    seen.then(|| total + digit.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::{exact_number, parse_number};

    #[test]
    fn numbers_in_words() {
        for (text, expect) in [
            ("38.5", 38.5),
            ("三十九", 39.0),
            ("十五", 15.0),
            ("两", 2.0),
            ("半", 0.5),
            ("一百二十", 120.0),
            ("好几", 4.0),
            ("ten", 10.0),
            ("a couple of", 2.0),
            ("half a", 0.5),
        ] {
            assert_eq!(parse_number(text), Some(expect), "{text}");
        }
        assert_eq!(parse_number("痛"), None);
        assert_eq!(parse_number(""), None);
    }

    #[test]
    fn exact_numbers_are_not_vague() {
        for (text, expect) in [
            ("1,500", Some(1500.0)),
            ("one hundred and twenty", Some(120.0)),
            ("twenty-five", Some(25.0)),
            ("两百", Some(200.0)),
            ("several", None),
            ("几", None),
            ("inf", None),
        ] {
            assert_eq!(exact_number(text), expect, "{text}");
        }
    }
}
