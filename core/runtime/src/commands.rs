//! Chat commands: the same words on every platform, Chinese and English.

/// A command that the bot itself knows, or one for a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Start,
    New,
    Stop,
    Help,
    Privacy,
    Human,
    /// With the word behind it, if any.
    Language(Option<String>),
    Delete,
    DeleteConfirmed,
    DeleteRefused,
    ConsentGiven,
    ConsentRefused,
    Other {
        name: String,
        arguments: String,
    },
}

impl Command {
    /// Reads `/new`, `/new@OurBot`, `/语言 中文`, a button's data, or a bare `stop`/`停止`/`人工`.
    /// A sentence that merely contains such a word is no command.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text {
            "consent:yes" => return Some(Self::ConsentGiven),
            "consent:no" => return Some(Self::ConsentRefused),
            "delete:yes" => return Some(Self::DeleteConfirmed),
            "delete:no" => return Some(Self::DeleteRefused),
            _ => {}
        }
        if let Some(language) = text.strip_prefix("language:") {
            return Some(Self::Language(Some(language.to_owned())));
        }
        let bare = text.trim_end_matches(['.', '!', '。', '！']).to_lowercase();
        match bare.as_str() {
            "stop" | "停止" | "停" | "别说了" => return Some(Self::Stop),
            "转人工" | "人工" | "人工服务" => return Some(Self::Human),
            _ => {}
        }
        let rest = text.strip_prefix('/').or_else(|| text.strip_prefix('／'))?;
        let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let name = name.split('@').next().unwrap_or_default().to_lowercase();
        let arguments = arguments.trim();
        let argument = (!arguments.is_empty()).then(|| arguments.to_owned());
        Some(match name.as_str() {
            "start" | "开始" => Self::Start,
            "new" | "reset" | "新对话" | "重新开始" => Self::New,
            "stop" | "停止" => Self::Stop,
            "help" | "帮助" => Self::Help,
            "privacy" | "隐私" => Self::Privacy,
            "human" | "人工" => Self::Human,
            "language" | "lang" | "语言" => Self::Language(argument),
            "delete" | "删除" => Self::Delete,
            "" => return None,
            _ => Self::Other {
                name,
                arguments: arguments.to_owned(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn commands_are_read_in_both_languages() {
        let cases = [
            ("/new", Some(Command::New)),
            (" /NEW@BedsideBot ", Some(Command::New)),
            ("/停止", Some(Command::Stop)),
            ("停止。", Some(Command::Stop)),
            ("stop!", Some(Command::Stop)),
            ("stop smoking, how?", None),
            ("转人工", Some(Command::Human)),
            ("/language 中文", Some(Command::Language(Some("中文".to_owned())))),
            ("language:zh", Some(Command::Language(Some("zh".to_owned())))),
            ("/lang", Some(Command::Language(None))),
            ("consent:yes", Some(Command::ConsentGiven)),
            (
                "/triage my head hurts",
                Some(Command::Other {
                    name: "triage".to_owned(),
                    arguments: "my head hurts".to_owned(),
                }),
            ),
            ("/", None),
            ("what is 1/2?", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Command::parse(text), expected, "{text}");
        }
    }
}
