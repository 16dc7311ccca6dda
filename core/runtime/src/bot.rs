//! The bot: takes what connectors receive, runs each conversation's lane, delivers what comes out.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, Clock, Connector, ConnectorError, ConversationKey, Cursor, Disposition, Generator, InboxSeq,
    Intake, Language, Observation, Observer, Part, Plugins, Receipt, Sampling, Store, StoreError,
    TranscriptEntry, Update,
};
use bedside_triage::{PatientFacts, Rules};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::{
        AnswerReport, Asked, answer,
        live::Live,
        third_reader::{self, Message},
    },
    context::{
        Context, ModelPlace, Stores,
        command::language_of_words,
        config::ThirdReader,
        interrupt::{Interrupt, InterruptReason},
        live_config::LiveConfig,
        red_flags::{assess_long, emergency_part},
    },
    delivery::{
        Delivery,
        escalation::{Escalations, Retries},
    },
    dispatcher::Dispatcher,
    turn::{answers_off_part, consent_part},
};

/// What the binary wires together.
pub struct BotParts {
    pub config: LiveConfig,
    pub store: Arc<dyn Store>,
    pub generator: Arc<dyn Generator>,
    pub plugins: Arc<dyn Plugins>,
    pub rules: &'static Rules,
    pub sampling: Sampling,
    pub model_place: ModelPlace,
    pub clock: Arc<dyn Clock>,
    /// Counts what happens.
    pub observer: Arc<dyn Observer>,
    pub connectors: Vec<Arc<dyn Connector>>,
    /// None where no patient is written to.
    pub escalations: Option<Escalations>,
}

/// A running bot. Clones share it.
#[derive(Clone)]
pub struct Bot {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
    dispatcher: Arc<Dispatcher>,
    escalations: Option<Escalations>,
}

/// One question from the operator's shell: consent implied, nothing kept.
#[derive(Debug, Clone)]
pub struct Question {
    pub text: String,
    pub language: Option<Language>,
    pub department: Option<String>,
}

/// How many questions the bot has taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionCounts {
    /// Whose answers are in work.
    pub in_work: usize,
    /// That wait until an answer may begin.
    pub waiting: usize,
}

const SWEEP_EVERY: Duration = Duration::from_secs(5);
const CLOSING: Duration = Duration::from_secs(2);

impl Bot {
    #[must_use]
    pub fn new(parts: BotParts) -> Self {
        let store = parts.store;
        let context = Arc::new(Context {
            config: parts.config.config(),
            live: parts.config,
            store: Stores {
                inbox: Arc::clone(&store) as _,
                outbox: Arc::clone(&store) as _,
                conversations: Arc::clone(&store) as _,
                transcripts: Arc::clone(&store) as _,
                health: store,
            },
            generator: parts.generator,
            plugins: parts.plugins,
            rules: parts.rules,
            sampling: parts.sampling,
            model_place: parts.model_place,
            clock: parts.clock,
            observer: parts.observer,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            broken: CancellationToken::new(),
        });
        let delivery = Delivery::new(Arc::clone(&context), parts.connectors);
        Self {
            dispatcher: Dispatcher::new(Arc::clone(&context), Arc::clone(&delivery)),
            context,
            delivery,
            escalations: parts.escalations,
        }
    }

    /// Works until `stop` is cancelled or a connector ends by itself (the terminal's user quits), then drains.
    /// A connector that fails for good leaves the others at work.
    ///
    /// # Errors
    /// What the last connector cannot recover from, or a store that no longer writes.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConnectorError> {
        self.sweep().await?;
        let mut connectors = JoinSet::new();
        for connector in self.delivery.connectors() {
            let (connector, intake) = (Arc::clone(connector), Arc::new(self.clone()));
            connectors.spawn(async move { connector.receive(intake).await });
        }
        let mut sweeps = tokio::time::interval_at(Instant::now() + SWEEP_EVERY, SWEEP_EVERY);
        let escalating = self.escalate();
        tokio::pin!(escalating);
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = self.context.broken.cancelled() => {
                    break Err(StoreError::Broken("a write failed".to_owned()).into());
                }
                Some(ended) = connectors.join_next() => {
                    let ended = ended.unwrap_or_else(|error| Err(ConnectorError::Refused {
                        platform: "a connector".to_owned(),
                        reason: error.to_string(),
                    }));
                    match ended {
                        // Patients on the other platforms must not pay for one platform's refusal.
                        Err(error) if !connectors.is_empty() && !matches!(error, ConnectorError::Store(_)) => {
                            tracing::error!(%error, "A platform is out until the next start; the others go on.");
                        }
                        ended => break ended,
                    }
                }
                _ = sweeps.tick() => {
                    if let Err(error) = self.sweep().await {
                        self.context.store_failed(&error);
                    }
                }
                never = &mut escalating => match never {},
            }
        };
        // Intake stays open meanwhile: what comes is stored, and answered after the next start.
        self.drain().await;
        connectors.abort_all();
        // Until their ports are closed.
        let closing = async { while connectors.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("A connector does not end.");
        }
        ended
    }

    /// One turn through the whole pipeline, for `bedside ask`.
    pub async fn ask(&self, question: &Question) -> AnswerReport {
        let started = Instant::now();
        let context = self.context.now();
        let context = &*context;
        let language = question
            .language
            .or_else(|| Language::detect(&question.text))
            .unwrap_or(context.config.default_language);
        let assessment = context.rules.assess(&question.text, &PatientFacts::default());
        let conversation = ConversationKey::new("shell", "ask", "1");
        let interrupt = Interrupt::default();
        let message = Message {
            conversation: &conversation,
            before: None,
            text: &question.text,
            language,
        };
        // The shell's process has only begun to load the model: that is worth waiting for if it is surely asked.
        let loading = match context.config.third_reader {
            ThirdReader::On => context.config.answer_deadline(),
            ThirdReader::Auto | ThirdReader::Off => context.config.third_reader_deadline(),
        };
        let assessment = third_reader::read(context, &message, assessment, loading, &interrupt).await;
        if assessment.disposition == Disposition::Emergency {
            let notice = emergency_part(context.rules, &assessment, language, &context.config.contacts());
            return AnswerReport::emergency(notice, started.elapsed());
        }
        if context.live.is_notices_only() {
            let part = answers_off_part(context, language, &assessment);
            return AnswerReport::fixed(part, assessment.disposition, started.elapsed());
        }
        let asked = Asked {
            conversation: &conversation,
            text: &question.text,
            language,
            department: question.department.as_deref(),
            turns: &[],
            assessment: &assessment,
        };
        answer(context, &asked, &mut Live::silent(), &interrupt).await
    }

    /// Questions that the bot has taken up and not answered yet.
    #[must_use]
    pub fn questions(&self) -> QuestionCounts {
        let (in_work, waiting) = self.dispatcher.questions();
        QuestionCounts { in_work, waiting }
    }

    /// Wakes whatever has something to do: after a start, and for parts whose retry is due.
    async fn sweep(&self) -> Result<(), StoreError> {
        self.delivery.sweep().await?;
        self.dispatcher.sweep().await
    }

    /// Never ends.
    async fn escalate(&self) -> Infallible {
        let Some(escalations) = &self.escalations else {
            return std::future::pending().await;
        };
        let mut retries = Retries::default();
        loop {
            if let Err(error) = escalations.look(&mut retries, &*self.context.observer).await {
                self.context.store_failed(&error);
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// Finishes running turns and deliveries within the configured time; the rest waits in the store.
    async fn drain(&self) {
        let context = self.context.now();
        let deadline = Instant::now() + context.config.drain();
        context.shutdown.cancel();
        context.tasks.close();
        if tokio::time::timeout_at(deadline, context.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("Some answers were not finished in time; they are taken up at the next start.");
            self.dispatcher.interrupt_all(InterruptReason::Shutdown);
            let rest = tokio::time::timeout(Duration::from_secs(2), context.tasks.wait()).await;
            if rest.is_err() {
                tracing::warn!(
                    deliveries = !self.delivery.is_empty(),
                    "Stopping with work in progress."
                );
            }
        }
    }
}

#[async_trait]
impl Intake for Bot {
    /// Goes on even if the connector no longer waits (its peer hung up), so that what was stored is answered.
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        let deadline = updates
            .first()
            .and_then(|it| self.delivery.capabilities(&it.platform))
            .and_then(|it| it.deadline);
        let dispatcher = Arc::clone(&self.dispatcher);
        let taking = self
            .context
            .tasks
            .spawn(async move { dispatcher.take(updates, cursor).await });
        let taken = match deadline {
            None => taking.await,
            Some(deadline) => tokio::time::timeout(deadline, taking).await.map_err(|_| {
                StoreError::Failed(format!(
                    "a message was not stored within the platform's {deadline:?}"
                ))
            })?,
        };
        taken.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part> {
        let context = self.context.now();
        let assessment = assess_long(context.rules, words);
        let language = language_of_words(words)
            .or(language)
            .unwrap_or(context.config.default_language);
        (assessment.disposition == Disposition::Emergency)
            .then(|| emergency_part(context.rules, &assessment, language, &context.config.contacts()))
    }

    fn greeting(&self, conversation: &ConversationKey, language: Option<Language>) -> Part {
        let context = self.context.now();
        let language = language.unwrap_or(context.config.default_language);
        consent_part(&context, &self.delivery, conversation, language, true)
    }

    fn emergency_number(&self) -> String {
        self.context.live.config().emergency_number.clone()
    }

    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        self.context.store.inbox.cursor(platform, bot).await
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        let transcripts = &self.context.store.transcripts;
        transcripts.transcript(conversation, after, limit).await
    }

    fn health(&self) -> BotHealth {
        BotHealth {
            store: self.context.store.health.is_healthy(),
            room: self.context.store.health.room(),
            connectors: self
                .delivery
                .connectors()
                .map(|it| (it.platform().to_owned(), it.receives()))
                .collect(),
        }
    }

    fn observe(&self, observation: &Observation<'_>) {
        self.context.observer.observe(observation);
    }

    async fn answer_again(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<(), StoreError> {
        if self.context.store.outbox.resend(conversation, seq).await? > 0 {
            tracing::info!(%seq, "The platform did not get an answer that was sent: it goes out again.");
            self.delivery.wake(conversation);
        }
        Ok(())
    }
}
