//! Accepted once, worked on in order, ended once.

use std::{collections::HashSet, sync::Arc};

use bedside_contract::{Cursor, Receipt, TurnState, UpdateKind};

use super::{
    Place, answered, ask, chat, lease_next, say, text, transcript_texts, turn_texts, unfinished, update,
};

pub async fn an_update_is_accepted_once(place: &dyn Place) {
    let store = place.open().await;
    let mut second_bot = text(&chat("a"), "1", "one");
    second_bot.bot = "second".to_owned();
    let mut second_platform = text(&chat("a"), "1", "one");
    second_platform.platform = "telegram".to_owned();

    let updates = vec![
        text(&chat("a"), "1", "one"),
        text(&chat("b"), "1", "again"),
        second_bot,
        second_platform,
    ];
    let receipts = store.accept(updates, None).await.expect("accept");
    assert_eq!(
        receipts.iter().map(|it| it.duplicate).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert_eq!(receipts[0].seq, receipts[1].seq);
    assert_eq!(receipts.iter().map(|it| it.seq).collect::<HashSet<_>>().len(), 3);

    let again = store
        .accept(vec![text(&chat("a"), "1", "one")], None)
        .await
        .expect("accept");
    let duplicate = Receipt {
        seq: receipts[0].seq,
        duplicate: true,
    };
    assert_eq!(again, [duplicate]);
    lease_next(&*store, &chat("a")).await.expect("one message");
    assert!(
        store
            .finish(answered(&chat("a"), receipts[0].seq, &["yes"]))
            .await
            .expect("finish")
    );
    let reopened = place.open().await;
    assert_eq!(
        reopened
            .accept(vec![text(&chat("a"), "1", "one")], None)
            .await
            .expect("accept"),
        [duplicate]
    );
    assert_eq!(store.accept(Vec::new(), None).await.expect("accept"), []);
}

pub async fn a_hundred_deliveries_at_once_are_one(place: &dyn Place) {
    let store = place.open().await;
    let deliveries: Vec<_> = (0..100)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.accept(vec![text(&chat("a"), "same", "same")], None).await })
        })
        .collect();
    let mut receipts = Vec::new();
    for delivery in deliveries {
        receipts.extend(delivery.await.expect("no panic").expect("accept"));
    }
    assert_eq!(receipts.len(), 100);
    assert_eq!(receipts.iter().filter(|it| !it.duplicate).count(), 1);
    assert!(receipts.iter().all(|it| it.seq == receipts[0].seq));
    assert_eq!(transcript_texts(&*store, &chat("a"), 0).await, ["p:same"]);
    assert!(lease_next(&*store, &chat("a")).await.is_some());
}

pub async fn a_cursor_moves_with_its_updates(place: &dyn Place) {
    let store = place.open().await;
    let cursor = |bot: &str, value: &str| {
        Some(Cursor {
            platform: "telegram".to_owned(),
            bot: bot.to_owned(),
            value: value.to_owned(),
        })
    };
    assert_eq!(store.cursor("telegram", "main").await.expect("cursor"), None);
    store
        .accept(vec![text(&chat("a"), "1", "one")], cursor("main", "10"))
        .await
        .expect("accept");
    store
        .accept(Vec::new(), cursor("main", "11"))
        .await
        .expect("accept");
    store
        .accept(Vec::new(), cursor("second", "7"))
        .await
        .expect("accept");
    let reopened = place.open().await;
    for (bot, expect) in [("main", Some("11")), ("second", Some("7")), ("third", None)] {
        let value = reopened.cursor("telegram", bot).await.expect("cursor");
        assert_eq!(value.as_deref(), expect, "{bot}");
    }
}

pub async fn messages_are_leased_in_order(place: &dyn Place) {
    let store = place.open().await;
    let (a, b) = (chat("a"), chat("b"));
    let first = say(&*store, &a, "a1").await;
    let other = say(&*store, &b, "b1").await;
    let second = say(&*store, &a, "a2").await;
    assert!(first < other && other < second);

    let item = lease_next(&*store, &a).await.expect("a1");
    assert_eq!(
        (item.seq, item.attempts, item.update.text()),
        (first, 1, Some("a1"))
    );
    assert!(item.received_ms > 1_600_000_000_000);
    assert!(lease_next(&*store, &a).await.is_none(), "a1 is in work");
    assert_eq!(lease_next(&*store, &b).await.expect("b1").seq, other);

    assert!(store.finish(answered(&a, first, &[])).await.expect("finish"));
    assert_eq!(lease_next(&*store, &a).await.expect("a2").seq, second);
    let mut dead = answered(&a, second, &["sorry"]);
    dead.state = TurnState::Dead;
    assert!(store.finish(dead).await.expect("finish"));
    assert!(lease_next(&*store, &a).await.is_none());
    assert!(lease_next(&*store, &chat("nobody")).await.is_none());
}

pub async fn a_message_can_be_leased_out_of_order(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let (first, second, urgent) = (
        say(&*store, &a, "1").await,
        say(&*store, &a, "2").await,
        say(&*store, &a, "3").await,
    );
    assert_eq!(lease_next(&*store, &a).await.expect("first").seq, first);

    let item = store.lease(urgent).await.expect("lease").expect("it is new");
    assert_eq!((item.seq, item.attempts), (urgent, 1));
    assert!(
        store.lease(urgent).await.expect("lease").is_none(),
        "leased already"
    );
    assert!(store.finish(answered(&a, first, &[])).await.expect("finish"));
    assert!(lease_next(&*store, &a).await.is_none(), "one at a time");
    assert!(store.finish(answered(&a, urgent, &[])).await.expect("finish"));
    assert!(store.lease(urgent).await.expect("lease").is_none(), "ended");
    assert_eq!(lease_next(&*store, &a).await.expect("second").seq, second);
}

pub async fn attempts_are_counted_before_the_work(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let seq = say(&*store, &a, "1").await;
    for expect in 1..=3 {
        let store = place.open().await;
        assert_eq!(
            lease_next(&*store, &a).await.expect("void lease").attempts,
            expect
        );
    }
    let store = place.open().await;
    for _ in 0..2 {
        assert_eq!(lease_next(&*store, &a).await.expect("given back").attempts, 4);
        store.release(seq).await.expect("release");
    }
    store
        .release(seq)
        .await
        .expect("a release without a lease is nothing");
    assert_eq!(store.lease(seq).await.expect("lease").expect("new").attempts, 4);
}

pub async fn a_message_that_waits_is_not_counted(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let seq = say(&*store, &a, "1").await;
    store.count_attempt(seq).await.expect("nothing without a lease");
    for goes_on in [false, false, true] {
        let store = place.open().await;
        assert_eq!(lease_next(&*store, &a).await.expect("void lease").attempts, 1);
        store.uncount_attempt(seq).await.expect("uncount_attempt");
        if goes_on {
            store.count_attempt(seq).await.expect("count_attempt");
        }
    }
    let store = place.open().await;
    assert_eq!(lease_next(&*store, &a).await.expect("void lease").attempts, 2);
}

pub async fn a_lost_lease_finishes_nothing(place: &dyn Place) {
    let old = place.open().await;
    let a = chat("a");
    let seq = say(&*old, &a, "1").await;
    lease_next(&*old, &a).await.expect("leased by the first");

    let new = place.open().await;
    assert!(
        !old.finish(answered(&a, seq, &["late"])).await.expect("finish"),
        "void since the second opened"
    );
    assert_eq!(
        lease_next(&*new, &a)
            .await
            .expect("leased by the second")
            .attempts,
        2
    );
    assert!(
        !old.finish(answered(&a, seq, &["late"])).await.expect("finish"),
        "the second holds it"
    );
    old.release(seq).await.expect("release");
    assert!(
        lease_next(&*new, &a).await.is_none(),
        "the first cannot release it"
    );

    assert!(new.finish(answered(&a, seq, &["answer"])).await.expect("finish"));
    assert!(!old.finish(answered(&a, seq, &["late"])).await.expect("finish"));
    assert_eq!(transcript_texts(&*new, &a, 0).await, ["p:1", "b:answer"]);
    assert_eq!(
        turn_texts(&*new, &a, 10).await,
        [format!("question {seq}"), "answer".to_owned()]
    );
}

pub async fn a_turn_ends_once(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let seq = say(&*store, &a, "1").await;
    assert!(
        !store.finish(answered(&a, seq, &["x"])).await.expect("finish"),
        "not leased yet"
    );
    lease_next(&*store, &a).await.expect("leased");
    assert!(
        !store
            .finish(answered(&chat("b"), seq, &["x"]))
            .await
            .expect("finish"),
        "another's message"
    );
    assert!(store.finish(answered(&a, seq, &["x"])).await.expect("finish"));
    assert!(
        !store.finish(answered(&a, seq, &["x"])).await.expect("finish"),
        "ended"
    );
    assert_eq!(transcript_texts(&*store, &a, 0).await, ["p:1", "b:x"]);
    assert_eq!(turn_texts(&*store, &a, 10).await.len(), 2);
}

pub async fn conversations_are_listed_oldest_first(place: &dyn Place) {
    let store = place.open().await;
    let (a, b, c) = (chat("a"), chat("b"), chat("c"));
    ask(&*store, &a, "a1", &["x"]).await;
    say(&*store, &c, "c1").await;
    say(&*store, &b, "b1").await;
    say(&*store, &a, "a2").await;
    say(&*store, &c, "c2").await;
    let joined = update(&chat("d"), "d1", UpdateKind::Joined);
    store.accept(vec![joined], None).await.expect("accept");
    lease_next(&*store, &b).await.expect("b1");
    assert_eq!(unfinished(&*store).await, ["c", "b", "a", "d"]);
}

pub async fn many_conversations_at_once(place: &dyn Place) {
    let store = place.open().await;
    let talks: Vec<_> = (0..16)
        .map(|name| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let a = chat(&format!("chat {name}"));
                for number in 0..10 {
                    let answer = format!("{name}/{number}");
                    let seq = say(&*store, &a, &answer).await;
                    assert_eq!(lease_next(&*store, &a).await.expect("own write is seen").seq, seq);
                    assert!(store.finish(answered(&a, seq, &[&answer])).await.expect("finish"));
                    assert_eq!(turn_texts(&*store, &a, 1).await, [answer], "own write is seen");
                }
                transcript_texts(&*store, &a, 0).await
            })
        })
        .collect();
    for (name, talk) in talks.into_iter().enumerate() {
        let said = talk.await.expect("no panic");
        let expect: Vec<_> = (0..10)
            .flat_map(|it| [format!("p:{name}/{it}"), format!("b:{name}/{it}")])
            .collect();
        assert_eq!(said, expect);
    }
    assert_eq!(unfinished(&*store).await, [""; 0]);
    assert!(store.is_healthy());
}
