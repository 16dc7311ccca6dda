//! Parts that wait: for a pause that somebody asked for, beside clocks that jump, and for staff to hear of them.

use std::time::Duration;

use bedside_contract::{
    Conversations, FinishedTurn, Inbox, Language, Outbox, OutboxItem, Part, PartKind, SendOutcome, TurnState,
    UndeliveredNotices,
};

use super::{Folder, SqliteStore, ask, chat, update};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

async fn claim(store: &SqliteStore) -> Option<OutboxItem> {
    store.claim_part(&chat()).await.unwrap()
}

async fn settle(store: &SqliteStore, item: &OutboxItem, outcome: SendOutcome) {
    store.settle_part(&item.id, outcome).await.unwrap();
}

/// An emergency notice, and an urgent part that is none.
async fn urgent(store: &SqliteStore, external_id: &str) {
    let accepted = store
        .accept(vec![update(external_id, "words")], None)
        .await
        .unwrap();
    store.lease(accepted[0].seq).await.unwrap().unwrap();
    let notice = |kind| Part {
        kind,
        ..Part::notice(Language::En, external_id)
    };
    let finished = FinishedTurn {
        seq: accepted[0].seq,
        conversation: chat(),
        state: TurnState::Done,
        turns: Vec::new(),
        parts: vec![notice(PartKind::Emergency), notice(PartKind::Notice)],
        urgent: true,
        settings: None,
        reset: false,
    };
    assert!(store.finish(finished).await.unwrap());
}

/// What the store sees when the clock goes by so much, whatever is written in it.
fn set_clock(folder: &Folder, by_ms: i64) {
    let sql = "UPDATE outbox SET next_at = CASE WHEN next_at IN (0, ?2) THEN next_at ELSE next_at - ?1 END,
               created_ms = created_ms - ?1";
    let changed = folder.sqlite().execute(sql, (by_ms, i64::MAX)).unwrap();
    assert!(changed > 0);
}

#[tokio::test]
async fn a_pause_that_was_asked_for_is_no_attempt() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "one").await;
    for _ in 0..5 {
        let item = claim(&store).await.unwrap();
        assert_eq!(item.attempts, 1);
        settle(&store, &item, SendOutcome::Later { after_ms: 0 }).await;
    }
    let item = claim(&store).await.unwrap();
    settle(&store, &item, SendOutcome::Later { after_ms: HOUR_MS }).await;
    assert!(claim(&store).await.is_none(), "not before the pause is over");
    assert_eq!(store.counters().await.unwrap().unknown_sends, 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_nothing() {
    for outcome in [
        SendOutcome::Later { after_ms: HOUR_MS },
        SendOutcome::Retry {
            after_ms: HOUR_MS,
            may_have_arrived: false,
        },
        SendOutcome::Retry {
            after_ms: HOUR_MS,
            may_have_arrived: true,
        },
    ] {
        let folder = Folder::new();
        let store = folder.store();
        ask(&store, "1", "one").await;
        ask(&store, "2", "two").await;
        let item = claim(&store).await.unwrap();
        settle(&store, &item, outcome.clone()).await;
        assert!(claim(&store).await.is_none(), "{outcome:?}");
        set_clock(&folder, -DAY_MS);
        let again = claim(&store).await.unwrap_or_else(|| panic!("{outcome:?}"));
        assert_eq!((&again.id, again.waiting), (&item.id, Duration::ZERO));
    }
}

#[tokio::test]
async fn a_parked_part_stays_parked_whatever_the_clock_does() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "one").await;
    let item = claim(&store).await.unwrap();
    settle(&store, &item, SendOutcome::Parked).await;
    for by_ms in [-DAY_MS, 2 * DAY_MS] {
        set_clock(&folder, by_ms);
        assert!(claim(&store).await.is_none());
    }
}

#[tokio::test]
async fn parts_are_counted_by_what_they_wait_for() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "one").await;
    let waiting = async || {
        let found = store.counters().await.unwrap();
        let states = [
            found.outbox_pending,
            found.outbox_sending,
            found.outbox_unknown,
            found.outbox_parked,
        ];
        assert_eq!(states.iter().sum::<u64>(), found.outbox_depth);
        (states, found.outbox_oldest_ms.is_some())
    };
    assert_eq!(waiting().await, ([1, 0, 0, 0], true));
    let item = claim(&store).await.unwrap();
    assert_eq!(waiting().await, ([0, 1, 0, 0], true));
    settle(
        &store,
        &item,
        SendOutcome::Retry {
            after_ms: 0,
            may_have_arrived: true,
        },
    )
    .await;
    assert_eq!(waiting().await, ([0, 0, 1, 0], true));
    let item = claim(&store).await.unwrap();
    settle(&store, &item, SendOutcome::Parked).await;
    assert_eq!(
        waiting().await,
        ([0, 0, 0, 1], false),
        "what waits for its patient is not late"
    );
}

#[tokio::test]
async fn a_part_knows_how_long_it_has_waited() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "one").await;
    set_clock(&folder, DAY_MS);
    let waiting = claim(&store).await.unwrap().waiting;
    assert!(waiting >= Duration::from_secs(24 * 3600) && waiting < Duration::from_secs(25 * 3600));
}

#[tokio::test]
async fn staff_hear_of_emergency_notices_alone_and_once() {
    const FIVE_MINUTES: Duration = Duration::from_secs(300);
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "an answer").await;
    urgent(&store, "2").await;
    assert_eq!(
        store.undelivered_notices(FIVE_MINUTES).await.unwrap(),
        [],
        "too early"
    );
    set_clock(&folder, 360_000);
    let found = store.undelivered_notices(FIVE_MINUTES).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].given_up && found[0].waiting >= FIVE_MINUTES && found[0].conversation == chat());

    // Given up, parked and in doubt it has not arrived either.
    for outcome in [
        SendOutcome::Parked,
        SendOutcome::Retry {
            after_ms: 0,
            may_have_arrived: true,
        },
        SendOutcome::Dead {
            reason: "blocked".to_owned(),
        },
    ] {
        let item = claim(&store).await.unwrap();
        settle(&store, &item, outcome).await;
        assert_eq!(store.undelivered_notices(FIVE_MINUTES).await.unwrap().len(), 1);
        store.release_parked(&chat()).await.unwrap();
    }
    let given_up = store.undelivered_notices(Duration::MAX).await.unwrap();
    assert!(
        given_up.len() == 1 && given_up[0].given_up,
        "told at once: {given_up:?}"
    );
    store.notice_escalated(&given_up[0].part).await.unwrap();
    drop(store);
    let reopened = folder.store();
    assert_eq!(reopened.undelivered_notices(FIVE_MINUTES).await.unwrap(), []);
}

#[tokio::test]
async fn a_notice_that_arrived_or_was_deleted_is_not_told() {
    let folder = Folder::new();
    let store = folder.store();
    urgent(&store, "1").await;
    let item = claim(&store).await.unwrap();
    let message = bedside_contract::PlatformMessageId("m".to_owned());
    settle(&store, &item, SendOutcome::Sent { message }).await;
    assert_eq!(store.undelivered_notices(Duration::ZERO).await.unwrap(), []);
    urgent(&store, "2").await;
    assert_eq!(store.undelivered_notices(Duration::ZERO).await.unwrap().len(), 1);
    store.delete_conversation(&chat(), "on request").await.unwrap();
    assert_eq!(store.undelivered_notices(Duration::ZERO).await.unwrap(), []);
}
