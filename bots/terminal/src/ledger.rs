use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bedside_contract::{InboxSeq, Receipt};
use tokio::sync::watch;

/// Which accepted messages still wait for their first part.
pub(crate) struct Ledger {
    state: Mutex<State>,
    /// Counts signs of life.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Each is settled by a part for any of its messages.
    waiting: Vec<HashSet<InboxSeq>>,
    /// An answer may overtake the receipt of its question.
    answered: HashSet<InboxSeq>,
    /// What was stopped, and the stop: a part of each may follow the first one.
    stopped: HashSet<InboxSeq>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// A duplicate was answered before and is not waited for.
    pub(crate) fn expect(&self, receipt: Receipt) {
        let mut state = self.lock();
        if !receipt.duplicate && !state.answered.contains(&receipt.seq) {
            state.waiting.push(HashSet::from([receipt.seq]));
        }
    }

    /// What was stopped may get no part of its own: the next one, of the answer or of `/stop`, settles all.
    pub(crate) fn expect_stop(&self, receipt: Receipt) {
        let mut state = self.lock();
        let mut all: HashSet<InboxSeq> = state.waiting.drain(..).flatten().collect();
        all.insert(receipt.seq);
        state.stopped.clone_from(&all);
        if !state.answered.contains(&receipt.seq) {
            state.waiting.push(all);
        }
    }

    pub(crate) fn answered(&self, seq: InboxSeq) {
        let mut state = self.lock();
        state.answered.insert(seq);
        state.stopped.remove(&seq);
        state.waiting.retain(|it| !it.contains(&seq));
        drop(state);
        self.sign_of_life();
    }

    pub(crate) fn sign_of_life(&self) {
        self.changes.send_modify(|it| *it += 1);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Something of what was stopped may still come.
    pub(crate) fn may_follow(&self) -> bool {
        !self.lock().stopped.is_empty()
    }

    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        state.waiting.clear();
        state.stopped.clear();
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{InboxSeq, Receipt};

    use super::Ledger;

    fn receipt(seq: i64) -> Receipt {
        Receipt {
            seq: InboxSeq(seq),
            duplicate: false,
        }
    }

    #[test]
    fn every_message_waits_for_its_own_part() {
        let ledger = Ledger::new();
        ledger.expect(receipt(1));
        ledger.expect(receipt(2));
        ledger.answered(InboxSeq(2));
        assert!(!ledger.is_settled());
        ledger.answered(InboxSeq(1));
        assert!(ledger.is_settled());
    }

    #[test]
    fn an_answer_may_come_before_the_receipt_and_a_duplicate_has_none() {
        let ledger = Ledger::new();
        ledger.answered(InboxSeq(1));
        ledger.expect(receipt(1));
        ledger.expect(Receipt {
            seq: InboxSeq(2),
            duplicate: true,
        });
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_stop_is_settled_by_whatever_comes_next() {
        for answer in [1, 2] {
            let ledger = Ledger::new();
            ledger.expect(receipt(1));
            ledger.expect_stop(receipt(2));
            assert!(!ledger.is_settled());
            ledger.answered(InboxSeq(answer));
            assert!(ledger.is_settled() && ledger.may_follow(), "{answer}");
            ledger.answered(InboxSeq(3 - answer));
            assert!(!ledger.may_follow());
            ledger.expect_stop(receipt(3));
            ledger.give_up();
            assert!(!ledger.may_follow(), "the next answer does not wait for it");
        }
    }
}
