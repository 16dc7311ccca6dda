//! Who is spoken of: the patient (the writer or the writer's child), or someone else.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::pattern::{compile, pattern};
use bedside_language::negation::Layout;

/// Where a text changes the person that it speaks of.
pub(crate) struct Subjects {
    /// Byte offset, and whether it is someone else from there on.
    changes: Vec<(usize, bool)>,
}

static CHINESE_KIN: &str = "妈妈|妈|母亲|爸爸|爸|父亲|爷爷|奶奶|外公|外婆|姥姥|姥爷|公公|婆婆|岳父|岳母|老公|老婆|丈夫|妻子|媳妇|爱人|男朋友|女朋友|对象|哥哥|哥|姐姐|姐|弟弟|弟|妹妹|妹|叔叔|舅舅|姑姑|姨妈|姨|伯父|朋友|同事|邻居|同学|室友|舍友|工友|家里人|家人|亲戚|老人|父母|双亲|外甥|侄子|侄女|表弟|表妹|表哥|表姐|堂哥|堂弟";
static ENGLISH_KIN: &str = "mother|mom|mum|mommy|father|dad|daddy|grandmother|grandma|granny|grandfather|grandpa|grandparent|parent|husband|wife|spouse|partner|boyfriend|girlfriend|brother|sister|uncle|aunt|cousin|friend|roommate|flatmate|neighbor|neighbour|coworker|colleague|boss|classmate|nephew|niece";

/// What families call each other without a "my".
static ENGLISH_NAMES: &str =
    "dad|daddy|mum|mummy|mom|mommy|grandma|grandpa|grandad|granddad|granny|gran|nan|nana|hubby";

static MARKERS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = format!(
        r"(?<neutral>大姨妈|姨妈|(和|跟|与|陪|给|被|让)我?的?({CHINESE_KIN})|\b(with|by|and|for|from|to) my (\w+ )?({ENGLISH_KIN})s?\b|\bmy (partner|husband|wife|boyfriend|girlfriend|mother|mom|mum|dad) (and i|says|said|thinks|told|noticed|noticed that)\b)|(?<other>(我|他|她|患者|病人)的?(\S)?({CHINESE_KIN})|妈妈|母亲|爸爸|父亲|爷爷|奶奶|外公|外婆|姥姥|姥爷|公公|婆婆|老公|老婆|丈夫|妻子|家里老人|老人家|邻居|同事|室友|有人|有个人|家族史|家族|\b(my|his|her|our|their|the patients|a) (\w+ )?({ENGLISH_KIN})s?( in law)?\b|\bfamily history\b|\bruns in (the|my) family\b|\b(someone|somebody|a stranger|a man here|a guy)\b|\b({ENGLISH_NAMES})s?\b)|(?<own>我|本人|自己|\bwrite this for (her|him|them)\b|\bon behalf of (her|him|them)\b|\b(i|im|ive|my|mine|myself)\b)|(?<child>患者|病人|孩子|宝宝|儿子|女儿|小孩|婴儿|娃|\b(patient|baby|son|daughter|child|toddler|infant)\b)|(?<named>他|她|\b(he|hes|him|his|she|shes|her)\b)"
    );
    compile(&pattern)
});

pattern!(
    HISTORY,
    r"\b(had|has had|died|passed away|suffered|history|was diagnosed|years? ago|runs in)\b|得过|患过|有过|病史|家族|去世|过世|死于|走的|多年|年前|以前|曾|遗传"
);

pattern!(
    NOW,
    r"\b(just|now|today|tonight|right now|this morning|is having|currently|minutes? ago|hours? ago|suddenly|collapsed)\b|刚|现在|突然|今天|正在|马上|忽然"
);

impl Subjects {
    pub(crate) fn new(text: &str) -> Self {
        let mut changes = Vec::new();
        // Whom "he" and "her" stand for.
        let mut last_other = None;
        for marker in MARKERS.captures_iter(text) {
            let Some(start) = marker.get(0).map(|it| it.start()) else {
                continue;
            };
            if marker.name("other").is_some() {
                last_other = Some(true);
                changes.push((start, true));
            } else if marker.name("child").is_some() {
                last_other = Some(false);
                changes.push((start, false));
            } else if marker.name("own").is_some() {
                changes.push((start, false));
            } else if marker.name("named").is_some()
                && let Some(other) = last_other
            {
                changes.push((start, other));
            }
        }
        Self { changes }
    }

    /// The mention at `at` is someone else's.
    pub(crate) fn is_other(&self, at: usize) -> bool {
        self.changes
            .iter()
            .rev()
            .find(|(start, _)| *start < at)
            .is_some_and(|(_, other)| *other)
    }

    /// The text speaks of the writer or the writer's child somewhere.
    pub(crate) fn has_own(&self) -> bool {
        self.changes.is_empty() || self.changes.iter().any(|(_, other)| !other)
    }
}

pattern!(
    NEXT_STATEMENT,
    r"\band (i|ive|im|my|we|he|she|now|today)\b|而且|但"
);

/// What is said of someone else in the statement around `span` is an old story, not an emergency.
pub(crate) fn is_family_history(text: &str, layout: &Layout, span: &Range<usize>) -> bool {
    let clause = layout.clause_of(span);
    let before = text.get(clause.start..span.start).unwrap_or_default();
    let after = text.get(span.start..clause.end).unwrap_or_default();
    let before = before
        .get(NEXT_STATEMENT.find_iter(before).last().map_or(0, |it| it.end())..)
        .unwrap_or_default();
    let after = after
        .get(..NEXT_STATEMENT.find(after).map_or(after.len(), |it| it.start()))
        .unwrap_or_default();
    let statement = format!("{before}{after}");
    let sentence = text.get(layout.sentence_of(span)).unwrap_or_default();
    HISTORY.is_match(&statement) && !NOW.is_match(sentence)
}
