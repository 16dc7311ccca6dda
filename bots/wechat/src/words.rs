//! What the connector itself says to patients.

use bedside_contract::Language;

/// Stands under a reply that is not all there is to say.
pub(crate) fn more_hint(language: Language) -> &'static str {
    match language {
        Language::Zh => "【未完待续，回复任意文字以继续】",
        Language::En => "(write anything to see the rest)",
    }
}

/// Given at the last moment, when the answer takes longer than WeChat waits.
pub(crate) fn still_thinking(language: Language) -> &'static str {
    match language {
        Language::Zh => "正在思考中，回复任意文字获取回复",
        Language::En => "Still thinking. Write anything to get the answer.",
    }
}
