//! Age, sex, pregnancy and durations that a text states.

use std::ops::Range;

use regex::Captures;

use crate::{assessment::Sex, pattern::pattern};
use bedside_language::parse_number;

/// What a text says of the patient beside findings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TextFacts {
    pub(crate) age_years: Option<f32>,
    pub(crate) sex: Option<Sex>,
    /// Weeks of pregnancy, where stated.
    pub(crate) gestation_weeks: Option<f32>,
    pub(crate) durations: Vec<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Duration {
    pub(crate) days: f32,
    /// Bytes of the normal text.
    pub(crate) span: Range<usize>,
}

pattern!(
    AGE_HAN,
    r"(?<n>[0-9]+(\.[0-9])?|[一二两三四五六七八九十百]+|半)(周岁|岁)(?<half>半|零?[0-9一二三四五六七八九十]+个月)?"
);
pattern!(
    AGE_HAN_SMALL,
    r"(?<n>[0-9]+(\.[0-9])?|[一二两三四五六七八九十]+|半)(多|来|几)?个?(?<half>半|多)?(?<unit>月|周|星期|礼拜|天|日|小时)(零?[0-9一二两三四五六七八九十]+天)?(大|龄|的?(小|早产)?(宝宝|宝贝|孩子|婴儿|小孩|娃|新生儿|女婴|男婴|女儿|儿子|闺女|宝))|(宝宝|宝贝|孩子|婴儿|娃|娃娃|女儿|儿子|闺女|新生儿|小孩|宝)(今天|现在|今年|才|刚|刚刚|快|还|都|差不多|大概|大约|约|已经)*(?<under>不满|不到|未满|没满|没到|不足)?(满)?(?<n2>[0-9]+(\.[0-9])?|[一二两三四五六七八九十]+|半)(多|来|几)?个?(?<half2>半|多)?(?<unit2>月|周|天|小时)(零?[0-9一二两三四五六七八九十]+天)?($|[,。了大 、;!?(])|(宝宝|宝贝|孩子|婴儿|娃|女儿|儿子|闺女|新生儿|小孩|宝)(还|都|现在)*(?<under4>不满|不到|未满|没满|没到|不足|才|刚满|刚)(?<n4>[0-9]+(\.[0-9])?|[一二两三四五六七八九十]+|半)(多|来|几)?个?(?<half4>半|多)?(?<unit4>月|周|天)|(出生|生下来|落地|生完)(后|才|刚|第|还|已经|大概|大约|有|约)*(?<under3>不满|不到|未满|没到)?(?<n3>[0-9]+(\.[0-9])?|[一二两三四五六七八九十]+|半)(多|来|几)?个?(?<half3>半|多)?(?<unit3>月|周|天|日|小时)"
);
pattern!(
    AGE_ENGLISH,
    r"\b(?<n>[0-9]+(\.[0-9])?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty)(?<half> and a half| 1/2)? ?(?<unit>years?|yrs?|months?|mos?|mths?|weeks?|wks?|days?|hours?|hrs?) ?(old|of age)\b|\b(?<y>[0-9]{1,3}) ?(yo|y o|y/o|yr old)\b|\b(aged?|age is|age of) (?<y2>[0-9]{1,3})\b|\b(im|i am|he is|shes|she is|hes|dad is|mom is|mum is|mother is|father is|husband is|wife is|nan is|gran is) (a |an |only |just )?(?<y3>[0-9]{1,2})\b( ?(?<notage>weeks?|months?|days?|kg|lbs?|cm|feet|stone))?|\b(?<y4>[0-9]{2}) ?(?<s>m|f)\b"
);
pattern!(
    AGE_BABY,
    r"\b(baby|infant|newborn|bub|bubba|son|daughter|she|he|little one|little girl|little boy|grandson|granddaughter)(s| is| was)? (only |just |about |almost |nearly |now |barely )*(?<under>not (yet|even)|under|less than)? ?(?<n>[0-9]+(\.[0-9])?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?<half> and a half)? (?<unit>months?|mos|weeks?|wks?|days?|hours?)\b($| old|[,.;!?]| and | with | but )|\b(?<u3>under|less than|not yet|younger than) (?<n3>[0-9]+|one|two|three|four|five|six) (?<unit3>months|weeks|days) old|\bborn (just |only |about )*(?<n2>[0-9]+|an?|one|two|three|four|five|six|seven|a few) (?<unit2>days?|weeks?|hours?) ago"
);
pattern!(
    NEWBORN,
    r"新生儿|刚出生|刚生下来|刚满月|未满月|没满月|没出月子|月子里的(宝宝|孩子|娃)|\b(newborn|neonate|new born|born (yesterday|today|this morning|last night|this week))\b"
);
pattern!(
    DECADE,
    r"(?<n>[二三四五六七八九])十(多|几|来)岁|\bin (my|her|his) (early |mid |late )?(?<d>[2-9])0s\b"
);

pattern!(
    FEMALE,
    r"女(性|士|生|孩|儿|患|婴|童|学生|人|,|。|$)|女[0-9]|,女|(妈妈|母亲|奶奶|外婆|姥姥|妻子|老婆|姐姐|妹妹|阿姨|孕妇|产妇|我媳妇)|我妈|月经|白带|怀孕|大姨妈|阴道|子宫|卵巢|\b(woman|female|girl|lady|daughter|wife|mother|mom|mum|grandmother|grandma|sister|girlfriend|aunt|she|her|pregnant|periods?|vagina\w*|[0-9]{2} ?f)\b"
);
pattern!(
    MALE,
    r"男(性|士|生|孩|患|婴|童|学生|人|,|。|$)|男[0-9]|,男|(爸爸|父亲|爷爷|外公|姥爷|丈夫|老公|哥哥|弟弟|儿子|叔叔)|我爸|睾丸|前列腺|阴茎|阴囊|龟头|包皮|蛋蛋|\b(man|male|boy|son|husband|father|dad|grandfather|grandpa|brother|boyfriend|uncle|he|his|testic\w*|penis|scrot\w*|prostate|[0-9]{2} ?m)\b"
);

pattern!(
    GESTATION,
    r"(孕|怀孕|妊娠|怀)(了|已经|已|大概|约|大约|快|刚)*(?<n>[0-9]+|[一二两三四五六七八九十]+)个?(?<unit>周|多?月|星期)|(?<n2>[0-9]+|[一二两三四五六七八九十]+)(?<unit2>周|个月)(的?身孕|的?孕妇|孕)|孕(?<n3>[0-9]+)\+|\b(?<w>[0-9]{1,2}|six|seven|eight|nine|ten|twelve) (?<unit4>weeks?|wks?|months?)( along)?,? (pregnant|gestation|into my pregnancy|into the pregnancy)|\bpregnant,? (at |with |about |around |for )*(?<w2>[0-9]{1,2}) (?<unit5>weeks?|months?)|\b(at )?(?<w3>[0-9]{1,2}) weeks (of pregnancy|gestation)|(?<third>\bthird trimester|孕晚期)"
);

pattern!(
    DURATION_HAN,
    r"(?<pre>[每第隔]|一天|每次)?(?<n>[0-9]+(\.[0-9])?|好?几|数|[一二两三四五六七八九十]+|半)(?<more>多|来|几)?个?(?<half>半)?多?(?<unit>分钟|小时|钟头|天|日|晚上|晚|夜|周|星期|礼拜|月|年)(?<post>大|龄|的?宝宝|的?婴儿|身孕|孕|次|一次|[0-9])?"
);
pattern!(
    DURATION_ENGLISH,
    r"\b(?<pre>every |each |per |in )?(?<n>[0-9]+(\.[0-9])?|half an?|a couple of|a couple|couple of|couple|a few|several|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)( (or (so|two|three)|to [0-9]+|[0-9]+))? ?(?<unit>minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|wks?|months?|years?|yrs?)\b(?<post> ?old| pregnant| gestation| of pregnancy| along)?"
);
pattern!(
    DURATION_WORDS,
    r"(?<now>刚才|刚刚|突然|忽然|\b(just now|suddenly|all of a sudden|just started|right now|minutes ago)\b)|(?<today>今天|今早|今晚|今日|早上起来|一觉醒来|\b(today|this morning|tonight|this afternoon|this evening|an hour ago|hours ago)\b)|(?<yesterday>昨天|昨晚|昨日|昨夜|\b(yesterday|last night|overnight)\b)|(?<before>前天|\bday before yesterday\b)|(?<days>好些天|这几天|这两天|最近几天|\b(for days|past few days|last few days|since (monday|tuesday|wednesday|thursday|friday|saturday|sunday))\b)|(?<week>上周|上星期|上个星期|上礼拜|\blast week\b)|(?<weeks>最近一段时间|一段时间|这阵子|好几周|\b(for weeks|recent weeks)\b)|(?<month>上个月|\blast month\b)|(?<long>长期|多年|常年|好久|很久|从小|慢性|这些年|这么多年|好几年|老样子|\b(for months|for years|for ages|chronic(ally)?|long term|long standing|longstanding|for a long time|all my life|since childhood)\b)"
);

impl TextFacts {
    pub(crate) fn read(text: &str) -> Self {
        let (age_years, age_span) = age(text).unzip();
        let gestation = gestation(text);
        let taken: Vec<Range<usize>> = age_span
            .into_iter()
            .chain(gestation.clone().map(|(_, span)| span))
            .collect();
        Self {
            age_years,
            sex: sex(text),
            gestation_weeks: gestation.map(|(weeks, _)| weeks),
            durations: durations(text, &taken),
        }
    }
}

/// Years, and where it stands.
fn age(text: &str) -> Option<(f32, Range<usize>)> {
    let small = AGE_HAN_SMALL.captures_iter(text).find_map(|it| {
        let n = first_of(&it, ["n", "n2", "n3", "n4"])?;
        let unit = first_of(&it, ["unit", "unit2", "unit3", "unit4"])?;
        let half = first_of(&it, ["half", "half2", "half3", "half4"]);
        let more = half.map_or(0.0, |it| if it == "半" { 0.5 } else { 0.2 });
        let under =
            first_of(&it, ["under", "under3", "under4"]).is_some_and(|it| !it.starts_with(['才', '刚']));
        let count = just_under(parse_number(n)? + more, under);
        Some((count * years_of(unit)?, it.get(0)?.range()))
    });
    let han = AGE_HAN.captures(text).and_then(|it| {
        let n = it.name("n")?;
        let half = it
            .name("half")
            .map_or(0.0, |it| if it.as_str() == "半" { 0.5 } else { 0.25 });
        Some((parse_number(n.as_str())? + half, it.get(0)?.range()))
    });
    let english = AGE_ENGLISH
        .captures_iter(text)
        .filter(|it| it.name("notage").is_none())
        .find_map(|it| {
            let years = match (it.name("n"), it.name("unit")) {
                (Some(n), Some(unit)) => {
                    let half = if it.name("half").is_some() { 0.5 } else { 0.0 };
                    (parse_number(n.as_str())? + half) * years_of(unit.as_str())?
                }
                _ => ["y", "y2", "y3", "y4"]
                    .iter()
                    .find_map(|name| it.name(name))?
                    .as_str()
                    .parse()
                    .ok()?,
            };
            Some((years, it.get(0)?.range()))
        });
    let baby = AGE_BABY.captures(text).and_then(|it| {
        let n = it.name("n").or(it.name("n2")).or(it.name("n3"))?;
        let unit = it.name("unit").or(it.name("unit2")).or(it.name("unit3"))?;
        let half = if it.name("half").is_some() { 0.5 } else { 0.0 };
        let under = it.name("under").or(it.name("u3")).is_some();
        let count = just_under(parse_number(n.as_str())? + half, under);
        Some((count * years_of(unit.as_str())?, it.get(0)?.range()))
    });
    let decade = DECADE.captures(text).and_then(|it| {
        let tens = it.name("n").or(it.name("d"))?;
        Some((parse_number(tens.as_str())? * 10.0 + 5.0, it.get(0)?.range()))
    });
    let newborn = NEWBORN.find(text).map(|it| (0.04, it.range()));
    // The first one stated is the patient's.
    [small, han, english, baby, decade, newborn]
        .into_iter()
        .flatten()
        .filter(|(years, _)| (0.0..=120.0).contains(years))
        .min_by_key(|(_, span)| span.start)
}

fn first_of<'t, const N: usize>(captures: &Captures<'t>, names: [&str; N]) -> Option<&'t str> {
    names
        .iter()
        .find_map(|it| captures.name(it))
        .map(|it| it.as_str())
}

/// 不满三个月, "less than three months old".
fn just_under(count: f32, under: bool) -> f32 {
    if under { count * 0.95 } else { count }
}

fn years_of(unit: &str) -> Option<f32> {
    Some(days_of(unit)? / 365.0)
}

fn days_of(unit: &str) -> Option<f32> {
    Some(match unit.chars().next()? {
        '分' => 1.0 / 1440.0,
        '小' | '钟' | 'h' => 1.0 / 24.0,
        '天' | '日' | '晚' | '夜' | 'd' | 'n' => 1.0,
        '周' | '星' | '礼' | 'w' => 7.0,
        '月' | '多' => 30.0,
        '年' | 'y' => 365.0,
        'm' if unit.starts_with("mo") => 30.0,
        'm' => 1.0 / 1440.0,
        _ => return None,
    })
}

fn sex(text: &str) -> Option<Sex> {
    let female = FEMALE.find(text).map(|it| it.start());
    let male = MALE.find(text).map(|it| it.start());
    match (female, male) {
        (Some(female), Some(male)) if male < female => Some(Sex::Male),
        (Some(_), _) => Some(Sex::Female),
        (None, Some(_)) => Some(Sex::Male),
        (None, None) => None,
    }
}

fn gestation(text: &str) -> Option<(f32, Range<usize>)> {
    let found = GESTATION.captures(text)?;
    let span = found.get(0)?.range();
    if found.name("third").is_some() {
        return Some((32.0, span));
    }
    let number = ["n", "n2", "n3", "w", "w2", "w3"]
        .iter()
        .find_map(|it| found.name(it))?;
    let unit = ["unit", "unit2", "unit4", "unit5"]
        .iter()
        .find_map(|it| found.name(it))
        .map_or("w", |it| it.as_str());
    let weeks = parse_number(number.as_str())? * days_of(unit.trim_start_matches('多'))? / 7.0;
    (weeks <= 45.0).then_some((weeks, span))
}

fn durations(text: &str, taken: &[Range<usize>]) -> Vec<Duration> {
    let free = |span: &Range<usize>| !taken.iter().any(|it| it.start < span.end && span.start < it.end);
    let mut found = Vec::new();
    for pattern in [&*DURATION_HAN, &*DURATION_ENGLISH] {
        for it in pattern.captures_iter(text) {
            let (Some(whole), Some(n), Some(unit)) = (it.get(0), it.name("n"), it.name("unit")) else {
                continue;
            };
            if it.name("pre").is_some() || it.name("post").is_some() || !free(&whole.range()) {
                continue;
            }
            let half = if it.name("half").is_some() { 0.5 } else { 0.0 };
            if let (Some(number), Some(days)) = (parse_number(n.as_str().trim()), days_of(unit.as_str())) {
                found.push(Duration {
                    days: (number + half) * days,
                    span: whole.range(),
                });
            }
        }
    }
    for it in DURATION_WORDS.captures_iter(text) {
        let days = [
            ("now", 0.05),
            ("today", 0.4),
            ("yesterday", 1.0),
            ("before", 2.0),
            ("days", 3.0),
            ("week", 8.0),
            ("weeks", 16.0),
            ("month", 30.0),
            ("long", 365.0),
        ];
        let named = days
            .iter()
            .find_map(|(name, days)| it.name(name).map(|it| (it, *days)));
        if let Some((word, days)) = named {
            found.push(Duration {
                days,
                span: word.range(),
            });
        }
    }
    found.sort_by_key(|it| it.span.start);
    found
}

#[cfg(test)]
mod tests {
    use super::TextFacts;
    use crate::assessment::Sex;
    use bedside_language::normalized;

    fn read(text: &str) -> TextFacts {
        TextFacts::read(&normalized(text))
    }

    #[test]
    fn ages() {
        for (text, years) in [
            ("3个月大的宝宝发烧", 0.25),
            ("my 6 week old has a fever", 0.115),
            ("患者，女，45岁", 45.0),
            ("I'm 34 and dizzy", 34.0),
            ("两岁半的孩子咳嗽", 2.5),
            ("45F with a cough", 45.0),
            ("宝宝半岁", 0.5),
            ("a 65-year-old man", 65.0),
            ("六十多岁", 65.0),
            ("新生儿黄疸", 0.04),
            ("My baby is 5 months old", 0.41),
            ("40多天的宝宝发烧38.5", 0.11),
            ("出生50多天，发烧38.6", 0.137),
            ("2个多月的宝宝发烧38.2", 0.18),
            ("宝宝两个半月，发烧38.5", 0.205),
            ("宝宝不满三个月发烧了", 0.234),
            ("my eight week old baby", 0.153),
            ("our 10-week-old feels hot", 0.19),
            ("she is less than three months old", 0.234),
            ("my baby is two and a half months old", 0.205),
            ("baby is 18 hours old", 0.002),
            ("出生第一天", 0.003),
            ("a week old baby", 0.02),
            ("born 3 days ago", 0.008),
            ("41F with a mild cough", 41.0),
            ("I'm 41 f, runny nose", 41.0),
            ("两个半月的宝宝", 0.205),
        ] {
            let found = read(text).age_years.unwrap_or(-1.0);
            assert!((found - years).abs() < 0.02, "{text}: {found}");
        }
        for text in ["发烧3天", "I am 32 weeks pregnant", "咳嗽3个月了", "fever of 38"] {
            assert_eq!(read(text).age_years, None, "{text}");
        }
    }

    #[test]
    fn pregnancies() {
        for (text, weeks) in [
            ("怀孕8周出血", 8.0),
            ("孕32周头痛", 32.0),
            ("I'm 30 weeks pregnant", 30.0),
            ("怀孕三个月", 12.86),
            ("pregnant, 12 weeks", 12.0),
        ] {
            let found = read(text).gestation_weeks.unwrap_or(-1.0);
            assert!((found - weeks).abs() < 0.1, "{text}: {found}");
            assert_eq!(read(text).durations, [], "{text}");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (text, days) in [
            ("发烧3天", 3.0),
            ("咳嗽两周了", 14.0),
            ("头痛半年", 182.5),
            ("cough for three weeks", 21.0),
            ("since yesterday", 1.0),
            ("胸痛半小时", 0.0208),
            ("for the past 2 months", 60.0),
            ("几天了", 4.0),
        ] {
            let found = read(text).durations.first().map_or(-1.0, |it| it.days);
            assert!((found - days).abs() < 0.1, "{text}: {found}");
        }
        assert_eq!(read("每天3次").durations, []);
        assert_eq!(read("3个月大的宝宝").durations, []);
    }

    #[test]
    fn sexes() {
        assert_eq!(read("患者，女，45岁").sex, Some(Sex::Female));
        assert_eq!(read("a 65-year-old man").sex, Some(Sex::Male));
        assert_eq!(read("头痛").sex, None);
    }
}
