use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    Language, LengthUnit, OutboxItem, Pace, PlatformMessageId, Receipt, StoreError, Update, UpdateKind,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    config::{Look, Terminal, TerminalConfig},
    input::{Input, LineReader, LineSource},
    ledger::Ledger,
    screen::Screen,
    words::{Words, words},
};

/// An answer of several parts is over when none came for so long.
const SETTLE: Duration = Duration::from_millis(200);
/// The words that a stopped answer had so far come after "Stopped.", once they have passed the gates.
const SETTLE_AFTER_STOP: Duration = Duration::from_secs(2);
/// Somebody who was here before may be welcomed by silence.
const WELCOME_PATIENCE: Duration = Duration::from_secs(10);

/// One chat in one terminal. Made by [`TerminalConfig::build`].
pub struct TerminalConnector {
    conversation: ConversationKey,
    language: Language,
    patience: Duration,
    look: Look,
    input: Mutex<Option<Box<dyn LineSource>>>,
    screen: Mutex<Screen>,
    ledger: Ledger,
    interrupts: Notify,
    /// The conversation was deleted since a line was read last.
    forgotten: AtomicBool,
}

impl TerminalConnector {
    pub(crate) fn new(config: &TerminalConfig, language: Language, terminal: Terminal) -> Self {
        Self {
            conversation: ConversationKey::new("terminal", "chat", &config.conversation),
            language,
            patience: config.patience,
            look: terminal.look,
            input: Mutex::new(Some(terminal.input)),
            screen: Mutex::new(Screen::new(terminal.output, terminal.look, language)),
            ledger: Ledger::new(),
            interrupts: Notify::new(),
            forgotten: AtomicBool::new(false),
        }
    }

    /// Does what Ctrl-C does while an answer is awaited: stops it; a second time, waits no longer.
    pub fn interrupt(&self) {
        self.interrupts.notify_one();
    }

    async fn chat(&self, intake: &dyn Intake, lines: &LineReader) -> Result<(), ConnectorError> {
        self.hint(self.words().hint);
        let joined = self
            .accept(
                intake,
                format!("{}:joined", self.conversation.chat()),
                UpdateKind::Joined,
            )
            .await?;
        self.ledger.expect(joined);
        let mut typed = self
            .wait_for_answers(intake, lines, self.patience.min(WELCOME_PATIENCE))
            .await?;
        let mut leaving = false;
        loop {
            if self.forgotten.swap(false, Ordering::SeqCst) {
                lines.forget();
            }
            let input = match typed.take() {
                Some(input) => input,
                None => lines.next(self.words().prompt).await,
            };
            let line = match input {
                Input::End => return Ok(()),
                Input::Interrupted if leaving => return Ok(()),
                Input::Interrupted => {
                    leaving = true;
                    self.hint(self.words().once_more);
                    continue;
                }
                Input::Line(line) => line,
            };
            leaving = false;
            match line.trim() {
                "" => {}
                word if is_farewell(word) => return Ok(()),
                text => {
                    self.say(intake, text).await?;
                    typed = self.wait_for_answers(intake, lines, self.patience).await?;
                }
            }
        }
    }

    /// Until every accepted message has an answer, with all its parts, or nothing stirred for too long.
    /// What is typed meanwhile is taken at once, since it may be an emergency or a `/stop`; what is returned
    /// was typed too late for that or ends the chat.
    async fn wait_for_answers(
        &self,
        intake: &dyn Intake,
        lines: &LineReader,
        patience: Duration,
    ) -> Result<Option<Input>, StoreError> {
        let mut changes = self.ledger.changes();
        let mut deadline = Instant::now() + patience;
        let mut stopping = false;
        let mut meanwhile = lines.meanwhile();
        loop {
            changes.borrow_and_update();
            if self.ledger.is_settled() {
                let settle = if self.ledger.may_follow() {
                    SETTLE_AFTER_STOP
                } else {
                    SETTLE
                };
                match timeout(settle, changes.changed()).await {
                    Ok(_) => continue,
                    Err(_) => {
                        self.ledger.give_up();
                        return Ok(meanwhile.end().await);
                    }
                }
            }
            tokio::select! {
                _ = changes.changed() => deadline = Instant::now() + patience,
                () = sleep_until(deadline) => {
                    self.ledger.give_up();
                    if patience == self.patience {
                        self.hint(self.words().no_answer);
                        tracing::warn!(?patience, "a message got no answer in time");
                    }
                }
                input = meanwhile.line() => {
                    self.screen().typed();
                    match input {
                        Input::Line(line) if line.trim().is_empty() => {}
                        Input::Line(line) if !is_farewell(line.trim()) => self.say(intake, line.trim()).await?,
                        farewell => return Ok(Some(farewell)),
                    }
                    meanwhile = lines.meanwhile();
                }
                () = self.interrupted() => {
                    if stopping {
                        self.ledger.give_up();
                        continue;
                    }
                    stopping = true;
                    self.hint(self.words().stopping);
                    self.say(intake, "/stop").await?;
                }
            }
        }
    }

    /// Takes a message and waits from then on for its answer.
    async fn say(&self, intake: &dyn Intake, text: &str) -> Result<(), StoreError> {
        let kind = self.screen().read(text);
        let receipt = self.accept(intake, Uuid::now_v7().to_string(), kind).await?;
        if text == "/stop" {
            self.ledger.expect_stop(receipt);
        } else {
            self.ledger.expect(receipt);
        }
        Ok(())
    }

    async fn interrupted(&self) {
        let signal = async {
            // In a pipe Ctrl-C ends the process as it always does.
            if !self.look.live || tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.interrupts.notified() => {}
            () = signal => {}
        }
    }

    async fn accept(&self, intake: &dyn Intake, id: String, kind: UpdateKind) -> Result<Receipt, StoreError> {
        let update = Update {
            platform: "terminal".to_owned(),
            bot: "chat".to_owned(),
            external_id: id,
            conversation: self.conversation.clone(),
            sender: self.conversation.chat().to_owned(),
            language_hint: Some(self.language),
            answer_in: None,
            kind,
        };
        let receipts = intake.accept(vec![update], None).await?;
        receipts
            .first()
            .copied()
            .ok_or_else(|| StoreError::Failed("no receipt for a message".to_owned()))
    }

    fn hint(&self, text: &str) {
        if let Err(error) = self.screen().hint(text) {
            tracing::debug!(%error, "the terminal cannot be written");
        }
    }

    fn words(&self) -> &'static Words {
        words(self.language)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connector for TerminalConnector {
    fn platform(&self) -> &str {
        "terminal"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: self.look.live,
            max_length: 100_000,
            length_unit: LengthUnit::Chars,
            buttons: true,
            rich_parts: true,
            pace: Pace {
                previews: Duration::from_millis(50),
                typing: Duration::from_secs(3),
                chat: Duration::ZERO,
                platform: Duration::ZERO,
            },
            deadline: None,
            initiative: Initiative::Bot,
            outside_operator: false,
        }
    }

    /// Returns `Ok` when the user leaves, or at the end of the pipe after the last answer.
    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        let source = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = source.ok_or_else(|| failed("this chat was ended before; start a new one"))?;
        let lines = LineReader::start(source)
            .map_err(|error| failed(&format!("no thread for the input: {error}")))?;
        self.chat(&*intake, &lines).await
    }

    async fn typing(&self, _conversation: &ConversationKey) {
        self.ledger.sign_of_life();
        if let Err(error) = self.screen().typing() {
            tracing::debug!(%error, "the terminal cannot be written");
        }
    }

    async fn preview(
        &self,
        _conversation: &ConversationKey,
        seq: InboxSeq,
        _shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.ledger.sign_of_life();
        self.screen().preview(seq, text).map_err(closed)?;
        Ok(PlatformMessageId(format!("preview-{seq}")))
    }

    fn settled(&self, _: &OutboxItem) {}

    fn forgotten(&self, _: &ConversationKey) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        let written = self.screen().part(item.seq, &item.part);
        self.ledger.answered(item.seq);
        written.map_err(closed)?;
        Ok(PlatformMessageId(item.id.0.clone()))
    }
}

fn is_farewell(word: &str) -> bool {
    matches!(word, "/quit" | "/exit")
}

fn failed(reason: &str) -> ConnectorError {
    ConnectorError::Config {
        key: "terminal".to_owned(),
        reason: reason.to_owned(),
    }
}

/// Nobody reads any more, and trying again cannot help.
fn closed(error: io::Error) -> DeliverError {
    DeliverError::Permanent(format!("the terminal cannot be written: {error}"))
}

#[cfg(test)]
mod tests;
