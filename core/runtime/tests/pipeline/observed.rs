//! What is counted on a message's way.

use std::{sync::Mutex, time::Duration};

use bedside_contract::{DeliverError, Observation, Observer, SendResult};

use crate::{
    EN,
    common::{Script, ScriptedPlugins, Stage},
};

/// Keeps a line of each observation.
#[derive(Default)]
pub(crate) struct Observed(Mutex<Vec<String>>);

impl Observer for Observed {
    fn observe(&self, observation: &Observation<'_>) {
        self.0.lock().unwrap().push(format!("{observation:?}"));
    }
}

impl Observed {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until a line holds all of these words.
    async fn wait(&self, words: &[&str]) {
        for _ in 0..1000 {
            let lines = self.lines();
            if lines.iter().any(|line| words.iter().all(|it| line.contains(it))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{words:?} was never observed; there is: {:#?}", self.lines());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_message_is_counted_once() {
    let secret = "mydaughtersname";
    let stage = Stage::new(
        EN,
        &[
            Script::Say("Rest and drink enough fluids. Take 500 mg of aspirin three times a day."),
            Script::Fail,
        ],
        ScriptedPlugins::default(),
    );
    let key = stage.patient("a").await;
    let question = format!("what helps {secret} against a cold?");
    stage.says_as(&key, &question, "same").await;
    stage.parts(1).await;
    stage.says_as(&key, &question, "same").await;
    let observed = &stage.observed;
    for words in [
        &["MessageTaken", "test"][..],
        &["Duplicate", "test"],
        &["Queued", "Admission"],
        &["Queued", "Model"],
        &["FirstWords"],
        &["InterToken"],
        &["Sentences", "kept: 1"],
        &["TurnFinished", "Answered"],
        &["PartSent", "result: Sent"],
    ] {
        observed.wait(words).await;
    }
    let first_words = observed
        .lines()
        .iter()
        .filter(|it| it.contains("FirstWords"))
        .count();
    assert_eq!(first_words, 1, "{:#?}", observed.lines());

    stage
        .says(&key, "My chest feels crushed and my left arm is numb")
        .await;
    observed.wait(&["EmergencyNotice", "test"]).await;
    observed.wait(&["TurnFinished", "Emergency"]).await;
    for line in observed.lines() {
        assert!(
            !line.contains(secret) && !line.contains("chest") && !line.contains(key.as_str()),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_delivery_has_its_name() {
    for (failure, result, is_given_up) in [
        (
            DeliverError::RetryAfter(Duration::from_millis(1)),
            SendResult::Later,
            false,
        ),
        (
            DeliverError::NotSent("down".to_owned()),
            SendResult::NotSent,
            false,
        ),
        (
            DeliverError::Unknown("cut off".to_owned()),
            SendResult::Unknown,
            false,
        ),
        (
            DeliverError::Permanent("blocked".to_owned()),
            SendResult::Dead,
            true,
        ),
    ] {
        let stage = Stage::new(EN, &[], ScriptedPlugins::default());
        stage.platform.failures.lock().unwrap().push_back(failure);
        stage.says(&crate::common::chat("a"), "/help").await;
        let name = format!("result: {result:?}");
        stage.observed.wait(&["PartSent", &name]).await;
        if is_given_up {
            stage.observed.wait(&["DeadLetter", "Part"]).await;
        } else {
            stage.observed.wait(&["PartSent", "result: Sent"]).await;
            assert!(!stage.observed.lines().iter().any(|it| it.contains("DeadLetter")));
        }
    }
}
