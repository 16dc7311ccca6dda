//! No way around the red flags and the output gate: commands, split messages, plugins' words.

use bedside_contract::{Conversations, Intake, Language, PartKind};
use bedside_store::SqliteStore;
use bedside_triage::Rules;

use crate::common::{Script, ScriptedPlugins, Stage, chat};

const EN: &[Language] = &[Language::En];
const CHEST: &str = "my chest feels crushed and my left arm is numb";

fn stage(scripts: &[Script]) -> Stage {
    Stage::new(EN, scripts, ScriptedPlugins::default())
}

/// The kinds and texts of what came next, once everything is settled.
async fn after(stage: &Stage, seen: &mut usize) -> Vec<(PartKind, String)> {
    stage.settled().await;
    let delivered = stage.platform.delivered.lock().unwrap();
    let new = delivered.iter().skip(*seen);
    let new: Vec<_> = new.map(|it| (it.part.kind, it.part.plain_text())).collect();
    *seen = delivered.len();
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn every_red_flag_behind_a_command_gets_its_notice_before_and_after_consent() {
    let stage = stage(&[]);
    let (stranger, patient) = (chat("stranger"), stage.patient("patient").await);
    let prefixes = [
        "/new ",
        "/emergency ",
        "/echo ",
        "／sos ",
        "/start ",
        "language:",
        "/human ",
    ];
    let mut prefix = prefixes.iter().cycle();
    let mut count = 0;
    for (_, examples) in Rules::builtin().red_flag_examples() {
        for example in examples {
            let text = format!("{}{example}", prefix.next().unwrap());
            for key in [&stranger, &patient] {
                stage.says(key, &text).await;
                count += 1;
            }
        }
    }
    stage.settled().await;
    let delivered = stage.platform.delivered.lock().unwrap();
    let notices = delivered.iter().filter(|it| it.part.kind == PartKind::Emergency);
    assert_eq!(notices.count(), count);
    assert!(count > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_red_flag_acts_together_with_the_notice() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    let mut seen = 0;
    let cases = [
        (format!("/human {CHEST}"), Some("To speak with a person")),
        (format!("/new {CHEST}"), Some("A new conversation")),
        (format!("/stop {CHEST}"), Some("nothing to stop")),
        (format!("/help {CHEST}"), Some("/privacy")),
        (format!("/delete {CHEST}"), Some("cannot be undone")),
        (format!("/language zh {CHEST}"), Some("我会用中文回答")),
        (format!("/language en {CHEST}"), Some("in English")),
        (format!("language:{CHEST}"), None),
        (format!("/emergency {CHEST}"), None),
        (format!("/echo {CHEST}"), None),
    ];
    for (text, also) in cases {
        stage.says(&key, &text).await;
        let parts = after(&stage, &mut seen).await;
        assert_eq!(parts[0].0, PartKind::Emergency, "{text}: {parts:?}");
        match also {
            Some(words) => assert!(
                parts.len() == 2 && parts[1].1.contains(words),
                "{text}: {parts:?}"
            ),
            None => assert_eq!(parts.len(), 1, "{text}: {parts:?}"),
        }
    }
    let state = stage.store.conversation(&key, 10).await.unwrap();
    assert!(
        state.settings.consent_ms.is_some(),
        "no command took the consent away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_with_a_red_flag_ends_the_answer() {
    let stage = stage(&[Script::SayAndHang("Rest and drink enough fluids. Honey ")]);
    let key = stage.patient("a").await;
    stage.says(&key, "what helps against a cold?").await;
    while stage.platform.previews.lock().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stage.says(&key, &format!("/stop {CHEST}")).await;
    let mut seen = 0;
    let parts = after(&stage, &mut seen).await;
    assert_eq!(parts[0].0, PartKind::Emergency);
    assert!(parts.iter().any(|it| it.1.contains("Stopped.")), "{parts:?}");
    assert!(
        parts.iter().any(|it| it.1.contains("I have stopped this answer")),
        "{parts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_with_words_is_a_question() {
    let stage = stage(&vec![Script::Say("Rest and drink enough fluids."); 3]);
    let (key, stranger) = (stage.patient("a").await, chat("b"));
    let mut seen = 0;
    for text in [
        "/ask what helps against a cold?",
        "／cold what helps?",
        "/start what helps against a cold",
    ] {
        stage.says(&key, text).await;
        let parts = after(&stage, &mut seen).await;
        assert!(parts[0].1.contains("Rest and drink"), "{text}: {parts:?}");
    }
    stage.says(&key, "/nonsense").await;
    let parts = after(&stage, &mut seen).await;
    assert!(
        parts[0].1.contains("/nonsense") && parts[0].1.contains("120"),
        "{parts:?}"
    );
    stage.says(&stranger, "/ask what helps against a cold?").await;
    after(&stage, &mut seen).await;
    let state = stage.store.conversation(&stranger, 1).await.unwrap();
    assert_eq!(state.settings.held_questions, ["ask what helps against a cold?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_flag_in_two_messages_before_consent_is_put_together() {
    let halves = [
        (
            "I have crushing pain in my chest since this morning",
            "it goes down my left arm and I am sweating",
        ),
        ("胸口压榨样疼", "左胳膊发麻，出冷汗"),
    ];
    for (first, second) in halves {
        let stage = stage(&[]);
        let (key, mut seen) = (chat("a"), 0);
        stage.says(&key, first).await;
        let asked = after(&stage, &mut seen).await;
        if asked[0].0 == PartKind::Emergency {
            continue; // The rules know more than when this was written.
        }
        stage.says(&key, second).await;
        let parts = after(&stage, &mut seen).await;
        assert_eq!(parts[0].0, PartKind::Emergency, "{first} | {second}: {parts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_questions_before_consent_are_answered_in_order() {
    let stage = stage(&vec![Script::Say("Rest and drink enough fluids."); 7]);
    let (key, mut seen) = (chat("a"), 0);
    for number in 1..=7 {
        stage
            .says(&key, &format!("what helps against cold number {number}?"))
            .await;
    }
    after(&stage, &mut seen).await;
    stage.says(&key, "I agree").await;
    let parts = after(&stage, &mut seen).await;
    assert_eq!(parts.len(), 5, "{parts:?}");
    assert!(parts[0].1.contains("About your question"), "{parts:?}");
    assert!(
        parts.iter().all(|it| it.1.contains("Rest and drink")),
        "{parts:?}"
    );
    {
        let prompts = stage.model.prompts.lock().unwrap();
        for (number, prompt) in (3..=7).zip(prompts.iter()) {
            let asked = format!("cold number {number}?");
            assert!(prompt.last().unwrap().content.contains(&asked), "{number}");
        }
    }
    let state = stage.store.conversation(&key, 20).await.unwrap();
    assert_eq!((state.settings.held_questions.len(), state.turns.len()), (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_words_pass_the_gate_wherever_they_stand() {
    let dose = "Take 500 mg of paracetamol three times a day.";
    let stage = stage(&[Script::Fail]);
    let key = stage.patient("a").await;
    let mut seen = 0;
    let words = [
        format!("/echo {dose}"),
        format!("/fail {dose}"),
        format!("/fail Sorry. {dose}"),
        "what helps against scurvy?".to_owned(),
        "/help".to_owned(),
    ];
    for text in words {
        stage.says(&key, &text).await;
        let parts = after(&stage, &mut seen).await;
        assert!(
            parts
                .iter()
                .all(|it| !it.1.contains("500") && !it.1.contains("two tablets")),
            "{text}: {parts:?}"
        );
        assert!(
            parts.iter().all(|it| !it.1.contains("2 tablets")),
            "{text}: {parts:?}"
        );
        assert!(parts[0].1.len() > 20, "something is said: {parts:?}");
    }
    stage
        .says(&key, &format!("/echo {}", "Rest is good. ".repeat(5_000)))
        .await;
    stage.settled().await;
    let length: usize = stage.texts().iter().skip(seen).map(|it| it.chars().count()).sum();
    assert!((100..10_000).contains(&length), "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abstention_names_the_emergency_number() {
    let stage = stage(&[Script::Fail]);
    let key = stage.patient("a").await;
    let mut seen = 0;
    for text in [
        "who won the football game?",
        "Me duele mucho el pecho",
        "my toe itches a little",
        "what helps against a cold?",
    ] {
        stage.says(&key, text).await;
        let parts = after(&stage, &mut seen).await;
        assert!(parts[0].1.contains("120"), "{text}: {parts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_number_is_an_answer_if_something_was_asked() {
    let stage = Stage::passive(SqliteStore::open_temporary().unwrap(), EN, &[]);
    let key = stage.patient("a").await;
    let mut seen = 0;
    stage.says(&key, "40").await;
    let parts = after(&stage, &mut seen).await;
    assert!(parts[0].1.contains("Nothing is waiting"), "{parts:?}");
    stage.says(&key, "how many kilograms?").await;
    let parts = after(&stage, &mut seen).await;
    assert!(parts[0].1.contains("weigh?"), "{parts:?}");
    stage.says(&key, "40").await;
    let parts = after(&stage, &mut seen).await;
    assert!(!parts[0].1.contains("Nothing is waiting"), "{parts:?}");
    let state = stage.store.conversation(&key, 10).await.unwrap();
    let said: Vec<_> = state.turns.iter().map(|it| it.text.as_str()).collect();
    assert!(said.iter().any(|it| it.contains("kilograms?\n40")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_read_without_store_or_model() {
    let stage = stage(&[]);
    for (_, examples) in Rules::builtin().red_flag_examples() {
        for example in examples {
            let notice = stage.bot.emergency_notice(example, None).expect(example);
            assert!(notice.kind == PartKind::Emergency && !notice.text.is_empty());
        }
    }
    assert!(
        stage
            .bot
            .emergency_notice("what helps against a cold?", None)
            .is_none()
    );
    assert_eq!(stage.bot.emergency_number(), "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_is_answered_without_model_or_consent() {
    let stage = stage(&[Script::Say("Rest and drink enough fluids.")]);
    let mut seen = 0;
    for key in [chat("stranger"), stage.patient("patient").await] {
        after(&stage, &mut seen).await;
        for (text, own) in [
            ("tengo fiebre desde ayer", "Solo leemos chino e inglés"),
            ("昨日から頭が痛いです", "中国語と英語しか読めません"),
            (
                "ik heb sinds gisteren hoofdpijn",
                "We read Chinese and English only",
            ),
            ("/ask tengo tos y fiebre", "Solo leemos chino e inglés"),
        ] {
            stage.says(&key, text).await;
            let parts = after(&stage, &mut seen).await;
            assert_eq!(parts.len(), 1, "{text}: {parts:?}");
            assert!(
                parts[0].1.contains(own) && parts[0].1.contains("120"),
                "{text}: {parts:?}"
            );
        }
        stage.says(&key, "mi padre no respira").await;
        let parts = after(&stage, &mut seen).await;
        assert_eq!(parts[0].0, PartKind::Emergency);
        assert!(
            parts[0].1.starts_with("⚠ Esto puede ser una emergencia"),
            "{parts:?}"
        );
        let state = stage.store.conversation(&key, 10).await.unwrap();
        assert!(state.settings.held_questions.is_empty());
    }
    assert!(stage.model.prompts.lock().unwrap().is_empty());
}
