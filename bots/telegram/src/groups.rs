//! The one sentence that a group hears.

use bedside_contract::Language;

pub(crate) fn sentence(language: Language, username: &str, emergency_number: &str) -> String {
    match language {
        Language::En => format!(
            "To keep your health private I answer only in a private chat: https://t.me/{username} (in an emergency \
             call {emergency_number} now)."
        ),
        Language::Zh => format!(
            "为保护您的健康隐私，我只在私聊中回答：https://t.me/{username} （紧急情况请立即拨打 {emergency_number}）。"
        ),
    }
}
