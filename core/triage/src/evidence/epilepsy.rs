//! Attacks that are told to explain a question on epilepsy, not an attack that goes on.

use super::Reading;
use crate::{bundle::Bundle, pattern::pattern};
use bedside_language::negation::Polarity;

/// What an attack looks like.
const ATTACK: &[&str] = &[
    "seizure",
    "syncope",
    "collapse",
    "unresponsive",
    "confusion",
    "muscle-twitching",
    "whole-body-rigid",
    "rigid-body",
    "hand-claw",
    "seizure-going-on",
];

// A doctor has seen it and named it.
pattern!(
    ATTENDED,
    r"(去|到|送|上|带[^。]{0,3}去)[^。!?]{0,8}医院[^。!?]{0,20}(检查|看了|治|诊断|说是|查出|才知)|医生[^。!?]{0,10}(说|诊断|告诉)|检查(出|完|结果)|确诊|诊断(为|是)|查出|后来才知道|才知(道|晓)?|获知|被送|送(往|去|到)医院|得了癫痫|患(上|了|有)?癫痫|年的?(病史|历史)|\b(diagnosed|neurologist|(doctors?|hospital|er|a&e|paediatrician|pediatrician) (said|say|told|says|diagnosed|called it))\b"
);
pattern!(
    HABITUAL,
    r"每次(发作|发病|病发|犯病|复发)|(发作|犯病|病发|发病|复发)(时|的时候|的过程|起来|后|是|到)|天天|一次比一次|(有时|经常|时常|偶尔|老是|不定时|常常|几乎|隔三差五)[^。!?]{0,8}(发作|复发|发病|病发|再次出现|出现|抽|犯)|从小|\b(usually|whenever|every (few )?(days?|weeks?|months?)|most (weeks|months)|typical(ly)?)\b"
);
pattern!(
    ASKS_ON_DISEASE,
    r"治好|治愈|治疗|怎么治|医治|偏方|专家|哪家医院|那家医院|好的医院|吃什么药|能吃|可以吃|传染|感染|遗传|预防|引起|引致|原因|症状|危害|自愈|\b(drive|driving|licen[cs]e|treatments?|cure[ds]?|cause[sd]?|hereditary|medication|tablets|dose|review|diet|insurance|school|sports?)\b"
);
pattern!(
    GOES_ON,
    r"现在(还|又|正|在|一直)|还在|正在|没醒|不醒|不停|停不|持续|又(抽|犯|发作|晕|倒|来)|刚刚|刚才|现在突然|今天|今早|今晚|分钟了|小时了|半个?(多)?小时|救命|救救|急死|怀孕|孕|\b(now|right now|just|still|again|ongoing|another|minutes|wont stop|not stopping|pregnant|help)\b"
);

/// Epilepsy is named, its attacks are told as seen by a doctor or as usual, and the question is about the disease.
pub(super) fn settle_told_attacks(bundle: &Bundle, text: &str, mentions: &mut [Reading]) {
    let epilepsy = bundle.id("epilepsy");
    let named = mentions
        .iter()
        .any(|it| Some(it.mention.entry) == epilepsy && it.polarity != Polarity::Absent);
    if !named || GOES_ON.is_match(text) || !ASKS_ON_DISEASE.is_match(text) {
        return;
    }
    if !ATTENDED.is_match(text) && !HABITUAL.is_match(text) {
        return;
    }
    let attack: Vec<usize> = ATTACK.iter().filter_map(|it| bundle.id(it)).collect();
    for reading in mentions {
        if reading.polarity == Polarity::Present && attack.contains(&reading.mention.entry) {
            reading.polarity = Polarity::Over;
            reading.active = false;
        }
    }
}
