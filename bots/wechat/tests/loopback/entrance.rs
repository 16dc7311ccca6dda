//! Who is let in, and what is taken before it is answered.

use bedside_contract::{StoreError, UpdateKind};
use bedside_wechat::{Mode, WechatConfig, crypto::seal, signature::sign};

use crate::{
    bot_around::{Around, PATIENCE, config, notice},
    servers::{AES_KEY, APPID, Caller, OLD_AES_KEY, Shown, TOKEN, key, now, text, xml_from},
};

const TEXT: &str = "<MsgType>text</MsgType><Content>hi</Content><MsgId>1</MsgId>";

#[tokio::test]
async fn the_console_gets_its_echo() {
    // The values of WeChat's own documentation.
    let around = Around::start(WechatConfig {
        token: Some("AAAAA".to_owned().into()),
        ..config()
    });
    let caller = Caller::new(around.address());
    let ask = async |signature: &str| {
        let query = [
            ("signature", signature),
            ("timestamp", "1714036504"),
            ("nonce", "1514711492"),
            ("echostr", "4375120948345356249"),
        ];
        let response = caller.client.get(&caller.url).query(&query).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(
        ask("f464b24fc39322e44b38aa78f5edd27bd1441696").await,
        (200, "4375120948345356249".to_owned())
    );
    assert_eq!(
        ask("f464b24fc39322e44b38aa78f5edd27bd1441697").await,
        (403, String::new())
    );
}

#[tokio::test]
async fn what_is_not_wechats_is_turned_away() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let sealed = |inner: &str| seal(&key(AES_KEY), APPID, inner, [1; 16]);
    let good = sealed(&xml_from("oP", TEXT));
    let check = async |what: &str, request: reqwest::RequestBuilder, expect: u16| {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expect, "{what}");
        let body = response.text().await.unwrap();
        assert_eq!(body, "", "{what}: nothing is said about why");
    };
    let query = |more: &[(&str, &str)]| {
        let time = now().to_string();
        let mut pairs = vec![
            ("signature".to_owned(), sign(&[TOKEN, &time, "n"])),
            ("timestamp".to_owned(), time),
            ("nonce".to_owned(), "n".to_owned()),
        ];
        pairs.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        caller.client.post(&caller.url).query(&pairs)
    };
    let encrypted_body = |encrypted: &str| format!("<xml><Encrypt>{encrypted}</Encrypt></xml>");

    check(
        "no signature",
        caller.client.post(&caller.url).body("<xml/>"),
        403,
    )
    .await;
    let unsigned = query(&[("encrypt_type", "aes")]).body(encrypted_body(&good));
    check("no message signature", unsigned, 403).await;
    let wrong =
        query(&[("encrypt_type", "aes"), ("msg_signature", &"0".repeat(40))]).body(encrypted_body(&good));
    check("wrong message signature", wrong, 403).await;
    check("old", caller.sealed(&good, now() - 310), 403).await;
    check("from the future", caller.sealed(&good, now() + 310), 403).await;
    let other_appid = seal(
        &key(AES_KEY),
        "wx0000000000000000",
        &xml_from("oP", TEXT),
        [1; 16],
    );
    check("another appid", caller.sealed(&other_appid, now()), 403).await;
    let other_key = seal(&key(&"A".repeat(43)), APPID, &xml_from("oP", TEXT), [1; 16]);
    check("another key", caller.sealed(&other_key, now()), 403).await;
    let cut: String = good.chars().take(good.len() - 8).collect();
    check("cut", caller.sealed(&cut, now()), 403).await;
    let blocks_gone: String = good.chars().take(64).collect();
    check("blocks gone", caller.sealed(&blocks_gone, now()), 403).await;
    let doctype = sealed("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><xml><a>&e;</a></xml>");
    check("DOCTYPE inside", caller.sealed(&doctype, now()), 400).await;
    let outside = query(&[("encrypt_type", "aes")]).body("<!DOCTYPE x><xml><Encrypt>x</Encrypt></xml>");
    check("DOCTYPE outside", outside, 400).await;
    let no_utf8 = query(&[("encrypt_type", "aes")]).body(b"<xml><Encrypt>\xff</Encrypt></xml>".to_vec());
    check("no UTF-8", no_utf8, 400).await;
    check("plain in safe mode", query(&[]).body(xml_from("oP", TEXT)), 403).await;
    let plain = query(&[("encrypt_type", "aes")]).body(xml_from("oP", TEXT));
    check("plain with the word aes", plain, 403).await;
    check("too large", caller.sealed(&"A".repeat(70_000), now()), 413).await;
    let chunks = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>("A".repeat(4_000))));
    let chunked = query(&[("encrypt_type", "aes")]).body(reqwest::Body::wrap_stream(chunks));
    check("too large in chunks", chunked, 413).await;
    let elsewhere = caller.client.post(format!("http://{}/other", around.address()));
    check("another path", elsewhere, 404).await;
    assert!(around.intake.accepted().is_empty());

    // The same road with nothing wrong.
    let caller_side = tokio::spawn({
        let (caller, request) = (caller.clone(), caller.sealed(&good, now()));
        async move { caller.shown(request, "oP").await }
    });
    let seq = around.intake.seq_of(1).await;
    around.deliver("oP", seq, notice("well")).await.unwrap().unwrap();
    assert_eq!(caller_side.await.unwrap(), text("well"));
}

#[tokio::test]
async fn plain_messages_are_taken_where_the_config_insists() {
    for mode in [Mode::Compat, Mode::Plain] {
        let around = Around::start(WechatConfig { mode, ..config() });
        let caller = Caller::new(around.address());
        let time = now().to_string();
        let query = [
            ("signature", sign(&[TOKEN, &time, "n"])),
            ("timestamp", time),
            ("nonce", "n".to_owned()),
        ];
        let request = caller
            .client
            .post(&caller.url)
            .query(&query)
            .body(xml_from("oP", TEXT));
        let asking = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
        let seq = around.intake.seq_of(1).await;
        around.deliver("oP", seq, notice("well")).await.unwrap().unwrap();
        let reply = asking.await.unwrap();
        assert!(reply.contains("<Content><![CDATA[well]]></Content>"), "{reply}");
    }
}

#[tokio::test]
async fn the_previous_key_still_opens_and_seals_the_reply() {
    let around = Around::start(config());
    let caller = Caller::new(around.address()).with_key(OLD_AES_KEY);
    let asking = tokio::spawn(async move { caller.shown(caller.message("oP", "1", "hi"), "oP").await });
    let seq = around.intake.seq_of(1).await;
    around.deliver("oP", seq, notice("well")).await.unwrap().unwrap();
    assert_eq!(asking.await.unwrap(), text("well"));
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_committed() {
    let around = Around::gated();
    let caller = Caller::new(around.address());
    // The commit waits: this try hears nothing.
    assert_eq!(caller.one_try("oP", "1", "hi", PATIENCE).await, None);
    assert!(around.intake.accepted().is_empty());
    // WeChat hung up, the commit goes on; what is said meanwhile waits for the next try.
    around.intake.gate.add_permits(1);
    let seq = around.intake.seq_of(1).await;
    let delivery = around.deliver("oP", seq, notice("well"));
    around.intake.gate.add_permits(1);
    assert_eq!(
        caller.one_try("oP", "1", "hi", PATIENCE).await,
        Some(text("well"))
    );
    delivery.await.unwrap().unwrap();
    assert_eq!(around.intake.accepted().len(), 1);
}

#[tokio::test]
async fn what_was_not_stored_is_asked_again() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let failure = StoreError::Failed("busy".to_owned());
    around.intake.failures.lock().unwrap().push_back(failure);
    assert_eq!(
        caller.one_try("oP", "1", "hi", PATIENCE).await,
        None,
        "no word of success"
    );
    assert!(around.intake.accepted().is_empty());
    let asking = tokio::spawn(async move { caller.shown(caller.message("oP", "1", "hi"), "oP").await });
    let seq = around.intake.seq_of(1).await;
    around.deliver("oP", seq, notice("well")).await.unwrap().unwrap();
    assert_eq!(asking.await.unwrap(), text("well"));
}

#[tokio::test]
async fn events_that_say_nothing_are_acknowledged_at_once() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    for event in ["unsubscribe", "VIEW", "LOCATION", "TEMPLATESENDJOBFINISH"] {
        let shown = tokio::time::timeout(PATIENCE, caller.shown(caller.event("oP", event), "oP")).await;
        assert_eq!(shown, Ok(Shown::Nothing), "{event}");
    }
    assert!(around.intake.accepted().is_empty());
    let joining = caller.event("oP", "subscribe").send();
    let joining = tokio::spawn(joining);
    around.intake.seq_of(1).await;
    assert!(around.intake.accepted()[0].1.kind == UpdateKind::Joined);
    joining.abort();
}
