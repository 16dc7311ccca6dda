//! A deletion reaches the model's memory, the plugins, the connector and the store, and says what it does not reach.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bedside_contract::{AuditLog, ConversationKey, Conversations, Language, StoreError};

use crate::common::{ScriptedPlugins, Stage};

const EN: &[Language] = &[Language::En];

/// What the scripted plugins were to forget, and what that comes to, time by time; then it is forgotten at once.
#[derive(Default)]
pub(crate) struct Forgetting {
    asked: Mutex<Vec<ConversationKey>>,
    answers: Mutex<VecDeque<Result<Vec<String>, StoreError>>>,
}

impl Forgetting {
    pub(crate) fn next(&self, conversation: &ConversationKey) -> Result<Vec<String>, StoreError> {
        self.asked.lock().unwrap().push(conversation.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Ok(Vec::new()))
    }
}

fn plugins(answers: Vec<Result<Vec<String>, StoreError>>) -> (ScriptedPlugins, Arc<Forgetting>) {
    let plugins = ScriptedPlugins::default();
    let forgetting = Arc::clone(&plugins.forgetting);
    *forgetting.answers.lock().unwrap() = answers.into();
    (plugins, forgetting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_reaches_everybody_who_keeps_something() {
    for (name, words) in [
        ("delete:yes", "has been deleted here"),
        ("consent:no", "I will not answer"),
    ] {
        let (plugins, forgetting) = plugins(Vec::new());
        let stage = Stage::new(EN, &[], plugins);
        let key = stage.patient("a").await;
        stage.says(&key, "hello").await;
        stage.parts(1).await;
        stage.says(&key, name).await;
        let parts = stage.parts(2).await;
        assert!(parts[1].contains(words), "{name}: {}", parts[1]);
        for (who, told) in [
            ("plugins", &forgetting.asked),
            ("model", &stage.model.forgotten),
            ("connector", &stage.platform.forgotten),
        ] {
            assert_eq!(*told.lock().unwrap(), std::slice::from_ref(&key), "{name}: {who}");
        }
        let state = stage.store.conversation(&key, 9).await.unwrap();
        assert!(
            state.turns.is_empty() && state.settings.consent_ms.is_none(),
            "{name}"
        );
        assert_eq!(
            stage.store.verify_audit().await.unwrap(),
            1,
            "{name}: it is recorded"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_said() {
    let (plugins, _) = plugins(vec![Ok(vec!["org.example.notes".to_owned()])]);
    let stage = Stage::new(EN, &[], plugins);
    let key = stage.patient("a").await;
    stage.says(&key, "/privacy").await;
    stage.says(&key, "delete:yes").await;
    stage.says(&key, "delete:yes").await;
    let parts = stage.parts(3).await;
    for part in &parts {
        for words in ["this chat app", "backups until they expire", "without your words"] {
            assert!(part.contains(words), "{words}: {part}");
        }
    }
    assert!(parts[0].contains("After /delete these stay"), "{}", parts[0]);
    let pending: Vec<_> = parts
        .iter()
        .map(|it| it.contains("as soon as it runs again"))
        .collect();
    assert_eq!(pending, [false, true, false], "{parts:?}");
}

/// A plugin's forgetting that cannot even be noted: nobody is told that all is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_as_deleted_that_could_not_be_noted() {
    let failed = || Err(StoreError::Failed("locked".to_owned()));
    let (plugins, forgetting) = plugins(vec![failed()]);
    let stage = Stage::new(EN, &[], plugins);
    let key = stage.patient("a").await;
    stage.store.audit("test", "before", "", "").await.unwrap();
    stage.says(&key, "delete:yes").await;
    stage.parts(1).await;
    assert_eq!(forgetting.asked.lock().unwrap().len(), 2, "tried again");
    assert_eq!(stage.store.verify_audit().await.unwrap(), 2, "deleted once");
}
