//! The one sentence that a server's channel hears.

use bedside_contract::Language;

pub(crate) fn sentence(language: Language, emergency_number: &str) -> String {
    match language {
        Language::En => format!(
            "To keep your health private I answer only in direct messages: click my name and choose Message (in an \
             emergency call {emergency_number} now)."
        ),
        Language::Zh => format!(
            "为保护您的健康隐私，我只在私信中回答：请点击我的名字，选择「发送消息」（紧急情况请立即拨打 {emergency_number}）。"
        ),
    }
}
