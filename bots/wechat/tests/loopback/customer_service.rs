//! Answers through WeChat's API.

use std::time::Duration;

use bedside_contract::{Connector, ConversationKey, DeliverError, InboxSeq, Initiative, QuickReply};
use bedside_wechat::WechatConfig;
use serde_json::{Value, json};

use crate::{
    bot_around::{Around, PATIENCE, item, notice, with_api},
    servers::{APPID, ApiServer, Caller, Shown, closed_port, resetting_api},
};

async fn send(around: &Around, words: &str) -> Result<(), DeliverError> {
    around
        .connector
        .deliver(&item("oP", InboxSeq(1), notice(words)))
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_message_is_acknowledged_and_answered_through_the_api() {
    let api = ApiServer::start().await;
    let around = Around::start(with_api(api.address));
    let caller = Caller::new(around.address());
    let can = around.connector.capabilities();
    assert_eq!(
        (can.buttons, can.initiative),
        (true, Initiative::Patient { messages: 5 })
    );
    for _ in 0..2 {
        let acknowledged = caller.one_try("oP", "1", "我头疼", PATIENCE).await;
        assert_eq!(acknowledged, Some(Shown::Nothing));
    }
    assert_eq!(around.intake.accepted().len(), 1);
    let seq = around.intake.seq_of(1).await;
    around
        .connector
        .typing(&ConversationKey::new("wechat", APPID, "oP"))
        .await;
    let mut part = notice("**同意**吗？");
    around.deliver("oP", seq, part.clone()).await.unwrap().unwrap();
    part.quick_replies = vec![QuickReply {
        label: "同意".to_owned(),
        data: "consent:yes".to_owned(),
    }];
    around.deliver("oP", seq, part).await.unwrap().unwrap();
    let calls = api.calls();
    assert_eq!(api.called(), ["stable_token", "typing", "send", "send"]);
    assert_eq!(calls[0].1["force_refresh"], false);
    assert_eq!(calls[1].1, json!({"touser": "oP", "command": "Typing"}));
    assert_eq!(
        calls[2].1,
        json!({"touser": "oP", "msgtype": "text", "text": {"content": "同意吗？"}})
    );
    assert_eq!(
        calls[3].1["msgmenu"]["list"],
        json!([{"id": "consent:yes", "content": "同意"}])
    );
}

#[tokio::test]
async fn one_token_for_all_who_ask_at_once() {
    let api = ApiServer::start().await;
    let around = Around::start(with_api(api.address));
    let sending: Vec<_> = (0..20)
        .map(|_| around.deliver("oP", InboxSeq(1), notice("x")))
        .collect();
    for sent in sending {
        sent.await.unwrap().unwrap();
    }
    let called = api.called();
    assert_eq!(called.iter().filter(|it| *it == "stable_token").count(), 1);
    assert_eq!(called.len(), 21);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let api = ApiServer::start().await;
    let around = Around::start(with_api(api.address));
    send(&around, "one").await.unwrap();
    api.forget_tokens();
    send(&around, "two").await.unwrap();
    let forced: Vec<_> = api
        .calls()
        .into_iter()
        .filter(|(what, _)| what == "stable_token")
        .map(|(_, body)| body["force_refresh"].clone())
        .collect();
    assert_eq!(forced, [Value::Bool(false), Value::Bool(true)]);
    // Forcing again within the minute would use up what WeChat allows in a day.
    api.forget_tokens();
    for _ in 0..5 {
        assert!(matches!(
            send(&around, "three").await,
            Err(DeliverError::NotSent(_))
        ));
    }
    assert_eq!(api.called(), ["stable_token", "send", "stable_token", "send"]);
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let api = ApiServer::start().await;
    let around = Around::start(with_api(api.address));
    let name = |outcome: &Result<(), DeliverError>| match outcome {
        Ok(()) => "sent",
        Err(DeliverError::RetryAfter(_)) => "retry-after",
        Err(DeliverError::NotSent(_)) => "not-sent",
        Err(DeliverError::Unknown(_)) => "unknown",
        Err(DeliverError::PatientFirst(_)) => "patient-first",
        Err(DeliverError::Permanent(_)) => "permanent",
    };
    for (code, expect) in [
        (0, "sent"),
        (45047, "patient-first"),
        (45015, "patient-first"),
        (-1, "retry-after"),
        (45009, "retry-after"),
        (48001, "permanent"),
        (43004, "permanent"),
        (40164, "not-sent"),
    ] {
        api.script_code(code);
        let outcome = send(&around, "x").await;
        assert_eq!(name(&outcome), expect, "{code}: {outcome:?}");
        let words = outcome.err().map(|it| it.to_string()).unwrap_or_default();
        assert!(!words.contains("chest"), "{words}");
    }
    api.script(json!("not an answer"));
    assert_eq!(name(&send(&around, "x").await), "unknown");
    let nobody = Around::start(with_api(closed_port().await));
    assert_eq!(name(&send(&nobody, "x").await), "not-sent");
    let hung_up = Around::start(with_api(resetting_api().await));
    assert_eq!(name(&send(&hung_up, "x").await), "unknown");
    let stranger = Around::start(WechatConfig {
        secret: Some("AnotherSecret".to_owned().into()),
        ..with_api(api.address)
    });
    let outcome = send(&stranger, "x").await;
    assert_eq!(name(&outcome), "not-sent");
    assert!(outcome.unwrap_err().to_string().contains("wechat.secret"));
}

#[tokio::test]
async fn a_typing_notice_harms_nobody() {
    let api = ApiServer::start().await;
    let around = Around::start(with_api(api.address));
    let conversation = ConversationKey::new("wechat", APPID, "oP");
    for code in [45080, 45081, 48001, -1] {
        api.script_code(code);
        around.connector.typing(&conversation).await;
    }
    assert_eq!(api.called().len(), 5);
    assert!(around.connector.capabilities().pace.typing >= Duration::from_secs(30));
}
