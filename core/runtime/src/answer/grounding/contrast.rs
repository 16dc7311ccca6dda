//! Words of which one may not stand for another: left and right, adults and children, more and less.

use std::{collections::HashSet, sync::LazyLock};

use unicode_segmentation::UnicodeSegmentation;

/// Groups of sides, each side a list of words.
const ENGLISH: &[&[&str]] = &[
    &["more", "less fewer"],
    &["above over exceed exceeds exceeding", "below under"],
    &["higher", "lower"],
    &["high", "low"],
    &["least", "most"],
    &[
        "raise raises rise rises increase increases increased gain raised",
        "decrease decreases decreased reduce reduces lower lowers loss lose fall falls lowered reduced",
    ],
    &["left", "right"],
    &["upper", "lower"],
    &["hot warm heat", "cold cool ice"],
    &["before", "after"],
    &["adult adults", "child children kids baby babies infant infants"],
    &["men man male boys", "women woman female girls"],
    &["young younger", "old older elderly"],
    &["mild", "severe"],
    &["suddenly sudden", "gradually gradual slowly"],
    &["slowly slow", "quickly quick fast rapidly rapid"],
    &["early", "late"],
    &["night evening", "day morning afternoon daytime"],
    &["acute", "chronic"],
    &["common commonly frequent often", "rare rarely uncommon seldom"],
    &["safe harmless", "dangerous harmful unsafe"],
    &["benign", "malignant cancerous"],
    &["better improve improves", "worse worsen worsens"],
    &[
        "ease eases relieve relieves help helps",
        "worsen worsens aggravate harm",
    ],
    &["push press", "pull"],
    &["open", "closed close"],
    &["start begin", "stop end"],
    &["first", "last second"],
    &["arm hand", "leg foot"],
    &["front", "back"],
    &["red", "white"],
    &["hypothyroidism underactive", "hyperthyroidism overactive"],
    &["hypertension", "hypotension"],
    &["hypoglycaemia hypoglycemia", "hyperglycaemia hyperglycemia"],
    &["constipation", "diarrhoea diarrhea"],
    &["bacteria bacterial", "virus viral viruses"],
    &["kidney kidneys", "liver", "lung lungs", "stomach"],
    &["inside", "outside"],
    &["vein veins", "artery arteries"],
    &["now immediately once today", "later tomorrow"],
    &["full", "empty"],
    &["wet moist", "dry"],
];

const CHINESE: &[&[&str]] = &[
    &["左", "右"],
    &["热敷 热水 温水 烫水", "冷敷 冰敷 凉水 冷水"],
    &["怕热", "怕冷"],
    &["至少 不少于", "至多 最多 不超过"],
    &["超过 以上 高于 大于 多于", "不足 以下 低于 小于 少于 不到 以内"],
    &["升高 增加 增高 上升 提高 增多 增重", "降低 减少 下降 减轻 减慢"],
    &["高血压 血压高", "低血压 血压低"],
    &["高血糖", "低血糖"],
    &["抬高 抬起", "放低 放下"],
    &["成人 成年人 大人", "儿童 孩子 小孩 婴儿 婴幼儿"],
    &["男性 男人 男士", "女性 女人 女士 妇女"],
    &["年轻人 青年", "老年人 老人"],
    &["饭前 餐前", "饭后 餐后"],
    &["之前", "之后"],
    &["上腹", "下腹"],
    &["急性", "慢性"],
    &["常见 多见", "少见 罕见"],
    &["轻度 轻微", "重度 严重 剧烈"],
    &["良性", "恶性"],
    &["缓慢 慢慢", "迅速 快速 很快"],
    &["好转 减轻 缓解", "加重 恶化"],
    &["夜间 晚上 夜里", "白天 早上 早晨"],
    &["马上 立即 立刻 当天 今天 尽快", "下周 以后 过几天 明天 下个月"],
    &["便秘", "腹泻"],
    &["甲减", "甲亢"],
    &["细菌", "病毒"],
    &["肝", "肾", "肺", "胃"],
    &["手 臂", "腿 脚"],
    &["开始", "停止"],
    &["安全 无害", "危险 有害"],
    &["多吃", "少吃"],
    &["多喝", "少喝"],
    &["红细胞", "白细胞"],
    &["动脉", "静脉"],
    &["避免 忌", "适量 可以"],
    &["干燥", "潮湿"],
];

struct Side {
    group: usize,
    side: usize,
    words: Vec<&'static str>,
}

fn sides(groups: &'static [&'static [&'static str]]) -> Vec<Side> {
    let sides = groups.iter().enumerate().flat_map(|(group, sides)| {
        sides.iter().enumerate().map(move |(side, words)| Side {
            group,
            side,
            words: words.split(' ').collect(),
        })
    });
    sides.collect()
}

static SIDES: LazyLock<(Vec<Side>, Vec<Side>)> = LazyLock::new(|| (sides(ENGLISH), sides(CHINESE)));

/// Which sides of which groups a text names.
#[derive(Debug, Clone, Default)]
pub(super) struct Contrasts(HashSet<(bool, usize, usize)>);

impl Contrasts {
    pub(super) fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let words: HashSet<&str> = lower.unicode_words().collect();
        let (english, chinese) = &*SIDES;
        let english = english
            .iter()
            .filter(|it| it.words.iter().any(|word| words.contains(word)))
            .map(|it| (false, it.group, it.side));
        let chinese = chinese
            .iter()
            .filter(|it| it.words.iter().any(|word| lower.contains(word)))
            .map(|it| (true, it.group, it.side));
        Self(english.chain(chinese).collect())
    }

    pub(super) fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// Whether a sentence names a side of which its support names only another.
    pub(super) fn contradict(&self, support: &Self) -> bool {
        self.0.iter().any(|side| {
            let (language, group, _) = *side;
            !support.0.contains(side)
                && support.0.iter().any(|(other_language, other_group, _)| {
                    (*other_language, *other_group) == (language, group)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CHINESE, Contrasts, ENGLISH};

    #[test]
    fn every_side_contradicts_the_others_of_its_group() {
        for (groups, gap) in [(ENGLISH, " "), (CHINESE, "")] {
            for sides in groups {
                for (index, one) in sides.iter().enumerate() {
                    for (other_index, other) in sides.iter().enumerate() {
                        for (word, other_word) in one
                            .split(' ')
                            .flat_map(|it| other.split(' ').map(move |o| (it, o)))
                        {
                            let text = Contrasts::of(&format!("{gap}{word}{gap}"));
                            let support = Contrasts::of(&format!("{gap}{other_word}{gap}"));
                            let contradicts = text.contradict(&support);
                            if index != other_index {
                                assert!(contradicts, "{word} {other_word}");
                            }
                        }
                    }
                }
            }
        }
    }
}
