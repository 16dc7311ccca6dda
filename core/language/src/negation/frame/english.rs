//! English frames.

use super::Told;
use crate::{has_any, pattern};

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
    NOW,
    r"\b(now|today|tonight|this (morning|afternoon|evening)|just|already|currently|right now|suddenly|again|since|still|yesterday|last night)\b|[,.:] ?(and |but |so )?(i|im|ive|he|hes|she|shes|my|we|its)\b|\b(and|but|so) (i|im|ive|he|hes|she|shes|my)\b"
);
// "Should I get chest pain abroad, whom do I call?"
pattern!(
    SHOULD,
    r"^ ?should (i|you|he|she|it|they|the \w+|my \w+|your \w+) (ever )?(get|have|develop|experience|suffer|notice)( (a|an|any|some|severe|bad|sudden|such))* ?$"
);

pub(super) fn is_advice(told: &Told<'_>) -> bool {
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
            .is_some_and(|it| !NOW.is_match(it) && it.split_whitespace().count() <= 25)
    };
    has_any(told.before, ADVISERS) && (said_of_all(&IF_ADVISED) || said_of_all(&WRITTEN))
        || has_any(told.before, MEDIA) && said_of_all(&HEARSAY)
}

const MEDIA: &[&str] = &[
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
    HEARSAY,
    r"\b(news (report|story|item)|on the news|in the news|a celebrity|podcast|an article|i read (about|that|of)|documentary|on tv|a video (of|about))\b"
);

const LONG_AGO: &[&str] = &[
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
    ANCHOR,
    r"\b((years?|decades?|months) ago|last (year|month|summer|winter|spring|autumn|time)|(back )?in (19[0-9]{2}|20[0-2][0-9])|back in( the)? \w+|as an? (child|kid|baby|teen\w*|toddler|student)|when (i|he|she|they) (was|were) (a |an |about |only )?(child|kid|little|young\w*|small|baby|teen\w*|[0-9]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen))\b"
);
// A statement in the past tense contains none of these.
pattern!(
    PRESENT_TENSE,
    r"\b(now|today|tonight|this|just|again|currently|since|still|yesterday|last night|suddenly|keeps?|is|are|am|im|hes|shes|its|has|have|ive|cant|wont|feels?|hurts?|gets?|getting|started|starting|ongoing|every|another|returned|back (again|since)|come back|came back|worse|until)\b"
);
pattern!(
    PAST_TENSE,
    r"\b(had|was|were|got|took|did|went|\w+ed|came|fell|lost|felt|could|couldnt)\b"
);

/// The past, in the past tense, up to the end of the mention's clause.
pub(super) fn ended(told: &Told<'_>) -> bool {
    if !told.holds_any(LONG_AGO) {
        return false;
    }
    let rest = told
        .after
        .get(..told.after.find([',', ':', '(']).unwrap_or(told.after.len()));
    let rest = rest.unwrap_or_default();
    let statement = format!("{} M {rest}", told.before);
    let Some(anchor) = ANCHOR.find(&statement) else {
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
        || ANCHOR.is_match(told.clause);
    of_the_mention
        && !PRESENT_TENSE.is_match(&outside)
        && (PAST_TENSE.is_match(&outside) || PAST_TENSE.is_match(told.own))
}

const SAYS_UNCHANGED: &[&str] = &[
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
    AS_ALWAYS,
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
    NEW,
    r"\b(sudden\w*|today|tonight|this (morning|afternoon|evening)|yesterday|last night|tomorrow|missed|worse\w*|worst|newly|just|started|but|right now|hours?|minutes?|unlike|sweat\w*)\b"
);

pub(super) fn is_baseline(told: &Told<'_>) -> bool {
    if !told.holds_any(SAYS_UNCHANGED) {
        return false;
    }
    let sentence = format!("{} M {}", told.before, told.after);
    let cue = AS_ALWAYS.is_match(&sentence)
        || UNCHANGED_FOR_LONG.is_match(&sentence) && FOR_LONG.is_match(&sentence)
        || SINCE_THE.is_match(&sentence);
    cue && !NEW.is_match(&sentence.replace("nothing new", ""))
}
