use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, Connector, ConnectorError, ConversationKey, Cursor, InboxSeq, Intake, Language, OutboxItem,
    Part, PartId, PartKind, QuickReply, Receipt, StoreError, TranscriptEntry, Update, UpdateKind,
};

use super::TerminalConnector;
use crate::{
    config::{Look, Terminal, TerminalConfig},
    input::{Input, LineSource},
};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A person who does this, then leaves.
struct Script {
    prompted: VecDeque<Input>,
    /// Typed while the first answer after the welcome is awaited.
    meanwhile: Option<&'static str>,
    /// How many lines were left whenever those of before were to be forgotten.
    forgotten: Arc<Mutex<Vec<usize>>>,
}

impl LineSource for Script {
    fn next_line(&mut self, _prompt: &str) -> Input {
        self.prompted.pop_front().unwrap_or(Input::End)
    }

    fn line_meanwhile(&mut self, wanted: &dyn Fn() -> bool) -> Option<Input> {
        // The welcome is awaited before anything was asked at the prompt.
        if self.prompted.len() > 1 {
            return None;
        }
        std::thread::sleep(Duration::from_millis(30));
        let line = self.meanwhile.take_if(|_| wanted())?;
        Some(Input::Line(line.to_owned()))
    }

    fn forget(&mut self) {
        self.forgotten.lock().unwrap().push(self.prompted.len());
    }
}

fn inputs(prompted: impl IntoIterator<Item = Input>) -> Script {
    Script {
        prompted: prompted.into_iter().collect(),
        meanwhile: None,
        forgotten: Arc::default(),
    }
}

fn script(lines: &[&str]) -> Script {
    inputs(lines.iter().map(|it| Input::Line((*it).to_owned())))
}

/// A bot that echoes, after a while and in two parts; `slow` it begins and never ends, `silent` it ignores.
#[derive(Default)]
struct Echo {
    taken: Mutex<Vec<UpdateKind>>,
    connector: OnceLock<Arc<TerminalConnector>>,
    broken: bool,
}

#[async_trait]
impl Intake for Echo {
    async fn accept(&self, updates: Vec<Update>, _: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        if self.broken {
            return Err(StoreError::Broken("disk full".to_owned()));
        }
        let mut receipts = Vec::new();
        for update in updates {
            let mut taken = self.taken.lock().unwrap();
            taken.push(update.kind.clone());
            let seq = InboxSeq(i64::try_from(taken.len()).unwrap());
            receipts.push(Receipt {
                seq,
                duplicate: false,
            });
            let connector = Arc::clone(self.connector.get().unwrap());
            tokio::spawn(async move { answer(&connector, seq, update).await });
        }
        Ok(receipts)
    }

    async fn cursor(&self, _: &str, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn transcript(
        &self,
        _: &ConversationKey,
        _: i64,
        _: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        Ok(Vec::new())
    }

    fn health(&self) -> BotHealth {
        BotHealth::default()
    }

    fn emergency_notice(&self, _: &str, _: Option<Language>) -> Option<Part> {
        None
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> String {
        "120".to_owned()
    }

    async fn answer_again(
        &self,
        _: &bedside_contract::ConversationKey,
        _: InboxSeq,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn answer(connector: &TerminalConnector, seq: InboxSeq, update: Update) {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let deliver = async |part: Part| {
        let item = OutboxItem {
            id: PartId(format!("part-{seq}")),
            conversation: update.conversation.clone(),
            seq,
            part,
            replaces: None,
            attempts: 1,
            waiting: std::time::Duration::ZERO,
        };
        connector.deliver(&item).await.unwrap();
    };
    match update.text() {
        None => {
            let yes = QuickReply {
                label: "Yes".to_owned(),
                data: "consent:yes".to_owned(),
            };
            let welcome = Part {
                quick_replies: vec![yes],
                ..Part::notice(Language::En, "Welcome. Agree?")
            };
            deliver(welcome).await;
        }
        Some("silent") => {}
        Some("delete") => {
            connector.forgotten(&update.conversation);
            deliver(Part::notice(Language::En, "deleted")).await;
        }
        Some("slow") => {
            connector.typing(&update.conversation).await;
            connector
                .preview(&update.conversation, seq, None, "Once upon")
                .await
                .unwrap();
            connector.interrupt();
        }
        Some(text) => {
            deliver(Part {
                kind: PartKind::Answer,
                ..Part::notice(Language::En, format!("{text}!"))
            })
            .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            deliver(Part::notice(Language::En, "more")).await;
        }
    }
}

async fn chat(
    input: Script,
    look: Look,
    echo: Echo,
) -> (Result<(), ConnectorError>, Vec<UpdateKind>, String) {
    let paper = Paper::default();
    let config = TerminalConfig {
        language: Some(Language::En),
        patience: Duration::from_millis(400),
        ..TerminalConfig::default()
    };
    let terminal = Terminal {
        input: Box::new(input),
        output: Box::new(paper.clone()),
        look,
    };
    let connector = Arc::new(config.build_on(terminal));
    let echo = Arc::new(echo);
    echo.connector.set(Arc::clone(&connector)).ok().unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), connector.run(Arc::<Echo>::clone(&echo)))
        .await
        .unwrap();
    let taken = echo.taken.lock().unwrap().clone();
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (end, taken, text)
}

fn text(text: &str) -> UpdateKind {
    UpdateKind::Text {
        text: text.to_owned(),
    }
}

const PLAIN: Look = Look {
    color: false,
    live: false,
};
const LIVE: Look = Look {
    color: false,
    live: true,
};

#[tokio::test]
async fn a_pipe_ends_after_its_last_answer() {
    let (end, taken, printed) = chat(script(&["1", "", "我头疼"]), PLAIN, Echo::default()).await;
    assert!(end.is_ok());
    let choice = UpdateKind::Choice {
        data: "consent:yes".to_owned(),
    };
    assert_eq!(taken, [UpdateKind::Joined, choice, text("我头疼")]);
    assert_eq!(
        printed,
        "Welcome. Agree?\n  1) Yes\n\nconsent:yes!\n\nmore\n\n我头疼!\n\nmore\n\n",
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_does_not_hold_the_rest_for_ever() {
    let (end, taken, printed) = chat(script(&["silent", "next"]), LIVE, Echo::default()).await;
    assert!(end.is_ok());
    assert_eq!(taken, [UpdateKind::Joined, text("silent"), text("next")]);
    assert!(
        printed.contains("There was no answer") && printed.ends_with("next!\n\nmore\n\n"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_interrupt_stops_the_answer() {
    let (end, taken, printed) = chat(script(&["slow", "next"]), LIVE, Echo::default()).await;
    assert!(end.is_ok());
    assert_eq!(
        taken,
        [UpdateKind::Joined, text("slow"), text("/stop"), text("next")]
    );
    assert!(printed.contains("Once upon\nStopping…\n/stop!\n"), "{printed}");
}

#[tokio::test]
async fn what_is_typed_while_an_answer_runs_is_taken_at_once() {
    let input = Script {
        meanwhile: Some("my chest hurts"),
        ..script(&["silent", "next"])
    };
    let (end, taken, printed) = chat(input, LIVE, Echo::default()).await;
    assert!(end.is_ok());
    assert_eq!(
        taken,
        [
            UpdateKind::Joined,
            text("silent"),
            text("my chest hurts"),
            text("next")
        ]
    );
    let (answer, gave_up) = (
        printed.find("my chest hurts!").unwrap(),
        printed.find("There was no answer").unwrap(),
    );
    assert!(answer < gave_up, "{printed}");
}

#[tokio::test]
async fn two_interrupts_at_the_prompt_leave_and_one_does_not() {
    let line = |it: &str| Input::Line(it.to_owned());
    let input = inputs([
        Input::Interrupted,
        line("a"),
        Input::Interrupted,
        Input::Interrupted,
        line("never"),
    ]);
    let (end, taken, printed) = chat(input, LIVE, Echo::default()).await;
    assert!(end.is_ok());
    assert_eq!(taken, [UpdateKind::Joined, text("a")]);
    assert_eq!(printed.matches("once more").count(), 2);

    let (_, taken, _) = chat(script(&["/quit", "never"]), LIVE, Echo::default()).await;
    assert_eq!(taken, [UpdateKind::Joined]);
}

#[tokio::test]
async fn a_store_that_fails_ends_the_chat_with_its_reason() {
    let (end, ..) = chat(
        script(&["a"]),
        PLAIN,
        Echo {
            broken: true,
            ..Echo::default()
        },
    )
    .await;
    assert!(
        matches!(end, Err(ConnectorError::Store(StoreError::Broken(_)))),
        "{end:?}"
    );
}

#[tokio::test]
async fn lines_of_a_deleted_conversation_are_forgotten_before_the_next_is_read() {
    let script = script(&["my head hurts", "delete", "again"]);
    let forgotten = Arc::clone(&script.forgotten);
    let (end, ..) = chat(script, PLAIN, Echo::default()).await;
    assert!(end.is_ok());
    assert_eq!(*forgotten.lock().unwrap(), [1], "once, with one line to come");
}
