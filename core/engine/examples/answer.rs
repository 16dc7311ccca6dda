//! Asks a model through the engine, twice: `answer [SOURCE] [MODELS_DIR] [QUESTION] [SYSTEM]`.
#![expect(clippy::print_stdout, reason = "its purpose")]

use std::{env, error::Error, time::Duration};

use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, GenerateRequest, GenerationEvent, Generator, Priority, Sampling,
};
use bedside_engine::{Engine, EngineConfig, ModelConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |number: usize, default: &str| {
        arguments
            .get(number)
            .cloned()
            .unwrap_or_else(|| default.to_owned())
    };
    let model = ModelConfig {
        source: argument(0, "default"),
        models_dir: argument(1, "models").into(),
        ..ModelConfig::default()
    };
    let engine = Engine::start(EngineConfig::default(), model);
    println!("{:?}", engine.wait_ready().await?);
    for _ in 0..2 {
        let request = GenerateRequest {
            conversation: ConversationKey::new("example", "bot", "chat"),
            messages: vec![
                ChatMessage {
                    role: ChatRole::System,
                    content: argument(3, "You answer briefly."),
                },
                ChatMessage {
                    role: ChatRole::User,
                    content: argument(2, "Why does one need sleep?"),
                },
            ],
            adapter: None,
            sampling: Sampling {
                seed: Some(1),
                ..Sampling::default()
            },
            max_tokens: 120,
            priority: Priority::Patient,
            deadline: Duration::from_secs(120),
        };
        let mut generation = engine.generate(request).await?;
        while let Some(event) = generation.next().await {
            match event? {
                GenerationEvent::Text(text) => print!("{text}"),
                other => println!("\n{other:?}"),
            }
        }
    }
    println!("{:?}", engine.stats());
    Ok(())
}
