//! The last look at what a model says, sentence by sentence. No model, no state.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::{
    normal_text::{normalized, normalized_built_in},
    pattern::{compile, pattern},
};

/// Withholds what must never come from a machine: doses, prescriptions, "no need to see a doctor", and the
/// special tokens of chat templates.
#[derive(Debug, Clone, Copy)]
pub struct OutputGate;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputVerdict {
    Pass,
    /// `dose`, `prescription`, `template-token` or `discourages-care`: for the log, which never holds the
    /// sentence.
    Withhold {
        reason: &'static str,
    },
}

/// Words that tell a medicine from food and drink.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    medicine: Vec<String>,
    medicine_endings: Vec<String>,
    diet: Vec<String>,
}

struct Lists {
    medicine: Regex,
    diet: Regex,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let words: Words = toml::from_str(include_str!("../data/output_gate.toml"))
        .expect("the built-in file is read by a test");
    let any = |words: &[String]| {
        words
            .iter()
            .map(|it| regex::escape(&normalized_built_in(it)))
            .collect::<Vec<_>>()
            .join("|")
    };
    let (han, latin): (Vec<String>, Vec<String>) = words.medicine.into_iter().partition(|it| !it.is_ascii());
    let (diet_han, diet_latin): (Vec<String>, Vec<String>) =
        words.diet.into_iter().partition(|it| !it.is_ascii());
    let (ends_han, ends_latin): (Vec<String>, Vec<String>) =
        words.medicine_endings.into_iter().partition(|it| !it.is_ascii());
    Lists {
        medicine: compile(&format!(
            r"{}|[\p{{Han}}]({})|\b({})s?\b|\b[a-z]{{3,}}({})s?\b",
            any(&han),
            any(&ends_han),
            any(&latin),
            any(&ends_latin)
        )),
        diet: compile(&format!(r"{}|\b({})s?\b", any(&diet_han), any(&diet_latin))),
    }
});

pattern!(
    TEMPLATE_TOKEN,
    r"(?i)<\||\|>|<｜|｜>|\[/?inst\]|\[[sg]?mask\]|<<?/?sys>>?|</?s>|<(bos|eos|pad|unk|sop|eop|start_of_turn|end_of_turn|start_header_id|end_header_id|eot_id|im_start|im_end)>|\[round ?[0-9]+\]|\[(cls|sep|eos|bos)\]"
);
pattern!(
    DISCOURAGES,
    r"\b(no need|not necessary|unnecessary|isnt necessary|dont need|do not need|doesnt need|does not need|neednt|never need) (for you )?(to )?(see|visit|go|call|consult|seek|contact|have|get|any|a|the|medical|bother)? ?(to )?(a |an |the |any |your )?(doctor|physician|hospital|emergency|er|medical|ambulance|120|911|999|professional|care|specialist|clinic)|\b(dont|do not|never) (go to|visit|see|call|seek|contact|consult|bother) ?(with |going to )?(a |an |the |any |your )?(doctor|hospital|emergency|er|medical|ambulance|120|911|999)|\b(nothing to worry about|nothing serious for sure|certainly nothing|definitely (not|nothing|isnt)|absolutely (nothing|harmless)|certainly (not|harmless|isnt)|guaranteed (to be )?(harmless|fine)|100 ?% (safe|harmless|sure)|you (definitely|certainly) (do not|dont) have)|不(用|必|需要|需|要|应该|应)再?(急着|着急|特意|专门|马上|立即)?(去|看|就|叫|打|拨打|上|找|到){0,2}(医院|医生|大夫|就医|就诊|急诊|120|救护车|门诊|看病)|(没|没有)必要(去|看|就|找|到)?(医院|医生|就医|就诊|急诊|看病)|无[需须](去|看|到)?(医院|医生|就医|就诊|急诊|看病)|(肯定|绝对|一定|百分之百|100%)(不是|没事|没有?问题|没什么|不会有|不要紧|无害)|完全不用担心|不用管它"
);
// The second halves of sentences that say the opposite: "do not wait: …", "you do not need … unless".
pattern!(
    UNLESS,
    r"\b(do not|dont|never) (hesitate|delay|wait|put off)|不要(犹豫|拖延|等)"
);
pattern!(
    COUNTED_FORM,
    r"(\b([0-9]+(\.[0-9]+)?|one|two|three|four|five|six|half an?|half|a couple of|several)( ?(to|or|-) ?([0-9]+|two|three|four))? ([a-z]+ )?(tablet|pill|capsule|caplet|puff|drop|suppositor(y|ie)|spray|lozenge|sachet|teaspoon|tablespoon|patche|unit|ampoule)s?\b)|([0-9]+(\.[0-9]+)?|半|一|二|两|三|四|五|六|七|八|九|十|几)([~至到或-]?([0-9]+|一|二|两|三|四|五|六))? ?(片|粒|丸|滴|袋|支|瓶|喷|揿|包|贴|颗|枚|单位|胶囊|勺)"
);
pattern!(
    NOT_A_FORM,
    r"[0-9一二两三四五六几半] ?(片|袋|瓶|包|粒|颗|勺|支|滴)[\p{Han}]{0,2}(面包|姜|柠檬|奶|水果|药店|叶|肉|菜|水|糖|枣|饼干|盐|油|牛奶|酸奶|豆|瓜|果|茶|烟|酒|创可贴|汗|眼泪|血)|\b(teaspoon|tablespoon|drop|unit)s? of (salt|honey|sugar|water|oil|vinegar|lemon|juice|blood|alcohol|baking soda)|blood units|alcohol units|units? of alcohol"
);
pattern!(
    MASS,
    r"([0-9][0-9.,]*|[一二两三四五六七八九十百千半]+) ?(-|~|to|至|到|or)? ?([0-9][0-9.,]*)? ?(mg|mcg|μg|ug|µg|microgram|milligram|毫克|微克|iu|国际单位|万单位|万u)s?( ?/? ?(kg|公斤|千克))?"
);
pattern!(
    LABORATORY,
    r"(mg|μg|ug|g|iu|mcg|ng|mmol) ?[/ ] ?(dl|l|ml)\b|毫克每分升|毫克/分升|毫克/升"
);
pattern!(
    VOLUME_OR_GRAM,
    r"([0-9][0-9.,]*|[一二两三四五六七八九十百半]+) ?(-|~|to|至|到|or)? ?([0-9][0-9.,]*)? ?(ml|millilit(er|re)s?|cc|毫升|g|grams?|克)($|[^a-z])"
);
pattern!(
    FREQUENCY,
    r"(每[天日]|一[天日]|每晚|每早)[^,。]{0,6}([0-9]+|[一二两三四五六])(~|-|至|到)?([0-9]|[一二两三四五六])?次|每(隔)?([0-9]+|[一二两三四五六七八十]+)个?小时|每次[^,。]{0,4}([0-9]+|[一二两三四五六半])|(早晚|饭前|饭后|睡前)各?(一次|服用|吃|服)|\b(once|twice|one|two|three|four|[0-9]+)( to (two|three|four|[0-9]+))? ?(times|time)? ?(a|per|each|every|daily)? ?(day|daily)\b|\bevery ([0-9]+|two|three|four|six|eight|twelve)( ?(to|or|-) ?[0-9]+)? hours?\b|\b(bid|tid|qid|q[0-9]h|prn|qd)\b|\bat bedtime\b"
);
pattern!(
    TAKING,
    r"\b(take|taking|dose|dosage|inject|apply|administer|give|swallow|use|start)\b|服|口服|吃|用量|剂量|注射|含服|外用|涂|给药|输"
);
pattern!(
    PRESCRIBES,
    r"\b(i|we|ill) (will |am |are |would |hereby )?(prescrib\w*|writ\w* (you )?a prescription)|\byour prescription( is|:)|\bprescription: |(我|我们|这里)(给你|给您|为您|为你|建议)?开(具|个|一个|一张)?(药|处方|方子)|处方(如下|:)|rp:"
);

impl OutputGate {
    /// Judges one sentence of an answer, in English or Chinese.
    #[must_use]
    pub fn check(sentence: &str) -> OutputVerdict {
        let text = normalized(sentence);
        if TEMPLATE_TOKEN.is_match(sentence) {
            return OutputVerdict::Withhold {
                reason: "template-token",
            };
        }
        if PRESCRIBES.is_match(&text) {
            return OutputVerdict::Withhold {
                reason: "prescription",
            };
        }
        if gives_dose(&text) {
            return OutputVerdict::Withhold { reason: "dose" };
        }
        if DISCOURAGES.is_match(&text) && !UNLESS.is_match(&text) {
            return OutputVerdict::Withhold {
                reason: "discourages-care",
            };
        }
        OutputVerdict::Pass
    }
}

fn gives_dose(text: &str) -> bool {
    let medicine = LISTS.medicine.is_match(text);
    let diet = LISTS.diet.is_match(text);
    if COUNTED_FORM.is_match(text)
        && !NOT_A_FORM.is_match(text)
        && (medicine || TAKING.is_match(text) || FREQUENCY.is_match(text))
    {
        return true;
    }
    if MASS.is_match(text) && !LABORATORY.is_match(text) && (medicine || !diet) {
        return true;
    }
    if VOLUME_OR_GRAM.is_match(text)
        && !LABORATORY.is_match(text)
        && (medicine || !diet && TAKING.is_match(text))
    {
        return true;
    }
    medicine && FREQUENCY.is_match(text)
}
