//! Vital signs and laboratory values that a text states.

use regex::Captures;

use crate::{numerals::parse_number, pattern::pattern};

/// Values in the units that the rules use; `None` where the text states none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measurements {
    /// °C, the highest stated.
    pub(crate) temperature: Option<f32>,
    /// %, the lowest stated.
    pub(crate) oxygen_saturation: Option<f32>,
    /// mmHg.
    pub(crate) systolic: Option<f32>,
    /// mmHg.
    pub(crate) diastolic: Option<f32>,
    /// mmol/l.
    pub(crate) glucose: Option<f32>,
    /// Per minute.
    pub(crate) heart_rate: Option<f32>,
    /// Per minute.
    pub(crate) breathing_rate: Option<f32>,
    /// 0 to 10, as patients rate it.
    pub(crate) pain_score: Option<f32>,
}

pattern!(
    TEMPERATURE_UNIT,
    r"(?<n>[0-9]{2,3}(\.[0-9]+)?) ?(°c|°f|°|度(?<half>[0-9半])?|degrees?( celsius| fahrenheit| c\b| f\b)?|c\b|f\b|celsius|fahrenheit|华氏度?)"
);
pattern!(
    TEMPERATURE_WORD,
    r"(体温|最高|高达|发烧|发热|高烧|低烧|烧到了?|高热|烧|\btemp(erature)?|\bfever)[^0-9,。;.!?\n]{0,14}(?<n>[0-9]{2,3}(\.[0-9]+)?)( ?(?<unit>周|天|小时|个|岁|次|day|hour|week|month|year|min))?"
);
pattern!(
    TEMPERATURE_HAN,
    r"(?<n>(三十[五六七八九]|四十[一二]?))度(?<half>[一二三四五六七八九半])?"
);
pattern!(
    TEMPERATURE_FEVER,
    r"(?<n>(9[5-9]|10[0-8])(\.[0-9]+)?) ?(degree )?(fever|temp)"
);
pattern!(
    OXYGEN,
    r"(血氧|氧饱和|spo2|\bsp02|\bo2|\boxygen|\bsats?\b)[^0-9,。;\n]{0,22}(?<n>[0-9]{2,3})"
);
pattern!(PRESSURE_PAIR, r"(?<s>[0-9]{2,3}) ?(/|over) ?(?<d>[0-9]{2,3})");
pattern!(
    PRESSURE_WORD,
    r"(血压|高压|收缩压|\bblood pressure|\bbp\b|\bsystolic)[^0-9,。;\n]{0,16}(?<n>[0-9]{2,3})"
);
pattern!(
    GLUCOSE,
    r"(血糖|\bblood sugar|\bglucose|\bsugar level|\bsugars?)[^0-9,。;\n]{0,22}(?<n>[0-9]{1,3}(\.[0-9]+)?)( ?(?<unit>mg))?"
);
pattern!(
    HEART_RATE,
    r"(心率|心跳|脉搏|\bheart rate|\bpulse( rate)?|\bhr\b|\bheart (is )?(beating|racing) (at )?)[^0-9,。;\n]{0,14}(?<n>[0-9]{2,3})( ?(?<unit>天|小时|day|hour|week|year|min[a-z]* (ago|for)))?"
);
pattern!(
    BREATHING_RATE,
    r"(呼吸(频率)?|\brespiratory rate|\bbreathing rate|\bbreaths?)[^0-9,。;\n]{0,10}(?<n>[0-9]{2,3}) ?(次|bpm|/|per|breaths|a minute)?"
);
pattern!(
    PAIN,
    r"(?<n>[0-9]{1,2}) ?(/|out of|分之) ?10\b|(痛|评分)[^0-9,。;\n]{0,6}(?<m>[0-9]{1,2}) ?分"
);

impl Measurements {
    pub(crate) fn read(text: &str) -> Self {
        let mut values = Self::default();
        // Almost no message states a number, and none of the patterns matches without.
        if !text.bytes().any(|it| it.is_ascii_digit()) && !text.contains("十") {
            return values;
        }
        values.temperature = temperature(text);
        values.oxygen_saturation = lowest(
            OXYGEN
                .captures_iter(text)
                .filter_map(|it| number(&it, "n"))
                .filter(|it| (50.0..=100.0).contains(it)),
        );
        for pair in PRESSURE_PAIR.captures_iter(text) {
            if let (Some(systolic), Some(diastolic)) = (number(&pair, "s"), number(&pair, "d"))
                && (60.0..=300.0).contains(&systolic)
                && (30.0..=200.0).contains(&diastolic)
                && systolic > diastolic
            {
                values.systolic = Some(systolic);
                values.diastolic = Some(diastolic);
            }
        }
        if values.systolic.is_none() {
            values.systolic = PRESSURE_WORD
                .captures_iter(text)
                .filter_map(|it| number(&it, "n"))
                .find(|it| (60.0..=300.0).contains(it));
        }
        values.glucose = GLUCOSE
            .captures_iter(text)
            .filter_map(|it| {
                let value = number(&it, "n")?;
                // Above 40 only mg/dl makes sense.
                Some(if it.name("unit").is_some() || value > 40.0 {
                    value / 18.0
                } else {
                    value
                })
            })
            .next();
        values.heart_rate = HEART_RATE
            .captures_iter(text)
            .filter(|it| it.name("unit").is_none())
            .filter_map(|it| number(&it, "n"))
            .find(|it| (20.0..=300.0).contains(it));
        values.breathing_rate = BREATHING_RATE
            .captures_iter(text)
            .filter_map(|it| number(&it, "n"))
            .find(|it| (4.0..=90.0).contains(it));
        values.pain_score = PAIN
            .captures_iter(text)
            .filter_map(|it| number(&it, "n").or_else(|| number(&it, "m")))
            .find(|it| (0.0..=10.0).contains(it));
        values
    }
}

fn temperature(text: &str) -> Option<f32> {
    let with_unit = TEMPERATURE_UNIT
        .captures_iter(text)
        .filter_map(|it| Some(number(&it, "n")? + half(&it)));
    let after_word = TEMPERATURE_WORD
        .captures_iter(text)
        .filter(|it| it.name("unit").is_none())
        .filter_map(|it| number(&it, "n"));
    let han = TEMPERATURE_HAN
        .captures_iter(text)
        .filter_map(|it| Some(parse_number(it.name("n")?.as_str())? + half(&it)));
    let before_fever = TEMPERATURE_FEVER
        .captures_iter(text)
        .filter_map(|it| number(&it, "n"));
    with_unit
        .chain(after_word)
        .chain(han)
        .chain(before_fever)
        .filter_map(celsius)
        .reduce(f32::max)
}

/// Body temperatures in °F and °C do not overlap.
fn celsius(value: f32) -> Option<f32> {
    if (34.0..=43.0).contains(&value) {
        Some(value)
    } else if (94.0..=109.0).contains(&value) {
        Some((value - 32.0) / 1.8)
    } else {
        None
    }
}

/// 39度5, 三十八度半.
fn half(captures: &Captures<'_>) -> f32 {
    let Some(half) = captures.name("half") else {
        return 0.0;
    };
    if half.as_str() == "半" {
        0.5
    } else {
        parse_number(half.as_str()).unwrap_or(0.0) / 10.0
    }
}

fn number(captures: &Captures<'_>, name: &str) -> Option<f32> {
    captures.name(name)?.as_str().parse().ok()
}

fn lowest(values: impl Iterator<Item = f32>) -> Option<f32> {
    values.reduce(f32::min)
}

#[cfg(test)]
mod tests {
    use super::Measurements;
    use crate::normal_text::normalized;

    fn read(text: &str) -> Measurements {
        Measurements::read(&normalized(text))
    }

    #[test]
    fn temperatures() {
        for (text, expect) in [
            ("发烧39.5℃", 39.5),
            ("烧到39度5", 39.5),
            ("体温三十九度半", 39.5),
            ("fever of 102", 38.9),
            ("temp 38.2", 38.2),
            ("104°F", 40.0),
            ("高烧40度", 40.0),
            ("a 101.5 degree fever", 38.6),
        ] {
            let found = read(text).temperature.unwrap();
            assert!((found - expect).abs() < 0.06, "{text}: {found}");
        }
        for text in [
            "发烧3天",
            "fever for 40 hours",
            "年龄38岁",
            "I am 38 and have a cough",
        ] {
            assert_eq!(read(text).temperature, None, "{text}");
        }
    }

    #[test]
    fn others() {
        assert_eq!(read("血氧只有88").oxygen_saturation, Some(88.0));
        assert_eq!(read("her oxygen saturation is 89%").oxygen_saturation, Some(89.0));
        assert_eq!(read("BP 190/120").diastolic, Some(120.0));
        assert_eq!(read("血压200多").systolic, Some(200.0));
        assert_eq!(read("血糖2.5").glucose, Some(2.5));
        assert!((read("blood sugar 450 mg/dL").glucose.unwrap() - 25.0).abs() < 0.01);
        assert_eq!(read("心率150次").heart_rate, Some(150.0));
        assert_eq!(read("pain is 9/10").pain_score, Some(9.0));
        assert_eq!(read("pain is 9/10").systolic, None);
    }
}
