//! The slash commands: the words that patients have on every platform.

use serenity::{
    builder::{CreateCommand, CreateCommandOption},
    model::application::{CommandOptionType, InteractionContext},
};

use crate::{events::Snowflake, rest::Rest};

/// Name, and what Discord shows beside it in English and Chinese.
const COMMANDS: [(&str, &str, &str); 8] = [
    ("ask", "Ask a question about your health", "询问健康问题"),
    (
        "new",
        "Start anew: the bot forgets this conversation",
        "重新开始：不再参考之前的对话",
    ),
    (
        "stop",
        "Stop the answer that is being written",
        "停止正在写的回答",
    ),
    ("help", "What this bot can do", "这个机器人能做什么"),
    (
        "privacy",
        "What is stored and for how long",
        "保存哪些信息、保存多久",
    ),
    ("human", "Talk to the hospital's staff", "联系医院工作人员"),
    ("language", "Choose the language", "选择语言"),
    (
        "delete",
        "Delete everything that is stored about you here",
        "删除此处保存的您的全部信息",
    ),
];

const QUESTION: (&str, &str) = ("What would you like to know?", "您想了解什么？");

/// A question as long as Discord lets a command's text be.
const QUESTION_LENGTH: u16 = 6000;

/// Replaces the application's global commands with ours. Discord changes only what differs.
pub(crate) async fn register(rest: &Rest, application: Snowflake) {
    match rest.register(application, &all()).await {
        Ok(()) => tracing::info!("Discord's slash commands are registered."),
        Err(failure) => tracing::warn!(
            problem = %failure,
            "Discord's slash commands were not registered; messages are answered all the same."
        ),
    }
}

fn all() -> Vec<CreateCommand> {
    COMMANDS
        .iter()
        .map(|(name, english, chinese)| {
            let command = CreateCommand::new(*name)
                .description(*english)
                .description_localized("zh-CN", *chinese)
                .contexts(vec![InteractionContext::Guild, InteractionContext::BotDm]);
            match *name {
                "ask" => command.add_option(question()),
                "language" => command.add_option(language()),
                _ => command,
            }
        })
        .collect()
}

fn question() -> CreateCommandOption {
    CreateCommandOption::new(CommandOptionType::String, "question", QUESTION.0)
        .description_localized("zh-CN", QUESTION.1)
        .required(true)
        .max_length(QUESTION_LENGTH)
}

fn language() -> CreateCommandOption {
    CreateCommandOption::new(CommandOptionType::String, "language", "English or Chinese")
        .description_localized("zh-CN", "英文或中文")
        .required(false)
        .add_string_choice("English", "en")
        .add_string_choice("中文", "zh")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::all;

    #[test]
    fn commands_are_what_discord_takes() {
        let commands = serde_json::to_value(all()).unwrap();
        for command in commands.as_array().unwrap() {
            let name = command["name"].as_str().unwrap();
            let length = |text: &Value| text.as_str().unwrap().chars().count();
            assert!((1..=32).contains(&name.len()) && name.chars().all(|it| it.is_ascii_lowercase()));
            assert!((1..=100).contains(&length(&command["description"])), "{name}");
            assert!(
                (1..=100).contains(&length(&command["description_localizations"]["zh-CN"])),
                "{name}"
            );
            assert_eq!(command["contexts"], json!([0, 1]), "{name}");
        }
        let ask = &commands[0]["options"][0];
        assert_eq!(
            (&ask["name"], &ask["type"], &ask["required"]),
            (&json!("question"), &json!(3), &json!(true))
        );
    }
}
