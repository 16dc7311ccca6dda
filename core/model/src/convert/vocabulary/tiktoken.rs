//! Rank files of tiktoken: a token in base64 and its rank in every line; GLM-4-9B.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{File, TokenType, Vocabulary, VocabularyError};
use crate::tokenizer::character_of;

/// What the code of GLM-4-9B adds behind its ranks.
const SPECIAL: [&str; 14] = [
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
];

/// Whether the first line is one of a rank file.
pub(super) fn is_ranks(bytes: &[u8]) -> bool {
    let line = bytes.split(|it| *it == b'\n').next().unwrap_or_default();
    parse(line).is_some()
}

fn parse(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (token, rank) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let token = BASE64_STANDARD.decode(token).ok().filter(|it| !it.is_empty())?;
    Some((token, rank.parse().ok()?))
}

pub(super) fn read(file: &File) -> Result<Vocabulary, VocabularyError> {
    let lines = file.bytes.split(|it| *it == b'\n').enumerate();
    let mut tokens = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let number = number + 1;
        let (token, rank) =
            parse(line).ok_or_else(|| file.bad(format!("line {number} is no token with its rank")))?;
        if usize::try_from(rank) != Ok(tokens.len()) {
            let wanted = tokens.len();
            return Err(file.bad(format!("line {number} has rank {rank}, {wanted} is its turn")));
        }
        tokens.push(token);
    }
    let ranks: HashMap<&[u8], usize> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    let written = |bytes: &[u8]| bytes.iter().map(|it| character_of(*it)).collect::<String>();
    let merges = tokens.iter().enumerate().filter_map(|(rank, token)| {
        let (left, right) = halves(token, rank, &ranks)?;
        Some(format!("{} {}", written(left), written(right)))
    });
    let merges = merges.collect();
    let mut listed: Vec<_> = tokens.iter().map(|it| (written(it), TokenType::Normal)).collect();
    let end = u32::try_from(listed.len()).ok();
    listed.extend(SPECIAL.map(|it| (it.to_owned(), TokenType::Control)));
    Ok(Vocabulary {
        merges,
        end,
        ..Vocabulary::new("gpt2", "chatglm-bpe", listed)
    })
}

/// The two tokens that a token is joined from: what its bytes become by the joins of lower ranks alone.
fn halves<'a>(token: &'a [u8], rank: usize, ranks: &HashMap<&[u8], usize>) -> Option<(&'a [u8], &'a [u8])> {
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    loop {
        if let [middle, _] = *ends.as_slice() {
            return token.split_at_checked(middle);
        }
        let start = |place: usize| {
            place
                .checked_sub(1)
                .and_then(|it| ends.get(it))
                .copied()
                .unwrap_or(0)
        };
        let joined = (0..ends.len().checked_sub(1)?).filter_map(|place| {
            let both = token.get(start(place)..*ends.get(place + 1)?)?;
            ranks.get(both).filter(|it| **it < rank).map(|it| (*it, place))
        });
        let (_, place) = joined.min()?;
        ends.remove(place);
    }
}
