//! The kill switch around the model: while answers are switched off, nothing is generated for anybody.

use std::sync::Arc;

use async_trait::async_trait;
use bedside_contract::{
    AdapterChangeError, ChatMessage, ConversationKey, GenerateError, GenerateRequest, Generation,
    GenerationEvent, Generator, ModelInfo,
};
use bedside_runtime::LiveConfig;

/// Refuses requests, and ends those that run, while answers are switched off.
pub(crate) struct SwitchedGenerator {
    inner: Arc<dyn Generator>,
    live: LiveConfig,
}

impl SwitchedGenerator {
    pub(crate) fn new(inner: Arc<dyn Generator>, live: LiveConfig) -> Self {
        Self { inner, live }
    }
}

#[async_trait]
impl Generator for SwitchedGenerator {
    fn model(&self) -> Option<ModelInfo> {
        self.inner.model()
    }

    fn adapters(&self) -> Vec<String> {
        self.inner.adapters()
    }

    async fn load_adapter(&self, name: &str, path: &str) -> Result<(), AdapterChangeError> {
        self.inner.load_adapter(name, path).await
    }

    async fn unload_adapter(&self, name: &str) -> Result<(), AdapterChangeError> {
        self.inner.unload_adapter(name).await
    }

    fn count_tokens(&self, messages: &[ChatMessage]) -> Result<usize, GenerateError> {
        self.inner.count_tokens(messages)
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        if self.live.is_notices_only() {
            return Err(GenerateError::SwitchedOff);
        }
        let inner = self.inner.generate(request).await?;
        Ok(Box::new(SwitchedGeneration {
            inner: Some(inner),
            live: self.live.clone(),
        }))
    }

    fn forget(&self, conversation: &ConversationKey) {
        self.inner.forget(conversation);
    }
}

struct SwitchedGeneration {
    /// None once it was switched off.
    inner: Option<Box<dyn Generation>>,
    live: LiveConfig,
}

#[async_trait]
impl Generation for SwitchedGeneration {
    async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>> {
        let inner = self.inner.as_mut()?;
        let event = tokio::select! {
            biased;
            () = self.live.answers_switched_off() => None,
            event = inner.next() => Some(event),
        };
        match event {
            Some(event) => event,
            None => {
                // Dropping it gives up its place at once.
                self.inner = None;
                Some(Err(GenerateError::SwitchedOff))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use async_trait::async_trait;
    use bedside_contract::{
        ChatMessage, ConversationKey, GenerateError, GenerateRequest, Generation, GenerationEvent, Generator,
        ModelInfo, Priority, Sampling,
    };
    use bedside_runtime::{LiveConfig, RuntimeConfig};
    use futures::FutureExt;

    use super::SwitchedGenerator;

    /// Says one word and goes on for ever.
    struct Endless;

    struct Words {
        is_said: bool,
    }

    #[async_trait]
    impl Generation for Words {
        async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>> {
            if self.is_said {
                std::future::pending::<()>().await;
            }
            self.is_said = true;
            Some(Ok(GenerationEvent::Text("word".to_owned())))
        }
    }

    #[async_trait]
    impl Generator for Endless {
        fn model(&self) -> Option<ModelInfo> {
            None
        }

        fn count_tokens(&self, _: &[ChatMessage]) -> Result<usize, GenerateError> {
            Ok(1)
        }

        async fn generate(&self, _: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
            Ok(Box::new(Words { is_said: false }))
        }
    }

    fn request() -> GenerateRequest {
        GenerateRequest {
            conversation: ConversationKey::new("test", "bot", "1"),
            messages: Vec::new(),
            adapter: None,
            sampling: Sampling::default(),
            max_tokens: 10,
            priority: Priority::Program,
            deadline: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn what_runs_ends_and_nothing_new_begins() {
        let live = LiveConfig::new(RuntimeConfig::default());
        let generator = SwitchedGenerator::new(Arc::new(Endless), live.clone());
        let mut running = generator.generate(request()).await.unwrap();
        assert!(matches!(running.next().await, Some(Ok(GenerationEvent::Text(_)))));
        assert!(running.next().now_or_never().is_none());

        live.switch_answers_off(true);
        let refused = generator.generate(request()).await.err();
        assert!(matches!(refused, Some(GenerateError::SwitchedOff)), "{refused:?}");
        assert!(matches!(
            running.next().await,
            Some(Err(GenerateError::SwitchedOff))
        ));
        assert!(running.next().await.is_none());

        live.switch_answers_off(false);
        let mut again = generator.generate(request()).await.unwrap();
        assert!(matches!(again.next().await, Some(Ok(_))));
        assert!(running.next().await.is_none(), "what was ended stays ended");
    }
}
