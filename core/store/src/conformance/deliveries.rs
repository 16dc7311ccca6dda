//! Parts leave in order, urgent ones first, and no send is forgotten.

use std::collections::HashSet;

use bedside_contract::{ConversationKey, OutboxItem, PartId, PlatformMessageId, SendOutcome, Store};

use super::{Place, answered, ask, ask_with, chat, claim, claim_text, lease_next, say, undelivered};

const HOUR_MS: u64 = 3_600_000;

fn sent() -> SendOutcome {
    SendOutcome::Sent {
        message: PlatformMessageId("m1".to_owned()),
    }
}

fn retry(after_ms: u64) -> SendOutcome {
    SendOutcome::Retry {
        after_ms,
        may_have_arrived: false,
    }
}

async fn settle(store: &dyn Store, item: &OutboxItem, outcome: SendOutcome) {
    store.settle_part(&item.id, outcome).await.expect("settle_part");
}

async fn urgent(store: &dyn Store, conversation: &ConversationKey, external_id: &str, answers: &[&str]) {
    ask_with(store, conversation, external_id, answers, |it| it.urgent = true).await;
}

pub async fn parts_leave_in_order(place: &dyn Place) {
    let store = place.open().await;
    let (a, b) = (chat("a"), chat("b"));
    let seq = ask(&*store, &a, "a1", &["1", "2"]).await;
    ask(&*store, &b, "b1", &["other"]).await;
    ask(&*store, &a, "a2", &["3"]).await;
    assert_eq!(undelivered(&*store).await, ["a", "b"]);

    let mut ids = HashSet::<PartId>::new();
    for expect in ["1", "2", "3"] {
        let item = claim(&*store, &a).await.expect("a part");
        assert_eq!(
            (item.part.text.as_str(), item.attempts, item.replaces.as_ref()),
            (expect, 1, None)
        );
        assert_eq!(item.conversation, a);
        assert!(claim(&*store, &a).await.is_none(), "one at a time");
        settle(&*store, &item, sent()).await;
        assert_eq!(item.seq == seq, expect != "3");
        assert!(ids.insert(item.id), "each part has its own id");
    }
    assert!(claim(&*store, &a).await.is_none());
    assert_eq!(undelivered(&*store).await, ["b"]);
    assert_eq!(claim_text(&*store, &b).await.as_deref(), Some("other"));
}

pub async fn urgent_parts_overtake(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    ask(&*store, &a, "1", &["slow", "later"]).await;
    let slow = claim(&*store, &a).await.expect("a part");
    urgent(&*store, &a, "2", &["call 120", "now"]).await;

    let first = claim(&*store, &a)
        .await
        .expect("overtakes even what is being sent");
    assert_eq!(first.part.text, "call 120");
    settle(&*store, &slow, sent()).await;
    assert!(
        claim(&*store, &a).await.is_none(),
        "nothing before the rest of what is urgent"
    );
    settle(&*store, &first, sent()).await;
    let second = claim(&*store, &a).await.expect("a part");
    assert_eq!(second.part.text, "now");
    settle(&*store, &second, sent()).await;
    assert_eq!(claim_text(&*store, &a).await.as_deref(), Some("later"));
}

pub async fn a_part_that_is_not_due_holds_up_those_behind_it(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    ask(&*store, &a, "1", &["first", "second"]).await;
    let first = claim(&*store, &a).await.expect("a part");
    settle(&*store, &first, retry(0)).await;
    let again = claim(&*store, &a).await.expect("due at once");
    assert_eq!((&again.id, again.attempts), (&first.id, 2));
    settle(&*store, &again, retry(HOUR_MS)).await;
    assert!(
        claim(&*store, &a).await.is_none(),
        "neither it nor those behind it"
    );
    assert_eq!(undelivered(&*store).await, ["a"]);

    urgent(&*store, &a, "2", &["call 120"]).await;
    assert_eq!(
        claim_text(&*store, &a).await.as_deref(),
        Some("call 120"),
        "except what is urgent"
    );
    let reopened = place.open().await;
    let urgent = claim(&*reopened, &a).await.expect("its send was interrupted");
    settle(&*reopened, &urgent, sent()).await;
    assert!(
        claim(&*reopened, &a).await.is_none(),
        "a restart does not forget the wait"
    );
}

pub async fn a_parked_part_waits_for_its_patient(place: &dyn Place) {
    let store = place.open().await;
    let (a, b) = (chat("a"), chat("b"));
    ask(&*store, &a, "1", &["first", "second"]).await;
    ask(&*store, &b, "2", &["other"]).await;
    for conversation in [&a, &b] {
        let item = claim(&*store, conversation).await.expect("a part");
        settle(&*store, &item, SendOutcome::Parked).await;
    }
    assert!(
        claim(&*store, &a).await.is_none(),
        "those behind a parked part wait too"
    );
    assert_eq!(undelivered(&*store).await, [""; 0], "nothing to do for a sender");
    urgent(&*store, &a, "3", &["call 120"]).await;
    assert_eq!(undelivered(&*store).await, ["a"]);
    let notice = claim(&*store, &a).await.expect("what is urgent is not held up");
    settle(&*store, &notice, SendOutcome::Parked).await;

    let reopened = place.open().await;
    assert!(
        claim(&*reopened, &a).await.is_none(),
        "a restart does not release it"
    );
    assert_eq!(reopened.release_parked(&a).await.expect("release_parked"), 3);
    assert_eq!(undelivered(&*reopened).await, ["a"]);
    assert_eq!(reopened.release_parked(&a).await.expect("release_parked"), 0);
    for expect in ["call 120", "first", "second"] {
        let item = claim(&*reopened, &a).await.expect("released");
        assert_eq!(
            (item.part.text.as_str(), item.attempts),
            (expect, 1),
            "waiting is no attempt"
        );
        settle(&*reopened, &item, sent()).await;
    }
    assert!(
        claim(&*reopened, &b).await.is_none(),
        "another patient's words release nothing"
    );
}

pub async fn what_was_sent_can_be_sent_again(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let first = ask(&*store, &a, "1", &["one", "two"]).await;
    ask(&*store, &a, "2", &["three"]).await;
    for _ in 0..2 {
        let item = claim(&*store, &a).await.expect("a part");
        settle(&*store, &item, sent()).await;
    }
    assert_eq!(store.resend(&chat("b"), first).await.expect("resend"), 0);
    assert_eq!(store.resend(&a, first).await.expect("resend"), 2);
    assert_eq!(
        store.resend(&a, first).await.expect("resend"),
        0,
        "they are due already"
    );
    for expect in ["one", "two", "three"] {
        let item = claim(&*store, &a).await.expect("a part");
        assert_eq!(item.part.text, expect, "in their old places");
        settle(&*store, &item, sent()).await;
    }
}

pub async fn an_interrupted_send_is_tried_again(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    ask(&*store, &a, "1", &["first", "second"]).await;
    let item = claim(&*store, &a).await.expect("a part");

    let reopened = place.open().await;
    let again = claim(&*reopened, &a).await.expect("outcome unknown");
    assert_eq!(
        (&again.id, again.attempts),
        (&item.id, 2),
        "with the same id, counted"
    );
    settle(
        &*reopened,
        &again,
        SendOutcome::Retry {
            after_ms: 0,
            may_have_arrived: true,
        },
    )
    .await;
    let third = claim(&*reopened, &a).await.expect("outcome unknown");
    assert_eq!((&third.id, third.attempts), (&item.id, 3));
    settle(&*reopened, &third, sent()).await;
    assert_eq!(claim_text(&*reopened, &a).await.as_deref(), Some("second"));
}

pub async fn a_dead_part_makes_room(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    ask(&*store, &a, "1", &["first", "second"]).await;
    let first = claim(&*store, &a).await.expect("a part");
    settle(
        &*store,
        &first,
        SendOutcome::Dead {
            reason: "blocked".to_owned(),
        },
    )
    .await;
    let second = claim(&*store, &a).await.expect("a part");
    assert_eq!(second.part.text, "second");
    settle(
        &*store,
        &second,
        SendOutcome::Dead {
            reason: "blocked".to_owned(),
        },
    )
    .await;
    assert_eq!(undelivered(&*store).await, [""; 0]);
}

pub async fn settling_twice_changes_nothing(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    ask(&*store, &a, "1", &["first"]).await;
    let item = claim(&*store, &a).await.expect("a part");
    settle(&*store, &item, sent()).await;
    for late in [
        retry(0),
        SendOutcome::Dead {
            reason: "late".to_owned(),
        },
        sent(),
    ] {
        settle(&*store, &item, late).await;
        assert!(claim(&*store, &a).await.is_none());
    }
    store
        .settle_part(&PartId("nobody's".to_owned()), sent())
        .await
        .expect("a part that is gone is nothing");
}

pub async fn a_preview_becomes_part_zero(place: &dyn Place) {
    let old = place.open().await;
    let a = chat("a");
    let seq = say(&*old, &a, "1").await;
    lease_next(&*old, &a).await.expect("leased");
    assert_eq!(old.preview(seq).await.expect("preview"), None);
    for message in ["m1", "m2"] {
        old.put_preview(seq, &PlatformMessageId(message.to_owned()))
            .await
            .expect("put_preview");
    }

    let new = place.open().await;
    let shown = PlatformMessageId("m2".to_owned());
    assert_eq!(
        new.preview(seq).await.expect("preview"),
        Some(shown.clone()),
        "survives a crash"
    );
    lease_next(&*new, &a).await.expect("leased");
    assert!(
        new.finish(answered(&a, seq, &["first", "second"]))
            .await
            .expect("finish")
    );
    assert_eq!(new.preview(seq).await.expect("preview"), None);
    for replaces in [Some(shown), None] {
        let item = claim(&*new, &a).await.expect("a part");
        assert_eq!(item.replaces, replaces);
        settle(&*new, &item, sent()).await;
    }
}

pub async fn a_preview_needs_a_lease(place: &dyn Place) {
    let old = place.open().await;
    let a = chat("a");
    let seq = say(&*old, &a, "1").await;
    let message = PlatformMessageId("m1".to_owned());
    old.put_preview(seq, &message).await.expect_err("not leased yet");
    lease_next(&*old, &a).await.expect("leased");
    let new = place.open().await;
    old.put_preview(seq, &message)
        .await
        .expect_err("the lease is void");
    assert_eq!(new.preview(seq).await.expect("preview"), None);
}
