//! The bot: takes what connectors receive, runs each conversation's lane, delivers what comes out.

use std::{collections::HashMap, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    Connector, ConnectorError, ConversationKey, ConversationSettings, Cursor, Disposition, FinishedTurn,
    Generator, InboxSeq, Initiative, Intake, Language, Part, Plugins, Receipt, Sampling, Store, StoreError,
    Update, UpdateKind,
};
use bedside_triage::{PatientFacts, Rules};
use futures::FutureExt;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::Admission,
    answer::{AnswerReport, Asked, answer},
    commands::language_of_words,
    config::{RuntimeConfig, ThirdReader},
    consent::consent_part,
    delivery::{self, Delivery},
    escalation::{Escalations, Retries},
    lanes::{Interrupt, InterruptReason, Lanes},
    live::Live,
    pacing::Paced,
    pieces::pieces_of,
    red_flags::{assess_long, emergency_part, on_a_blocking_thread},
    third_reader::{self, Message},
    turn,
    urgent::{self, Urgent},
    words::{Variable, say_with},
};

/// What the binary wires together.
pub struct BotParts {
    pub config: RuntimeConfig,
    pub store: Arc<dyn Store>,
    pub generator: Arc<dyn Generator>,
    pub plugins: Arc<dyn Plugins>,
    pub rules: &'static Rules,
    pub sampling: Sampling,
    pub connectors: Vec<Arc<dyn Connector>>,
    /// None where no patient is written to.
    pub escalations: Option<Escalations>,
}

/// A running bot. Clones share it.
#[derive(Clone)]
pub struct Bot {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub config: RuntimeConfig,
    pub store: Arc<dyn Store>,
    pub generator: Arc<dyn Generator>,
    pub plugins: Arc<dyn Plugins>,
    pub rules: &'static Rules,
    pub sampling: Sampling,
    pub connectors: HashMap<String, Arc<Paced>>,
    pub lanes: Lanes,
    pub admission: Admission,
    pub delivery: Delivery,
    escalations: Option<Escalations>,
    pub tasks: TaskTracker,
    /// No new turn starts any more.
    pub shutdown: CancellationToken,
    /// The store can no longer be trusted: the process must stop.
    broken: CancellationToken,
}

/// One question from the operator's shell: consent implied, nothing kept.
#[derive(Debug, Clone)]
pub struct Question {
    pub text: String,
    pub language: Option<Language>,
    pub department: Option<String>,
}

const SWEEP_EVERY: Duration = Duration::from_secs(5);
const CLOSING: Duration = Duration::from_secs(2);

impl Bot {
    #[must_use]
    pub fn new(parts: BotParts) -> Self {
        let connectors = parts
            .connectors
            .into_iter()
            .map(|it| (it.platform().to_owned(), Arc::new(Paced::new(it))))
            .collect();
        let shared = Shared {
            admission: Admission::new(parts.config.answers_at_once),
            config: parts.config,
            store: parts.store,
            generator: parts.generator,
            plugins: parts.plugins,
            rules: parts.rules,
            sampling: parts.sampling,
            connectors,
            lanes: Lanes::default(),
            delivery: Delivery::default(),
            escalations: parts.escalations,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            broken: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Works until `stop` is cancelled or a connector ends by itself (the terminal's user quits), then drains.
    /// A connector that fails for good leaves the others at work.
    ///
    /// # Errors
    /// What the last connector cannot recover from, or a store that no longer writes.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConnectorError> {
        let shared = &self.shared;
        self.sweep().await?;
        let mut connectors = JoinSet::new();
        for connector in shared.connectors.values() {
            let (connector, intake) = (Arc::clone(connector), Arc::new(self.clone()));
            connectors.spawn(async move { connector.run(intake).await });
        }
        let mut sweeps = tokio::time::interval_at(Instant::now() + SWEEP_EVERY, SWEEP_EVERY);
        let escalating = shared.escalate();
        tokio::pin!(escalating);
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = shared.broken.cancelled() => {
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
                _ = sweeps.tick() => self.sweep().await?,
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
        let shared = &self.shared;
        let language = question
            .language
            .or_else(|| Language::detect(&question.text))
            .unwrap_or(shared.config.default_language);
        let assessment = shared.rules.assess(&question.text, &PatientFacts::default());
        let conversation = ConversationKey::new("shell", "ask", "1");
        let interrupt = Interrupt::default();
        let message = Message {
            conversation: &conversation,
            before: None,
            text: &question.text,
            language,
        };
        // The shell's process has only begun to load the model: that is worth waiting for if it is surely asked.
        let loading = match shared.config.third_reader {
            ThirdReader::On => shared.config.answer_deadline(),
            ThirdReader::Auto | ThirdReader::Off => shared.config.third_reader_deadline(),
        };
        let assessment = third_reader::read(shared, &message, assessment, loading, &interrupt).await;
        if assessment.disposition == Disposition::Emergency {
            let notice = emergency_part(shared.rules, &assessment, language, &shared.config.contacts());
            return AnswerReport::emergency(notice, started.elapsed());
        }
        let asked = Asked {
            conversation: &conversation,
            text: &question.text,
            language,
            department: question.department.as_deref(),
            turns: &[],
            assessment: &assessment,
        };
        answer(shared, &asked, &mut Live::silent(), &interrupt).await
    }

    /// Wakes whatever has something to do: after a start, and for parts whose retry is due.
    async fn sweep(&self) -> Result<(), StoreError> {
        for conversation in self.shared.store.undelivered_conversations().await? {
            delivery::wake(&self.shared, &conversation);
        }
        for conversation in self.shared.store.unfinished_conversations().await? {
            self.shared.wake_lane(&conversation);
        }
        Ok(())
    }

    /// Finishes running turns and deliveries within the configured time; the rest waits in the store.
    async fn drain(&self) {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.config.drain();
        shared.shutdown.cancel();
        shared.tasks.close();
        if tokio::time::timeout_at(deadline, shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("Some answers were not finished in time; they are taken up at the next start.");
            shared.lanes.interrupt_all(InterruptReason::Shutdown);
            let rest = tokio::time::timeout(Duration::from_secs(2), shared.tasks.wait()).await;
            if rest.is_err() {
                tracing::warn!(
                    deliveries = !shared.delivery.is_empty(),
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
            .and_then(|it| self.shared.connectors.get(&it.platform))
            .and_then(|it| it.capabilities().deadline);
        let shared = Arc::clone(&self.shared);
        let taking = self
            .shared
            .tasks
            .spawn(async move { shared.take(updates, cursor).await });
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
        let shared = &self.shared;
        let assessment = assess_long(shared.rules, words);
        let language = language_of_words(words)
            .or(language)
            .unwrap_or(shared.config.default_language);
        (assessment.disposition == Disposition::Emergency)
            .then(|| emergency_part(shared.rules, &assessment, language, &shared.config.contacts()))
    }

    fn greeting(&self, conversation: &ConversationKey, language: Option<Language>) -> Part {
        let shared = &self.shared;
        let language = language.unwrap_or(shared.config.default_language);
        consent_part(language, shared.operator(conversation), true, &shared.config)
    }

    fn emergency_number(&self) -> &str {
        &self.shared.config.emergency_number
    }

    async fn answer_again(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<(), StoreError> {
        if self.shared.store.resend(conversation, seq).await? > 0 {
            tracing::info!(%seq, "The platform did not get an answer that was sent: it goes out again.");
            delivery::wake(&self.shared, conversation);
        }
        Ok(())
    }
}

impl Shared {
    async fn take(
        self: &Arc<Self>,
        updates: Vec<Update>,
        cursor: Option<Cursor>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let shared = Arc::clone(self);
        let (updates, looks) = on_a_blocking_thread(move || {
            let look = |it: &Update| {
                let urgent = Urgent::look(shared.rules, it, shared.initiative(&it.conversation));
                (it.conversation.clone(), urgent)
            };
            let looks: Vec<_> = updates.iter().map(look).collect();
            (updates, looks)
        })
        .await;
        let receipts = self
            .store
            .accept(updates, cursor)
            .await
            .inspect_err(|error| self.store_failed(error))?;
        for (receipt, (conversation, urgent)) in receipts.iter().zip(looks) {
            match urgent {
                // A repeat may be a new chance to answer: the platform had no answer to the first one.
                _ if receipt.duplicate => self.release_or_report(&conversation).await,
                Some(urgent) => {
                    self.tasks
                        .spawn(urgent::handle(Arc::clone(self), receipt.seq, urgent));
                }
                None => self.wake_lane(&conversation),
            }
        }
        Ok(receipts)
    }

    /// A sentence that names the emergency number, and how to reach a person where it says so.
    pub(crate) fn say_with_number(&self, language: Language, key: &str) -> String {
        let contact = self.config.human_contact(language);
        let variables = [
            ("contact", Variable::Text(&contact)),
            ("emergency", Variable::Text(&self.config.emergency_number)),
        ];
        say_with(language, key, &variables)
    }

    /// Who may start to speak in this conversation.
    pub(crate) fn initiative(&self, conversation: &ConversationKey) -> Initiative {
        self.connectors
            .get(conversation.platform())
            .map_or(Initiative::Bot, |it| it.capabilities().initiative)
    }

    /// `outside` where a company outside the hospital can read along, else `none`: the locale files choose by it.
    pub(crate) fn operator(&self, conversation: &ConversationKey) -> &'static str {
        let outside = self
            .connectors
            .get(conversation.platform())
            .is_none_or(|it| it.capabilities().outside_operator);
        if outside { "outside" } else { "none" }
    }

    /// Lets out what waited for the patient to write, and tells how much that was.
    pub(crate) async fn release_parked(
        self: &Arc<Self>,
        conversation: &ConversationKey,
    ) -> Result<usize, StoreError> {
        if self.initiative(conversation) == Initiative::Bot {
            return Ok(0);
        }
        let released = self.store.release_parked(conversation).await?;
        if released > 0 || !self.delivery.is_idle(conversation) {
            delivery::wake_for_patient(self, conversation);
        }
        Ok(released)
    }

    /// Runs the conversation's lane, or tells the task that does to look again.
    pub(crate) fn wake_lane(self: &Arc<Self>, conversation: &ConversationKey) {
        if self.shutdown.is_cancelled() || !self.lanes.enter(conversation) {
            return;
        }
        let (shared, conversation) = (Arc::clone(self), conversation.clone());
        self.tasks
            .spawn(async move { shared.run_lane(&conversation).await });
    }

    /// Writes the end of a turn and starts its delivery.
    pub(crate) async fn finish(self: &Arc<Self>, mut finished: FinishedTurn) {
        let conversation = finished.conversation.clone();
        if let Some(connector) = self.connectors.get(conversation.platform()) {
            let can = connector.capabilities();
            finished.parts = finished
                .parts
                .into_iter()
                .flat_map(|it| pieces_of(it, &can))
                .collect();
        }
        let (seq, urgent) = (finished.seq, finished.urgent);
        // What waited goes first, but never before what is urgent.
        if !urgent {
            self.release_or_report(&conversation).await;
        }
        match self.store.finish(finished).await {
            Ok(true) => {
                delivery::wake(self, &conversation);
                if urgent {
                    self.release_or_report(&conversation).await;
                }
            }
            Ok(false) => tracing::warn!(%seq, "A turn was finished by somebody else; its answer is dropped."),
            Err(error) => {
                self.store_failed(&error);
                self.give_back_counted(seq).await;
            }
        }
    }

    async fn release_or_report(self: &Arc<Self>, conversation: &ConversationKey) {
        if let Err(error) = self.release_parked(conversation).await {
            self.store_failed(&error);
        }
    }

    /// Never ends.
    async fn escalate(&self) -> Infallible {
        let Some(escalations) = &self.escalations else {
            return std::future::pending().await;
        };
        let mut retries = Retries::default();
        loop {
            if let Err(error) = escalations.look(&mut retries).await {
                self.store_failed(&error);
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    pub(crate) fn store_failed(&self, error: &StoreError) {
        tracing::error!(%error, "The store failed.");
        if !self.store.is_healthy() {
            self.broken.cancel();
        }
    }

    /// The patient's choice, else what the message shows, else what was spoken last.
    pub(crate) fn language_of(&self, update: &Update, settings: &ConversationSettings) -> Language {
        let written = match &update.kind {
            UpdateKind::Text { text } => language_of_words(text),
            _ => None,
        };
        settings
            .language
            .or(written)
            .or(settings.last_language)
            .or(update.language_hint)
            .unwrap_or(self.config.default_language)
    }

    /// Whatever panics, the lane is left and its message given back.
    async fn run_lane(self: &Arc<Self>, conversation: &ConversationKey) {
        let mut leased = None;
        let running = AssertUnwindSafe(self.run_turns(conversation, &mut leased)).catch_unwind();
        if running.await.is_err() {
            tracing::error!("A lane panicked between two turns.");
            self.lanes.end(conversation);
            if let Some(seq) = leased {
                self.give_back_counted(seq).await;
            }
            while !self.lanes.leave(conversation) {}
        }
    }

    async fn run_turns(self: &Arc<Self>, conversation: &ConversationKey, leased: &mut Option<InboxSeq>) {
        loop {
            let item = match self.store.lease_next(conversation).await {
                Ok(Some(item)) if self.shutdown.is_cancelled() => {
                    self.give_back(item.seq).await;
                    None
                }
                Ok(item) => item,
                Err(error) => {
                    self.store_failed(&error);
                    None
                }
            };
            let Some(item) = item else {
                if self.lanes.leave(conversation) {
                    return;
                }
                continue;
            };
            *leased = Some(item.seq);
            let interrupt = self.lanes.begin(conversation);
            let turn = AssertUnwindSafe(turn::run(self, &item, &interrupt))
                .catch_unwind()
                .await;
            self.lanes.end(conversation);
            match turn {
                Ok(Ok(Some(finished))) => self.finish(finished).await,
                Ok(Ok(None)) => self.give_back(item.seq).await,
                Ok(Err(error)) => {
                    self.store_failed(&error);
                    self.give_back_counted(item.seq).await;
                    // The sweep comes back to it; trying again at once would only spin.
                    while !self.lanes.leave(conversation) {}
                    return;
                }
                Err(_) => {
                    tracing::error!(seq = %item.seq, "A turn panicked.");
                    let language = self.language_of(&item.update, &ConversationSettings::default());
                    self.finish(turn::apology(self, &item, language)).await;
                }
            }
            *leased = None;
        }
    }

    /// To be tried again by the next sweep, until it has been tried too often.
    pub(crate) async fn give_back_counted(&self, seq: InboxSeq) {
        if let Err(error) = self.store.count_attempt(seq).await {
            tracing::error!(%seq, %error, "An attempt could not be counted.");
        }
        self.give_back(seq).await;
    }

    pub(crate) async fn give_back(&self, seq: InboxSeq) {
        if let Err(error) = self.store.release(seq).await {
            tracing::error!(%seq, %error, "A message could not be given back; it is taken up at the next start.");
        }
    }
}
