//! Chat commands: the same words on every platform, Chinese and English.

use bedside_contract::{DELETE_EVERYTHING, Language};

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
            DELETE_EVERYTHING => return Some(Self::DeleteConfirmed),
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
        let (name, arguments) = slashed(text)?;
        let name = name.split('@').next().unwrap_or_default().to_lowercase();
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

/// What stands behind a command's name or in a button's data; empty for all other texts.
pub(crate) fn words_behind(text: &str) -> &str {
    let text = text.trim();
    if let Some((_, arguments)) = slashed(text) {
        return arguments;
    }
    ["language:", "consent:", "delete:"]
        .iter()
        .find_map(|it| text.strip_prefix(it))
        .unwrap_or_default()
}

/// The words of a text that begins with a slash although it is no command: a question of more than one word.
pub(crate) fn question_behind_slash(text: &str) -> Option<&str> {
    let (name, arguments) = slashed(text.trim())?;
    let words = text.trim().trim_start_matches(['/', '／']).trim();
    let is_sentence = name.chars().filter(|it| !it.is_ascii()).count() > 4
        || name
            .split(['_', '-', ',', '，', '.', '。'])
            .filter(|it| !it.is_empty())
            .count()
            > 2;
    (!arguments.is_empty() || is_sentence).then_some(words)
}

/// The language that a message is written in. Data of a button and the name of a command say nothing of it, nor
/// does a single word behind it (`/start poster-7`).
pub(crate) fn language_of_words(text: &str) -> Option<Language> {
    let text = text.trim();
    let Some((name, arguments)) = slashed(text) else {
        return words_behind(text)
            .is_empty()
            .then(|| Language::detect(text))
            .flatten();
    };
    if !name.is_ascii() {
        return Language::detect(text);
    }
    let detected = Language::detect(arguments)?;
    (detected == Language::Zh || arguments.split_whitespace().count() > 1).then_some(detected)
}

/// Name and arguments behind a slash, that of a Chinese keyboard too.
fn slashed(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(['/', '／'])?;
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some((name, arguments.trim()))
}

#[cfg(test)]
mod tests {
    use bedside_contract::Language;

    use super::{Command, language_of_words, question_behind_slash, words_behind};

    #[test]
    fn words_behind_a_slash_are_words() {
        let check = |text: &str, behind: &str, question: Option<&str>, language: Option<Language>| {
            assert_eq!(words_behind(text), behind, "{text}");
            assert_eq!(question_behind_slash(text), question, "{text}");
            assert_eq!(language_of_words(text), language, "{text}");
        };
        check("/nonsense", "", None, None);
        check("/start poster-7", "poster-7", Some("start poster-7"), None);
        check(
            "／sos my head hurts",
            "my head hurts",
            Some("sos my head hurts"),
            Some(Language::En),
        );
        check("/救命", "", None, Some(Language::Zh));
        check("/我爸胸口疼", "", Some("我爸胸口疼"), Some(Language::Zh));
        check("/my_head_hurts", "", Some("my_head_hurts"), None);
        check("language:zh", "zh", None, None);
        check("language:I am ill", "I am ill", None, None);
        check("what is 1/2?", "", None, Some(Language::En));
    }

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
