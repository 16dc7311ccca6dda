//! What is remembered, shown again and forgotten.

use bedside_contract::{
    ConversationSettings, ConversationState, Language, PlatformMessageId, QuickReply, SendOutcome, UpdateKind,
};

use super::{
    Place, answered, ask, ask_with, chat, claim, claim_text, lease_next, say, text, transcript_texts,
    turn_texts, undelivered, unfinished, update,
};

pub async fn turns_are_remembered_since_the_last_reset(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    assert_eq!(
        store.conversation(&a, 10).await.expect("conversation"),
        ConversationState::default()
    );
    let first = ask(&*store, &a, "1", &["one"]).await;
    let second = ask(&*store, &a, "2", &["two", "not remembered"]).await;
    let (first, second) = (format!("question {first}"), format!("question {second}"));
    for (max_turns, expect) in [
        (0, &[] as &[&str]),
        (3, &["one", &second, "two"]),
        (9, &[&first, "one", &second, "two"]),
    ] {
        assert_eq!(turn_texts(&*store, &a, max_turns).await, expect, "{max_turns}");
    }

    ask_with(&*store, &a, "3", &["new start"], |it| {
        it.reset = true;
        it.turns.clear();
    })
    .await;
    assert_eq!(turn_texts(&*store, &a, usize::MAX).await, [""; 0]);
    let seq = ask(&*store, &a, "4", &["four"]).await;
    assert_eq!(
        turn_texts(&*store, &a, 9).await,
        [format!("question {seq}"), "four".to_owned()]
    );
    let seq = ask_with(&*store, &a, "5", &["five"], |it| it.reset = true).await;
    let reopened = place.open().await;
    assert_eq!(
        turn_texts(&*reopened, &a, 9).await,
        [format!("question {seq}"), "five".to_owned()]
    );
    assert_eq!(
        transcript_texts(&*reopened, &a, 0).await.len(),
        11,
        "the transcript goes on"
    );
}

pub async fn settings_are_kept(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let settings = ConversationSettings {
        consent_ms: Some(1_700_000_000_000),
        consent_version: Some("en-0a1b2c3d".to_owned()),
        held_questions: vec!["我头疼".to_owned(), "两天了".to_owned()],
        language: Some(Language::Zh),
        last_language: None,
        department: Some("neurology".to_owned()),
        offered: vec![QuickReply {
            label: "同意".to_owned(),
            data: "consent:yes".to_owned(),
        }],
        with_human: true,
    };
    ask_with(&*store, &a, "1", &["one"], |it| {
        it.settings = Some(settings.clone())
    })
    .await;
    ask_with(&*store, &a, "2", &["two"], |it| it.reset = true).await;
    let reopened = place.open().await;
    assert_eq!(
        reopened.conversation(&a, 9).await.expect("conversation").settings,
        settings
    );
    let other = reopened
        .conversation(&chat("b"), 9)
        .await
        .expect("conversation")
        .settings;
    assert_eq!(other, ConversationSettings::default());
}

pub async fn the_transcript_is_in_order(place: &dyn Place) {
    let store = place.open().await;
    let (a, b) = (chat("a"), chat("b"));
    let seq = say(&*store, &a, "page-1").await;
    say(&*store, &b, "other").await;
    lease_next(&*store, &a).await.expect("leased");
    let choice = update(
        &a,
        "page-2",
        UpdateKind::Choice {
            data: "yes".to_owned(),
        },
    );
    let joined = update(&a, "page-3", UpdateKind::Joined);
    let picture = update(
        &a,
        "page-4",
        UpdateKind::Unreadable {
            what: "picture".to_owned(),
        },
    );
    store
        .accept(vec![choice, joined, picture], None)
        .await
        .expect("accept");
    assert!(
        store
            .finish(answered(&a, seq, &["one", "two"]))
            .await
            .expect("finish")
    );
    say(&*store, &a, "page-5").await;

    let expect = ["p:page-1", "p:yes", "b:one", "b:two", "p:page-5"];
    assert_eq!(
        transcript_texts(&*store, &a, 0).await,
        expect,
        "before any delivery"
    );
    let entries = store.transcript(&a, 0, usize::MAX).await.expect("transcript");
    assert!(entries.is_sorted_by(|left, right| left.id < right.id));
    assert!(entries[0].id > 0);
    let page = store.transcript(&a, entries[0].id, 2).await.expect("transcript");
    assert!(
        page.iter().map(|it| it.id).eq([entries[1].id, entries[2].id]),
        "two and no more"
    );
    let ids: Vec<_> = entries.iter().map(|it| it.external_id.as_deref()).collect();
    assert_eq!(ids, [Some("page-1"), Some("page-2"), None, None, Some("page-5")]);
    assert!([0, 2, 3].iter().all(|it| entries[*it].seq == seq));
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(
            transcript_texts(&*store, &a, entry.id).await,
            expect[index + 1..],
            "after {index}"
        );
    }
    let item = claim(&*store, &a).await.expect("a part");
    let sent = SendOutcome::Sent {
        message: PlatformMessageId("m".to_owned()),
    };
    store.settle_part(&item.id, sent).await.expect("settle_part");
    assert_eq!(
        transcript_texts(&*place.open().await, &a, 0).await,
        expect,
        "after a delivery and a restart"
    );
}

pub async fn a_deleted_conversation_is_gone(place: &dyn Place) {
    let store = place.open().await;
    let (a, b) = (chat("a"), chat("b"));
    let settings = ConversationSettings {
        with_human: true,
        ..ConversationSettings::default()
    };
    ask_with(&*store, &a, "1", &["one", "two"], |it| {
        it.settings = Some(settings)
    })
    .await;
    ask(&*store, &b, "b1", &["other"]).await;
    say(&*store, &a, "2").await;
    store.delete_conversation(&a, "on request").await.expect("delete");

    assert_eq!(
        store.conversation(&a, 9).await.expect("conversation"),
        ConversationState::default()
    );
    assert_eq!(transcript_texts(&*store, &a, 0).await, [""; 0]);
    assert!(claim(&*store, &a).await.is_none());
    assert!(lease_next(&*store, &a).await.is_none());
    assert_eq!(undelivered(&*store).await, ["b"]);
    assert_eq!(unfinished(&*store).await, [""; 0]);
    assert_eq!(
        transcript_texts(&*store, &b, 0).await,
        ["p:b1", "b:other"],
        "others stay"
    );
    for external_id in ["1", "2"] {
        let receipts = store
            .accept(vec![text(&a, external_id, "again")], None)
            .await
            .expect("accept");
        assert!(receipts[0].duplicate, "what dedupe needs stays");
    }
    ask(&*store, &a, "3", &["new"]).await;
    assert_eq!(
        transcript_texts(&*place.open().await, &a, 0).await,
        ["p:3", "b:new"]
    );
}

pub async fn what_came_after_a_delete_stays(place: &dyn Place) {
    let old = place.open().await;
    let a = chat("a");
    ask(&*old, &a, "1", &["one"]).await;
    let delete = say(&*old, &a, "/delete").await;
    say(&*old, &a, "later").await;
    lease_next(&*old, &a).await.expect("/delete");
    old.delete_conversation(&a, "on request").await.expect("delete");

    let store = place.open().await;
    let again = lease_next(&*store, &a)
        .await
        .expect("a crash in between does it again");
    assert_eq!(
        (again.seq, again.update.text(), again.attempts),
        (delete, Some("/delete"), 2)
    );
    store.delete_conversation(&a, "on request").await.expect("delete");
    assert!(
        store
            .finish(answered(&a, delete, &["deleted"]))
            .await
            .expect("finish")
    );
    assert_eq!(
        turn_texts(&*store, &a, 9).await,
        [""; 0],
        "what was in work is not remembered"
    );
    assert_eq!(transcript_texts(&*store, &a, 0).await, ["p:later", "b:deleted"]);
    assert_eq!(
        claim_text(&*store, &a).await.as_deref(),
        Some("deleted"),
        "what it answers is delivered"
    );
    assert_eq!(
        lease_next(&*store, &a).await.expect("later").update.text(),
        Some("later")
    );
}
