//! Numbers as patients write them.

/// Reads `38.5`, `三十八`, `两`, `半`, `ten`, `a couple of`; `几` and `several` count as four.
pub(crate) fn parse_number(text: &str) -> Option<f32> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f32>() {
        return Some(number);
    }
    english(text).or_else(|| chinese(text))
}

fn english(text: &str) -> Option<f32> {
    Some(match text {
        "a" | "an" | "one" | "the" | "about a" => 1.0,
        "half a" | "half an" | "half" => 0.5,
        "two" | "a couple of" | "couple of" | "a couple" | "couple" => 2.0,
        "three" | "a few" | "few" => 3.0,
        "four" | "several" | "some" | "many" => 4.0,
        "five" => 5.0,
        "six" => 6.0,
        "seven" => 7.0,
        "eight" => 8.0,
        "nine" => 9.0,
        "ten" => 10.0,
        "eleven" => 11.0,
        "twelve" => 12.0,
        "thirteen" => 13.0,
        "fourteen" => 14.0,
        "fifteen" => 15.0,
        "sixteen" => 16.0,
        "seventeen" => 17.0,
        "eighteen" => 18.0,
        "nineteen" => 19.0,
        "twenty" => 20.0,
        "thirty" => 30.0,
        "forty" => 40.0,
        "fifty" => 50.0,
        "sixty" => 60.0,
        "seventy" => 70.0,
        "eighty" => 80.0,
        "ninety" => 90.0,
        _ => return None,
    })
}

/// Below ten thousand, e.g. `一百二十`, `十五`, `两`, `半`, `数`.
fn chinese(text: &str) -> Option<f32> {
    if text.is_empty() {
        return None;
    }
    if text == "半" {
        return Some(0.5);
    }
    let (mut total, mut digit, mut seen) = (0.0, None, false);
    for c in text.chars() {
        let value = match c {
            '零' | '〇' => 0.0,
            '一' => 1.0,
            '二' | '两' | '俩' => 2.0,
            '三' => 3.0,
            '四' | '几' | '数' => 4.0,
            '五' => 5.0,
            '六' => 6.0,
            '七' => 7.0,
            '八' => 8.0,
            '九' => 9.0,
            '十' | '百' | '千' => {
                let unit = if c == '十' {
                    10.0
                } else if c == '百' {
                    100.0
                } else {
                    1000.0
                };
                total += digit.take().unwrap_or(1.0) * unit;
                seen = true;
                continue;
            }
            '好' if !seen && digit.is_none() => continue,
            _ => return None,
        };
        seen = true;
        digit = Some(value);
    }
    seen.then(|| total + digit.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::parse_number;

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
        ] {
            assert_eq!(parse_number(text), Some(expect), "{text}");
        }
        assert_eq!(parse_number("痛"), None);
        assert_eq!(parse_number(""), None);
    }
}
