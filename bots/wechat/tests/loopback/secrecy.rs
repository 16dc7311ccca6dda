//! What must not be read in logs and errors.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use bedside_contract::{Connector, ConversationKey, InboxSeq, StoreError};
use serde_json::json;

use crate::{
    bot_around::{Around, PATIENCE, config, item, notice, with_api},
    servers::{AES_KEY, APPID, ApiServer, Caller, OLD_AES_KEY, SECRET, TOKEN, closed_port, resetting_api},
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const WORDS: &str = "my chest hurts";
const PATIENT: &str = "oSecretPatient77";

#[tokio::test]
async fn neither_words_nor_patients_nor_secrets_reach_log_or_error() {
    let captured = Captured::default();
    let writer = captured.clone();
    // The bot's own lines down to the finest, and those of the libraries it speaks through.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("debug,bedside_wechat=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let passive = Around::start(config());
    let caller = Caller::new(passive.address());
    let url = passive.address();
    let asked = tokio::spawn({
        let caller = caller.clone();
        async move { caller.one_try(PATIENT, "1", WORDS, PATIENCE).await }
    });
    let seq = passive.intake.seq_of(1).await;
    passive
        .deliver(PATIENT, seq, notice(WORDS))
        .await
        .unwrap()
        .unwrap();
    drop(asked.await);
    let mut said = String::new();
    let no_window = passive.deliver(PATIENT, seq, notice(WORDS)).await.unwrap();
    said += &no_window.unwrap_err().to_string();
    let failure = StoreError::Failed("busy".to_owned());
    passive.intake.failures.lock().unwrap().push_back(failure);
    drop(caller.one_try(PATIENT, "2", WORDS, PATIENCE).await);
    let _refused = caller
        .client
        .post(format!("http://{url}/wechat"))
        .body(WORDS)
        .send()
        .await;
    let strange = format!("<xml><Content>{WORDS}</Content></xml>");
    let _strange = caller.of_xml(&strange).send().await;

    let api = ApiServer::start().await;
    api.script(json!({"errcode": 48001, "errmsg": WORDS}));
    api.script(json!(WORDS));
    let mut addresses = vec![api.address; 3];
    addresses.extend([closed_port().await, resetting_api().await]);
    for address in addresses {
        let around = Around::start(with_api(address));
        around
            .connector
            .typing(&ConversationKey::new("wechat", APPID, PATIENT))
            .await;
        let sent = around
            .connector
            .deliver(&item(PATIENT, InboxSeq(1), notice(WORDS)))
            .await;
        said += &format!("{sent:?}");
    }

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("WeChat's requests are taken"),
        "the log was captured: {log}"
    );
    assert!(
        log.contains("was refused") && log.contains("could not be stored"),
        "{log}"
    );
    for text in [&log, &said] {
        for secret in [WORDS, PATIENT, TOKEN, AES_KEY, OLD_AES_KEY, SECRET, "TOKEN-"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
