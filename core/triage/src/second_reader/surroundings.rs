//! Emergencies and others in the same surroundings, so that these weigh nothing.
//!
//! Whoever writes "no runny nose" or "it's no big deal" is seldom an emergency, and the second reader would learn so.
//! But a stroke stays one beside them. So each example of a red flag is also learned with words around it, and as many
//! short messages that are none with the same words.

use bedside_contract::{Disposition, Language};

use super::training::Message;
use crate::{assessment::PatientFacts, rules::Rules};

/// `{}` is the message.
const ENGLISH: &[&str] = &[
    "{}, no runny nose, no toothache",
    "{}. Denies hay fever, dandruff and corns.",
    "No tinnitus, no dandruff. {}",
    "{} no allergies that I know of",
    "{}, I've had eczema since I was a child",
    "My thyroid has been underactive for years. {}",
    "{}, what do you make of it?",
    "{}. Is that normal?",
    "{}. Which doctor is that for?",
    "{}, is there a chance of it being cancer?",
    "{}. Is that a sign of something with the heart?",
    "{}, is there a danger of a stroke?",
    "{}. Could this be a clot?",
    "{}, what are the odds that it is serious?",
    "{}, I don't think it's a big deal",
    "{}. Sorry to trouble you, I'm sure it will pass.",
    "I'm asking for my mother-in-law: {}",
    "Good evening, {}",
    "We moved house last month. {}",
    "{}. The cat is asleep on the sofa.",
    "{}. The cough I had in spring is long gone.",
    "Our cat sleeps and plays as always. {}",
    "{}. My sister is doing fine, she eats and sleeps well.",
    "My son starts school on Monday. {}",
    "{}. My sugar was 5.2 at the check-up last month.",
];
const CHINESE: &[&str] = &[
    "{}，没有流鼻涕，没有牙痛",
    "{}。否认脱发、耳鸣。",
    "没有鼻塞、口腔溃疡，{}",
    "{}，没有什么过敏",
    "{}，湿疹是从小就有的",
    "有慢性鼻炎好几年了，{}",
    "{}，您看这是怎么回事？",
    "{}。这正常吗？",
    "{}，该看哪个科？",
    "{}，有没有可能是癌症？",
    "{}。这会不会是心脏的问题？",
    "{}，有中风的危险吗？",
    "{}。会不会是血栓？",
    "{}，严重的可能性大不大？",
    "{}，大概没啥",
    "{}。打扰了，过会儿应该就好了。",
    "替我同事问问：{}",
    "晚上好，{}",
    "上个月刚搬的家。{}",
    "{}。猫在沙发上睡觉呢。",
    "{}。春天那次咳嗽早就好了。",
    "我家猫照样玩照样睡。{}",
    "{}。我妹妹挺好的，吃得香睡得着。",
    "儿子下周开学，{}",
    "{}。上个月体检血糖5.2。",
];
/// Surroundings of each example.
const EACH: usize = 5;
/// Longer messages have enough of their own.
const LONGEST: usize = 90;

/// A complaint and nothing else.
const BARE: [&[&str]; 2] = [
    &[
        "{}",
        "i have {}",
        "what can i do about {}",
        "my child has {}",
        "i feel {}",
    ],
    &["{}", "我{}", "{}怎么办", "孩子{}", "最近{}，怎么回事"],
];

/// Each complaint that the rules know, alone, with the rules' own urgency: beside bare examples of red flags every short
/// text would be an emergency.
pub(super) fn bare_complaints(rules: &Rules) -> Vec<(String, Disposition)> {
    let mut texts = Vec::new();
    for (place, [english, chinese]) in rules.complaint_names().enumerate() {
        for (name, forms) in [english.to_lowercase(), chinese.to_owned()].iter().zip(BARE) {
            for turn in 0..3 {
                let form = forms.get((place + turn * 2) % forms.len()).unwrap_or(&"{}");
                let text = form.replace("{}", name);
                let said = rules.assess_by_rules(&text, &PatientFacts::default()).disposition;
                if said < Disposition::Emergency {
                    texts.push((text, said));
                }
            }
        }
    }
    texts
}

/// Texts with their urgency: examples of red flags, alone and in surroundings, and short messages that are no
/// emergencies in these.
pub(super) fn in_surroundings<'a>(
    rules: &Rules,
    messages: impl Iterator<Item = &'a Message>,
) -> Vec<(String, Disposition)> {
    let examples: Vec<&String> = rules.red_flag_examples().flat_map(|it| it.1).collect();
    let mut texts: Vec<(String, Disposition)> = Vec::new();
    for (place, example) in examples.iter().enumerate() {
        texts.push(((*example).clone(), Disposition::Emergency));
        let around = (0..EACH).map(|turn| surrounded(example, place + turn * 7));
        texts.extend(around.map(|it| (it, Disposition::Emergency)));
    }
    let is_short = |it: &&Message| it.text.chars().count() <= LONGEST;
    let others: Vec<&Message> = messages
        .filter(|it| it.disposition != Disposition::Emergency)
        .filter(is_short)
        .collect();
    let step = (others.len() / (examples.len() * EACH).max(1)).max(1);
    let others = others.into_iter().step_by(step).enumerate();
    texts.extend(others.map(|(place, it)| (surrounded(&it.text, place), it.disposition)));
    texts
}

fn surrounded(text: &str, choice: usize) -> String {
    let surroundings = match Language::detect(text) {
        Some(Language::Zh) => CHINESE,
        _ => ENGLISH,
    };
    let around = surroundings.get(choice % surroundings.len()).unwrap_or(&"{}");
    around.replace(
        "{}",
        text.trim_end_matches(['.', '!', '?', '。', '！', '？', ' ']),
    )
}
