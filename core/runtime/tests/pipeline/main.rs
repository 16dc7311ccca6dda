//! The whole way of a message, with the real store and rules and a scripted model.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod answers_off;
mod attacks;
mod common;
mod crowd;
mod deletion;
mod hidden;
mod observed;
mod passive;
mod room;
mod safety;
mod third;
mod worst;

use std::{sync::atomic::Ordering, time::Duration};

use bedside_contract::{
    Conversations, DeliverError, Inbox, Intake, Language, PartKind, PluginStorage, StoreError,
};
use bedside_store::SqliteStore;
use common::{Recorder, Script, ScriptedPlugins, Stage, chat, update};

const EN: &[Language] = &[Language::En];

fn stage(scripts: &[Script]) -> Stage {
    Stage::new(EN, scripts, ScriptedPlugins::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_comes_first_and_the_question_is_not_forgotten() {
    let stage = stage(&[Script::Say("Rest and drink enough fluids.")]);
    let key = chat("a");
    stage.says(&key, "what helps against a cold?").await;
    let asked = stage.parts(1).await;
    assert!(asked[0].contains("Do you agree?"), "{asked:?}");
    assert_eq!(
        stage.platform.delivered.lock().unwrap()[0]
            .part
            .quick_replies
            .len(),
        2
    );
    assert!(
        stage.model.prompts.lock().unwrap().is_empty(),
        "the model must not be asked before consent"
    );
    stage.says(&key, "I agree").await;
    let answered = stage.parts(2).await;
    assert!(
        answered[1].contains("About your question") && answered[1].contains("drink enough fluids"),
        "{answered:?}"
    );
    assert!(answered[1].contains("[1] Common cold – Treatment") && answered[1].contains("Written by AI"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_consent_keeps_nothing() {
    let stage = stage(&[]);
    let key = chat("a");
    stage.says(&key, "what helps against a cold?").await;
    stage.parts(1).await;
    stage.says(&key, "consent:no").await;
    stage
        .wait(|it| {
            it.iter()
                .any(|it| it.part.plain_text().contains("I will not answer"))
        })
        .await;
    let state = stage.store.conversation(&key, 10).await.unwrap();
    assert_eq!((state.settings.held_questions.len(), state.turns.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_needs_neither_consent_nor_model() {
    let stage = stage(&[]);
    stage
        .says(&chat("a"), "My chest feels crushed and my left arm is numb")
        .await;
    let parts = stage.parts(1).await;
    assert!(parts[0].contains("120"), "{parts:?}");
    assert_eq!(
        stage.platform.delivered.lock().unwrap()[0].part.kind,
        PartKind::Emergency
    );
    stage.settled().await;
    assert_eq!(stage.texts().len(), 1);
    assert!(stage.model.prompts.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ends_the_running_answer_and_overtakes_it() {
    let stage = stage(&[Script::SayAndHang("Rest and drink enough fluids. Honey ")]);
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    for _ in 0..500 {
        if !stage.platform.previews.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stage.says(&key, "胸口压榨样疼，左胳膊发麻").await;
    let parts = stage.parts(2).await;
    assert!(parts[0].contains("120"), "the notice overtakes: {parts:?}");
    assert!(parts[1].contains("I have stopped this answer"), "{parts:?}");
    stage.settled().await;
    assert_eq!(stage.texts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_answer_with_what_was_said() {
    let stage = stage(&[Script::SayAndHang("Rest and drink enough fluids. Honey eases ")]);
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    for _ in 0..500 {
        if stage
            .platform
            .previews
            .lock()
            .unwrap()
            .iter()
            .any(|it| it.contains("fluids"))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stage.says(&key, "/stop").await;
    let parts = stage.parts(2).await;
    assert!(parts[0].contains("Stopped."), "{parts:?}");
    assert!(
        parts[1].contains("drink enough fluids") && parts[1].contains("(stopped)"),
        "{parts:?}"
    );
    let delivered = stage.platform.delivered.lock().unwrap();
    assert!(delivered[1].replaces.is_some(), "the preview becomes the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_passage_supports_never_leaves() {
    let stage = stage(&[
        Script::Say("Apply a warm compress to your heart. Take 500 mg of aspirin three times a day."),
        Script::Say("Rest and drink enough fluids. Apply a warm compress to your heart."),
    ]);
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    let parts = stage.parts(1).await;
    assert!(
        !parts[0].contains("compress") && !parts[0].contains("500"),
        "{parts:?}"
    );
    assert!(
        parts[0].contains("Honey eases a sore throat"),
        "the passages themselves answer: {parts:?}"
    );
    stage.says(&key, "and what else helps against a cold?").await;
    let parts = stage.parts(2).await;
    assert!(
        parts[1].contains("Rest and drink") && !parts[1].contains("compress"),
        "{parts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_the_model_does_not_speak_gets_the_passages() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.says(&key, "感冒了怎么办？").await;
    let parts = stage.parts(1).await;
    assert!(
        parts[0].contains("多休息") && parts[0].contains("资料来源") && parts[0].contains("人工智能"),
        "{parts:?}"
    );
    assert!(stage.model.prompts.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_known_is_said_plainly() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.says(&key, "who won the football game?").await;
    let parts = stage.parts(1).await;
    assert!(parts[0].contains("no reliable information"), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_and_panicking_models_are_answered_in_words() {
    let stage = stage(&[
        Script::Fail,
        Script::Panic,
        Script::Say("Rest and drink enough fluids."),
    ]);
    let key = stage.patient("a").await;
    let expected = ["language model is not available", "I am sorry", "Rest and drink"];
    for (index, words) in expected.iter().enumerate() {
        stage.says(&key, "what helps against a cold?").await;
        let parts = stage.parts(index + 1).await;
        assert!(parts[index].contains(words), "{words}: {parts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_called_unknown_that_was_not_looked_up() {
    let plugins = ScriptedPlugins {
        broken: true,
        ..ScriptedPlugins::default()
    };
    let stage = Stage::new(EN, &[], plugins);
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against gout?").await;
    let parts = stage.parts(1).await;
    let said = &parts[0];
    assert!(
        said.contains("cannot look anything up") && said.contains("120"),
        "{said}"
    );
    assert!(!said.contains("no reliable information"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_plugin_is_mentioned_and_does_not_silence_the_bot() {
    let stage = Stage::new(
        EN,
        &[Script::Say("Rest and drink enough fluids.")],
        ScriptedPlugins {
            broken: true,
            ..ScriptedPlugins::default()
        },
    );
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    let parts = stage.parts(1).await;
    assert!(
        parts[0].contains("Rest and drink") && parts[0].contains("not working just now"),
        "{parts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_deliveries_of_one_message_give_one_answer() {
    let stage = stage(&[
        Script::Say("Rest and drink enough fluids."),
        Script::Say("Honey eases a sore throat."),
    ]);
    let key = stage.patient("a").await;
    for _ in 0..5 {
        stage.says_as(&key, "what helps against a cold?", "same").await;
    }
    stage.parts(1).await;
    stage.settled().await;
    assert_eq!(stage.texts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_chats_are_never_crossed_and_each_stays_in_order() {
    let stage = stage(&vec![Script::Say("Rest and drink enough fluids."); 40]);
    let (a, b) = (stage.patient("a").await, stage.patient("b").await);
    for _ in 0..10 {
        stage.says(&a, "what helps against a cold?").await;
        stage.says(&b, "感冒了怎么办？").await;
    }
    stage.parts(20).await;
    stage.settled().await;
    let delivered = stage.platform.delivered.lock().unwrap();
    for key in [&a, &b] {
        let of_chat: Vec<_> = delivered.iter().filter(|it| it.conversation == *key).collect();
        assert_eq!(of_chat.len(), 10);
        assert!(
            of_chat.is_sorted_by_key(|it| it.seq),
            "answers in the order of questions"
        );
        let chinese = key == &b;
        assert!(
            of_chat
                .iter()
                .all(|it| it.part.text.contains("多休息") == chinese)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_is_retried_in_order_and_given_up_only_for_good() {
    let stage = stage(&vec![Script::Say("Rest and drink enough fluids."); 4]);
    let key = stage.patient("a").await;
    stage.platform.failures.lock().unwrap().extend([
        DeliverError::RetryAfter(std::time::Duration::from_millis(50)),
        DeliverError::NotSent("reset".to_owned()),
        DeliverError::Unknown("lost".to_owned()),
    ]);
    stage.says(&key, "what helps against a cold?").await;
    stage.says(&key, "/help").await;
    let parts = stage.parts(2).await;
    assert!(
        parts[0].contains("Rest and drink") && parts[1].contains("/privacy"),
        "{parts:?}"
    );
    stage
        .platform
        .failures
        .lock()
        .unwrap()
        .push_back(DeliverError::Permanent("blocked".to_owned()));
    stage.says(&key, "/help").await;
    stage.settled().await;
    assert_eq!(stage.texts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_in_the_patients_language() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    let cases = [
        ("/help", "/privacy"),
        ("/language 中文", "我会用中文回答"),
        ("/privacy", "您的权利"),
        ("/new", "新的对话"),
        ("/stop", "没有需要停止"),
        ("/human", "联系人工"),
        ("/nonsense", "不认识命令 /nonsense"),
        ("/language en", "in English"),
        ("hello", "Hello to you."),
        ("/delete", "cannot be undone"),
        ("delete:yes", "has been deleted here"),
        ("/start", "Do you agree?"),
    ];
    for (index, (command, words)) in cases.iter().enumerate() {
        stage.says(&key, command).await;
        let parts = stage.parts(index + 1).await;
        assert!(parts[index].contains(words), "{command}: {:?}", parts[index]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_a_stop_is_answered_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bedside.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    let mut stage = Stage::with_store(
        store,
        EN,
        &[Script::SayAndHang("Rest ")],
        ScriptedPlugins::default(),
    );
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    stage.says(&key, "/help").await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    stage.stop.cancel();
    (&mut stage.running).await.unwrap();
    assert_eq!(
        stage.texts(),
        Vec::<String>::new(),
        "an unfinished answer is not delivered"
    );
    stage.store.close().await;
    let store = SqliteStore::open(&path).unwrap();
    let said = [Script::Say("Rest and drink enough fluids.")];
    let again = Stage::with_store(store, EN, &said, ScriptedPlugins::default());
    let parts = again.parts(2).await;
    assert!(
        parts[0].contains("Rest and drink") && parts[1].contains("/privacy"),
        "{parts:?}"
    );
    again.settled().await;
    assert_eq!(again.texts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_turns_reach_the_model_until_new() {
    let stage = stage(&vec![Script::Say("Rest and drink enough fluids."); 3]);
    let key = stage.patient("a").await;
    for (index, text) in [
        "what helps against a cold?",
        "and honey for a cold?",
        "/new",
        "is a cold bad?",
    ]
    .iter()
    .enumerate()
    {
        stage.says(&key, text).await;
        stage.parts(index + 1).await;
    }
    let prompts = stage.model.prompts.lock().unwrap();
    let seen = |index: usize, words: &str| prompts[index].iter().any(|it| it.content.contains(words));
    assert!(seen(1, "what helps against a cold?"), "memory");
    assert!(!seen(2, "and honey for a cold?"), "/new forgets");
    assert!(
        prompts.iter().all(|it| it[0].content == prompts[0][0].content),
        "the stable part comes first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_does_not_wait_behind_a_part_that_waits_for_the_pace() {
    let platform = Recorder {
        distance: Duration::from_secs(60),
        ..Recorder::default()
    };
    let store = SqliteStore::open_temporary().unwrap();
    let stage = Stage::on_platform(platform, store, EN, &[], ScriptedPlugins::default());
    let key = chat("a");
    stage.says(&key, "/help").await;
    stage.parts(1).await;
    stage.says(&key, "/privacy").await;
    let waiting = || async { stage.store.unfinished_conversations().await.unwrap().is_empty() };
    while !waiting().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage
        .says(&key, "I have crushing chest pain and cannot breathe")
        .await;
    let delivered = stage.parts(2).await;
    assert!(delivered[1].contains("120"), "{delivered:?}");
    assert_eq!(delivered.len(), 2, "the pace holds for all else");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_does_not_wait_for_a_part_on_its_way() {
    let stage = stage(&[]);
    let key = chat("a");
    stage.platform.hangs.store(true, Ordering::SeqCst);
    stage.says(&key, "/help").await;
    while !stage.store.unfinished_conversations().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage
        .says(&key, "I have crushing chest pain and cannot breathe")
        .await;
    let delivered = stage.parts(1).await;
    assert!(delivered[0].contains("120"), "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_refuses_leaves_the_others_at_work() {
    let stage = stage(&[]);
    while !stage.refusing.has_refused.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!stage.running.is_finished());
    stage.says(&chat("a"), "/help").await;
    stage.parts(1).await;
    stage.stop.cancel();
    stage.running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_hears_in_time_that_a_message_is_not_stored_yet_and_it_is_answered_once() {
    let platform = Recorder {
        deadline: Some(Duration::from_millis(1)),
        ..Recorder::default()
    };
    let store = SqliteStore::open_temporary().unwrap();
    let stage = Stage::on_platform(platform, store, EN, &[], ScriptedPlugins::default());
    let much = vec![7; 64 << 20];
    for _ in 0..3 {
        // The store writes one after the other, and this takes longer than the platform waits.
        let writing = stage.store.plugin_put("test", "much", &much, u64::MAX);
        let taking = stage.bot.accept(vec![update(&chat("a"), "/help", "1")], None);
        let (written, taken) = tokio::join!(writing, taking);
        written.unwrap();
        assert!(matches!(taken, Err(StoreError::Failed(_))), "{taken:?}");
    }
    stage.parts(1).await;
    stage.settled().await;
    assert_eq!(stage.texts().len(), 1, "the repeats are duplicates");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_platform_did_not_get_goes_out_again() {
    let stage = stage(&[]);
    let key = chat("a");
    let receipt = stage.says(&key, "/help").await;
    stage.parts(1).await;
    stage.settled().await;
    stage.bot.answer_again(&chat("b"), receipt.seq).await.unwrap();
    stage.bot.answer_again(&key, receipt.seq).await.unwrap();
    let again = stage.parts(2).await;
    assert_eq!(again[0], again[1]);
    stage.settled().await;
    assert_eq!(stage.texts().len(), 2, "to its own patient only");
}
