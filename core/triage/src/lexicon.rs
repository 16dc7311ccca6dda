//! Finds in a text all that the data has a form for.
//!
//! A form is written with shorthands: `{a,b}` stands for each alternative (`胸{痛,闷}`, `vomit{,ed,ing}`), `x?` and
//! `{a,b}?` for with or without, `~` for a gap of up to four Chinese characters or three English words
//! (`胸口~痛`, `arm ~ numb`), `~~` for a wider one. English forms match whole words, a plural `s` allowed.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, OnceLock},
};

use crate::{normal_text::is_han, spelling::Speller};

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
pub(crate) struct Lexicon {
    /// Of Latin forms and of Chinese ones: two are built in half the time of one.
    sorted: [SortedLiterals; 2],
    literals: Vec<Literal>,
    aside: HashSet<usize>,
    /// Knows the words of the Latin forms; made when a text has a word that they do not.
    speller: OnceLock<Speller>,
    latin_forms: Vec<String>,
}

/// Literals in the order of their bytes: what begins at a place of a text is found by narrowing a range byte by
/// byte. An Aho-Corasick automaton reads faster but takes ten times as long to build, and the shell waits for that.
struct SortedLiterals {
    texts: Vec<String>,
    /// Which literal each text is.
    literals: Vec<usize>,
    /// Where texts with each first byte begin, and where the last end.
    first_bytes: Vec<usize>,
}

impl SortedLiterals {
    fn new(mut texts: Vec<(usize, String)>) -> Self {
        texts.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        let (literals, texts): (Vec<usize>, Vec<String>) = texts.into_iter().unzip();
        let first_bytes = (0..=256_usize)
            .map(|byte| {
                texts.partition_point(|it| it.bytes().next().is_some_and(|it| usize::from(it) < byte))
            })
            .collect();
        Self {
            texts,
            literals,
            first_bytes,
        }
    }

    fn hits(&self, text: &str) -> Vec<(usize, Range<usize>)> {
        let mut hits = Vec::new();
        let bytes = text.as_bytes();
        let mut within_word = false;
        for (start, c) in text.char_indices() {
            // Latin forms match whole words only.
            let continues = within_word && c.is_ascii_alphanumeric();
            within_word = c.is_ascii_alphanumeric();
            if !continues {
                self.hits_at(text, bytes, start, &mut hits);
            }
        }
        hits
    }

    fn hits_at(&self, text: &str, bytes: &[u8], start: usize, hits: &mut Vec<(usize, Range<usize>)>) {
        let first = bytes.get(start).map_or(0, |it| usize::from(*it));
        let bound = |byte: usize| self.first_bytes.get(byte).copied().unwrap_or_default();
        let (mut low, mut high) = (bound(first), bound(first + 1));
        let mut end = start + 1;
        while low < high {
            let shortest = self.texts.get(low).map_or(0, String::len);
            if shortest == end - start {
                let literal = self.literals.get(low).copied();
                hits.extend(literal.zip(word_span(text, start..end)));
                low += 1;
                continue;
            }
            let Some(next) = bytes.get(end) else {
                return;
            };
            let depth = end - start;
            let byte_of = |it: &String| it.as_bytes().get(depth).copied().unwrap_or_default();
            let range = self.texts.get(low..high).unwrap_or_default();
            let from = low + range.partition_point(|it| byte_of(it) < *next);
            high = low + range.partition_point(|it| byte_of(it) <= *next);
            low = from;
            end += 1;
        }
    }
}

#[derive(Default)]
struct Literal {
    /// Entries of which this is a whole form.
    whole: Vec<usize>,
    /// Forms with gaps that begin with this.
    begins: Vec<GapForm>,
}

struct GapForm {
    entry: usize,
    /// What follows: how wide the gap before it may be, and the literals of which one must stand there. Shared,
    /// since a form that begins in many ways goes on in the same.
    rest: Arc<[(GapWidth, Vec<usize>)]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum GapWidth {
    Narrow,
    Wide,
}

/// Collects forms.
#[derive(Default)]
pub(crate) struct LexiconBuilder {
    texts: Vec<String>,
    literals: Vec<Literal>,
    by_text: HashMap<String, usize>,
    aside: HashSet<usize>,
    /// Forms that were spelled out already.
    prepared: HashMap<String, Vec<Pieces>>,
}

impl LexiconBuilder {
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
        let spelled = match self.prepared.remove(form) {
            Some(spelled) => spelled,
            None => spelled_out(form, spelling)?,
        };
        spelled.into_iter().try_for_each(|it| self.add_pieces(entry, it))
    }

    /// Spells out many forms beforehand, on two threads: it is most of the work.
    pub(crate) fn prepare(&mut self, forms: &[UnreadForm<'_>]) {
        let spell = |part: &[UnreadForm<'_>]| -> Vec<(String, Vec<Pieces>)> {
            // `add` reports a malformed form, since it knows the file and line.
            let spelled = part.iter().filter_map(|(form, spelling)| {
                Some(((*form).to_owned(), spelled_out(form, *spelling).ok()?))
            });
            spelled.collect()
        };
        let (first, second) = forms.split_at(forms.len() / 2);
        let both = std::thread::scope(|scope| {
            let second = scope.spawn(|| spell(second));
            let first = spell(first);
            [first, second.join().unwrap_or_default()]
        });
        self.prepared.extend(both.into_iter().flatten());
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
        let rest: Arc<[_]> = parts.collect();
        for first in firsts {
            let literal = self.literals.get_mut(first).ok_or("no literal")?;
            if !rest.is_empty() {
                literal.begins.push(GapForm {
                    entry,
                    rest: Arc::clone(&rest),
                });
            } else if !literal.whole.contains(&entry) {
                literal.whole.push(entry);
            }
        }
        Ok(())
    }

    /// Mentions of this entry neither hide others nor are hidden: in 剧痛 both 剧 and 痛 count.
    pub(crate) fn set_aside(&mut self, entry: usize) {
        self.aside.insert(entry);
    }

    pub(crate) fn build(self) -> Result<Lexicon, String> {
        let latin_forms: Vec<String> = self.texts.iter().filter(|it| it.is_ascii()).cloned().collect();
        let (latin, chinese): (Vec<_>, Vec<_>) = self
            .texts
            .into_iter()
            .enumerate()
            .partition(|(_, text)| text.starts_with(|it: char| it.is_ascii()));
        let sorted = std::thread::scope(|scope| {
            let latin = scope.spawn(|| SortedLiterals::new(latin));
            let chinese = SortedLiterals::new(chinese);
            Some([latin.join().ok()?, chinese])
        });
        Ok(Lexicon {
            sorted: sorted.ok_or("the thread that sorts the forms panicked")?,
            literals: self.literals,
            aside: self.aside,
            speller: OnceLock::new(),
            latin_forms,
        })
    }

    fn literal(&mut self, text: String) -> usize {
        if let Some(&known) = self.by_text.get(&text) {
            return known;
        }
        let id = self.literals.len();
        self.texts.push(text.clone());
        self.literals.push(Literal::default());
        self.by_text.insert(text, id);
        id
    }
}

impl Lexicon {
    /// Corrects slips of typing in words of the forms.
    pub(crate) fn speller(&self) -> &Speller {
        self.speller
            .get_or_init(|| Speller::new(self.latin_forms.iter().map(String::as_str)))
    }

    /// All mentions in the order of the text; of mentions one inside the other only the longer stays.
    pub(crate) fn mentions(&self, text: &str) -> Vec<Mention> {
        let mut hits: Vec<(usize, Range<usize>)> = self.sorted.iter().flat_map(|it| it.hits(text)).collect();
        if let Some(closed) = ClosedUp::new(text) {
            let across = self.sorted.iter().flat_map(|it| it.hits(&closed.text));
            hits.extend(across.filter_map(|(literal, span)| Some((literal, closed.across_blank(&span)?))));
        }
        hits.sort_by_key(|(_, span)| (span.end, span.start));
        let mut mentions: Vec<Mention> = Vec::new();
        for (literal, span) in &hits {
            let Some(literal) = self.literals.get(*literal) else {
                continue;
            };
            mentions.extend(literal.whole.iter().map(|&entry| Mention {
                entry,
                span: span.clone(),
                gap: None,
            }));
        }
        for (literal, span) in &hits {
            let Some(literal) = self.literals.get(*literal) else {
                continue;
            };
            for form in &literal.begins {
                let beginning = Mention {
                    entry: form.entry,
                    span: span.clone(),
                    gap: None,
                };
                follow(text, &hits, form.entry, &form.rest, &beginning, &mut mentions);
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

/// The ways in which the rest of a form follows what stands at `found`: with each literal at the first place
/// where it fits. Whether there is any.
fn follow(
    text: &str,
    hits: &[(usize, Range<usize>)],
    entry: usize,
    rest: &[(GapWidth, Vec<usize>)],
    found: &Mention,
    mentions: &mut Vec<Mention>,
) -> bool {
    let Some(((width, literals), rest)) = rest.split_first() else {
        mentions.push(found.clone());
        return true;
    };
    let end = found.span.end;
    let mut fitted: Vec<usize> = Vec::new();
    for (literal, next) in hits {
        let follows = next.start >= end && literals.contains(literal) && !fitted.contains(literal);
        let between = end..next.start;
        if follows && text.get(between.clone()).is_some_and(|it| is_gap(it, *width)) {
            let longer = Mention {
                entry,
                span: found.span.start..next.end,
                gap: Some(between),
            };
            if follow(text, hits, entry, rest, &longer, mentions) {
                fitted.push(*literal);
            }
        }
    }
    !fitted.is_empty()
}

/// A form as it stands in the data, and how it is brought into the spelling of texts.
pub(crate) type UnreadForm<'a> = (&'a str, fn(&str) -> String);

/// The alternatives of each piece between gaps.
type Pieces = Vec<Vec<String>>;

/// A form, or the forms that it stands for, in the spelling of texts.
fn spelled_out(form: &str, spelling: fn(&str) -> String) -> Result<Vec<Pieces>, String> {
    if let Some(pieces) = pieces_of(form)? {
        let spelled = pieces
            .iter()
            .map(|it| it.iter().map(|it| spelling(it.trim())).collect());
        return Ok(vec![spelled.collect()]);
    }
    // A gap within braces: each alternative is a form of its own.
    let mut all = Vec::new();
    for form in expand(form)? {
        all.extend(spelled_out(&form, spelling)?);
    }
    Ok(all)
}

/// The alternatives of each piece between gaps; a wide gap is a piece that is empty. `None` if a gap stands within
/// braces, or a piece may be left out.
fn pieces_of(form: &str) -> Result<Option<Pieces>, String> {
    let mut depth = 0;
    for c in form.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '~' if depth != 0 => return Ok(None),
            _ => {}
        }
    }
    let mut pieces = Vec::new();
    for piece in form.split('~') {
        let alternatives = expand(piece)?;
        if !piece.trim().is_empty() && alternatives.iter().any(|it| it.trim().is_empty()) {
            return Ok(None);
        }
        pieces.push(alternatives);
    }
    Ok(Some(pieces))
}

/// A form that stands for more is a slip of the pen.
const MOST_EXPANSIONS: usize = 2000;

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
                // Of two that overlap, the tighter one around the same end says more about negation.
                if mention.gap.is_none() && last.gap.is_some() {
                    *last = mention;
                }
            }
            _ => kept.push(mention),
        }
    }
    kept.sort_by_key(|it| (it.span.start, it.span.end, it.entry));
    *mentions = kept;
}

/// Each alternative of each brace, with and without what stands before a question mark.
fn expand(form: &str) -> Result<Vec<String>, String> {
    let mut expanded = vec![String::with_capacity(form.len())];
    let mut rest = form.chars().peekable();
    while let Some(c) = rest.next() {
        let mut alternatives: Vec<String> = match c {
            '{' => {
                let inside: String = rest.by_ref().take_while(|it| *it != '}').collect();
                if inside.contains('{') {
                    return Err("braces inside braces, or a `{` without `}`".to_owned());
                }
                inside.split(',').map(str::to_owned).collect()
            }
            '}' => return Err("a `}` without `{`".to_owned()),
            '?' => return Err("nothing stands before `?`".to_owned()),
            _ if rest.peek() != Some(&'?') => {
                expanded.iter_mut().for_each(|it| it.push(c));
                continue;
            }
            _ => vec![c.to_string()],
        };
        if rest.next_if_eq(&'?').is_some() && !alternatives.iter().any(String::is_empty) {
            alternatives.push(String::new());
        }
        if expanded.len() * alternatives.len() > MOST_EXPANSIONS {
            return Err(format!("stands for more than {MOST_EXPANSIONS} texts: split it"));
        }
        if let [only] = alternatives.as_slice() {
            expanded.iter_mut().for_each(|it| it.push_str(only));
            continue;
        }
        expanded = expanded
            .iter()
            .flat_map(|head| alternatives.iter().map(move |it| format!("{head}{it}")))
            .collect();
    }
    if form.matches('{').count() != form.matches('}').count() {
        return Err("a `{` without `}`".to_owned());
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::{LexiconBuilder, expand};
    use crate::normal_text::normalized;

    fn check(forms: &[&str], text: &str, expect: &[&str]) {
        let mut builder = LexiconBuilder::default();
        for (entry, form) in forms.iter().enumerate() {
            builder.add(entry, form, normalized).unwrap();
        }
        let text = normalized(text);
        let found: Vec<_> = builder
            .build()
            .unwrap()
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

    #[test]
    fn braces() {
        assert_eq!(expand("{a,b}c{d,}").unwrap(), ["acd", "ac", "bcd", "bc"]);
        assert_eq!(
            expand("ab?{c,d}?").unwrap(),
            ["abc", "abd", "ab", "ac", "ad", "a"]
        );
        assert!(expand("{a").is_err() && expand("a}").is_err() && expand("{a{b}}").is_err());
    }
}
