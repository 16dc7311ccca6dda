//! Traditional characters.

use std::sync::LazyLock;

use ferrous_opencc::{OpenCC, config::BuiltinConfig};

use crate::normal_text::is_han;

/// Loaded at the first Han character that is not common; a missing dictionary only costs traditional spelling.
static TO_SIMPLIFIED: LazyLock<Option<OpenCC>> =
    LazyLock::new(|| OpenCC::from_config(BuiltinConfig::T2s).ok());

/// The simplified character for a traditional one.
pub(crate) fn simplified(c: char) -> char {
    if !is_han(c) {
        return c;
    }
    let converted = TO_SIMPLIFIED
        .as_ref()
        .map(|it| it.convert(c.encode_utf8(&mut [0; 4])));
    converted.and_then(|it| it.chars().next()).unwrap_or(c)
}
