//! The second reader with its encoder: what must hold whatever it was trained on.

use std::sync::Arc;

use bedside_embeddings::PatientEncoder;
use bedside_triage::{Disposition, Language, PatientFacts, Rules};

fn rules() -> Rules {
    let rules = Rules::with_additions("", "none").expect("no additions");
    rules.with_encoder(Arc::new(PatientEncoder::default()))
}

fn is_emergency(rules: &Rules, text: &str) -> bool {
    rules.assess(text, &PatientFacts::default()).disposition == Disposition::Emergency
}

/// It was trained with others.
const SURROUNDINGS: [(&str, &str); 4] = [
    (
        "Hi there, first time I use this. {} Any advice welcome!",
        "第一次用这个，不太会打字。{}，麻烦您了",
    ),
    (
        "{}. It has been raining all day and I am at home with the kids doing homework.",
        "{}。今天下雨一直没出门，孩子在旁边写作业。",
    ),
    (
        "Sorry to bother you so late. We were just having dinner with my brother. {}",
        "不好意思这么晚打扰，刚跟我哥吃完饭。{}",
    ),
    (
        "{}. I had my teeth cleaned on Tuesday, no ringing in the ears, no allergies.",
        "{}。周二刚洗过牙，没有耳鸣，没有过敏",
    ),
];

#[test]
fn every_red_flag_s_example_stays_an_emergency() {
    let rules = rules();
    let (mut lost, mut place) = (Vec::new(), 0);
    for (id, examples) in rules.red_flag_examples() {
        for example in examples {
            let (english, chinese) = SURROUNDINGS[place % SURROUNDINGS.len()];
            let around = match Language::detect(example) {
                Some(Language::Zh) => chinese,
                _ => english,
            };
            let bare = example.trim_end_matches(['.', '!', '?', '。', '！', '？', ' ']);
            let texts = [example.clone(), around.replace("{}", bare)];
            let lost_here = texts.into_iter().filter(|it| !is_emergency(&rules, it));
            lost.extend(lost_here.map(|it| format!("{id}: {it}")));
            place += 1;
        }
    }
    assert!(place > 500);
    assert!(lost.is_empty(), "{} lost: {lost:#?}", lost.len());
}

#[test]
fn harmless_sentences_are_no_emergencies() {
    let rules = rules();
    let sentences = include_str!("../../../core/triage/tests/data/harmless.txt");
    let called: Vec<&str> = sentences.lines().filter(|it| is_emergency(&rules, it)).collect();
    assert!(called.len() <= 3, "{called:#?}");
}

/// "My head hurts" says neither how nor since when: without a red flag of the rules it is no emergency.
#[test]
fn bare_complaints_are_no_emergencies() {
    let rules = rules();
    let english = [
        "my head hurts",
        "my back hurts",
        "my tooth hurts",
        "my knee hurts",
        "my tummy hurts",
        "my ear hurts",
        "i feel dizzy",
        "i feel sick",
        "i feel tired",
        "i feel weak",
        "i have a cold",
        "i have a cough",
        "i have a fever",
        "i have a rash",
        "i have a headache",
        "i have diarrhoea",
        "i have heartburn",
        "i have acne",
        "i can't sleep",
        "i snore",
        "sore throat",
        "stomach ache",
        "itchy skin",
        "runny nose",
        "period pain",
        "my baby does not sleep",
        "my child has a fever",
        "my child coughs",
        "constipation",
        "bloating",
        "hay fever",
        "high blood pressure",
        "diabetes",
        "my feet are cold",
        "my hair falls out",
        "what helps against a cold",
    ];
    let chinese = [
        "我头疼",
        "头晕",
        "牙疼",
        "胃痛",
        "胃不舒服",
        "肚子疼",
        "腰疼",
        "膝盖疼",
        "嗓子疼",
        "耳朵疼",
        "背疼",
        "脚疼",
        "咳嗽",
        "感冒了",
        "发烧了",
        "孩子发烧了",
        "孩子咳嗽",
        "拉肚子",
        "便秘",
        "失眠",
        "睡不着",
        "皮肤痒",
        "长痘痘",
        "掉头发",
        "痛经",
        "月经推迟一周",
        "鼻塞",
        "流鼻涕",
        "恶心",
        "没胃口",
        "乏力",
        "口腔溃疡",
        "高血压",
        "糖尿病",
        "宝宝不睡觉",
        "感冒了怎么办",
    ];
    let texts = english.into_iter().chain(chinese);
    let called: Vec<&str> = texts.filter(|it| is_emergency(&rules, it)).collect();
    assert!(called.is_empty(), "{called:#?}");
}

/// The encoder in the program is the one that the second reader was trained with.
#[test]
fn the_encoder_is_read() {
    let with = rules();
    let text = "has anyone got a good stretch for a stiff neck after a day at the desk, it comes and goes";
    let reading = |rules: &Rules| rules.assess(text, &PatientFacts::default()).second_reading;
    assert_ne!(reading(&with), reading(Rules::builtin()));
    assert!(Rules::builtin().version().contains("without encoder"));
    assert!(!with.version().contains("without encoder"));
}
