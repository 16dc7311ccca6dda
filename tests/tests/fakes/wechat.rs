use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::Uri, routing::any};
use bedside_tests::{Fault, Replies, WechatFake, wechat_fake::SECRET};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

const SEND: &str = "POST /message/custom/send";

async fn call(fake: &WechatFake, name: &str, argument: Value) -> i64 {
    let answer = fake.foreign_call(name, SECRET, "ann", argument).await.unwrap();
    answer["errcode"]
        .as_i64()
        .unwrap_or_else(|| answer["result"]["errcode"].as_i64().unwrap())
}

/// Stands where the bot would; ended with the test's runtime.
async fn serve(fake: &WechatFake, router: Router) -> JoinHandle<()> {
    let listener = TcpListener::bind(fake.access().listen).await.unwrap();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_good_enough_for_a_foreign_client() {
    let fake = WechatFake::start(Replies::CustomerService).await.unwrap();
    let send = |text: &str| call(&fake, "send_text", json!(text));
    assert_eq!(send("too early").await, 45015, "nobody has written");
    assert_eq!(call(&fake, "typing", json!("Typing")).await, 45080);
    let _bot = serve(&fake, Router::new().fallback(async || "success")).await;
    assert_eq!(
        fake.user("ann").say("hello").await.unwrap().outcomes(),
        ["nothing"]
    );

    assert_eq!(call(&fake, "typing", json!("Typing")).await, 0);
    assert_eq!(call(&fake, "typing", json!("Typing")).await, 45081);
    assert_eq!(call(&fake, "typing", json!("Dance")).await, 45072);
    assert_eq!(send(&"你".repeat(683)).await, 45002);
    fake.api.inject(
        SEND,
        Fault::TooMany {
            retry_after: Duration::ZERO,
        },
    );
    assert_eq!(send("busy").await, -1);
    fake.api.platform().expire_tokens();
    assert_eq!(
        send(&"你".repeat(682)).await,
        0,
        "wechatpy fetches another token by itself"
    );
    let menu = json!({
        "head_content": "Agree?", "tail_content": "Choose.",
        "list": [{"id": "yes", "content": "I agree"}, {"id": "no", "content": "No"}],
    });
    assert_eq!(call(&fake, "send_msg_menu", menu).await, 0);
    for expect in [0, 0, 0, 45047] {
        assert_eq!(send("more").await, expect);
    }
    let heard = fake.user("ann").heard();
    assert_eq!((heard.len(), heard[1].text.as_str()), (5, "Agree?\nChoose."));
    assert_eq!(heard[1].menu[0], ("yes".to_owned(), "I agree".to_owned()));
    assert_eq!(fake.api.platform().made_tokens(), 2);
    let wrong = fake
        .foreign_call("send_text", "wrong", "ann", json!("x"))
        .await
        .unwrap();
    assert_eq!(wrong["errcode"], 40125);
}

/// A bot that answers the verification, then one message after two tries.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_sign_wait_and_try_again() {
    let fake = WechatFake::start(Replies::Passive).await.unwrap();
    let posts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&posts);
    let router = Router::new().route(
        "/wechat",
        any(move |uri: Uri| async move {
            let query = uri.query().unwrap_or_default();
            if let Some(echo) = query.split('&').find_map(|it| it.strip_prefix("echostr=")) {
                return echo.to_owned();
            }
            assert!(
                query.contains("encrypt_type=aes") && query.contains("msg_signature="),
                "{query}"
            );
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            "success".to_owned()
        }),
    );
    let _bot = serve(&fake, router).await;
    assert!(fake.verify().await.unwrap());
    let pushed = fake.user("ann").say("hello").await.unwrap();
    assert_eq!(pushed.outcomes(), ["timeout", "nothing"]);
    assert!(pushed.tries[0].took >= Duration::from_secs(5), "{pushed:?}");
    assert!(fake.user("ann").heard().is_empty());
}
