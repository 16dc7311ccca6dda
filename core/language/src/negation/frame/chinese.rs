//! Chinese frames.

use super::Told;
use crate::{has_any, pattern};

const CONDITIONS: &[&str] = &[
    "如", "若", "要是", "万一", "一旦", "假如", "倘", "出现", "发生", "要有",
];
pattern!(
    CONDITION,
    "如果|如有|如出现|如发生|若|要是|万一|一旦|假如|倘若|出现|发生|要有"
);
pattern!(
    CONSEQUENCE,
    "^[^。!?;]{0,30}(请|就|要|应|需|得|可|再|立即|马上|及时|立刻|尽快|赶紧|随时)(立即|马上|及时|立刻|尽快|赶紧)?(来院|就诊|就医|去急诊|来急诊|上急诊|看急诊|急诊就|打120|拨|复诊|返院|联系|回来|来医院|回医院|去医院|来就|马上来|叫救护车)"
);
const WRITINGS: &[&str] = &[
    "说明书",
    "药盒",
    "出院单",
    "单子",
    "手册",
    "宣传",
    "海报",
    "告知书",
];
pattern!(
    WRITING,
    "(说明书|药盒|出院单|单子|手册|宣传册|宣传栏|宣传单|海报|告知书)[^。!?;]{0,4}(上|里|说|写|提|列|:)"
);
const MEDIA: &[&str] = &[
    "视频", "新闻", "报道", "帖子", "文章", "网上", "电视", "抖音", "书上", "直播",
];
pattern!(
    HEARSAY,
    "(看到|刷到|看了|看)[^,。!?]{0,6}(视频|新闻|报道|帖子|文章|直播)|(新闻|网上|电视上?|抖音|报纸|文章|书)(里|上)?(说|讲|写|报道|有人|有个)"
);
// Somebody is spoken of who has it now, or the question is what to do.
pattern!(
    NOW,
    "我(现在|刚|今天|昨|妈|爸|家|老|这)|他|她|现在|目前|刚刚|刚才|刚|已经|今天|今早|今晚|昨天|昨晚|突然|又|这次|这两天|正在|还在|还是"
);

pub(super) fn is_advice(told: &Told<'_>) -> bool {
    let said_of_all = |cue: &regex::Regex| {
        told.since(cue)
            .is_some_and(|it| !NOW.is_match(it) && it.chars().count() <= 40)
    };
    has_any(told.before, WRITINGS) && said_of_all(&WRITING)
        || has_any(told.before, MEDIA) && said_of_all(&HEARSAY)
        || has_any(told.before, CONDITIONS) && said_of_all(&CONDITION) && is_told_to_come(told.after)
}

/// 出现皮疹，要去医院吗 asks, 出现皮疹就来医院 tells.
fn is_told_to_come(after: &str) -> bool {
    CONSEQUENCE.find(after).is_some_and(|it| {
        let rest = after.get(it.end()..).unwrap_or_default();
        !rest.starts_with(['吗', '么', '嘛', '不', '?', '没'])
    })
}

const LONG_AGO: &[&str] = &[
    "年前",
    "去年",
    "前年",
    "那年",
    "小时候",
    "以前",
    "曾",
    "当年",
    "月前",
    "上个月",
    "上周",
    "上星期",
    "之前",
    "那时",
    "那会",
    "当时",
    "岁时",
    "岁的时候",
];
pattern!(
    ANCHOR,
    "年前|去年|前年|那年|小时候|以前|曾|当年|个?月前|上个?月|上个?(周|星期|礼拜)|之前|那时候?|那会儿?|岁(的时候|时)"
);
pattern!(
    ENDED,
    "(都|也|全|已经|已|现在|目前|后来|之后|以后|如今|就)?(好了|治好|恢复|痊愈|治愈|一切正常|都正常|正常了|没事了?|没再|再没|再也没|没有再|未再|平稳|稳定|捡回一条命|救回来)"
);
pattern!(
    BAD_AGAIN,
    "突然|又|以为|刚刚|刚才|这次|今天|今早|今晚|昨晚|越来越|加重|更|不稳定|没好|没有好|不好|没恢复|没有恢复"
);
// 吐过一次, 抽过两回.
pattern!(ONCE_DID, "^过(一|两|二|三|几|好几|多|数|[0-9]+)?[次回场]?");
// 大出血是生老大的时候.
pattern!(
    WAS_THEN,
    "^[^,。!?]{0,2}是[^,。!?]{0,8}(时候|那年|年前|以前的?事?|那次)"
);

const DEAD: &[&str] = &["没救", "没抢救", "去世", "过世", "走了", "死了"];
// Help comes too late.
pattern!(
    DIED,
    "^[^。!?我]{0,10}(没救过来|没救回来|没救活|没抢救过来|去世|过世|走了|死了)"
);

/// A past that the sentence names, and its good end, with nothing of now between.
pub(super) fn ended(told: &Told<'_>) -> bool {
    if told.after.contains('是') && WAS_THEN.is_match(told.after) {
        return true;
    }
    if has_any(told.after, DEAD) && DIED.is_match(told.after) && !BAD_AGAIN.is_match(told.before) {
        return true;
    }
    if !told.holds_any(LONG_AGO) {
        return false;
    }
    let once = told.after.starts_with('过') && ONCE_DID.is_match(told.after);
    if once && ANCHOR.is_match(told.clause) && !NOW.is_match(told.clause) {
        return true;
    }
    let Some(between) = told.since(&ANCHOR) else {
        return false;
    };
    let Some(end) = ENDED.find(told.after) else {
        return false;
    };
    let until = told.after.get(..end.end()).unwrap_or_default();
    !NOW.is_match(between) && !BAD_AGAIN.is_match(between) && !BAD_AGAIN.is_match(until)
}

const SAYS_UNCHANGED: &[&str] = &[
    "平时一样",
    "往常一样",
    "以前一样",
    "以往一样",
    "一模一样",
    "一直这样",
    "一直是这样",
    "一直都这样",
    "老样子",
    "没变过",
    "没有变化",
    "没变化",
    "没加重",
    "没有加重",
    "差不多",
    "从小",
    "先天",
    "天生",
    "生下来就",
    "出生就",
    "一直没",
];
pattern!(
    AS_ALWAYS,
    "(跟|和|与|同|像)(平时|往常|以前|以往|之前|去年|前几年)[^,。!?不]{0,2}(一样|差不多|一模一样)|一直(都|是)?这样|老样子|从小|先天|天生|生下来就|出生就"
);
pattern!(FOR_YEARS, "年|从小|先天|天生|多年|常年|这些年|这么多年");
pattern!(
    UNCHANGED,
    "没变过|没有变化|没变化|没加重|没有加重|没有加重过|一直没[^,。!?]{0,4}(力|感觉|知觉|劲)"
);

/// So for years, and nothing new about it.
pub(super) fn is_baseline(told: &Told<'_>) -> bool {
    if !told.holds_any(SAYS_UNCHANGED) {
        return false;
    }
    let sentence = format!("{}M{}", told.before, told.after);
    let cue = AS_ALWAYS.is_match(&sentence) || UNCHANGED.is_match(&sentence) && FOR_YEARS.is_match(&sentence);
    // 这次 alone names the visit, not a change.
    cue && !BAD_AGAIN.is_match(
        &sentence
            .replace("这次跟", "")
            .replace("这次和", "")
            .replace("这次是来", ""),
    ) && !has_any(&sentence, &["现在", "不一样", "不同", "不缓解", "冷汗", "开始"])
}
