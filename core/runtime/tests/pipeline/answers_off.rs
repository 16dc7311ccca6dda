//! The kill switch: emergency notices only. And a configuration that changes while the bot runs.

use std::sync::atomic::Ordering;

use bedside_contract::{Conversations, Disposition, Intake, Language, PartKind};
use bedside_runtime::{Question, RuntimeConfig};

use crate::common::{Script, ScriptedPlugins, Stage, chat};

const BOTH: &[Language] = &[Language::En, Language::Zh];
const COLD: &str = "what helps against a cold?";
const CHEST: &str = "My chest feels crushed and my left arm is numb";
const ANSWER: Script = Script::Say("Rest and drink enough fluids.");
const OFF: [&str; 2] = ["Answers are switched off for now", "目前暂停回答问题"];

fn stage(scripts: &[Script]) -> Stage {
    Stage::new(BOTH, scripts, ScriptedPlugins::default())
}

fn is_off(text: &str) -> bool {
    OFF.iter().any(|it| text.contains(it)) && text.contains("120")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_gets_the_sentence_and_nothing_is_generated() {
    let stage = stage(&[]);
    // Large enough for a third reader.
    stage.model.parameters.store(7_000_000_000, Ordering::SeqCst);
    let key = stage.patient("a").await;
    stage.live.switch_answers_off(true);
    let questions = [
        COLD,
        "感冒了怎么办",
        "hello",
        "/echo what helps?",
        "/start what helps against a cold?",
    ];
    for (index, question) in questions.into_iter().enumerate() {
        stage.says(&key, question).await;
        let parts = stage.parts(index + 1).await;
        assert!(is_off(&parts[index]), "{question}: {parts:?}");
    }
    assert!(stage.model.requests.lock().unwrap().is_empty());
    let asked = Question {
        text: COLD.to_owned(),
        language: None,
        department: None,
    };
    let report = stage.bot.ask(&asked).await;
    assert!(is_off(&report.part.text), "{}", report.part.text);
    assert!(stage.model.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sentence_says_how_urgent_it_is() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.live.switch_answers_off(true);
    stage
        .says(
            &key,
            "I have a cold and a fever of 39.5 for four days and it hurts when I urinate",
        )
        .await;
    let parts = stage.parts(1).await;
    assert!(is_off(&parts[0]) && parts[0].contains('➜'), "{parts:?}");
    let delivered = stage.platform.delivered.lock().unwrap();
    let part = &delivered[0].part;
    assert_eq!(part.kind, PartKind::Notice);
    assert!(
        part.disposition >= Some(Disposition::OutPatient),
        "{:?}",
        part.disposition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn emergencies_and_commands_are_answered_as_always() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.live.switch_answers_off(true);
    for (index, (text, expected)) in [
        (CHEST, "120"),
        ("/help", "/human"),
        ("/human", "To speak with a person"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.says(&key, text).await;
        let parts = stage.parts(index + 1).await;
        assert!(parts[index].contains(expected), "{text}: {parts:?}");
        assert!(!parts[index].contains(OFF[0]), "{text}: {parts:?}");
    }
    let delivered = stage.platform.delivered.lock().unwrap();
    assert_eq!(delivered[0].part.kind, PartKind::Emergency);
}

/// With and without consent: what was said before stays known.
#[tokio::test(flavor = "multi_thread")]
async fn a_red_flag_in_two_messages_is_seen() {
    for consented in [true, false] {
        let stage = stage(&[]);
        let key = if consented {
            stage.patient("a").await
        } else {
            chat("a")
        };
        stage.live.switch_answers_off(true);
        stage.says(&key, "I have a headache and a fever").await;
        let parts = stage.parts(1).await;
        assert!(is_off(&parts[0]), "{parts:?}");
        stage.says(&key, "and my neck is stiff").await;
        stage
            .wait(|it| it.iter().any(|it| it.part.kind == PartKind::Emergency))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_consent_is_answered_once_answers_are_on_again() {
    let stage = stage(&[ANSWER]);
    let key = chat("a");
    stage.live.switch_answers_off(true);
    stage.says(&key, COLD).await;
    let parts = stage.parts(1).await;
    assert!(
        is_off(&parts[0]) && !parts[0].contains("Do you agree?"),
        "{parts:?}"
    );
    let state = stage.store.conversation(&key, 10).await.unwrap();
    assert_eq!(state.settings.held_questions, [COLD]);

    stage.live.switch_answers_off(false);
    stage.says(&key, "consent:yes").await;
    let parts = stage.parts(2).await;
    assert!(parts[1].contains("drink enough fluids"), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_to_several_held_questions_gets_the_sentence_once() {
    let stage = stage(&[]);
    let key = chat("a");
    stage.says(&key, COLD).await;
    stage.says(&key, "and against scurvy?").await;
    stage.parts(2).await;
    stage.live.switch_answers_off(true);
    stage.says(&key, "consent:yes").await;
    stage.settled().await;
    let off = stage.texts().iter().filter(|it| is_off(it)).count();
    assert_eq!(off, 1, "{:?}", stage.texts());
    assert!(stage.model.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_used_from_the_next_message_on() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.live.change(RuntimeConfig {
        emergency_number: "911".to_owned(),
        human_contact: "call the ward".to_owned(),
        notices_only: true,
        ..RuntimeConfig::default()
    });
    assert_eq!(stage.bot.emergency_number(), "911");
    for (index, (text, expected)) in [("/human", "call the ward"), (CHEST, "911"), (COLD, OFF[0])]
        .into_iter()
        .enumerate()
    {
        stage.says(&key, text).await;
        let parts = stage.parts(index + 1).await;
        assert!(
            parts[index].contains(expected) && parts[index].contains("911"),
            "{text}: {parts:?}"
        );
    }
    let greeting = stage.bot.greeting(&key, Some(Language::En));
    assert!(greeting.text.contains("911"), "{}", greeting.text);
}
