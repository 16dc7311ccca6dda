//! Sentences for people, put together from `data/notices.toml`.

use bedside_contract::Language;

use crate::{
    assessment::{Assessment, EmergencyContacts},
    bundle::Bundle,
    other_languages,
};

/// At most so many red flags are named: the notice must be read in a glance.
const NAMED_FLAGS: usize = 2;

/// In the message's own language first, where that is neither English nor Chinese.
pub(crate) fn emergency(
    bundle: &Bundle,
    assessment: &Assessment,
    language: Language,
    contacts: &EmergencyContacts,
) -> String {
    let Some(other) = &assessment.other_language else {
        return emergency_lines(bundle, assessment, language, contacts).join("\n");
    };
    let lines = |language| emergency_lines(bundle, assessment, language, contacts).join(" ");
    let own = other_languages::emergency_sentence(other, assessment.self_harm, contacts);
    let all = [own, lines(Language::En), lines(Language::Zh)];
    let shown: Vec<String> = all.into_iter().filter(|it| !it.is_empty()).collect();
    shown.join("\n")
}

fn emergency_lines(
    bundle: &Bundle,
    assessment: &Assessment,
    language: Language,
    contacts: &EmergencyContacts,
) -> Vec<String> {
    let filled = |key: &str, noticed: &str| {
        text(bundle, key, language)
            .replace("{emergency}", &contacts.emergency_number)
            .replace("{crisis}", &contacts.crisis_line)
            .replace("{noticed}", noticed)
    };
    if assessment.self_harm {
        return vec![filled("self-harm", "")];
    }
    let titles: Vec<&str> = assessment
        .red_flags
        .iter()
        .take(NAMED_FLAGS)
        .map(|it| match language {
            Language::En => it.title_en.as_str(),
            Language::Zh => it.title_zh.as_str(),
        })
        .collect();
    let mut lines = Vec::new();
    if titles.is_empty() {
        // The second reader's alone: it knows how urgent, not what it is.
        lines.push(filled("emergency-unnamed", ""));
        lines.push(filled("emergency-unnamed-question", ""));
    } else {
        let joint = match language {
            Language::En => "; ",
            Language::Zh => "；",
        };
        lines.push(filled("emergency", &titles.join(joint)));
    }
    let advice = assessment.red_flags.iter().find_map(|flag| {
        bundle
            .red_flags
            .iter()
            .find(|it| it.id == flag.id)
            .and_then(|it| it.advice.as_deref())
    });
    lines.push(filled(advice.unwrap_or("advice-general"), ""));
    lines.push(filled("emergency-close", ""));
    lines
}

/// The most specific "Seek care at once if …" for the findings, else a general one.
pub(crate) fn safety_net(bundle: &Bundle, findings: &[String], language: Language) -> String {
    let suited = findings
        .iter()
        .map(|it| format!("net-{it}"))
        .find(|it| bundle.notices.contains_key(it));
    text(bundle, suited.as_deref().unwrap_or("net-general"), language)
}

/// A sentence by its key; empty if there is none, which a test rules out for those that the code names.
pub(crate) fn text(bundle: &Bundle, key: &str, language: Language) -> String {
    bundle
        .notices
        .get(key)
        .map(|it| it.get(language).to_owned())
        .unwrap_or_default()
}
