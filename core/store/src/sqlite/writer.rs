//! One thread writes: what waits is committed together, and answered after the commit.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use bedside_contract::StoreError;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::{connection::BUSY_TIMEOUT, error::OperationError, health::Health};
use crate::space::Space;

/// A group is committed when it has this many operations, …
const MAX_GROUP: usize = 64;
/// … is this old, or nothing more waits. While one group is on its way to the disk the next one gathers, so
/// a lone operation never waits for company.
const MAX_GROUP_TIME: Duration = Duration::from_millis(2);

/// After this long without work the log is written back into the file and cut to nothing.
const IDLE: Duration = Duration::from_secs(1);

/// How often [`BUSY_TIMEOUT`] may pass for one group before the store gives up.
const MAX_BUSY: u32 = 6;

/// The way to the writing thread.
pub(super) struct Writer {
    messages: Sender<Message>,
    health: Arc<Health>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        health: Arc<Health>,
        space: Arc<Space>,
        #[cfg(test)] sabotage: Sabotage,
    ) -> Result<Self, StoreError> {
        let (messages, received) = channel();
        let thread = WritingThread {
            connection,
            messages: received,
            pending: None,
            health: Arc::clone(&health),
            space,
            log_is_empty: false,
            must_empty_log: false,
            #[cfg(test)]
            sabotage,
            closed: None,
        };
        thread::Builder::new()
            .name("bedside-store-write".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::Failed(format!("cannot start the writing thread: {error}")))?;
        Ok(Self { messages, health })
    }

    /// Runs `work` in a savepoint of the next group and returns once that group is on disk.
    ///
    /// A caller that went away before its turn came has its work left out.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, OperationError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let operation: Operation = Box::new(move |connection| {
            if answer.is_closed() {
                return Ran::default();
            }
            match in_savepoint(connection, work) {
                // The answer is lost only if the caller went away.
                Ok(result) => Ran {
                    answer: Some(Box::new(move |group: Result<(), StoreError>| {
                        drop(answer.send(group.and(result)));
                    })),
                    fatal: None,
                },
                Err(error) => Ran {
                    answer: Some(Box::new(move |group: Result<(), StoreError>| {
                        if let Err(error) = group {
                            drop(answer.send(Err(error)));
                        }
                    })),
                    fatal: Some(error),
                },
            }
        });
        // Dropped unanswered, here or by the thread, means that the store is broken.
        let sent = self.health.is_good() && self.messages.send(Message::Run(operation)).is_ok();
        let answered = if sent { answered.await.ok() } else { None };
        answered.unwrap_or_else(|| Err(self.health.error()))
    }

    /// Commits what waits, empties the log and closes the file.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.messages.send(Message::Close(done)).is_ok() {
            // The thread drops `done` after the file.
            let _ = closed.await;
        }
    }

    /// After something was deleted: words must not stay in the log until the store is idle.
    pub(super) fn empty_log_soon(&self) {
        // A thread that has ended has emptied it.
        let _ = self.messages.send(Message::EmptyLog);
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.health.is_good()
    }
}

/// Faults that tests put in.
#[cfg(test)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sabotage {
    /// Answers first and commits later, as a store without durability does.
    pub(super) acknowledge_before_commit: bool,
    /// The disk is full when the file has this many pages.
    pub(super) max_pages: Option<u32>,
}

enum Message {
    Run(Operation),
    EmptyLog,
    Close(oneshot::Sender<()>),
}

/// Answers its caller when called, after the commit or with why there is none.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Operation = Box<dyn FnOnce(&Connection) -> Ran + Send>;

/// What came of one operation.
#[derive(Default)]
struct Ran {
    /// Kept until it is known what to tell: dropped, it tells that the store is broken.
    answer: Option<Answer>,
    fatal: Option<OperationError>,
}

struct WritingThread {
    connection: Connection,
    messages: Receiver<Message>,
    /// Came while a group was being gathered and does not belong to it.
    pending: Option<Message>,
    health: Arc<Health>,
    space: Arc<Space>,
    log_is_empty: bool,
    /// Something was deleted that still stands in the log: it is not left there until nothing is to be done.
    must_empty_log: bool,
    #[cfg(test)]
    sabotage: Sabotage,
    /// Last, so that whoever waits for the end hears of it after the file has been closed.
    closed: Option<oneshot::Sender<()>>,
}

impl WritingThread {
    fn run(mut self) {
        #[cfg(test)]
        if let Some(pages) = self.sabotage.max_pages {
            self.connection
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                .unwrap();
        }
        while let Some(message) = self.next_message() {
            match message {
                Message::Run(operation) if self.health.is_good() => self.run_group(operation),
                Message::Run(operation) => drop(operation),
                Message::EmptyLog => self.must_empty_log = true,
                Message::Close(done) => {
                    self.health.end("it is closed");
                    self.closed = Some(done);
                    break;
                }
            }
            if self.must_empty_log && self.health.is_good() {
                self.empty_log();
                self.must_empty_log = !self.log_is_empty;
            }
        }
        self.empty_log();
    }

    /// `None` when the store has been dropped.
    fn next_message(&mut self) -> Option<Message> {
        if let Some(message) = self.pending.take() {
            return Some(message);
        }
        while !self.log_is_empty && self.health.is_good() {
            match self.messages.recv_timeout(IDLE) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.empty_log(),
            }
        }
        self.messages.recv().ok()
    }

    fn run_group(&mut self, first: Operation) {
        if let Err(error) = self.begin() {
            return self.give_up("begin", &error);
        }
        let started = Instant::now();
        let mut answers = Vec::with_capacity(MAX_GROUP);
        let mut next = Some(first);
        while let Some(operation) = next {
            let ran = operation(&self.connection);
            answers.extend(ran.answer);
            if let Some(error) = ran.fatal {
                return self.undo("write", &error, answers);
            }
            let is_full = answers.len() >= MAX_GROUP || started.elapsed() >= MAX_GROUP_TIME;
            next = if is_full { None } else { self.next_waiting() };
        }
        #[cfg(test)]
        if self.sabotage.acknowledge_before_commit {
            answers.drain(..).for_each(|answer| answer(Ok(())));
            thread::sleep(Duration::from_millis(5));
        }
        self.log_is_empty = false;
        match execute(&self.connection, "COMMIT") {
            Ok(()) => answers.into_iter().for_each(|answer| answer(Ok(()))),
            Err(error) => self.undo("commit", &error, answers),
        }
    }

    fn next_waiting(&mut self) -> Option<Operation> {
        match self.messages.try_recv().ok()? {
            Message::Run(operation) => Some(operation),
            other @ (Message::EmptyLog | Message::Close(_)) => {
                self.pending = Some(other);
                None
            }
        }
    }

    /// Another program with a write transaction (an operator's `sqlite3`) is waited for; nothing is
    /// acknowledged meanwhile.
    fn begin(&self) -> Result<(), OperationError> {
        let mut waited = 0;
        loop {
            match execute(&self.connection, "BEGIN IMMEDIATE") {
                Err(OperationError::Sqlite(rusqlite::Error::SqliteFailure(failure, _)))
                    if failure.code == ErrorCode::DatabaseBusy && waited < MAX_BUSY =>
                {
                    waited += 1;
                    tracing::warn!(waited, "another program keeps the store locked: end it");
                }
                Err(error) if error.is_full() && self.spend_reserve("begin") => {}
                other => return other,
            }
        }
    }

    /// Nothing of the group is acknowledged. On a full disk, the next ones have the reserve.
    fn undo(&mut self, doing: &str, error: &OperationError, answers: Vec<Answer>) {
        if !error.is_full() {
            return self.give_up(doing, error);
        }
        // Where SQLite has rolled back itself this fails, which is as good.
        let _ = self.connection.execute_batch("ROLLBACK");
        if !self.connection.is_autocommit() || !self.spend_reserve(doing) {
            return self.give_up(doing, error);
        }
        let full = "the disk was full, so nothing was written; a little room is there now";
        answers
            .into_iter()
            .for_each(|answer| answer(Err(StoreError::Failed(full.to_owned()))));
    }

    /// `false` if there is none any more.
    fn spend_reserve(&self, doing: &str) -> bool {
        let is_freed = self.space.spend_reserve();
        if is_freed {
            tracing::error!(
                doing,
                "the disk is full: the reserve is freed, for what has begun and for emergencies; make room now"
            );
        }
        is_freed
    }

    /// Nothing of the group is acknowledged, and nothing ever again: after a failed write nobody knows what
    /// the disk holds.
    fn give_up(&mut self, doing: &str, error: &OperationError) {
        let reason = format!("{doing}: {}", error.words());
        tracing::error!(
            reason,
            "the store cannot write, nothing more is accepted: check the disk, then restart"
        );
        self.health.end(reason);
        // Where SQLite has rolled back itself this fails, which is as good.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn empty_log(&mut self) {
        // Readers are not waited for: while one is at work the log is emptied a second later.
        let waiting = self.connection.busy_timeout(Duration::ZERO);
        let emptied = waiting.and_then(|()| {
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    Ok(row.get::<_, i64>(0)? == 0)
                })
        });
        let emptied = self.connection.busy_timeout(BUSY_TIMEOUT).and(emptied);
        match emptied.map_err(OperationError::from) {
            Ok(emptied) => self.log_is_empty = emptied,
            Err(error) if error.is_full() && self.spend_reserve("checkpoint") => self.log_is_empty = false,
            Err(error) if error.is_fatal() => self.give_up("checkpoint", &error),
            Err(_) => self.log_is_empty = false,
        }
    }
}

impl Drop for WritingThread {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("the store's writing thread panicked");
            self.health.end("its writing thread panicked");
        }
    }
}

/// One operation's failure is its own, unless SQLite could not even undo it or the file is at fault.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, OperationError>,
) -> Result<Result<T, StoreError>, OperationError> {
    execute(connection, "SAVEPOINT operation")?;
    let result = work(connection);
    match &result {
        Err(error) if error.is_fatal() || connection.is_autocommit() => return result.map(Ok),
        Err(_) => execute(connection, "ROLLBACK TO operation")?,
        Ok(_) => {}
    }
    execute(connection, "RELEASE operation")?;
    Ok(result.map_err(StoreError::from))
}

fn execute(connection: &Connection, sql: &str) -> Result<(), OperationError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
