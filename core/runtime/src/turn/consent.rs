//! Consent comes before the first answer, and an emergency before consent.

use bedside_contract::{Language, Part, QuickReply};

use crate::context::{
    config::RuntimeConfig,
    words::{Variable, say, say_with},
};

/// The question with its two buttons. `operator` is [`Delivery::operator`](crate::delivery::Delivery::operator)'s word.
pub(crate) fn consent_part(
    language: Language,
    operator: &str,
    with_welcome: bool,
    config: &RuntimeConfig,
) -> Part {
    let mut text = String::new();
    if with_welcome {
        let variables = [
            ("hospital", Variable::Text(config.hospital.as_str())),
            ("emergency", Variable::Text(&config.emergency_number)),
        ];
        text.push_str(&say_with(language, "welcome", &variables));
        text.push_str("\n\n");
    }
    text.push_str(&say_with(
        language,
        "consent-question",
        &[("operator", Variable::Text(operator))],
    ));
    Part {
        quick_replies: vec![
            QuickReply {
                label: say(language, "consent-yes"),
                data: "consent:yes".to_owned(),
            },
            QuickReply {
                label: say(language, "consent-no"),
                data: "consent:no".to_owned(),
            },
        ],
        ..Part::notice(language, text)
    }
}

/// Whether typed words answer the consent question, for platforms and people without buttons.
pub(crate) fn typed_consent(text: &str) -> Option<bool> {
    let word = text
        .trim()
        .trim_end_matches(['.', '!', '。', '！'])
        .to_lowercase();
    match word.as_str() {
        "yes" | "y" | "ok" | "okay" | "agree" | "i agree" | "同意" | "我同意" | "好" | "好的" | "是"
        | "可以" => Some(true),
        "no" | "n" | "不同意" | "我不同意" | "不" | "拒绝" => Some(false),
        _ => None,
    }
}
