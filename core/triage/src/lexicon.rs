//! Finds in a text all that the data has a form for (see [`crate::forms`]). English forms match whole words, a
//! plural `s` allowed.

use std::{collections::HashSet, ops::Range};

use serde::{Deserialize, Serialize};

use crate::literal_table::{GapWidth, Hit, LiteralTable};
use bedside_language::is_han;

/// The text speaks of a finding here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) entry: usize,
    /// Bytes of the normal text.
    pub(crate) span: Range<usize>,
    /// Bytes between the parts of a form with a gap: a negation may stand there (头不疼).
    pub(crate) gap: Option<Range<usize>>,
}

/// All forms of all entries.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct Lexicon {
    /// The forms that Bedside brings; a hospital's own.
    pub(crate) tables: Vec<LiteralTable>,
    /// Mentions of these entries neither hide others nor are hidden: in 剧痛 both 剧 and 痛 count.
    pub(crate) aside: HashSet<usize>,
}

impl Lexicon {
    /// All mentions in the order of the text; of mentions one inside the other only the longer stays.
    pub(crate) fn mentions(&self, text: &str) -> Vec<Mention> {
        let closed = ClosedUp::new(text);
        let mut mentions: Vec<Mention> = Vec::new();
        for table in &self.tables {
            let mut hits = table.hits(text);
            if let Some(closed) = &closed {
                let across = table.hits(&closed.text).into_iter().filter_map(|it| {
                    let span = closed.across_blank(&it.span)?;
                    Some(Hit { span, ..it })
                });
                hits.extend(across);
            }
            hits.sort_by_key(|it| (it.span.end, it.span.start));
            mentions.extend(whole_forms(table, &hits));
            for hit in &hits {
                for form in table.gap_forms(hit.literal) {
                    let beginning = Mention {
                        entry: form.entry,
                        span: hit.span.clone(),
                        gap: None,
                    };
                    let rest: Vec<_> = table.parts(form.rest).collect();
                    let place = Place {
                        text,
                        table,
                        hits: &hits,
                    };
                    place.follow(&rest, &beginning, &mut mentions);
                }
            }
        }
        let hiding: Vec<Range<usize>> = mentions
            .iter()
            .filter(|it| it.gap.is_none() && !self.aside.contains(&it.entry))
            .map(|it| it.span.clone())
            .collect();
        mentions.retain(|it| {
            self.aside.contains(&it.entry) || !hiding.iter().any(|other| contains(other, &it.span))
        });
        keep_longest_per_entry(&mut mentions);
        mentions
    }
}

fn whole_forms(table: &LiteralTable, hits: &[Hit]) -> Vec<Mention> {
    let of_hit = |hit: &Hit| {
        let span = hit.span.clone();
        table.whole_forms(hit.literal).map(move |entry| Mention {
            entry,
            span: span.clone(),
            gap: None,
        })
    };
    hits.iter().flat_map(of_hit).collect()
}

/// Where the rest of a form with gaps is looked for.
struct Place<'a> {
    text: &'a str,
    table: &'a LiteralTable,
    hits: &'a [Hit],
}

impl Place<'_> {
    /// The ways in which the rest of a form follows what stands at `found`: with each literal at the first place
    /// where it fits. Whether there is any.
    fn follow(&self, rest: &[(GapWidth, usize)], found: &Mention, mentions: &mut Vec<Mention>) -> bool {
        let Some(((width, part), rest)) = rest.split_first() else {
            mentions.push(found.clone());
            return true;
        };
        let end = found.span.end;
        let mut fitted: Vec<usize> = Vec::new();
        for hit in self.hits {
            let follows = hit.span.start >= end
                && self.table.part_has(*part, hit.literal)
                && !fitted.contains(&hit.literal);
            let between = end..hit.span.start;
            if follows
                && self
                    .text
                    .get(between.clone())
                    .is_some_and(|it| is_gap(it, *width))
            {
                let longer = Mention {
                    entry: found.entry,
                    span: found.span.start..hit.span.end,
                    gap: Some(between),
                };
                if self.follow(rest, &longer, mentions) {
                    fitted.push(hit.literal);
                }
            }
        }
        !fitted.is_empty()
    }
}

/// A text without the blanks and line ends between Chinese characters: 胸口 压榨 样痛.
struct ClosedUp {
    text: String,
    /// For each byte, where it stands in the text with blanks.
    origin: Vec<usize>,
}

impl ClosedUp {
    /// Nothing if there are no such blanks.
    fn new(text: &str) -> Option<Self> {
        let blank = |c: char| matches!(c, ' ' | '\n');
        let mut closed = Self {
            text: String::with_capacity(text.len()),
            origin: Vec::with_capacity(text.len()),
        };
        for (at, c) in text.char_indices() {
            let after = text.get(at..).and_then(|it| it.chars().find(|it| !blank(*it)));
            if blank(c) && closed.text.ends_with(is_han) && after.is_some_and(is_han) {
                continue;
            }
            closed.text.push(c);
            closed.origin.extend(at..at + c.len_utf8());
        }
        (closed.text.len() < text.len()).then_some(closed)
    }

    /// Where a span of this text stands in the text with blanks, if one is within.
    fn across_blank(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let start = *self.origin.get(span.start)?;
        let end = *self.origin.get(span.end.checked_sub(1)?)? + 1;
        (end - start > span.len()).then_some(start..end)
    }
}

/// Other parts of the body and sentence signs end a gap: 头晕肚子痛 is no 头痛.
const GAP_ENDS: &str = ",。;:!?、()\n头肚胸腹腰背腿脚手眼耳鼻喉咽牙颈脖肩膝胃心痛";

fn is_gap(between: &str, width: GapWidth) -> bool {
    let (characters, words) = match width {
        GapWidth::Narrow => (4, 3),
        GapWidth::Wide => (10, 7),
    };
    if between.chars().any(is_han) || between.is_empty() {
        let ends = |c| {
            if width == GapWidth::Narrow {
                GAP_ENDS.contains(c)
            } else {
                "。;!?\n".contains(c)
            }
        };
        return between.chars().count() <= characters && !between.chars().any(ends);
    }
    let sentence_ends = between
        .chars()
        .any(|c| ".;:!?()\n".contains(c) || (width == GapWidth::Narrow && c == ','));
    !sentence_ends
        && between.split_whitespace().count() <= words
        && (width == GapWidth::Wide
            || !between
                .split_whitespace()
                .any(|it| matches!(it, "and" | "but" | "or")))
}

/// `outer` is longer than `inner` and has it within.
fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer.len() > inner.len()
}

fn keep_longest_per_entry(mentions: &mut Vec<Mention>) {
    mentions.sort_by_key(|it| (it.entry, it.span.start, std::cmp::Reverse(it.span.end)));
    let mut kept: Vec<Mention> = Vec::with_capacity(mentions.len());
    for mention in mentions.drain(..) {
        match kept.last_mut() {
            Some(last) if last.entry == mention.entry && mention.span.start < last.span.end => {
                // Of two that overlap, the tighter one says more about negation: it has no denial of something else
                // between its parts.
                let tighter = mention.span.len() < last.span.len();
                if last.gap.is_some() && (mention.gap.is_none() || tighter) {
                    *last = mention;
                }
            }
            _ => kept.push(mention),
        }
    }
    kept.sort_by_key(|it| (it.span.start, it.span.end, it.entry));
    *mentions = kept;
}

#[cfg(test)]
mod tests {
    use super::Lexicon;
    use crate::literal_table::LiteralTableBuilder;
    use bedside_language::normalized;

    fn check(forms: &[&str], text: &str, expect: &[&str]) {
        let mut builder = LiteralTableBuilder::default();
        for (entry, form) in forms.iter().enumerate() {
            builder.add(entry, form, normalized).unwrap();
        }
        let lexicon = Lexicon {
            tables: vec![builder.finish()],
            ..Lexicon::default()
        };
        let text = normalized(text);
        let found: Vec<_> = lexicon
            .mentions(&text)
            .into_iter()
            .map(|it| text.get(it.span).unwrap().to_owned())
            .collect();
        assert_eq!(found, expect, "{forms:?} in {text}");
    }

    #[test]
    fn whole_words_and_plurals() {
        check(&["rash", "ache"], "rashes? no: trash, aches", &["aches"]);
        check(&["vomit{,ing,ed}"], "I vomited", &["vomited"]);
        check(&["头痛"], "我头疼", &["头痛"]);
    }

    #[test]
    fn gaps() {
        check(&["胸口~痛"], "胸口有点疼", &["胸口有点痛"]);
        check(&["头~痛"], "头晕肚子痛，头不疼", &["头不痛"]);
        check(&["胸口~痛"], "胸口闷，肚子痛", &[]);
        check(&["arm ~ numb"], "my left arm is very numb", &["arm is very numb"]);
        check(&["arm ~ numb"], "my arm and my leg are numb", &[]);
        check(
            &["chest ~~ arm"],
            "pain in my chest that goes down the left arm",
            &["chest that goes down the left arm"],
        );
    }

    #[test]
    fn the_longer_one_counts() {
        check(&["发热", "发热门诊"], "发热门诊在哪", &["发热门诊"]);
    }
}
