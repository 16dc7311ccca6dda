//! What stands outside a mention's clause and still says how it is meant: advice for what might come, a story of
//! the past that ended well, a state that has been so for years.
//!
//! A cue holds up to the first word that speaks of now.

use std::ops::Range;

use super::{Layout, Placed, Polarity};
use crate::{
    data::FindingKind,
    pattern::{has_any, pattern},
};
use bedside_language::is_han;

/// What a mention that its own clause leaves present is in its sentence.
pub(super) fn reframed(text: &str, layout: &Layout, placed: &Placed<'_>) -> Polarity {
    if !matches!(
        placed.kind,
        FindingKind::Symptom | FindingKind::Event | FindingKind::Condition
    ) {
        return Polarity::Present;
    }
    let span = &placed.mention.span;
    let sentence = layout.sentence_of(span);
    let clause = layout.clause_of(span);
    let told = Told {
        before: text.get(sentence.start..span.start).unwrap_or_default(),
        own: text.get(span.clone()).unwrap_or_default(),
        after: text.get(span.end..sentence.end).unwrap_or_default(),
        clause: text.get(clause).unwrap_or_default(),
    };
    let chinese = told.own.chars().any(is_han);
    let advised = if chinese {
        is_advice_in_chinese(&told)
    } else {
        is_advice_in_english(&told)
    };
    if advised {
        return Polarity::Hypothetical;
    }
    if placed.kind == FindingKind::Condition {
        return Polarity::Present;
    }
    let over = if chinese {
        ended_in_chinese(&told) || is_baseline_in_chinese(&told)
    } else {
        ended_in_english(&told) || is_baseline_in_english(&told)
    };
    if over { Polarity::Over } else { Polarity::Present }
}

/// The sentence around a mention.
struct Told<'a> {
    before: &'a str,
    own: &'a str,
    after: &'a str,
    clause: &'a str,
}

impl Told<'_> {
    fn holds_any(&self, words: &[&str]) -> bool {
        has_any(self.before, words) || has_any(self.after, words)
    }

    /// Between the last of `cue` before the mention and the mention.
    fn since(&self, cue: &regex::Regex) -> Option<&str> {
        let end = cue.find_iter(self.before).last()?.end();
        self.before.get(end..)
    }
}

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
    NOW_IN_CHINESE,
    "我(现在|刚|今天|昨|妈|爸|家|老|这)|他|她|现在|目前|刚刚|刚才|刚|已经|今天|今早|今晚|昨天|昨晚|突然|又|这次|这两天|正在|还在|还是"
);

fn is_advice_in_chinese(told: &Told<'_>) -> bool {
    let said_of_all = |cue: &regex::Regex| {
        told.since(cue)
            .is_some_and(|it| !NOW_IN_CHINESE.is_match(it) && it.chars().count() <= 40)
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

const ADVISERS: &[&str] = &[
    "said",
    "says",
    "told",
    "advi",
    "leaflet",
    "instruction",
    "discharge",
    "warn",
    "return",
    "come back",
    "go back",
    "go to",
    "call",
    "ring",
    "attend",
    "seek",
    "label",
    "booklet",
    "plan",
    "side effect",
];
pattern!(
    IF_ADVISED,
    r"\b(told|said|says|advis\w*|advice|leaflet|instructions?|discharge\w*|warn\w*|return|come back|go back|go to|call|ring|attend|seek)\b[^.!?;]*\b(if|in case|in the event of)\b"
);
pattern!(
    WRITTEN,
    r"\b(side effects?|leaflet|label|booklet|action plan|inhaler plan|asthma plan|care plan|poster|handout)\b[^.!?;]{0,30}\b(include|includes|says?|said|lists?|mentions?|warns?|may|can)\b"
);
pattern!(
    NOW_IN_ENGLISH,
    r"\b(now|today|tonight|this (morning|afternoon|evening)|just|already|currently|right now|suddenly|again|since|still|yesterday|last night)\b|[,.:] ?(and |but |so )?(i|im|ive|he|hes|she|shes|my|we|its)\b|\b(and|but|so) (i|im|ive|he|hes|she|shes|my)\b"
);
// "Should I get chest pain abroad, whom do I call?"
pattern!(
    SHOULD,
    r"^ ?should (i|you|he|she|it|they|the \w+|my \w+|your \w+) (ever )?(get|have|develop|experience|suffer|notice)( (a|an|any|some|severe|bad|sudden|such))* ?$"
);

fn is_advice_in_english(told: &Told<'_>) -> bool {
    let asks_to_call = ["call", "ring", "dial", "phone"]
        .iter()
        .any(|it| told.own.starts_with(it));
    if asks_to_call && (told.after.starts_with(" if ") || told.after.starts_with(" in case ")) {
        return true;
    }
    if told.before.contains("should") && SHOULD.is_match(told.before) && told.after.contains(',') {
        return true;
    }
    let said_of_all = |cue: &regex::Regex| {
        told.since(cue)
            .is_some_and(|it| !NOW_IN_ENGLISH.is_match(it) && it.split_whitespace().count() <= 25)
    };
    has_any(told.before, ADVISERS) && (said_of_all(&IF_ADVISED) || said_of_all(&WRITTEN))
        || has_any(told.before, MEDIA_IN_ENGLISH) && said_of_all(&HEARSAY_IN_ENGLISH)
}

const MEDIA_IN_ENGLISH: &[&str] = &[
    "news",
    "celebrity",
    "podcast",
    "article",
    "read about",
    "read that",
    "documentary",
    "on tv",
    "video",
];
pattern!(
    HEARSAY_IN_ENGLISH,
    r"\b(news (report|story|item)|on the news|in the news|a celebrity|podcast|an article|i read (about|that|of)|documentary|on tv|a video (of|about))\b"
);

const LONG_AGO_IN_CHINESE: &[&str] = &[
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
    ANCHOR_IN_CHINESE,
    "年前|去年|前年|那年|小时候|以前|曾|当年|个?月前|上个?月|上个?(周|星期|礼拜)|之前|那时候?|那会儿?|岁(的时候|时)"
);
pattern!(
    ENDED_IN_CHINESE,
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
fn ended_in_chinese(told: &Told<'_>) -> bool {
    if told.after.contains('是') && WAS_THEN.is_match(told.after) {
        return true;
    }
    if has_any(told.after, DEAD) && DIED.is_match(told.after) && !BAD_AGAIN.is_match(told.before) {
        return true;
    }
    if !told.holds_any(LONG_AGO_IN_CHINESE) {
        return false;
    }
    let once = told.after.starts_with('过') && ONCE_DID.is_match(told.after);
    if once && ANCHOR_IN_CHINESE.is_match(told.clause) && !NOW_IN_CHINESE.is_match(told.clause) {
        return true;
    }
    let Some(between) = told.since(&ANCHOR_IN_CHINESE) else {
        return false;
    };
    let Some(end) = ENDED_IN_CHINESE.find(told.after) else {
        return false;
    };
    let until = told.after.get(..end.end()).unwrap_or_default();
    !NOW_IN_CHINESE.is_match(between) && !BAD_AGAIN.is_match(between) && !BAD_AGAIN.is_match(until)
}

const LONG_AGO_IN_ENGLISH: &[&str] = &[
    "ago",
    "last year",
    "last month",
    "last summer",
    "last winter",
    "last spring",
    "last autumn",
    "in 19",
    "in 20",
    "back in",
    " when ",
    "as a child",
    "as a kid",
    "as a baby",
    "as a teenager",
    "last time",
];
pattern!(
    ANCHOR_IN_ENGLISH,
    r"\b((years?|decades?|months) ago|last (year|month|summer|winter|spring|autumn|time)|(back )?in (19[0-9]{2}|20[0-2][0-9])|back in( the)? \w+|as an? (child|kid|baby|teen\w*|toddler|student)|when (i|he|she|they) (was|were) (a |an |about |only )?(child|kid|little|young\w*|small|baby|teen\w*|[0-9]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen))\b"
);
// What is told in the past tense has none of these.
pattern!(
    PRESENT_TENSE,
    r"\b(now|today|tonight|this|just|again|currently|since|still|yesterday|last night|suddenly|keeps?|is|are|am|im|hes|shes|its|has|have|ive|cant|wont|feels?|hurts?|gets?|getting|started|starting|ongoing|every|another|returned|back (again|since)|come back|came back|worse|until)\b"
);
pattern!(
    PAST_TENSE,
    r"\b(had|was|were|got|took|did|went|\w+ed|came|fell|lost|felt|could|couldnt)\b"
);

/// The past, in the past tense, up to the end of the mention's clause.
fn ended_in_english(told: &Told<'_>) -> bool {
    if !told.holds_any(LONG_AGO_IN_ENGLISH) {
        return false;
    }
    let rest = told
        .after
        .get(..told.after.find([',', ':', '(']).unwrap_or(told.after.len()));
    let rest = rest.unwrap_or_default();
    let statement = format!("{} M {rest}", told.before);
    let Some(anchor) = ANCHOR_IN_ENGLISH.find(&statement) else {
        return false;
    };
    let outside = format!(
        "{} {}",
        statement.get(..anchor.start()).unwrap_or_default(),
        statement.get(anchor.end()..).unwrap_or_default()
    );
    // "MI in 2015, found collapsed": the year is the other statement's.
    let of_the_mention = statement
        .get(..anchor.start())
        .is_some_and(|it| it.trim().is_empty())
        || ANCHOR_IN_ENGLISH.is_match(told.clause);
    of_the_mention
        && !PRESENT_TENSE.is_match(&outside)
        && (PAST_TENSE.is_match(&outside) || PAST_TENSE.is_match(told.own))
}

const UNCHANGED_IN_CHINESE: &[&str] = &[
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
    AS_ALWAYS_IN_CHINESE,
    "(跟|和|与|同|像)(平时|往常|以前|以往|之前|去年|前几年)[^,。!?不]{0,2}(一样|差不多|一模一样)|一直(都|是)?这样|老样子|从小|先天|天生|生下来就|出生就"
);
pattern!(
    FOR_YEARS_IN_CHINESE,
    "年|从小|先天|天生|多年|常年|这些年|这么多年"
);
pattern!(
    UNCHANGED,
    "没变过|没有变化|没变化|没加重|没有加重|没有加重过|一直没[^,。!?]{0,4}(力|感觉|知觉|劲)"
);

/// So for years, and nothing new about it.
fn is_baseline_in_chinese(told: &Told<'_>) -> bool {
    if !told.holds_any(UNCHANGED_IN_CHINESE) {
        return false;
    }
    let sentence = format!("{}M{}", told.before, told.after);
    let cue = AS_ALWAYS_IN_CHINESE.is_match(&sentence)
        || UNCHANGED.is_match(&sentence) && FOR_YEARS_IN_CHINESE.is_match(&sentence);
    // 这次 alone names the visit, not a change.
    cue && !BAD_AGAIN.is_match(
        &sentence
            .replace("这次跟", "")
            .replace("这次和", "")
            .replace("这次是来", ""),
    ) && !has_any(&sentence, &["现在", "不一样", "不同", "不缓解", "冷汗", "开始"])
}

const UNCHANGED_IN_ENGLISH: &[&str] = &[
    "as always",
    "as usual",
    "as ever",
    "same as",
    "like all my",
    "no change",
    "unchanged",
    "not changed",
    "hasnt changed",
    "no different",
    "nothing new",
    "since birth",
    "since childhood",
    "all my life",
    "born with",
    "long standing",
    "longstanding",
    "since my stroke",
    "since the accident",
    "since his",
    "since her",
];
pattern!(
    AS_ALWAYS_IN_ENGLISH,
    r"\bas (always|usual|ever)\b|\bthe same as (it|they|he|she) (has|have|always)|\bsame as (always|ever|usual)\b|\b(exactly |just )?like all (my|her|his) others?\b|\bsince (birth|childhood)\b|\ball (my|his|her) life\b|\bborn with\b"
);
pattern!(
    UNCHANGED_FOR_LONG,
    r"\b(no change|unchanged|not changed|hasnt changed|no different|nothing new|long ?standing)\b"
);
pattern!(
    FOR_LONG,
    r"\byears?\b|\b(19[0-9]{2}|20[0-2][0-9])\b|\blong ?standing\b|\bdecades?\b"
);
pattern!(
    SINCE_THE,
    r"\bsince (my|his|her|the|an?) (stroke|accident|operation|surgery|crash|fall|war|polio|birth)( in (19[0-9]{2}|20[0-2][0-9]))\b"
);
pattern!(
    NEW_IN_ENGLISH,
    r"\b(sudden\w*|today|tonight|this (morning|afternoon|evening)|yesterday|last night|tomorrow|missed|worse\w*|worst|newly|just|started|but|right now|hours?|minutes?|unlike|sweat\w*)\b"
);

fn is_baseline_in_english(told: &Told<'_>) -> bool {
    if !told.holds_any(UNCHANGED_IN_ENGLISH) {
        return false;
    }
    let sentence = format!("{} M {}", told.before, told.after);
    let cue = AS_ALWAYS_IN_ENGLISH.is_match(&sentence)
        || UNCHANGED_FOR_LONG.is_match(&sentence) && FOR_LONG.is_match(&sentence)
        || SINCE_THE.is_match(&sentence);
    cue && !NEW_IN_ENGLISH.is_match(&sentence.replace("nothing new", ""))
}

/// What the clause says outside the mention, without the mentions' names taken out: "and now his face droops", where
/// "now" is a finding's word too.
pub(super) fn clause_around<'a>(text: &'a str, layout: &Layout, span: &Range<usize>) -> (&'a str, &'a str) {
    let clause = layout.clause_of(span);
    (
        text.get(clause.start..span.start).unwrap_or_default(),
        text.get(span.end..clause.end).unwrap_or_default(),
    )
}
