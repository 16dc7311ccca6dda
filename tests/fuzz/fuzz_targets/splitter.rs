//! Messages cut for a platform: every piece fits, and no word is lost or made up.
#![no_main]

use bedside_contract::LengthUnit;
use bedside_runtime::split_text;
use libfuzzer_sys::fuzz_target;

const SMALLEST_LIMIT: usize = 32;
const LARGEST_LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((choices, bytes)) = data.split_first_chunk::<3>() else {
        return;
    };
    let unit = match choices[0] % 3 {
        0 => LengthUnit::Utf16,
        1 => LengthUnit::Chars,
        _ => LengthUnit::Bytes,
    };
    let span = LARGEST_LIMIT - SMALLEST_LIMIT + 1;
    let limit = SMALLEST_LIMIT + usize::from(u16::from_le_bytes([choices[1], choices[2]])) % span;
    check(&String::from_utf8_lossy(bytes), limit, unit);
});

fn check(text: &str, limit: usize, unit: LengthUnit) {
    let pieces = split_text(text, limit, unit);
    for piece in &pieces {
        assert!(!piece.trim().is_empty(), "an empty message");
        let length = unit.length(piece);
        assert!(
            length <= limit,
            "a piece of {length} {unit:?} where {limit} are allowed"
        );
    }
    if unit.length(text) <= limit && !text.trim().is_empty() {
        assert_eq!(pieces.len(), 1, "cut without need");
    }

    let before = letters(text.lines());
    let after = letters(pieces.iter().flat_map(|it| it.lines()));
    if text.contains("```") {
        // Fences are closed and opened again, so their lines may come more often than they did.
        assert!(is_subsequence(&before, &after), "a letter was lost");
        let words = pieces.iter().flat_map(|it| it.lines()).filter(|it| !is_fence(it));
        assert!(is_subsequence(&letters(words), &before), "a letter was made up");
    } else {
        assert!(before == after, "letters were lost or made up");
    }
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

fn letters<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<char> {
    lines
        .flat_map(str::chars)
        .filter(|it| !it.is_whitespace() && *it != '`')
        .collect()
}

fn is_subsequence(part: &[char], whole: &[char]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|it| it == wanted))
}
