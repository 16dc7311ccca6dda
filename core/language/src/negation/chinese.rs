//! Chinese cues.

use std::ops::Range;

use super::{Layout, Polarity, Span, SpanKind, clause_around, reduced};
use crate::pattern;

// Words with a negative character that deny nothing.
pattern!(
    PSEUDO,
    "不舒服|不适|不能|不停|不断|不了|不到|不行|不好|不清|不住|不敢|不想|不知|不安|不稳|不良|不畅|不明|不仅|不但|不只|不光|不过|不管|不久|不少|不一定|不一样|不得|不起|不着|不见好|不利|不通|不足|不全|不齐|不调|不振|不规律|不规则|不正常|不便|不下|不动|不出|不进|不上|不省|不对|不退|不消|不愈|不醒|不同|不小心|不慎|不太舒服|不太好|不算|不如|不由|不可|不容易|不按时|不爱|不肯|不愿|不吃|不喝|不睡|无力|无法|无精|无论|无意|无缘无故|无明显诱因|不是一般|不是一点|不是普通|非常|除非|无非|是非|非得|非要|无明显原因|无诱因|无故|无奈|无聊|无助|无数|无规律|无效|没有?精神|没有?力|没有?胃口|没有?劲|没有?办?法|没有?睡|没有?吃|没有?喝|没有?注意|没有?过?多久|没有?几天|没有?想到|没有?来|没有?见?好|没有?缓解|没有?见?效|没有?用|没有?原因|没有?退|没有?停|没有?消|没有?人|没事|没有?反应|没有?知觉|没有?呼吸|没有?意识|没有?改善|没有?减|没有?休息|没有?大便|没有?尿|没有?排|没有?放屁|没有?在意|没有?管|没有?去|没有?看|没有?治|没有?重视|没有?感觉|没有?做|没有?带|没有?穿|没有?变|没有?规律|未来|未成年|未婚|未必|未消|未退|未缓解|未愈|未治|未予|未重视|未就"
);
pattern!(
    NEGATION,
    "否认|不带|不含|不见|没有|没|并无|毫无|无|并未|未见|未出现|未|从来不|从不|并不|不伴有?|不是|不觉得|不感到|不感觉|不再|不会|不怎么|不太|不|排除|阴性|非"
);
pattern!(
    SCOPE_ENDS,
    "但|就|而是|却|只|可是|不过|然后|后来|现在|今天|突然|开始|反而|仍|而且|因为|所以|结果|还有|吃|喝|睡|做|去|看|才|导致|引起"
);
pattern!(
    FILLER,
    "[MS、和或及与跟也等,的有过什么任何明显出现发生症状再感觉到得太很怎其他别伴现象情况是曾]|以及|特别"
);
pattern!(
    QUESTION,
    "有没有|有无|会不会|可不可能|能不能|是否会|是否有|是否伴|有可能会|可能会|要是|如果|假如|假设|万一|一旦|倘若|担心|害怕|[^怕]怕|以防|预防|避免|防止|为了防"
);
pattern!(
    SUSPICION,
    "是不是|是否|该不会|怀疑|疑似|可能|也许|估计|说不定|不排除|考虑|不确定|不知道是|不晓得是"
);
// Cues that make what follows them a matter of interest.
pattern!(
    ASKS_ABOUT,
    r"什么是|科普|疫苗|(怎么|如何|怎样)(预防|避免|判断|鉴别|区分|识别|分辨|知道)|一般都?会有|通常会|(哪些|什么样?的?|哪种)人(容易|会|易)"
);
// What stands before them and is a disease, or a complaint that is named as a topic only.
pattern!(
    TOPIC_AFTER,
    r"^(.{0,4}(患者|病人|的人))?(一般|通常)?的?(典型|早期|主要|常见|初期|都|会|有)*(什么|哪些|啥|怎样的|哪几种).{0,3}(症状|表现|征兆|前兆|信号|先兆|特征|区别|不同|危害|后果|并发症|类型)|^的?(典型|早期|主要|常见|初期)*(症状|表现|征兆|前兆|先兆|特征|区别)(是|有|都有|包括|会有)?(什么|哪些|啥)|^的(典型|早期|主要|常见|初期)*(症状|表现|征兆|前兆|病因|后遗症|并发症|危害|定义|机制|护理|发病率|死亡率)|^的?(预防|治疗|护理|急救)(的)?(方法|措施|知识)|^是(一种|个)?(什么病|什么意思|啥病|什么样的病)|^(应该|要|该)?(怎么|如何|怎样)(预防|避免)|^(会|能)?传染(吗|么)|^会遗传|^遗传吗|^是怎么形成|^是如何"
);
// What stands before them is a topic, also among several: a comparison, an errand, a number that people learn.
pattern!(
    NAMED_AFTER,
    r"^(和|跟|与|同)[^,。!?]{0,8}(的)?(有什么|有啥|怎么|如何|什么)?(区别|区分|分辨|鉴别|不一样|不同|差在哪)|^(要)?(怎么|如何)(区分|分辨|鉴别)|^(的?(病人|患者|人))?的?(住院)?(的?(病历|费用|报销|押金|证明|保险|理赔|探视|陪护证|残疾证|后遗症的?残疾)|(专科|专病)?门诊|中心(在|是|电话|几|怎么|$)|病房|单元|科普|讲座|宣讲|知识|培训|热线|志愿者|险|脑电图|报告)|^(一般|通常)(要|需要)?(多久|多长时间)|^多久会(发作|致命|死|出现)|^的?(黄金)?(抢救|急救)的?(时间|方法|步骤|口诀)"
);
// The same behind a disease, with other words between.
pattern!(
    QUESTION_AFTER,
    r"(什么|哪些|啥|怎样的|哪几种).{0,3}(症状|表现|征兆|前兆|信号|先兆|特征|区别|不同|危害|后果|并发症|类型)|(症状|表现|征兆|前兆|先兆|特征|区别)(是|有|都有|包括|会有)?(什么|哪些|啥)|(怎么|如何|怎样)(预防|避免|判断|鉴别|区分|识别|分辨|知道)|传染吗|会传染|会遗传|遗传吗|是怎么形成|是如何"
);
// 没有一天不胸痛 says that there is pain every day.
pattern!(
    DOUBLE_NEGATION,
    r"没有?(哪?一?(天|日|夜|晚|刻|会儿?|次|小时|分钟)|时候|个时候|什么时候)[^,。!?;不没]{0,4}不|谁说[^,。!?;不没]{0,3}(不|没有?)|不是(没有|没|不|无)|无时无刻不(在)?|不得不|不可能(没有|没|不)|并非(没有|没|不|无)|不能(说|讲|算|叫)(没有|没|不|无|是没有|是不)|不敢说(没有|没|不)|没少|哪有不|何尝不|怎么(会|可能)不|岂能不|难免不|否认不了|无法否认|不否认|免不了|少不了"
);
pattern!(
    CAUSES,
    "(会|能|可以|可能|是否|会不会).{0,10}(引起|导致|造成|诱发|引发|出现|有|产生).{0,6}$|(引起|导致|造成|诱发|引发).{0,4}$"
);
// Not 怎么办.
pattern!(
    ASKED_AFTER,
    "^[^。!?;]{0,8}吗|^([^。!?;]{0,7}[^怎什那这多要。!?;])?么"
);
pattern!(WILL_BEFORE, "(会|能|可以|可能)[^,。]{0,6}$");
pattern!(IS_BEFORE, "(是|算|属于|叫)[^,。]{0,3}$");
pattern!(
    PAST,
    "小时候|小的时候|以前|曾|过去|去年|前年|(数|几|好几|多|[0-9]+|[一二三四五六七八九十两]+)多?年前|年轻时|年轻的时候|上次|上回|当年|那年|得过|患过|有过|发过|出现过|既往|陈旧性?|儿时|童年|幼时|早年|年幼|(19[0-9]{2}|20[01][0-9])年"
);
pattern!(
    STILL,
    "开始|起|至今|到现在|一直|又|再次|复发|仍|还是|现在|以来|反复|逐渐|越来越|比以前|和以前|跟以前|以前没|以前从|以前也?不"
);
pattern!(
    OVER_AFTER,
    "^(已经|都|就|现在|目前|也|已|全|基本|自己|很快){0,3}(好了|退了|缓解了|已缓解|消失|没了|没有了|不痛了|停了|止住了|痊愈|治好|治愈|恢复|过去了|正常了)|^[^没不未又,。]{0,6}(退了|消失了|好了|痊愈了|完全缓解|缓解了|止住了|恢复了)"
);
pattern!(
    ABSENT_AFTER,
    "^([、和及与或]M)*(也|倒|都|均|皆|全|是|的|症状|现象|情况|这些|方面|更|根本|从来)*(没有|无|阴性|没|没出现|未见|不明显|不存在|-$)(出现|发生|过|了)?(的|$|[,。;!、)])"
);
// 发热(-), 胸痛:无
pattern!(
    MARKED_ABSENT,
    r"^ ?(\((-|—|–|无|阴性|没有)\)|: ?(无|没有|否认|阴性|未见|-)( ?[,。;.!、)\n]| ?$))"
);
pattern!(
    MARKED_PRESENT,
    r"^ ?(\((\+|有|阳性)\)|: ?(有|是|阳性|\+)( ?[,。;.!、)\n]| ?$))"
);
// 已退烧
pattern!(OVER_BEFORE, "(已经?|都|刚|后来|就)(退|消|止)了?$");
pattern!(
    LIST_TAIL,
    "^[^。!?;]{0,30}(等|等等)(症状|情况|不适|表现|现象|病史|疾病)?"
);
// 没有哪一天头不疼
pattern!(
    EVERY_DAY,
    "没有?哪?一?(天|日|夜|晚|刻|次|小时|分钟)[^,。!?;不没]{0,3}$"
);
// 昨天还胸痛,今天不痛了
pattern!(
    LATELY,
    "(昨天|昨晚|前天|前几天|刚才|早上|之前|上午)[^,。!?;]{0,4}$"
);
pattern!(
    NOT_NOW,
    "^,?(但|但是|不过|可)?(今天|今早|现在|目前)(已经|就|都|也)?(不|没有?)(M|痛|发作)?了"
);
pattern!(SUPPOSED_AFTER, "^了?的话");
pattern!(HAS_BEFORE, "(有|得了?|患了?)$");
pattern!(ASKED_AT_ONCE, "^(病|症)?(吗|么)");
pattern!(GAP_PSEUDO, "不停|不断|不住|不了|受不|止不");

pub(super) fn polarity(text: &str, layout: &Layout, all: &[Span], target: &Span) -> Polarity {
    let span = &target.bytes;
    let clause = layout.clause_of(span);
    let sentence = layout.sentence_of(span);
    let before = reduced(text, clause.start..span.start, all, span);
    let after = reduced(text, span.end..clause.end, all, span);
    let rest = reduced(text, span.end..sentence.end, all, span);
    let before = match text.get(span.clone()) {
        Some(own) if target.kind == SpanKind::Term => without_split_word(&before, own, &after),
        _ => before,
    };

    if let Some(polarity) = in_gap(text, target) {
        return if EVERY_DAY.is_match(&before) {
            Polarity::Present
        } else {
            polarity
        };
    }
    if is_information(target.kind, &before, &after, &rest) {
        return Polarity::Hypothetical;
    }
    if let Some(polarity) = asked(&before, &after) {
        return polarity;
    }
    if MARKED_PRESENT.is_match(&rest) {
        return Polarity::Present;
    }
    if MARKED_ABSENT.is_match(&rest) {
        return Polarity::Absent;
    }
    if OVER_BEFORE.is_match(&before) {
        return Polarity::Over;
    }
    if is_negated(&before) || listed_after_negation(text, layout, all, target, &rest) {
        return Polarity::Absent;
    }
    let trimmed = after.trim_end_matches(['.', ' ']);
    if ABSENT_AFTER.is_match(trimmed) {
        return Polarity::Absent;
    }
    if OVER_AFTER.is_match(&after) || LATELY.is_match(&before) && NOT_NOW.is_match(&rest) {
        return Polarity::Over;
    }
    let stays = target.kind == SpanKind::Condition;
    let goes_on = || {
        let (before, after) = clause_around(text, layout, span);
        STILL.is_match(before) || STILL.is_match(after)
    };
    if !stays && (PAST.is_match(&before) || after.starts_with("病史")) && !goes_on() {
        return Polarity::Over;
    }
    Polarity::Present
}

/// A single character of 不适 is not denied by the other.
fn without_split_word(before: &str, own: &str, after: &str) -> String {
    let whole = format!("{before}{own}{after}");
    PSEUDO
        .find_iter(&whole)
        .find(|it| it.start() < before.len() && before.len() < it.end())
        .and_then(|it| before.get(..it.start()))
        .map_or_else(|| before.to_owned(), |it| format!("{it}口"))
}

/// 头不疼: the negation stands inside the form.
fn in_gap(text: &str, target: &Span) -> Option<Polarity> {
    let gap = text.get(target.gap.clone()?)?;
    let gap = DOUBLE_NEGATION.replace_all(gap, "");
    let gap = GAP_PSEUDO.replace_all(&gap, "");
    if gap.contains("有没有") || gap.contains("是不是") || gap.contains("痛不") {
        return Some(Polarity::Hypothetical);
    }
    if gap.contains("不再") || gap.contains("已经不") || gap.contains("现在不") {
        return Some(Polarity::Over);
    }
    gap.contains(['不', '没', '无', '未']).then_some(Polarity::Absent)
}

fn is_information(kind: SpanKind, before: &str, after: &str, rest: &str) -> bool {
    let says_has = ["我有", "我的", "现在", "出现了", "突然"]
        .iter()
        .any(|it| before.contains(it));
    if says_has {
        return false;
    }
    let complaint = kind == SpanKind::Complaint;
    let alone = !before.contains('M') && !after.contains('M');
    let named = || NAMED_AFTER.is_match(after);
    if ASKS_ABOUT.is_match(before) || TOPIC_AFTER.is_match(after) && (!complaint || alone) || named() {
        return true;
    }
    if complaint {
        return false;
    }
    // 心梗，有什么症状
    let next_clause =
        before.is_empty() && rest.starts_with(',') && !rest.contains('M') && rest.chars().count() < 16;
    QUESTION_AFTER.is_match(after) || next_clause && QUESTION_AFTER.is_match(rest)
}

fn asked(before: &str, after: &str) -> Option<Polarity> {
    if SUPPOSED_AFTER.is_match(after) {
        return Some(Polarity::Hypothetical);
    }
    if HAS_BEFORE.is_match(before) && ASKED_AT_ONCE.is_match(after) {
        return Some(Polarity::Possible);
    }
    let near = last_characters(before, 12);
    if CAUSES.is_match(&near)
        && (ASKED_AFTER.is_match(after) || after.contains('?') || near.contains("会不会"))
    {
        return Some(Polarity::Hypothetical);
    }
    if ASKED_AFTER.is_match(after) {
        if WILL_BEFORE.is_match(&near) {
            return Some(Polarity::Hypothetical);
        }
        if IS_BEFORE.is_match(&near) {
            return Some(Polarity::Possible);
        }
    }
    if QUESTION
        .find_iter(before)
        .any(|it| before.get(it.end()..).is_some_and(|it| it.chars().count() <= 8))
    {
        return Some(Polarity::Hypothetical);
    }
    SUSPICION
        .find_iter(before)
        .any(|it| before.get(it.end()..).is_some_and(|it| it.chars().count() <= 8))
        .then_some(Polarity::Possible)
}

/// The last cue before the target reaches it.
fn is_negated(before: &str) -> bool {
    // As many characters, but no cue.
    let before = DOUBLE_NEGATION.replace_all(before, "口");
    let before = PSEUDO.replace_all(&before, "口");
    let Some(cue) = NEGATION.find_iter(&before).last() else {
        return false;
    };
    let between = before.get(cue.end()..).unwrap_or_default();
    let reach = match cue.as_str() {
        "不" | "不太" | "不怎么" | "不会" | "非" => 0,
        "没" | "未" => 2,
        "无" => 4,
        "否认" => 30,
        _ => 6,
    };
    !SCOPE_ENDS.is_match(between) && FILLER.replace_all(between, "").chars().count() <= reach
}

/// 没有发烧，咳嗽，胸痛等症状: commas as list signs, told by the 等 at the end.
fn listed_after_negation(text: &str, layout: &Layout, all: &[Span], target: &Span, rest: &str) -> bool {
    if !LIST_TAIL.is_match(rest) {
        return false;
    }
    let span = &target.bytes;
    let sentence: Range<usize> = layout.sentence_of(span);
    let before = reduced(text, sentence.start..span.start, all, span);
    let mut items = before.rsplit(',');
    let own = items.next().unwrap_or_default();
    if !own.trim().is_empty() {
        return false;
    }
    for item in items {
        if is_negated(item) || item.ends_with('M') && is_negated(item.trim_end_matches('M')) {
            return true;
        }
        if FILLER.replace_all(item, "").trim().chars().count() > 0 {
            return false;
        }
    }
    false
}

fn last_characters(text: &str, count: usize) -> String {
    let skip = text.chars().count().saturating_sub(count);
    text.chars().skip(skip).collect()
}
