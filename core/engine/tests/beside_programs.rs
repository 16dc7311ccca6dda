//! What patients notice of other programs: the time to the first token of an answer, alone and beside 32 long requests
//! over the API, asked in turn. `BEDSIDE_SOAK=1` takes more rounds and holds them to the bar.
#![expect(clippy::unwrap_used, reason = "a measurement")]

use std::{
    env, iter,
    path::PathBuf,
    time::{Duration, Instant},
};

use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, GenerateRequest, Generation, GenerationEvent, Generator,
    Priority, Sampling,
};
use bedside_engine::{Engine, EngineConfig, ModelConfig};

const PROGRAMS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_hardly_wait_for_programs() {
    let Some(model) = model() else {
        println!("SKIPPED: the default model is not here, run `make model`");
        return;
    };
    let is_soak = env::var_os("BEDSIDE_SOAK").is_some();
    let (rounds, bar) = if is_soak { (15, 1.3) } else { (5, 1.6) };
    let model = ModelConfig {
        source: model.display().to_string(),
        ..ModelConfig::default()
    };
    let engine = Engine::start(EngineConfig::default(), model);
    engine.wait_ready().await.unwrap();
    first_token(&engine, 0).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        alone.push(first_token(&engine, 2 * round).await);
        let mut programs = Vec::new();
        for number in 0..PROGRAMS {
            programs.push(engine.generate(long(&format!("{round} {number}"))).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(engine.stats().running > 0 && engine.stats().queued > 0);
        beside.push(first_token(&engine, 2 * round + 1).await);
        drop(programs);
        while engine.stats().running > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let [alone, beside] = [alone, beside].map(|mut it| {
        it.sort_unstable();
        it[it.len() / 2]
    });
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "time to the first token, median of {rounds}: {:.0} ms alone, {:.0} ms beside {PROGRAMS} requests of programs, \
         ratio {ratio:.2}",
        alone.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3,
    );
    assert!(ratio <= bar, "{ratio:.2}");
}

async fn first_token(engine: &Engine, number: usize) -> Duration {
    let passages =
        "A common cold is an infection of the nose and throat; it goes away by itself within ten days. "
            .repeat(12);
    let asked = Instant::now();
    let question = format!("{number}. Info: {passages}\nQuestion: what helps against a cold?");
    let mut generation = engine
        .generate(request(
            &format!("patient {number}"),
            Priority::Patient,
            question,
            4,
        ))
        .await
        .unwrap();
    wait_for_text(&mut generation).await;
    asked.elapsed()
}

async fn wait_for_text(generation: &mut Box<dyn Generation>) {
    while !matches!(
        generation.next().await.unwrap().unwrap(),
        GenerationEvent::Text(_) | GenerationEvent::Finished { .. }
    ) {}
}

fn long(number: &str) -> GenerateRequest {
    let question = iter::repeat_n("Tell me all about the history of hospitals. ", 20);
    let question = format!("{number} {}", question.collect::<String>());
    request(&format!("program {number}"), Priority::Program, question, 1000)
}

fn request(chat: &str, priority: Priority, question: String, max_tokens: usize) -> GenerateRequest {
    let message = |role, content: String| ChatMessage { role, content };
    GenerateRequest {
        conversation: ConversationKey::new("test", "bot", chat),
        messages: vec![
            message(
                ChatRole::System,
                "You are the information assistant of a hospital, not a doctor. Answer in short plain sentences."
                    .to_owned(),
            ),
            message(ChatRole::User, question),
        ],
        adapter: None,
        sampling: Sampling {
            seed: Some(1),
            ..Sampling::default()
        },
        max_tokens,
        priority,
        deadline: Duration::from_secs(600),
    }
}

fn model() -> Option<PathBuf> {
    let path = match env::var_os("BEDSIDE_TEST_MODEL") {
        Some(path) => PathBuf::from(path),
        None => {
            let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/share"));
            let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home)?;
            data.join("bedside/models/SmolLM2-135M-Instruct.Q4_1.gguf")
        }
    };
    path.is_file().then_some(path)
}
