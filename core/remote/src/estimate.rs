//! How many tokens messages take, without a tokenizer.

use bedside_contract::ChatMessage;

/// What a chat template writes around a message.
const AROUND_A_MESSAGE: usize = 6;
/// What it writes before the answer.
const BEFORE_THE_ANSWER: usize = 4;

/// More than the server will count, seldom less: one token for each Chinese, Japanese or Korean character
/// and each digit, one for each three bytes of anything else, and what the template adds. English takes
/// about two thirds of it, Chinese about three quarters.
pub(crate) fn tokens(messages: &[ChatMessage]) -> usize {
    let messages = messages
        .iter()
        .map(|it| text_tokens(&it.content) + AROUND_A_MESSAGE);
    messages.sum::<usize>() + BEFORE_THE_ANSWER
}

fn text_tokens(text: &str) -> usize {
    let mut whole = 0;
    let mut bytes = 0;
    for character in text.chars() {
        if character.is_ascii_digit() || is_ideograph_or_kana(character) {
            whole += 1;
        } else {
            bytes += character.len_utf8();
        }
    }
    whole + bytes.div_ceil(3)
}

/// Also the punctuation and full-width forms that stand between them.
fn is_ideograph_or_kana(character: char) -> bool {
    matches!(character,
        '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE4F}'
        | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::text_tokens;

    #[test]
    fn characters_count_by_their_script() {
        let cases = [
            ("", 0),
            ("fever", 2),
            ("38.5", 4),
            ("我发烧了", 4),
            ("我发烧了，38.5度。", 11),
            ("😀", 2),
            ("\u{20000}", 1),
        ];
        for (text, expect) in cases {
            assert_eq!(text_tokens(text), expect, "{text}");
        }
    }
}
