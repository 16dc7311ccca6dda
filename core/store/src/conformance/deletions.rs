//! What a deletion leaves: nothing that was said, and nobody's id.

use std::{thread, time::Duration};

use bedside_contract::{
    ConversationSettings, Cursor, FinishedTurn, PlatformMessageId, QuickReply, SendOutcome, Store, Update,
};

use super::{Place, answered, chat, claim, lease_next, say, text, transcript_texts};

/// Each stands for something that must not stay.
const CHAT: &str = "canary-chat-8841";
const SENDER: &str = "canary-sender-2207";
const EVENT: &str = "canary-event-oP17";
const WORDS: &str = "渗出性胸膜炎 canary-words-7391";
const ANSWER: &str = "canary-answer-5120";
const HELD: &str = "canary-held-6606";
const TOKEN: &str = "canary-token-3318";
const WAITING: &str = "canary-waiting-9904";

fn holds(place: &dyn Place, canary: &str) -> bool {
    let bytes = place.bytes();
    bytes.windows(canary.len()).any(|it| it == canary.as_bytes())
}

/// The log is written back a moment after the deletion has been acknowledged.
fn check_gone(place: &dyn Place, canaries: &[&str]) {
    for canary in canaries {
        let mut tries = 0;
        while holds(place, canary) {
            tries += 1;
            assert!(tries < 100, "{canary} is still there");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A whole conversation: answered, asked again, with everything that may be noted beside the words.
async fn talk(store: &dyn Store) {
    let a = chat(CHAT);
    let update = |external_id: &str, words: &str| Update {
        sender: SENDER.to_owned(),
        ..text(&a, external_id, words)
    };
    let receipts = store
        .accept(vec![update(EVENT, WORDS)], None)
        .await
        .expect("accept");
    let seq = receipts[0].seq;
    store.lease(seq).await.expect("lease").expect("new");
    let shown = PlatformMessageId(format!("{TOKEN}-preview"));
    store.put_preview(seq, &shown).await.expect("put_preview");
    let settings = ConversationSettings {
        held_questions: vec![HELD.to_owned()],
        offered: vec![QuickReply {
            label: HELD.to_owned(),
            data: HELD.to_owned(),
        }],
        ..ConversationSettings::default()
    };
    let finished = FinishedTurn {
        settings: Some(settings),
        ..answered(&a, seq, &[ANSWER, ANSWER])
    };
    assert!(store.finish(finished).await.expect("finish"));
    let item = claim(store, &a).await.expect("a part");
    let message = PlatformMessageId(TOKEN.to_owned());
    let sent = SendOutcome::Sent { message };
    store.settle_part(&item.id, sent).await.expect("settle_part");
    let receipts = store
        .accept(vec![update(WAITING, WORDS)], None)
        .await
        .expect("accept");
    store.lease(receipts[0].seq).await.expect("lease").expect("new");
    store
        .put_preview(receipts[0].seq, &PlatformMessageId(TOKEN.to_owned()))
        .await
        .expect("put_preview");
    store.release(receipts[0].seq).await.expect("release");
}

pub async fn deleted_words_and_ids_are_in_no_byte(place: &dyn Place) {
    let store = place.open().await;
    talk(&*store).await;
    say(&*store, &chat("b"), "canary-of-somebody-else").await;
    let canaries = [CHAT, SENDER, EVENT, WORDS, ANSWER, HELD, TOKEN, WAITING];
    for canary in canaries {
        assert!(holds(place, canary), "{canary} was never there");
    }
    let a = chat(CHAT);
    store.delete_conversation(&a, "on request").await.expect("delete");
    check_gone(place, &canaries);
    assert!(holds(place, "canary-of-somebody-else"));

    // Repeats are still known, before and after a restart, and bring nothing back.
    for store in [store, place.open().await] {
        for external_id in [EVENT, WAITING] {
            let again = store.accept(vec![text(&a, external_id, WORDS)], None).await;
            assert!(again.expect("accept")[0].duplicate, "{external_id}");
        }
        let fresh = Cursor {
            platform: "web".to_owned(),
            bot: "main".to_owned(),
            value: "7".to_owned(),
        };
        store.accept(Vec::new(), Some(fresh)).await.expect("accept");
    }
    check_gone(place, &canaries);
}

pub async fn what_was_in_work_is_forgotten_at_its_end(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    talk(&*store).await;
    say(&*store, &a, "canary-delete-4471").await;
    let item = lease_next(&*store, &a).await.expect("the deletion");
    store.delete_conversation(&a, "on request").await.expect("delete");
    assert!(holds(place, "canary-delete-4471"), "a crash takes it up again");
    let finished = answered(&a, item.seq, &["deleted"]);
    assert!(store.finish(finished).await.expect("finish"));
    check_gone(place, &["canary-delete-4471"]);
    let again = store
        .accept(vec![text(&a, "canary-delete-4471", "again")], None)
        .await;
    let receipt = again.expect("accept")[0];
    assert_eq!((receipt.seq, receipt.duplicate), (item.seq, true));
    assert_eq!(transcript_texts(&*store, &a, 0).await, ["b:deleted"]);
}

pub async fn a_deletion_spares_the_place_of_its_own_answer(place: &dyn Place) {
    let store = place.open().await;
    let a = chat("a");
    let seq = say(&*store, &a, "1").await;
    lease_next(&*store, &a).await.expect("the deletion");
    let shown = PlatformMessageId("thinking".to_owned());
    store.put_preview(seq, &shown).await.expect("put_preview");
    store.delete_conversation(&a, "on request").await.expect("delete");
    assert!(
        store
            .finish(answered(&a, seq, &["deleted"]))
            .await
            .expect("finish")
    );
    let item = claim(&*store, &a).await.expect("a part");
    assert_eq!(item.replaces, Some(shown));
}

pub async fn what_plugins_keep_of_a_conversation_goes(place: &dyn Place) {
    let store = place.open().await;
    let ids = ["canary-0a1b", "canary-2c3d"];
    let [first, second] = ids;
    let put = async |plugin: &str, key: &str| {
        store
            .plugin_put(plugin, key, b"canary-value", 200)
            .await
            .expect("plugin_put");
    };
    for key in [
        first.to_owned(),
        format!("count/{first}"),
        format!("{first}/聊天"),
        second.to_owned(),
    ] {
        put("a", &key).await;
    }
    put("b", first).await;
    assert_eq!(store.plugins_with_data().await.expect("plugins"), ["a", "b"]);
    let forget =
        async |plugin: &str, part: &str| store.plugin_forget(plugin, part).await.expect("plugin_forget");
    assert_eq!(forget("a", "").await, 0, "nothing is no conversation");
    assert_eq!(forget("c", first).await, 0);
    assert_eq!(forget("a", first).await, 3);
    assert_eq!(forget("a", first).await, 0);
    assert_eq!(store.plugin_list("a", "").await.expect("plugin_list"), [second]);
    assert_eq!(
        store.plugin_list("b", "").await.expect("plugin_list"),
        [first],
        "others keep theirs"
    );
    // The quota is free again: 200 bytes but for the one entry that is left.
    let left = 200 - second.len() - "canary-value".len() - 1;
    store
        .plugin_put("a", "k", &vec![7; left], 200)
        .await
        .expect("room");
    store
        .plugin_put("a", "l", b"", 200)
        .await
        .expect_err("and no more than that");
    assert_eq!(forget("b", first).await, 1);
    assert_eq!(store.plugins_with_data().await.expect("plugins"), ["a"]);
    check_gone(place, &[first]);
    assert!(holds(place, second));
}
