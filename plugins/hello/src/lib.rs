//! Greets whoever says hello, and leaves everybody else to the model.
#![forbid(unsafe_code)]

use bedside_plugin_api::{Error, Host, Plugin, export_plugin, msg};

pub struct Hello;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Plugin for Hello {
    type Config = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn on_message(&mut self, message: &msg::Message) -> Result<msg::Verdict, Error> {
        let greeting = match message.text.trim().to_lowercase().as_str() {
            "hello" => "Hello! What can I do for you?",
            "你好" => "你好！有什么可以帮您？",
            _ => return Ok(msg::Verdict::Continue),
        };
        Ok(msg::Verdict::Reply(greeting.to_owned()))
    }
}

export_plugin!(Hello);
