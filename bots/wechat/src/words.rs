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

/// Words that say nothing but "go on": a reply to them that brings an older answer owes nothing further.
pub(crate) fn only_asks_for_more(text: &str) -> bool {
    let text = text.trim();
    if text.chars().count() <= 2 && !text.chars().any(char::is_alphabetic) {
        return true;
    }
    let bare = text.trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase();
    let words = [
        "continue",
        "go on",
        "more",
        "next",
        "ok",
        "okay",
        "继续",
        "继续吧",
        "请继续",
        "好",
        "好的",
        "嗯",
        "嗯嗯",
        "收到",
        "下一条",
        "更多",
        "查看",
        "回复",
    ];
    words.contains(&bare.as_str())
}

#[cfg(test)]
mod tests {
    use super::only_asks_for_more;

    #[test]
    fn a_question_is_more_than_going_on() {
        for text in ["1", "？", "继续", " 好的 ", "OK!", "more", "👌"] {
            assert!(only_asks_for_more(text), "{text}");
        }
        for text in ["疼", "头疼", "120", "不好", "why", "I feel ill"] {
            assert!(!only_asks_for_more(text), "{text}");
        }
    }
}
