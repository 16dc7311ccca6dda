//! What the articles call urgent, checked against a table of danger signs. Whoever writes an article may say
//! more, never less. Levels follow the guidelines that a clinician has yet to confirm.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::{collections::BTreeMap, path::Path};

use bedside_plugin_api::msg::Contacts;
use bedside_plugin_knowledge::{
    article::{Article, Raised},
    library::{Folder, Library, Origin, read_folder},
    lint::Numbers,
    passage::passages,
    placeholders::EMERGENCY_NUMBER,
    section::{Language, Section},
};

/// How soon a sentence sends somebody to a doctor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Appointment,
    TwoWeeks,
    Today,
    Emergency,
}

use Level::{Emergency, Today, TwoWeeks};

/// `article: least level: danger words; …`, English left, Chinese right of the bar. A word is looked for in
/// each sentence of "When to seek care"; it must stand in at least one, and the most urgent decides.
const SIGNS: &str = include_str!("urgency.txt");

/// Danger signs that no article may call less urgent, wherever they stand.
const EVERYWHERE: [(Level, &str, &str); 26] = [
    (Emergency, "black, tar-like stool", "大便黑"),
    (Emergency, "vomit blood", "呕血"),
    (Emergency, "vomits blood", "吐血"),
    (Emergency, "vomiting blood", "柏油"),
    (Emergency, "loss of sight", "突然看不见"),
    (Emergency, "drooping face", "口角歪斜"),
    (Emergency, "face that droops", "面瘫"),
    (Emergency, "slurred speech", "说话不清"),
    (Emergency, "stiff neck", "颈部发硬"),
    (Emergency, "blue lips", "嘴唇发紫"),
    (Emergency, "hard belly", "肚子发硬"),
    (Emergency, "rigid belly", "腹部发硬"),
    (Emergency, "no wind", "不排气"),
    (Emergency, "under three months", "不满三个月"),
    (Emergency, "pain under the ribs", "肋骨下疼痛"),
    (Emergency, "double vision", "重影"),
    (Emergency, "cold, pale", "苍白、麻木"),
    (Emergency, "chemical", "化学"),
    (Emergency, "between the legs", "会阴部麻木"),
    (Emergency, "sore scalp", "头皮触痛"),
    (Emergency, "swelling of the face", "面部肿胀"),
    (Emergency, "coughs up a lot of blood", "大量咯血"),
    (Today, "thoughts of suicide", "轻生念头"),
    (Today, "sudden hearing loss", "突然听不见"),
    (TwoWeeks, "weight loss", "消瘦"),
    (TwoWeeks, "swallowing gets harder", "吞咽越来越困难"),
];

/// Where such words do not mean the danger.
const EXCEPTIONS: [(&str, &str); 1] = [
    // Weight loss with a racing heart points to the thyroid.
    ("hyperthyroidism", "消瘦"),
];

fn conditions() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conditions")
}

fn articles() -> Vec<Article> {
    let files = read_folder(&conditions(), Numbers::Refused).unwrap();
    files.into_iter().filter_map(|it| it.article).collect()
}

fn sentences(text: &str) -> Vec<&str> {
    text.split_inclusive(['.', '。', '；'])
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect()
}

fn level(sentence: &str) -> Option<Level> {
    let has = |words: &[&str]| words.iter().any(|it| sentence.contains(it));
    if has(&[EMERGENCY_NUMBER, "emergency department at once", "立即去急诊"]) {
        Some(Emergency)
    } else if has(&[" today", "当天"]) {
        Some(Today)
    } else if has(&["Be seen within two weeks", "两周内"]) {
        Some(TwoWeeks)
    } else if has(&["Book", "book", "请预约", "定期预约"]) {
        Some(Level::Appointment)
    } else {
        None
    }
}

/// The most urgent sentence with the word, `None` if none has it.
fn most_urgent(text: &str, word: &str) -> Option<Option<Level>> {
    let with = sentences(text).into_iter().filter(|it| it.contains(word));
    with.map(level).max()
}

fn when(article: &Article) -> &str {
    article.section(Section::WhenToSeekCare).unwrap_or_default()
}

#[test]
fn danger_signs_are_as_urgent_as_the_table_says() {
    let articles = articles();
    let mut mistakes = Vec::new();
    let mut checked = BTreeMap::new();
    for line in SIGNS.lines().filter(|it| !it.is_empty() && !it.starts_with('#')) {
        let [id, least, words] = line.splitn(3, ':').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("three parts: {line}");
        };
        let least = match least {
            "emergency" => Emergency,
            "today" => Today,
            "two weeks" => TwoWeeks,
            other => panic!("no level: {other}"),
        };
        let (english, chinese) = words.split_once('|').unwrap_or_else(|| panic!("{line}"));
        for (language, words) in [(Language::En, english), (Language::Zh, chinese)] {
            let article = articles.iter().find(|it| it.id == id && it.language == language);
            let text = when(article.unwrap_or_else(|| panic!("no article: {line}")));
            for word in words.split(';').map(str::trim) {
                *checked.entry(language).or_insert(0) += 1;
                let found = most_urgent(text, word);
                if found.flatten() < Some(least) {
                    mistakes.push(format!("{id}.{language}: `{word}` is {found:?}, not {least:?}"));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(checked.values().all(|it| *it >= 150), "{checked:?}");
}

#[test]
fn the_same_sign_is_equally_urgent_in_all_articles() {
    let mut mistakes = Vec::new();
    let mut seen = BTreeMap::new();
    for article in articles() {
        for (least, english, chinese) in EVERYWHERE {
            let word = match article.language {
                Language::En => english,
                Language::Zh => chinese,
            };
            if EXCEPTIONS.contains(&(article.id.as_str(), word)) {
                continue;
            }
            if let Some(found) = most_urgent(when(&article), word) {
                *seen.entry(word).or_insert(0) += 1;
                if found < Some(least) {
                    mistakes.push(format!(
                        "{}.{}: `{word}` is {found:?}",
                        article.id, article.language
                    ));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    for (_, english, chinese) in EVERYWHERE {
        assert!(
            seen.contains_key(english) && seen.contains_key(chinese),
            "{english}, {chinese}: in no article"
        );
    }
}

#[test]
fn what_is_most_urgent_comes_first_and_in_one_piece() {
    let mut levels_of: BTreeMap<String, Vec<Vec<Level>>> = BTreeMap::new();
    for article in articles() {
        let name = format!("{}.{}", article.id, article.language);
        let text = when(&article);
        let mut levels: Vec<Level> = sentences(text).into_iter().filter_map(level).collect();
        assert!(levels.is_sorted_by(|a, b| a >= b), "{name}: {levels:?}");
        levels.dedup();
        assert_eq!(levels.first(), Some(&Emergency), "{name}");
        levels_of.entry(article.id.clone()).or_default().push(levels);

        let pieces: Vec<_> = passages(&article)
            .into_iter()
            .filter(|it| it.section == Section::WhenToSeekCare)
            .collect();
        assert!(pieces.len() <= 2, "{name}: {} pieces", pieces.len());
        for later in pieces.iter().skip(1) {
            let urgent = sentences(&later.text).into_iter().filter_map(level).max();
            assert!(urgent < Some(Emergency), "{name}: {}", later.text);
        }
    }
    for (id, levels) in levels_of {
        assert_eq!(
            levels.first(),
            levels.last(),
            "{id}: the languages differ in urgency"
        );
    }
}

#[test]
fn terms_of_emergencies_raise_the_urgency() {
    let folders = [Folder {
        path: conditions(),
        origin: Origin::Starter,
    }];
    let library = Library::load(&folders, &Contacts::default()).unwrap();
    let mut counted = 0;
    for article in articles() {
        for (term, raised) in &article.raised {
            let question = match article.language {
                Language::En => format!("I think I have this: {term}"),
                Language::Zh => format!("我{term}，怎么办"),
            };
            let found = library.search(article.language, &question, &[]);
            let hit = found.hits.iter().find(|it| it.article.id == article.id);
            let hit = hit.unwrap_or_else(|| panic!("{question}: {} is not found: {found:?}", article.id));
            assert_eq!(hit.disposition(), raised.name(), "{question}");
            assert!(found.reports, "{question}");
            counted += 1;
        }
    }
    assert!(counted >= 60, "{counted}");
    // The article's own words, denied and milder ones do not raise it.
    for (language, question, id, expect) in [
        (
            Language::En,
            "I have asthma, what helps?",
            "asthma",
            "out-patient",
        ),
        (
            Language::En,
            "I have stable angina",
            "coronary-heart-disease",
            "out-patient",
        ),
        (
            Language::En,
            "I have asthma but no asthma attack",
            "asthma",
            "out-patient",
        ),
        (Language::En, "I have gallstones", "gallstones", "out-patient"),
        (
            Language::En,
            "dizzy from heat exhaustion",
            "heat-illness",
            "same-day",
        ),
        (Language::Zh, "我有哮喘怎么办", "asthma", "out-patient"),
        (
            Language::Zh,
            "我有稳定型心绞痛",
            "coronary-heart-disease",
            "out-patient",
        ),
        (Language::Zh, "我中暑了怎么办", "heat-illness", "same-day"),
    ] {
        let found = library.search(language, question, &[]);
        let hit = found.hits.iter().find(|it| it.article.id == id);
        assert_eq!(hit.map(|it| it.disposition()), Some(expect), "{question}");
    }
}

#[test]
fn names_of_emergencies_are_marked() {
    const STEMS: [&str; 24] = [
        "heat stroke",
        "heatstroke",
        "sunstroke",
        "botulism",
        "mushroom",
        "pufferfish",
        "seizure",
        "convulsion",
        "asthma attack",
        "bleeding ulcer",
        "perforated",
        "angioedema",
        "acute cholecystitis",
        "acute heart failure",
        "热射病",
        "肉毒",
        "河豚",
        "惊厥",
        "哮喘发作",
        "溃疡出血",
        "穿孔",
        "血管性水肿",
        "急性胆囊炎",
        "急性心衰",
    ];
    let mut missing = Vec::new();
    let mut languages: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for article in articles() {
        let side = usize::from(article.language == Language::Zh);
        languages.entry(article.id.clone()).or_default()[side] = article.raised.len();
        let emergencies = article
            .raised
            .iter()
            .filter(|it| it.1 == Raised::Emergency)
            .map(|it| &it.0);
        let emergencies: Vec<&String> = emergencies.collect();
        for name in article
            .aliases
            .iter()
            .filter(|it| STEMS.iter().any(|stem| it.contains(stem)))
        {
            if article.disposition != "emergency" && !emergencies.contains(&name) {
                missing.push(format!("{}.{}: {name}", article.id, article.language));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let one_sided: Vec<_> = languages
        .iter()
        .filter(|it| it.1.contains(&0) && it.1 != &[0, 0])
        .collect();
    assert!(one_sided.is_empty(), "terms in one language only: {one_sided:?}");
}
