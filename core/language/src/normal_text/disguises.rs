//! Words that were made hard to read for programs: letters of other scripts, letters spaced out.

use crate::characters::{is_han, is_invisible, latin_look_alike};

/// Letters of other scripts inside a Latin word become the Latin ones that they look like; words spaced out
/// letter by letter are closed up. Both keep the number of characters.
pub(super) fn undo_disguises(characters: &mut [char]) {
    // A text of Latin letters and of such that look like them is Latin throughout: "stiff аs а bоаrd".
    let letters = || characters.iter().filter(|it| it.is_alphabetic());
    let latin = letters().filter(|it| it.is_ascii()).count();
    let all_look_latin = latin * 2 >= letters().count()
        && letters().all(|it| it.is_ascii() || latin_look_alike(*it).is_some());
    let mut start = 0;
    while start < characters.len() {
        let length = characters
            .iter()
            .skip(start)
            .take_while(|it| it.is_alphabetic() || (is_invisible(**it) && !it.is_whitespace()))
            .count();
        if let Some(word) = characters.get_mut(start..start + length)
            && (all_look_latin || word.iter().any(char::is_ascii_alphabetic))
        {
            for c in word {
                *c = latin_look_alike(*c).unwrap_or(*c);
            }
        }
        start += length.max(1);
    }
    close_up(characters);
    close_up_han(characters);
}

/// "血 氧 只 有 8 8": where nearly every character of a Chinese text stands alone, single blanks say nothing.
fn close_up_han(characters: &mut [char]) {
    let shown: Vec<usize> = (0..characters.len())
        .filter(|at| {
            characters
                .get(*at)
                .is_some_and(|it| !it.is_whitespace() && !is_invisible(*it))
        })
        .collect();
    let han = shown
        .iter()
        .filter(|at| characters.get(**at).is_some_and(|it| is_han(*it)))
        .count();
    let apart = shown
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if b - a > 1))
        .count();
    if han >= 3 && han * 2 >= shown.len() && apart * 10 >= shown.len().saturating_sub(1) * 8 {
        for c in characters
            .iter_mut()
            .filter(|it| **it == ' ' || **it == '\u{3000}')
        {
            *c = '\u{200b}';
        }
    }
}

/// "c h e s t  p a i n": from four single letters on, what stands between them is made invisible.
fn close_up(characters: &mut [char]) {
    let is_separator = |c: char| matches!(c, ' ' | '.' | '-' | '_' | '*' | '·');
    let mut at = 0;
    while at < characters.len() {
        let mut end = at;
        let mut separators = Vec::new();
        let begins = at == 0
            || characters
                .get(at - 1)
                .is_some_and(|it| !it.is_ascii_alphanumeric());
        while begins && characters.get(end).is_some_and(char::is_ascii_alphabetic) {
            let separated = characters.get(end + 1).is_some_and(|it| is_separator(*it))
                && characters.get(end + 2).is_some_and(char::is_ascii_alphabetic)
                && characters
                    .get(end + 3)
                    .is_none_or(|it| !it.is_ascii_alphanumeric());
            if !separated {
                break;
            }
            separators.push(end + 1);
            end += 2;
        }
        if separators.len() >= 3 {
            for separator in separators {
                if let Some(it) = characters.get_mut(separator) {
                    *it = '\u{200b}';
                }
            }
        }
        at = end + 1;
    }
}

/// The blank in 胸 口 疼, which says nothing, unlike the one in 头疼 发烧, which stands for a comma.
pub(super) fn is_spaced_out_han(index: usize, all: &[char]) -> bool {
    let single = |mut it: std::iter::Peekable<&mut dyn Iterator<Item = char>>| {
        while it.next_if(|c| c.is_whitespace()).is_some() {}
        it.next().is_some_and(is_han) && it.next().is_none_or(|c| !is_han(c))
    };
    let before =
        single((&mut all.iter().take(index).rev().copied() as &mut dyn Iterator<Item = char>).peekable());
    let after = single((&mut all.iter().skip(index).copied() as &mut dyn Iterator<Item = char>).peekable());
    before && after
}
