//! Consent comes before the first answer, and an emergency before consent.

use bedside_contract::{ConversationKey, Language, Part, QuickReply};
use bedside_language::fingerprint;

use crate::{
    context::{
        Context,
        words::{Variable, say, say_with},
    },
    delivery::Delivery,
};

/// The question with its two buttons, and what a newcomer is told first.
pub(crate) fn consent_part(
    context: &Context,
    delivery: &Delivery,
    conversation: &ConversationKey,
    language: Language,
    with_welcome: bool,
) -> Part {
    let mut text = String::new();
    if with_welcome {
        let variables = [
            ("hospital", Variable::Text(context.config.hospital.as_str())),
            ("emergency", Variable::Text(&context.config.emergency_number)),
        ];
        text.push_str(&say_with(language, "welcome", &variables));
        text.push_str("\n\n");
    }
    text.push_str(&question(context, delivery, conversation, language));
    let reply = |words: &str, data: &str| QuickReply {
        label: say(language, words),
        data: data.to_owned(),
    };
    Part {
        quick_replies: vec![
            reply("consent-yes", "consent:yes"),
            reply("consent-no", "consent:no"),
        ],
        ..Part::notice(language, text)
    }
}

/// Which words were agreed to: a fingerprint of the question as it is asked now.
pub(crate) fn consent_version(
    context: &Context,
    delivery: &Delivery,
    conversation: &ConversationKey,
    language: Language,
) -> String {
    let question = question(context, delivery, conversation, language);
    format!("{}-{:08x}", language.code(), fingerprint(question.bytes()))
}

fn question(
    context: &Context,
    delivery: &Delivery,
    conversation: &ConversationKey,
    language: Language,
) -> String {
    let variables = [
        ("operator", Variable::Text(delivery.operator(conversation))),
        ("model", Variable::Text(context.model_place.name())),
    ];
    say_with(language, "consent-question", &variables)
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
