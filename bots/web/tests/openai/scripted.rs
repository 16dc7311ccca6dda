//! A model that says what a test has written down.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    AnswerMode, ChatMessage, FinishReason, GenerateError, GenerateRequest, Generation, GenerationEvent,
    Generator, Language, ModelInfo,
};
use tokio::sync::Notify;

pub(crate) const BASE: &str = "Tiny-135M Q4_1";
pub(crate) const ADAPTER: &str = "ward3/notes";
pub(crate) const CONTEXT: usize = 2_048;

#[derive(Clone)]
pub(crate) enum Step {
    Event(GenerationEvent),
    Fail(GenerateError),
    /// Nothing more comes, and no end either.
    Hang,
}

/// Plays its script for every request, unless it has a refusal.
pub(crate) struct Scripted {
    pub(crate) model: Mutex<Option<ModelInfo>>,
    pub(crate) refusal: Mutex<Option<GenerateError>>,
    pub(crate) script: Mutex<Vec<Step>>,
    pub(crate) requests: Mutex<Vec<GenerateRequest>>,
    cancelled: Arc<Notify>,
}

pub(crate) fn say(text: &str) -> Step {
    Step::Event(GenerationEvent::Text(text.to_owned()))
}

pub(crate) fn finish(reason: FinishReason) -> Step {
    Step::Event(GenerationEvent::Finished {
        reason,
        prompt_tokens: 11,
        reused_tokens: 4,
        generated_tokens: 3,
        prompt_time: Duration::from_millis(5),
        generate_time: Duration::from_millis(7),
    })
}

impl Default for Scripted {
    fn default() -> Self {
        let model = ModelInfo {
            name: BASE.to_owned(),
            architecture: "llama".to_owned(),
            parameters: Some(135_000_000),
            context_length: CONTEXT,
            sha256: Some("0123456789abcdef0123".to_owned()),
            languages: vec![Language::En],
            answer_mode: AnswerMode::Grounded,
        };
        let script = vec![
            Step::Event(GenerationEvent::Queued { position: 1 }),
            Step::Event(GenerationEvent::Started),
            say("Drink "),
            say("水。\n"),
            finish(FinishReason::Stop),
        ];
        Self {
            model: Mutex::new(Some(model)),
            refusal: Mutex::default(),
            script: Mutex::new(script),
            requests: Mutex::default(),
            cancelled: Arc::default(),
        }
    }
}

impl Scripted {
    pub(crate) fn plays(&self, script: impl Into<Vec<Step>>) {
        *self.script.lock().unwrap() = script.into();
    }

    pub(crate) fn last_request(&self) -> GenerateRequest {
        self.requests.lock().unwrap().last().unwrap().clone()
    }

    /// Waits until a generation is dropped before its end.
    pub(crate) async fn cancelled(&self) {
        tokio::time::timeout(Duration::from_secs(10), self.cancelled.notified())
            .await
            .expect("the generation is dropped");
    }
}

#[async_trait]
impl Generator for Scripted {
    fn model(&self) -> Option<ModelInfo> {
        self.model.lock().unwrap().clone()
    }

    fn adapters(&self) -> Vec<String> {
        // The second name is the base model's already.
        vec![ADAPTER.to_owned(), BASE.to_owned()]
    }

    fn count_tokens(&self, _: &[ChatMessage]) -> Result<usize, GenerateError> {
        Err(GenerateError::NotReady)
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        self.requests.lock().unwrap().push(request);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return Err(error);
        }
        Ok(Box::new(ScriptedGeneration {
            steps: self.script.lock().unwrap().clone().into(),
            is_over: false,
            cancelled: Arc::clone(&self.cancelled),
        }))
    }
}

struct ScriptedGeneration {
    steps: VecDeque<Step>,
    is_over: bool,
    cancelled: Arc<Notify>,
}

#[async_trait]
impl Generation for ScriptedGeneration {
    async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>> {
        match self.steps.pop_front() {
            None => {
                self.is_over = true;
                None
            }
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Fail(error)) => {
                self.is_over = true;
                Some(Err(error))
            }
            Some(Step::Event(event)) => {
                self.is_over = matches!(event, GenerationEvent::Finished { .. });
                Some(Ok(event))
            }
        }
    }
}

impl Drop for ScriptedGeneration {
    fn drop(&mut self) {
        if !self.is_over {
            self.cancelled.notify_one();
        }
    }
}
