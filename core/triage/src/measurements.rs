//! Vital signs and laboratory values that a text states.

use regex::Captures;

use crate::pattern::pattern;
use bedside_language::parse_number;

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
    r"(?<n>[0-9]{2,3}(\.[0-9]+)?) ?(°c|°f|°|度(?<half>[0-9半])?|degrees?( celsius| fahrenheit| centigrade| c\b| f\b)?|c\b|celsius|centigrade|华氏度?)|(?<f>(9[4-9]|10[0-9])(\.[0-9]+)?) ?(f\b|fahrenheit)"
);
pattern!(
    TEMPERATURE_WORD,
    r"(体温|最高|高达|发烧|发热|高烧|低烧|烧到了?|高热|烧|\btemp(erature)?|\bfever|\bthermometer)[^0-9,。;.!?\n]{0,14}(?<n>[0-9]{2,3}(\.[0-9]+)?)( ?(?<unit>周|天|小时|个|岁|次|年|月|分钟|%|day|hour|week|month|year|min|time))?"
);
pattern!(
    TEMPERATURE_HAN,
    r"(?<n>(三十[五六七八九]|四十[一二]?))度(?<half>[一二三四五六七八九半])?"
);
pattern!(
    TEMPERATURE_FEVER,
    r"(?<n>(9[5-9]|10[0-8]|3[5-9]|4[0-2])(\.[0-9]+)?) ?(degree )?(fever|temp|发烧|高烧)"
);
// A number with one decimal in this range is a temperature unless something else is said of it.
pattern!(
    TEMPERATURE_BARE,
    r"(?<word>bmi|体重|weigh\w*|身高|hct|hematocrit|haematocrit|红细胞压积|细胞|细胞百分比|细胞比率|细胞比例|蛋白|alb|alt|ast|glb|tp|[:/.0-9])?(^|[^0-9./])(?<n>3[5-9]\.[0-9]|4[0-2]\.[0-9])(?<unit> ?[0-9a-z%公千斤厘元块年岁周升毫克/])?"
);
pattern!(
    OXYGEN,
    r"\bsats?( \w+){0,2} in the (low |mid |high )?(?<decade>[5-9]0)s|(?<word>血氧|氧饱和|指脉氧|指氧|脉氧|spo2|\bsp02|\bsao2|\bo2|\boxygen|\bsat(s|uration|urating|ting)?\b|\bpulse ?ox|\bpulse ?oximeter|\boximeter)(?<between>[^0-9,。;.\n]{0,22})((?<n>[0-9]{2,3}) ?(?<unit>%|天|年|个?月|周|次|小时|分钟|元|块|升|l\b|ml|litre|liter|day|week|month|year|hour|min|dollar|pound|euro|times|bucks)?|(?<tens>[六七八九]十)(?<ones>[一二三四五六七八九])?)"
);
pattern!(PRESSURE_PAIR, r"(?<s>[0-9]{2,3}) ?(/|over) ?(?<d>[0-9]{2,3})");
pattern!(
    PRESSURE_WORD,
    r"(血压|高压|收缩压|\bblood pressure|\bbp\b|\bsystolic)[^0-9,。;\n]{0,16}(?<n>[0-9]{2,3})( ?(至|到|~|-) ?(?<to>[0-9]{2,3}))?( ?(?<unit>天|年|个?月|周|次|小时|day|week|month|year|hour|min|mg))?"
);
pattern!(
    GLUCOSE,
    r"(血糖|糖|\bblood sugars?|\bglucose|\bsugar level|\bsugars?|\bbgl?\b|\bbm\b|\bbsl\b)(?<between>[^0-9,。;\n]{0,22})(?<n>[0-9]{1,3}(\.[0-9]+)?)( ?(?<unit>mg|mmol))?( ?(?<other>天|年|个?月|周|次|点|小时|分钟|岁|片|%|克|g\b|day|week|month|year|hour|min|times|am\b|pm\b|tea|spoon|cube|:))?"
);
pattern!(
    HEART_RATE,
    r"(心率|心跳|脉搏|\bheart rate|\bpulse( rate)?|\bhr\b|\bheart (is )?(beating|racing|going|pounding) (at )?)(?<between>[^0-9,。;\n]{0,14})(?<n>[0-9]{2,3})( ?(?<unit>天|年|个?月|周|小时|day|hour|week|year|%|min[a-z]* (ago|for)))?|每分钟心?跳?(?<n2>[0-9]{2,3}) ?[次下]|(?<n3>[0-9]{2,3}) ?(bpm|beats (per|a) minute)"
);
pattern!(
    BREATHING_RATE,
    r"(呼吸频率|呼吸次数|\bresp(iratory|iration)?s?( rate)?|\bbreathing rate|\brr)\b?[^0-9,。;\n]{0,10}(?<n>[0-9]{2,3})( ?(?<unit>天|年|个?月|周|小时|岁|day|week|month|year|hour|yo\b|[mfy]\b))?|(呼吸|喘气?|喘息|\bbreath\w*)(?<between>[^0-9,。;\n]{0,16})(?<n2>[0-9]{2,3}) ?(次|下|bpm|times|breaths|/ ?m|per m|a min|每分)|(?<n3>[0-9]{2,3}) ?(breaths|respirations)"
);
pattern!(
    PAIN,
    r"(?<n>[0-9]{1,2}) ?(/|out of|分之) ?10\b|(痛|评分)[^0-9,。;\n]{0,6}(?<m>[0-9]{1,2}) ?分"
);

/// mmHg: the further from it, the more a systolic pressure says.
const USUAL: f32 = 120.0;

impl Measurements {
    pub(crate) fn read(text: &str) -> Self {
        let mut values = Self::default();
        // Almost no message states a number, and none of the patterns matches without.
        if !text.bytes().any(|it| it.is_ascii_digit()) && !text.contains("十") {
            return values;
        }
        values.temperature = temperature(text);
        // The saturation of transferrin is one of iron.
        let of_iron = text.contains("ferritin") || text.contains("transferrin");
        let said = OXYGEN.captures_iter(text);
        let said =
            said.filter(|it| !(of_iron && it.name("word").is_some_and(|it| it.as_str().starts_with("sat"))));
        values.oxygen_saturation = lowest(said.filter_map(|it| oxygen(&it)));
        for pair in PRESSURE_PAIR.captures_iter(text) {
            if let (Some(systolic), Some(diastolic)) = (number(&pair, "s"), number(&pair, "d"))
                && (50.0..=300.0).contains(&systolic)
                && (20.0..=200.0).contains(&diastolic)
                && systolic > diastolic
                // Last week's good value takes nothing away.
                && values.systolic.is_none_or(|it| (systolic - USUAL).abs() > (it - USUAL).abs())
            {
                values.systolic = Some(systolic);
                values.diastolic = Some(diastolic);
            }
        }
        if values.systolic.is_none() {
            values.systolic = PRESSURE_WORD
                .captures_iter(text)
                .filter(|it| it.name("unit").is_none())
                // 85至140 names the lower one first.
                .filter_map(|it| Some(number(&it, "n")?.max(number(&it, "to").unwrap_or(0.0))))
                .find(|it| (50.0..=300.0).contains(it));
        }
        values.glucose = GLUCOSE.captures_iter(text).find_map(|it| glucose(&it));
        values.heart_rate = HEART_RATE
            .captures_iter(text)
            .filter(|it| it.name("unit").is_none() && !is_device(it))
            .filter_map(|it| any_number(&it, &["n", "n2", "n3"]))
            .find(|it| (20.0..=300.0).contains(it));
        values.breathing_rate = BREATHING_RATE
            .captures_iter(text)
            .filter(|it| it.name("unit").is_none() && !is_device(it))
            .filter_map(|it| any_number(&it, &["n", "n2", "n3"]))
            .find(|it| (4.0..=120.0).contains(it));
        values.pain_score = PAIN
            .captures_iter(text)
            .filter_map(|it| number(&it, "n").or_else(|| number(&it, "m")))
            .find(|it| (0.0..=10.0).contains(it));
        values
    }
}

fn oxygen(captures: &Captures<'_>) -> Option<f32> {
    if let Some(decade) = number(captures, "decade") {
        return Some(decade + 5.0);
    }
    if is_device(captures) || captures.name("unit").is_some_and(|it| it.as_str() != "%") {
        return None;
    }
    let value = number(captures, "n").or_else(|| {
        let ones = captures.name("ones").map_or("", |it| it.as_str());
        parse_number(&format!("{}{ones}", captures.name("tens")?.as_str()))
    });
    value.filter(|it| (50.0..=100.0).contains(it))
}

/// 血糖仪, an oxygen concentrator, 呼吸道: the number behind is no measurement.
fn is_device(captures: &Captures<'_>) -> bool {
    captures.name("between").is_some_and(|it| {
        [
            "机",
            "仪用",
            "仪买",
            "道",
            "科",
            "用了",
            "machine",
            "concentrator",
            "cylinder",
            "tank",
            "therapy",
            "checked",
            "test",
        ]
        .iter()
        .any(|word| it.as_str().contains(word))
    })
}

fn glucose(captures: &Captures<'_>) -> Option<f32> {
    if captures.name("other").is_some() || is_device(captures) {
        return None;
    }
    let value = number(captures, "n")?;
    let in_milligrams = captures.name("unit").is_some_and(|it| it.as_str() == "mg");
    // Above 40 only mg/dl makes sense.
    Some(if in_milligrams || value > 40.0 {
        value / 18.0
    } else {
        value
    })
}

fn any_number(captures: &Captures<'_>, names: &[&str]) -> Option<f32> {
    names.iter().find_map(|it| number(captures, it))
}

fn temperature(text: &str) -> Option<f32> {
    let with_unit = TEMPERATURE_UNIT
        .captures_iter(text)
        .filter_map(|it| Some(any_number(&it, &["n", "f"])? + half(&it)));
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
    let bare = TEMPERATURE_BARE
        .captures_iter(text)
        .filter(|it| it.name("word").is_none() && it.name("unit").is_none())
        .filter_map(|it| number(&it, "n"));
    with_unit
        .chain(bare)
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
    use bedside_language::normalized;

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
            ("my 8 week old baby has a 38.4 temperature", 38.4),
            ("our 10-week-old feels hot, 38.3", 38.3),
            ("38.6，吃了药", 38.6),
            ("102.5 f", 39.2),
            ("38 C this morning", 38.0),
        ] {
            let found = read(text).temperature.unwrap();
            assert!((found - expect).abs() < 0.06, "{text}: {found}");
        }
        for text in [
            "发烧3天",
            "fever for 40 hours",
            "年龄38岁",
            "I am 38 and have a cough",
            "41F with a mild cough",
            "I'm 41 f, runny nose for two days",
            "BMI 38.5",
            "体重38.5公斤",
            "weight 40.5 kg",
            "36.5 weeks pregnant",
            "ALB〔41.7〕；GLB〔34.6↑〕",
            "淋巴细胞 41.2",
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
        for (text, expect) in [
            ("my oximeter says 90", 90.0),
            ("指氧仪89%", 89.0),
            ("SpO2 82%", 82.0),
            ("血氧八十五", 85.0),
            ("her sats are in the 80s", 85.0),
        ] {
            assert_eq!(read(text).oxygen_saturation, Some(expect), "{text}");
        }
        assert_eq!(read("宝宝呼吸一分钟70次").breathing_rate, Some(70.0));
        assert_eq!(read("RR 32").breathing_rate, Some(32.0));
        assert_eq!(read("每分钟140次").heart_rate, Some(140.0));
        assert_eq!(read("BP 80/50").systolic, Some(80.0));
        assert_eq!(read("当时血压是85至140").systolic, Some(140.0));
    }

    #[test]
    fn numbers_that_measure_nothing() {
        for text in [
            "I have had bad breath for 30 days",
            "上呼吸道感染30天了",
            "oxygen machine 50 dollars",
            "血糖高2年了，想复查",
            "血糖仪用了2年了，想换一个",
            "My blood sugar was checked 2 days ago, all fine",
            "血压高10年",
            "blood pressure tablets for 60 days",
            "home oxygen for 50 weeks",
            "心跳快30年了",
        ] {
            assert_eq!(read(text), Measurements::default(), "{text}");
        }
        assert_eq!(read("pain is 9/10").systolic, None);
    }
}
