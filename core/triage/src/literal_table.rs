//! The forms of all findings as one sorted table of literals.

use std::{collections::HashMap, ops::Range};

use serde::{Deserialize, Serialize};

use crate::{
    forms::{Pieces, spelled_out},
    table::{Lists, Numbers, SortedTexts},
};

/// Literals in the order of their bytes: what begins at a place of a text is found by narrowing a range byte by
/// byte. A literal's number is its place in this order.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct LiteralTable {
    literals: SortedTexts,
    /// Where literals with each first byte begin, and where the last end.
    first_bytes: Numbers,
    /// Entries of which each literal is a whole form.
    whole: Lists,
    /// Forms with gaps that begin with each literal: places in the two tables that follow.
    begins: Lists,
    gap_form_entries: Numbers,
    gap_form_rests: Numbers,
    /// What follows the first literal: parts, in order. Shared, since a form that begins in many ways goes on in
    /// the same.
    rests: Lists,
    /// The literals of which one must stand there, ascending.
    parts: Lists,
    /// How wide the gap before each part may be: 0 narrow, 1 wide.
    part_widths: Numbers,
}

/// A literal stands here.
pub(crate) struct Hit {
    pub(crate) literal: usize,
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
}

pub(crate) struct GapForm {
    pub(crate) entry: usize,
    pub(crate) rest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GapWidth {
    Narrow,
    Wide,
}

impl LiteralTable {
    pub(crate) fn hits(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut within_word = false;
        for (start, c) in text.char_indices() {
            // Latin forms match whole words only.
            let continues = within_word && c.is_ascii_alphanumeric();
            within_word = c.is_ascii_alphanumeric();
            if !continues {
                self.hits_at(text, start, &mut hits);
            }
        }
        hits
    }

    fn hits_at(&self, text: &str, start: usize, hits: &mut Vec<Hit>) {
        let bytes = text.as_bytes();
        let first = bytes.get(start).map_or(0, |it| usize::from(*it));
        let (mut low, mut high) = (self.first_bytes.get(first), self.first_bytes.get(first + 1));
        let mut end = start + 1;
        while low < high {
            let depth = end - start;
            if self.literals.get(low).len() == depth {
                hits.extend(word_span(text, start..end).map(|span| Hit { literal: low, span }));
                low += 1;
                continue;
            }
            let Some(next) = bytes.get(end) else {
                return;
            };
            let byte_of = |it: &[u8]| it.get(depth).copied().unwrap_or_default();
            let from = self.literals.partition_point(low, high, |it| byte_of(it) < *next);
            high = self
                .literals
                .partition_point(from, high, |it| byte_of(it) <= *next);
            low = from;
            end += 1;
        }
    }

    pub(crate) fn whole_forms(&self, literal: usize) -> impl Iterator<Item = usize> + '_ {
        self.whole.get(literal)
    }

    pub(crate) fn gap_forms(&self, literal: usize) -> impl Iterator<Item = GapForm> + '_ {
        self.begins.get(literal).map(|it| GapForm {
            entry: self.gap_form_entries.get(it),
            rest: self.gap_form_rests.get(it),
        })
    }

    pub(crate) fn parts(&self, rest: usize) -> impl Iterator<Item = (GapWidth, usize)> + '_ {
        self.rests.get(rest).map(|part| {
            let width = match self.part_widths.get(part) {
                0 => GapWidth::Narrow,
                _ => GapWidth::Wide,
            };
            (width, part)
        })
    }

    pub(crate) fn part_has(&self, part: usize, literal: usize) -> bool {
        self.parts.sorted_contains(part, literal)
    }

    /// All literals of Latin letters.
    pub(crate) fn latin_literals(&self) -> impl Iterator<Item = &str> {
        (0..self.literals.len())
            .map(|it| self.literals.get_str(it))
            .filter(|it| it.is_ascii())
    }
}

/// The span if it does not cut a Latin word or number in two; a plural ending is taken in.
fn word_span(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let word = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_alphanumeric);
    if word(span.start) && span.start.checked_sub(1).is_some_and(word) {
        return None;
    }
    if !span.end.checked_sub(1).is_some_and(word) || !word(span.end) {
        return Some(span);
    }
    let letter = |index: usize| bytes.get(index).copied();
    (letter(span.end) == Some(b's') && !word(span.end + 1) && letter(span.end - 1) != Some(b's'))
        .then_some(span.start..span.end + 1)
}

/// Collects forms.
#[derive(Default)]
pub(crate) struct LiteralTableBuilder {
    by_text: HashMap<String, usize>,
    literals: Vec<Literal>,
    gap_forms: Vec<GapForm>,
    rests: Vec<Vec<usize>>,
    parts: Vec<(GapWidth, Vec<usize>)>,
    by_part: HashMap<(GapWidth, Vec<usize>), usize>,
}

#[derive(Default)]
struct Literal {
    whole: Vec<usize>,
    begins: Vec<usize>,
}

impl LiteralTableBuilder {
    /// Adds one form as it stands in the data; `spelling` makes it what texts are made.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn add(
        &mut self,
        entry: usize,
        form: &str,
        spelling: fn(&str) -> String,
    ) -> Result<(), String> {
        let spelled = spelled_out(form, spelling)?;
        spelled.into_iter().try_for_each(|it| self.add_pieces(entry, it))
    }

    fn add_pieces(&mut self, entry: usize, pieces: Pieces) -> Result<(), String> {
        let mut parts: Vec<(GapWidth, Vec<usize>)> = Vec::new();
        let mut width = GapWidth::Narrow;
        let count = pieces.len();
        for (index, alternatives) in pieces.into_iter().enumerate() {
            let literals: Vec<usize> = alternatives
                .into_iter()
                .filter(|it| !it.is_empty())
                .map(|it| self.literal(it))
                .collect();
            if literals.is_empty() {
                if index == 0 || index + 1 == count {
                    return Err("empty, or begins or ends with a gap".to_owned());
                }
                width = GapWidth::Wide;
                continue;
            }
            parts.push((width, literals));
            width = GapWidth::Narrow;
        }
        let mut parts = parts.into_iter();
        let Some((_, firsts)) = parts.next() else {
            return Ok(());
        };
        let rest: Vec<usize> = parts.map(|it| self.part(it)).collect();
        let begins_gap_form = !rest.is_empty();
        if begins_gap_form {
            self.rests.push(rest);
            self.gap_forms.push(GapForm {
                entry,
                rest: self.rests.len() - 1,
            });
        }
        for first in firsts {
            let literal = self.literals.get_mut(first).ok_or("no literal")?;
            if begins_gap_form {
                literal.begins.push(self.gap_forms.len() - 1);
            } else if !literal.whole.contains(&entry) {
                literal.whole.push(entry);
            }
        }
        Ok(())
    }

    fn part(&mut self, part: (GapWidth, Vec<usize>)) -> usize {
        *self.by_part.entry(part).or_insert_with_key(|it| {
            self.parts.push(it.clone());
            self.parts.len() - 1
        })
    }

    fn literal(&mut self, text: String) -> usize {
        *self.by_text.entry(text).or_insert_with(|| {
            self.literals.push(Literal::default());
            self.literals.len() - 1
        })
    }

    pub(crate) fn finish(self) -> LiteralTable {
        let mut texts: Vec<(String, usize)> = self.by_text.into_iter().collect();
        texts.sort_unstable();
        let mut rank = vec![0; texts.len()];
        for (new, (_, old)) in texts.iter().enumerate() {
            if let Some(it) = rank.get_mut(*old) {
                *it = new;
            }
        }
        let ranks = |literals: &[usize]| {
            let mut ranks: Vec<usize> = literals.iter().filter_map(|it| rank.get(*it).copied()).collect();
            ranks.sort_unstable();
            ranks
        };
        let literal = |old: usize| self.literals.get(old);
        let first_byte = |it: &(String, usize)| it.0.bytes().next().map_or(0, usize::from);
        LiteralTable {
            literals: SortedTexts::new(texts.iter().map(|it| it.0.as_str())),
            first_bytes: (0..=256_usize)
                .map(|byte| texts.partition_point(|it| first_byte(it) < byte))
                .collect(),
            whole: texts
                .iter()
                .map(|(_, old)| literal(*old).map_or_else(Vec::new, |it| it.whole.clone()))
                .collect(),
            begins: texts
                .iter()
                .map(|(_, old)| literal(*old).map_or_else(Vec::new, |it| it.begins.clone()))
                .collect(),
            gap_form_entries: self.gap_forms.iter().map(|it| it.entry).collect(),
            gap_form_rests: self.gap_forms.iter().map(|it| it.rest).collect(),
            parts: self.parts.iter().map(|(_, literals)| ranks(literals)).collect(),
            part_widths: self
                .parts
                .iter()
                .map(|(width, _)| usize::from(*width == GapWidth::Wide))
                .collect(),
            rests: self.rests.into_iter().collect(),
        }
    }
}
