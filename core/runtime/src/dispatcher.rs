//! Which message is worked off when: a lane for each conversation, and what does not wait for it.

mod lanes;
mod urgent;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use bedside_contract::{
    ConversationKey, ConversationSettings, Cursor, FinishedTurn, GivenUp, InboxItem, InboxSeq, Observation,
    PartKind, Receipt, StoreError, TurnOutcome, TurnState, Update,
};
use futures::FutureExt;

use self::{
    lanes::{Lane, Lanes, RunningTurn},
    urgent::{Urgent, waits_for_room},
};
use crate::{
    context::{
        Context, interrupt::InterruptReason, per_conversation::Runner, red_flags::on_a_blocking_thread,
    },
    delivery::Delivery,
    turn::{self, Turns},
};

pub(crate) struct Dispatcher {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
    turns: Turns,
    lanes: Lanes,
}

impl Dispatcher {
    pub(crate) fn new(context: Arc<Context>, delivery: Arc<Delivery>) -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(Arc::clone(&context), Arc::clone(&delivery)),
            context,
            delivery,
            lanes: Lanes::default(),
        })
    }

    /// Stores updates and starts working them off.
    pub(crate) async fn take(
        self: &Arc<Self>,
        updates: Vec<Update>,
        cursor: Option<Cursor>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let received = Instant::now();
        let dispatcher = Arc::clone(self);
        let (updates, looks) = on_a_blocking_thread(move || {
            let look = |it: &Update| {
                let initiative = dispatcher.delivery.initiative(&it.conversation);
                let urgent = Urgent::look(dispatcher.context.rules, it, initiative);
                (it.conversation.clone(), urgent)
            };
            let looks: Vec<_> = updates.iter().map(look).collect();
            (updates, looks)
        })
        .await;
        if waits_for_room(self.context.store.health.room(), &looks) {
            // Platforms that ask again do so until there is room; the others tell their patient.
            return Err(StoreError::Failed(
                "the disk is full, so only emergencies are taken: make room for data_dir".to_owned(),
            ));
        }
        let accepted = self.context.store.inbox.accept(updates, cursor).await;
        let receipts = accepted.inspect_err(|error| self.context.store_failed(error))?;
        let durable_after = received.elapsed();
        for (receipt, (conversation, urgent)) in receipts.iter().zip(looks) {
            let platform = conversation.platform();
            self.context.observe(if receipt.duplicate {
                Observation::Duplicate { platform }
            } else {
                Observation::MessageTaken {
                    platform,
                    durable_after,
                }
            });
            match urgent {
                // A repeat may be a new chance to answer: the platform had no answer to the first one.
                _ if receipt.duplicate => self.release_parked(&conversation).await,
                Some(urgent) => {
                    let (dispatcher, seq) = (Arc::clone(self), receipt.seq);
                    self.context
                        .tasks
                        .spawn(async move { dispatcher.handle_urgent(seq, urgent).await });
                }
                None => self.wake(&conversation),
            }
        }
        Ok(receipts)
    }

    /// Runs the conversation's lane, or tells the task that does to look again.
    pub(crate) fn wake(self: &Arc<Self>, conversation: &ConversationKey) {
        if self.context.shutdown.is_cancelled() {
            return;
        }
        if let Some(runner) = self.lanes.enter(conversation) {
            let dispatcher = Arc::clone(self);
            self.context
                .tasks
                .spawn(async move { dispatcher.run_lane(runner).await });
        }
    }

    /// Takes up what is unfinished: after a start, and what was given back.
    pub(crate) async fn sweep(self: &Arc<Self>) -> Result<(), StoreError> {
        for conversation in self.context.store.inbox.unfinished_conversations().await? {
            self.wake(&conversation);
        }
        Ok(())
    }

    /// Questions whose answers are in work, and those that wait for that.
    pub(crate) fn questions(&self) -> (usize, usize) {
        self.turns.questions()
    }

    pub(crate) fn interrupt_all(&self, reason: InterruptReason) {
        self.lanes.interrupt_all(reason);
    }

    async fn run_lane(self: &Arc<Self>, mut runner: Runner<Lane>) {
        loop {
            let leased = self.context.store.inbox.lease_next(runner.conversation()).await;
            let item = match leased {
                Ok(Some(item)) if self.context.shutdown.is_cancelled() => {
                    self.give_back(item.seq).await;
                    None
                }
                Ok(item) => item,
                Err(error) => {
                    self.context.store_failed(&error);
                    None
                }
            };
            let Some(item) = item else {
                match runner.leave() {
                    Some(again) => runner = again,
                    None => return,
                }
                continue;
            };
            let lease = Lease::new(self, &item);
            self.note_answer_place(&item).await;
            if let Err(error) = self.run_turn(&runner, &item).await {
                self.context.store_failed(&error);
                self.give_back_counted(item.seq).await;
                lease.end();
                // The sweep comes back to it; trying again at once would only spin.
                return;
            }
            lease.end();
        }
    }

    /// Where the platform shows a place for the answer already, it is written there.
    async fn note_answer_place(&self, item: &InboxItem) {
        let Some(message) = &item.update.answer_in else {
            return;
        };
        let outbox = &self.context.store.outbox;
        let noted = match outbox.preview(item.seq).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => outbox.put_preview(item.seq, message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::error!(seq = %item.seq, %error, "Where an answer belongs could not be noted.");
        }
    }

    /// Works a leased message off, to its end or until it is given back.
    async fn run_turn(self: &Arc<Self>, runner: &Runner<Lane>, item: &InboxItem) -> Result<(), StoreError> {
        let started = Instant::now();
        let turn = RunningTurn::begin(runner);
        let running = AssertUnwindSafe(self.turns.run(item, &turn.interrupt));
        let ended = running.catch_unwind().await;
        drop(turn);
        let outcome = match ended {
            Ok(Ok(Some(finished))) => self.finish(finished).await,
            Ok(Ok(None)) => {
                self.give_back(item.seq).await;
                TurnOutcome::GivenBack
            }
            Ok(Err(error)) => {
                self.turn_ended(started, TurnOutcome::StoreFailed);
                return Err(error);
            }
            Err(_) => {
                tracing::error!(seq = %item.seq, "A turn panicked.");
                let context = self.context.now();
                let language = context.language_of(&item.update, &ConversationSettings::default());
                self.finish(turn::apology(&context, item, language)).await;
                TurnOutcome::Panicked
            }
        };
        self.turn_ended(started, outcome);
        Ok(())
    }

    fn turn_ended(&self, started: Instant, outcome: TurnOutcome) {
        let took = started.elapsed();
        self.context.observe(Observation::TurnFinished { took, outcome });
    }

    /// Writes the end of a turn and starts its delivery.
    async fn finish(self: &Arc<Self>, mut finished: FinishedTurn) -> TurnOutcome {
        let outcome = outcome_of(&finished);
        let conversation = finished.conversation.clone();
        finished.parts = self.delivery.pieces(&conversation, finished.parts);
        let (seq, urgent) = (finished.seq, finished.urgent);
        // What waited goes first, but never before what is urgent.
        if !urgent {
            self.release_parked(&conversation).await;
        }
        match self.context.store.inbox.finish(finished).await {
            Ok(true) => {
                self.observe_end(&conversation, outcome);
                self.delivery.wake(&conversation);
                if urgent {
                    self.release_parked(&conversation).await;
                }
            }
            Ok(false) => tracing::warn!(%seq, "A turn was finished by somebody else; its answer is dropped."),
            Err(error) => {
                self.context.store_failed(&error);
                self.give_back_counted(seq).await;
                return TurnOutcome::StoreFailed;
            }
        }
        outcome
    }

    fn observe_end(&self, conversation: &ConversationKey, outcome: TurnOutcome) {
        let platform = conversation.platform();
        match outcome {
            TurnOutcome::Emergency => self.context.observe(Observation::EmergencyNotice { platform }),
            TurnOutcome::Apology => {
                let what = GivenUp::Message;
                self.context.observe(Observation::DeadLetter { platform, what });
            }
            _ => {}
        }
    }

    async fn release_parked(&self, conversation: &ConversationKey) {
        if let Err(error) = self.delivery.release_parked(conversation).await {
            self.context.store_failed(&error);
        }
    }

    /// To be tried again by the next sweep, until it has been tried too often.
    async fn give_back_counted(&self, seq: InboxSeq) {
        if let Err(error) = self.context.store.inbox.count_attempt(seq).await {
            tracing::error!(%seq, %error, "An attempt could not be counted.");
        }
        self.give_back(seq).await;
    }

    async fn give_back(&self, seq: InboxSeq) {
        if let Err(error) = self.context.store.inbox.release(seq).await {
            tracing::error!(%seq, %error, "A message could not be given back; it is taken up at the next start.");
        }
    }
}

fn outcome_of(finished: &FinishedTurn) -> TurnOutcome {
    if finished.state == TurnState::Dead {
        TurnOutcome::Apology
    } else if finished.parts.iter().any(|it| it.kind == PartKind::Emergency) {
        TurnOutcome::Emergency
    } else {
        TurnOutcome::Answered
    }
}

/// A leased message. Whatever panics, it is given back.
struct Lease {
    dispatcher: Arc<Dispatcher>,
    conversation: ConversationKey,
    seq: InboxSeq,
    has_ended: bool,
}

impl Lease {
    fn new(dispatcher: &Arc<Dispatcher>, item: &InboxItem) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            conversation: item.update.conversation.clone(),
            seq: item.seq,
            has_ended: false,
        }
    }

    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A task that is dropped because the process ends leaves its message to the next start.
        if self.has_ended || !std::thread::panicking() {
            return;
        }
        let (dispatcher, seq) = (Arc::clone(&self.dispatcher), self.seq);
        let conversation = self.conversation.clone();
        tracing::error!(%seq, "Work on a message panicked; it is tried again.");
        self.dispatcher.context.tasks.spawn(async move {
            dispatcher.give_back_counted(seq).await;
            dispatcher.wake(&conversation);
        });
    }
}
