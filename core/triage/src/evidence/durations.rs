//! How long each finding has lasted, and how sure that is.

use std::{collections::HashMap, ops::Range};

use super::Reading;
use crate::{data::FindingKind, facts::Duration, pattern::pattern};
use bedside_language::{is_han, negation::Layout};

/// Days that a finding may have lasted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Lasting {
    /// Said of this very finding: the only kind that may take a red flag away. How long a patient has had high
    /// blood pressure says nothing of the drooping face in the same sentence.
    pub(crate) own: Option<f32>,
    /// In its clause or sentence, else the longest of the text.
    pub(crate) longest: Option<f32>,
    /// In its clause or sentence, else the shortest of the text.
    pub(crate) shortest: Option<f32>,
}

/// Durations by finding. `kind` tells what a finding is.
pub(super) fn lasting(
    text: &str,
    layout: &Layout,
    readings: &[Reading],
    durations: &[Duration],
    kind: impl Fn(usize) -> FindingKind,
) -> HashMap<usize, Lasting> {
    let spoken_of: Vec<&Reading> = readings
        .iter()
        .filter(|it| {
            !matches!(
                kind(it.mention.entry),
                FindingKind::Modifier | FindingKind::Term | FindingKind::Context
            )
        })
        .collect();
    let owners: Vec<(usize, f32)> = durations
        .iter()
        .flat_map(|it| {
            owners_of(text, layout, &spoken_of, it)
                .into_iter()
                .map(|entry| (entry, it.days))
        })
        .collect();
    let longest = durations.iter().map(|it| it.days).reduce(f32::max);
    let shortest = durations.iter().map(|it| it.days).reduce(f32::min);
    let mut lasting: HashMap<usize, Lasting> = HashMap::new();
    for reading in readings.iter().filter(|it| it.active) {
        let entry = reading.mention.entry;
        let span = &reading.mention.span;
        let near = nearest_within(durations, &layout.clause_of(span), span.end)
            .or_else(|| nearest_within(durations, &layout.sentence_of(span), span.end));
        let own = owners
            .iter()
            .filter(|(owner, _)| *owner == entry)
            .map(|(_, days)| *days)
            .reduce(f32::max);
        let it = lasting.entry(entry).or_default();
        it.own = larger(it.own, own);
        it.longest = larger(it.longest, own.or(near).or(longest));
        it.shortest = smaller(it.shortest, own.or(near).or(shortest));
    }
    lasting
}

/// For findings that are only implied or measured.
pub(super) fn of_the_text(durations: &[Duration]) -> Lasting {
    Lasting {
        own: None,
        longest: durations.iter().map(|it| it.days).reduce(f32::max),
        shortest: durations.iter().map(|it| it.days).reduce(f32::min),
    }
}

fn larger(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    a.into_iter().chain(b).reduce(f32::max)
}

fn smaller(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    a.into_iter().chain(b).reduce(f32::min)
}

fn nearest_within(durations: &[Duration], range: &Range<usize>, at: usize) -> Option<f32> {
    durations
        .iter()
        .filter(|it| range.start <= it.span.start && it.span.end <= range.end)
        .min_by_key(|it| it.span.start.abs_diff(at))
        .map(|it| it.days)
}

// A clause of these and a duration says how long the one before has lasted: "for three months now", 已经半年了.
pattern!(
    ONLY_HOW_LONG,
    r"^( |,|\.|。|!|;|:|已经|已|有|大概|大约|差不多|快|将近|都|也|就|一直|持续|这样|了|多|左右|的时间|时间|开始|没变化?|没好|好不了|\b(for|it|its|this|that|they|has|have|had|been|is|was|s|going on|lasted|lasting|like|the same|same|unchanged|stable|about|around|almost|nearly|over|more than|at least|the|past|last|now|since|ago|started|began|on and off|all|and|so|or|already|by)\b)*$"
);
// What may stand between a finding and a duration before it that is its own: 三天前头痛, "a 3 week history of headache".
pattern!(
    LEADS_ON,
    r"^ ?(前|来|以来|的|起|前起|前开始|前出现|\b(ago|of|history of|long history of|hx of|worth of|now of|with)\b)"
);
pattern!(
    CHANGES_SUBJECT,
    r"但|而|今天|现在|突然|刚|然后|后来|伴|\b(and|but|while|also|then|now|today|suddenly|plus|i|im|ive|my|he|hes|she|shes|his|her|we|our)\b"
);
pattern!(JOINS, r"^( |,|、|和|及|与|伴|或|\b(and|or|with)\b)*$");

// Durations that say themselves that they are past.
const LAST: &[&str] = &[
    "上周",
    "上星期",
    "上个星期",
    "上礼拜",
    "上个月",
    "last week",
    "last month",
];
pattern!(AGO_AFTER, r"^ ?(前|之前|以前|\b(ago|back|earlier)\b)");
pattern!(
    COUNTED_FROM,
    r"^ ?(since|after|post|on from|out from|following)( (my|his|her|the|a|an|s|last|first|[a-z]+s))* ?$"
);
pattern!(
    SINCE_THEN,
    r"^(发作|手术|出院|术|病)*(后|以后|之后|出院)(已经|已|快|约|大概|满|整)*$|^ ?(was|happened|were)? ?$"
);
pattern!(
    GOES_ON,
    r"开始|起病|前起|至今|一直|仍|还|又|再次|复发|反复|以来|越来越|逐渐|加重|\b(still|since then|ever since|again|now|started|began|keeps?|continues|ongoing|worse|worsening|not gone|every)\b"
);

/// How many days ago what stands at `span` happened: 半年前脑梗, "a stroke three weeks ago", 心梗后两个月. Nothing if
/// the clause says that it goes on. `brief`: it passes by itself, so "last month" alone says that it is over.
pub(super) fn days_ago(
    text: &str,
    layout: &Layout,
    span: &Range<usize>,
    durations: &[Duration],
    brief: bool,
) -> Option<f32> {
    let clause = layout.clause_of(span);
    if GOES_ON.is_match(text.get(clause.clone()).unwrap_or_default()) {
        return None;
    }
    durations
        .iter()
        .filter(|it| clause.start <= it.span.start && it.span.end <= clause.end)
        .filter(|it| it.span.end <= span.start || span.end <= it.span.start)
        .filter(|it| {
            let up_to = text.get(it.span.end..span.start).unwrap_or("?");
            let after = text.get(it.span.end..clause.end).unwrap_or_default();
            let between = text.get(span.end..it.span.start).unwrap_or("?");
            AGO_AFTER.is_match(after)
                || brief && LAST.contains(&text.get(it.span.clone()).unwrap_or_default())
                || COUNTED_FROM.is_match(up_to)
                || between.chars().any(is_han) && SINCE_THEN.is_match(between)
        })
        .min_by_key(|it| distance(span, &it.span))
        .map(|it| it.days)
}

/// The findings that a duration is said of: the nearest in its clause, and what is listed with it.
fn owners_of(text: &str, layout: &Layout, readings: &[&Reading], duration: &Duration) -> Vec<usize> {
    let clause = layout.clause_of(&duration.span);
    let within = |range: &Range<usize>| -> Vec<&Reading> {
        readings
            .iter()
            .copied()
            .filter(|it| range.start <= it.mention.span.start && it.mention.span.end <= range.end)
            .collect()
    };
    let here = within(&clause);
    let Some(nearest) = here
        .iter()
        .min_by_key(|it| (distance(&it.mention.span, &duration.span), it.mention.span.start))
    else {
        return said_of_neighbour(text, layout, &clause, duration, &within);
    };
    if !reaches(text, &nearest.mention.span, &duration.span) {
        return Vec::new();
    }
    let mut owners = vec![nearest.mention.entry];
    // Back through the list that ends in the nearest: 咳嗽、咳痰3周.
    let mut start = nearest.mention.span.start;
    for reading in here
        .iter()
        .rev()
        .filter(|it| it.mention.span.end <= nearest.mention.span.start)
    {
        let between = text.get(reading.mention.span.end..start).unwrap_or("?");
        if reading.mention.span.end > start || !JOINS.is_match(between) {
            break;
        }
        owners.push(reading.mention.entry);
        start = reading.mention.span.start;
    }
    // What covers the same words.
    for reading in &here {
        let overlaps = reading.mention.span.start < nearest.mention.span.end
            && nearest.mention.span.start < reading.mention.span.end;
        if overlaps && !owners.contains(&reading.mention.entry) {
            owners.push(reading.mention.entry);
        }
    }
    owners
}

fn said_of_neighbour<'a>(
    text: &str,
    layout: &Layout,
    clause: &Range<usize>,
    duration: &Duration,
    within: &impl Fn(&Range<usize>) -> Vec<&'a Reading>,
) -> Vec<usize> {
    let rest = [clause.start..duration.span.start, duration.span.end..clause.end]
        .into_iter()
        .filter_map(|it| text.get(it))
        .collect::<Vec<_>>()
        .join(" ");
    if !ONLY_HOW_LONG.is_match(&rest) {
        return Vec::new();
    }
    let Some(index) = layout
        .clauses
        .iter()
        .position(|it| it.start <= clause.start && clause.start < it.end)
    else {
        return Vec::new();
    };
    let before = index.checked_sub(1).and_then(|it| layout.clauses.get(it));
    before
        .map(|it| within(it).iter().map(|it| it.mention.entry).collect())
        .unwrap_or_default()
}

fn reaches(text: &str, finding: &Range<usize>, duration: &Range<usize>) -> bool {
    if finding.end <= duration.start {
        let between = text.get(finding.end..duration.start).unwrap_or_default();
        return !CHANGES_SUBJECT.is_match(between) && is_short(between);
    }
    if duration.end <= finding.start {
        let between = text.get(duration.end..finding.start).unwrap_or_default();
        return LEADS_ON.is_match(between) && is_short(between);
    }
    true
}

fn is_short(between: &str) -> bool {
    if between.chars().any(is_han) {
        between.chars().count() <= 10
    } else {
        between.split_whitespace().count() <= 7
    }
}

fn distance(a: &Range<usize>, b: &Range<usize>) -> usize {
    if a.end <= b.start {
        b.start - a.end
    } else if b.end <= a.start {
        // Of two as near, the one before: 咳嗽三天头痛.
        a.start - b.end + 1
    } else {
        0
    }
}
