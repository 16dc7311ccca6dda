//! Threads that read, each with a connection that cannot write.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use bedside_contract::StoreError;
use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use super::{connection::open_reader, error::OperationError, health::Health};

const READERS: usize = 2;

/// The way to the reading threads. They end when it is dropped.
pub(super) struct Readers {
    jobs: Sender<Job>,
    health: Arc<Health>,
}

impl Readers {
    pub(super) fn start(path: &Path, health: Arc<Health>) -> Result<Self, StoreError> {
        let (jobs, received) = channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..READERS {
            let received = Arc::clone(&received);
            let mut connection = open_reader(path)?;
            thread::Builder::new()
                .name("bedside-store-read".to_owned())
                .spawn(move || {
                    while let Some(job) = next_job(&received) {
                        job(&mut connection);
                    }
                })
                .map_err(|error| StoreError::Failed(format!("cannot start a reading thread: {error}")))?;
        }
        Ok(Self { jobs, health })
    }

    /// Runs `work` on one state of the store, which includes all that was acknowledged before the call.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, OperationError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let health = Arc::clone(&self.health);
        let job: Job = Box::new(move |connection| {
            if !answer.is_closed() {
                let read = in_transaction(connection, work);
                if let Err(error) = &read {
                    health.note_of_reader(error);
                }
                // The answer is lost only if the caller went away.
                let _ = answer.send(read.map_err(StoreError::from));
            }
        });
        let ended = || StoreError::Failed("the reading threads have ended".to_owned());
        self.jobs.send(job).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

fn next_job(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, OperationError>,
) -> Result<T, OperationError> {
    let transaction: Transaction<'_> = connection.transaction()?;
    work(&transaction)
}
