//! Neighbours joined in the order of scores; `bpe_model.cc`.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
};

use super::{PieceKind, Vocabulary, first_character};

/// A stretch of the text that has been joined so far; an empty one has gone into its left neighbour.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
    /// Defined by a user: never joined.
    frozen: bool,
}

/// Two neighbours that make a piece.
#[derive(Debug, Clone, Copy)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

/// The best score first, from the left among equals.
impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

struct Joining<'a> {
    vocabulary: &'a Vocabulary,
    text: &'a str,
    symbols: Vec<Symbol>,
    pairs: BinaryHeap<Pair>,
    /// Of unused pieces, where they were joined last.
    cuts: HashMap<&'a str, usize>,
}

/// Pieces of the whole text in turn; those without a number are none.
pub(super) fn spans<'a>(vocabulary: &'a Vocabulary, text: &'a str) -> Vec<(&'a str, Option<usize>)> {
    let mut joining = Joining {
        vocabulary,
        text,
        symbols: symbols(vocabulary, text),
        pairs: BinaryHeap::new(),
        cuts: HashMap::new(),
    };
    for right in 1..joining.symbols.len() {
        joining.consider(Some(right - 1), Some(right));
    }
    while let Some(pair) = joining.pairs.pop() {
        joining.join(pair);
    }
    let mut spans = Vec::new();
    for symbol in joining.symbols.iter().filter(|it| it.start < it.end) {
        let span = text.get(symbol.start..symbol.end).unwrap_or_default();
        joining.take_apart(span, &mut spans);
    }
    spans
}

fn symbols(vocabulary: &Vocabulary, text: &str) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|it| !it.is_empty()) {
        let defined = vocabulary.user_defined.longest_at_start(rest);
        let end = start + defined.unwrap_or_else(|| first_character(rest));
        let number = symbols.len();
        symbols.push(Symbol {
            start,
            end,
            previous: number.checked_sub(1),
            next: (end < text.len()).then_some(number + 1),
            frozen: defined.is_some(),
        });
        start = end;
    }
    symbols
}

impl<'a> Joining<'a> {
    fn symbol(&self, number: Option<usize>) -> Option<Symbol> {
        self.symbols.get(number?).copied()
    }

    fn consider(&mut self, left: Option<usize>, right: Option<usize>) {
        let (Some(left_number), Some(right_number)) = (left, right) else {
            return;
        };
        let (Some(left), Some(right)) = (self.symbol(left), self.symbol(right)) else {
            return;
        };
        if left.frozen || right.frozen {
            return;
        }
        let text = self.text.get(left.start..right.end).unwrap_or_default();
        let Some((_, piece)) = self.vocabulary.get(text) else {
            return;
        };
        if piece.kind == PieceKind::Unused {
            self.cuts.insert(text, left.end - left.start);
        }
        self.pairs.push(Pair {
            score: piece.score,
            left: left_number,
            right: right_number,
            length: text.len(),
        });
    }

    fn join(&mut self, pair: Pair) {
        let (Some(left), Some(right)) = (self.symbol(Some(pair.left)), self.symbol(Some(pair.right))) else {
            return;
        };
        // One of the two has been joined with another meanwhile.
        let (left_length, right_length) = (left.end - left.start, right.end - right.start);
        if left_length == 0 || right_length == 0 || left_length + right_length != pair.length {
            return;
        }
        if let Some(symbol) = self.symbols.get_mut(pair.left) {
            symbol.end = right.end;
            symbol.next = right.next;
        }
        if let Some(symbol) = self.symbols.get_mut(pair.right) {
            symbol.end = symbol.start;
        }
        if let Some(after) = right.next.and_then(|it| self.symbols.get_mut(it)) {
            after.previous = Some(pair.left);
        }
        self.consider(left.previous, Some(pair.left));
        self.consider(Some(pair.left), right.next);
    }

    /// Unused pieces become the two that they were joined from.
    fn take_apart(&self, span: &'a str, into: &mut Vec<(&'a str, Option<usize>)>) {
        let mut open = vec![span];
        while let Some(span) = open.pop() {
            let known = self.vocabulary.get(span);
            let unused = known.is_some_and(|(_, piece)| piece.kind == PieceKind::Unused);
            let cut = self.cuts.get(span).filter(|_| unused);
            match cut.and_then(|cut| span.split_at_checked(*cut)) {
                Some((left, right)) => open.extend([right, left]),
                None => into.push((span, known.map(|(place, _)| place))),
            }
        }
    }
}
