//! What the bot says of itself, in Chinese and English, from `locales/*.ftl` (Project Fluent).

use std::sync::LazyLock;

use bedside_contract::Language;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};

/// The sentence named `key`. Both languages hold every key, which a test checks.
pub fn say(language: Language, key: &str) -> String {
    say_with(language, key, &[])
}

/// The sentence named `key` with its variables filled in.
pub fn say_with(language: Language, key: &str, variables: &[(&'static str, Variable<'_>)]) -> String {
    let bundle = match language {
        Language::En => &*ENGLISH,
        Language::Zh => &*CHINESE,
    };
    let Some(pattern) = bundle.get_message(key).and_then(|it| it.value()) else {
        tracing::error!(
            key,
            language = language.code(),
            "A sentence is missing from the locale files."
        );
        return String::new();
    };
    let mut args = FluentArgs::new();
    for (name, value) in variables {
        match value {
            Variable::Text(text) => args.set(*name, FluentValue::from(*text)),
            Variable::Number(number) => args.set(*name, FluentValue::from(*number)),
        }
    }
    let mut problems = Vec::new();
    let text = bundle.format_pattern(pattern, Some(&args), &mut problems);
    if !problems.is_empty() {
        tracing::error!(key, language = language.code(), "A sentence lacks a variable.");
    }
    text.into_owned()
}

/// A value that a sentence is filled with.
#[derive(Debug, Clone, Copy)]
pub enum Variable<'a> {
    Text(&'a str),
    Number(usize),
}

const ENGLISH_SOURCE: &str = include_str!("../../locales/en.ftl");
const CHINESE_SOURCE: &str = include_str!("../../locales/zh.ftl");

static ENGLISH: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle("en", ENGLISH_SOURCE));
static CHINESE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle("zh", CHINESE_SOURCE));

fn bundle(language: &str, source: &str) -> FluentBundle<FluentResource> {
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(partial, _)| partial);
    let mut bundle = FluentBundle::new_concurrent(language.parse().into_iter().collect());
    // Direction marks around variables would reach chat apps that show them as boxes.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bedside_contract::Language;
    use fluent_bundle::FluentResource;

    use super::{CHINESE_SOURCE, ENGLISH_SOURCE, Variable, say, say_with};

    fn keys(source: &str) -> BTreeSet<String> {
        FluentResource::try_new(source.to_owned()).expect("the locale file parses");
        source
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter_map(|line| line.split_once(" =").map(|(key, _)| key.to_owned()))
            .collect()
    }

    #[test]
    fn both_languages_hold_the_same_keys() {
        assert_eq!(keys(ENGLISH_SOURCE), keys(CHINESE_SOURCE));
    }

    fn sources(folder: &std::path::Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(sources(&path));
            } else {
                all.push(std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
        all
    }

    /// A sentence that is no answer leaves nobody without the number, and the output gate lets all of ours through.
    #[test]
    fn sentences_that_refuse_name_the_number_and_none_is_withheld() {
        let named = [
            "abstain",
            "abstain-medical",
            "passages-intro",
            "no-model",
            "withheld",
            "handoff",
            "search-down",
            "apology",
            "no-room",
            "plugin-refused",
            "unknown-command",
            "unreadable",
            "empty-message",
            "nothing-waits",
            "human",
            "help",
            "answers-off",
        ];
        let variables = [
            ("emergency", Variable::Text("911")),
            ("contact", Variable::Text("call +86 10 5555 0100")),
            ("operator", Variable::Text("outside")),
            ("hospital", Variable::Text("our hospital")),
            ("position", Variable::Number(3)),
            ("name", Variable::Text("triage")),
            ("help", Variable::Text("how urgent it is")),
            ("backups", Variable::Text("dated")),
            ("days", Variable::Number(30)),
        ];
        for language in [Language::En, Language::Zh] {
            for key in named {
                assert!(say_with(language, key, &variables).contains("911"), "{key}");
            }
            for place in ["inside", "outside"] {
                let variables = [&variables[..], &[("model", Variable::Text(place))]].concat();
                for key in keys(ENGLISH_SOURCE) {
                    let text = say_with(language, &key, &variables);
                    let gate = bedside_triage::OutputGate::default();
                    let (kept, withheld) = crate::answer::gated(&gate, &text);
                    assert!(!withheld && kept == text.trim_end(), "{key}: {text}");
                }
            }
        }
    }

    /// So that nothing leaves ungated.
    #[test]
    fn answers_are_made_at_one_place() {
        let made = sources(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
        let count: usize = made
            .iter()
            .map(|it| it.matches(concat!("kind: PartKind::", "Answer")).count())
            .sum();
        assert_eq!(count, 1);
    }

    #[test]
    fn every_key_in_the_code_exists() {
        let known = keys(ENGLISH_SOURCE);
        let mut seen = 0;
        for source in sources(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref()) {
            for call in source.split("say").skip(1) {
                let call = ["_with_number", "_with"]
                    .iter()
                    .find_map(|it| call.strip_prefix(it))
                    .unwrap_or(call);
                let Some(arguments) = call.strip_prefix('(') else {
                    continue;
                };
                let Some(key) = arguments.split('"').nth(1) else {
                    continue;
                };
                let before = arguments.split('"').next().unwrap_or_default();
                if before.contains(')') || before.contains(';') {
                    continue;
                }
                assert!(
                    known.contains(key),
                    "the sentence {key} is used but in no locale file"
                );
                seen += 1;
            }
        }
        assert!(seen > 20, "the scan found only {seen} uses");
    }

    #[test]
    fn variables_and_plurals() {
        let text = say_with(
            Language::En,
            "queue-position",
            &[("position", Variable::Number(1))],
        );
        assert!(text.contains("one question is before yours"), "{text}");
        let stays = |operator, model, backups| {
            let variables = [
                ("operator", Variable::Text(operator)),
                ("model", Variable::Text(model)),
                ("backups", Variable::Text(backups)),
                ("days", Variable::Number(30)),
            ];
            [Language::En, Language::Zh].map(|it| say_with(it, "delete-done", &variables))
        };
        let [english, chinese] = stays("none", "inside", "undated");
        assert!(
            english.ends_with(
                "These stay: copies in the hospital's backups until they expire; and a record that this was deleted, without your name and without your words."
            ),
            "{english}"
        );
        assert!(
            chinese.contains("仍会保留的有：医院备份中的副本，直到备份过期；以及"),
            "{chinese}"
        );
        let [english, chinese] = stays("outside", "outside", "dated");
        for (text, words) in [
            (
                &english,
                "the copy in this chat app, which you can delete there; what the AI model",
            ),
            (
                &english,
                "may have kept; copies in the hospital's backups, for 30 days at most; and",
            ),
            (&chinese, "自行删除）；医院外部的人工智能模型"),
            (&chinese, "最多保留 30 天；以及"),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = say_with(
            Language::Zh,
            "queue-position",
            &[("position", Variable::Number(3))],
        );
        assert!(text.contains("还有 3 个"), "{text}");
        assert!(!say(Language::Zh, "label").is_empty());
    }
}
