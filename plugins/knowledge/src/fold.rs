//! Makes spellings alike: width, case, traditional Chinese, invisible characters.

use std::sync::LazyLock;

use ferrous_opencc::{OpenCC, config::BuiltinConfig};
use unicode_normalization::UnicodeNormalization;

use crate::section::{Language, is_han};

/// Half width, lower case, simplified Chinese, without invisible characters.
#[must_use]
pub(crate) fn fold(text: &str, language: Language) -> String {
    let folded: String = text
        .nfkc()
        .filter(|it| !is_invisible(*it))
        .flat_map(char::to_lowercase)
        .map(straight_quote)
        .collect();
    match (&*SIMPLIFIER, language) {
        (Some(simplifier), Language::Zh) if folded.chars().any(is_han) => simplifier.convert(&folded),
        _ => folded,
    }
}

/// Characters that nobody sees and that can hide words from a reader: zero-width ones, direction marks,
/// tag characters, the soft hyphen.
#[must_use]
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{180e}' | '\u{e0000}'..='\u{e007f}')
}

/// `None` if the tables inside the crate cannot be read: traditional characters then stay as they are.
static SIMPLIFIER: LazyLock<Option<OpenCC>> = LazyLock::new(|| OpenCC::from_config(BuiltinConfig::T2s).ok());

fn straight_quote(c: char) -> char {
    match c {
        '‘' | '’' | 'ʼ' | '`' => '\'',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::fold;
    use crate::section::Language;

    #[test]
    fn spellings_become_alike() {
        let cases = [
            ("ＡＢＣ１２３", Language::Zh, "abc123"),
            ("頭痛發燒", Language::Zh, "头痛发烧"),
            ("皮膚過敏", Language::Zh, "皮肤过敏"),
            ("感\u{200b}冒", Language::Zh, "感冒"),
            ("I’m Feverish", Language::En, "i'm feverish"),
        ];
        for (text, language, expect) in cases {
            assert_eq!(fold(text, language), expect, "{text}");
        }
    }
}
