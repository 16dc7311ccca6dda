//! Whoever leaves a computer that others use.

use std::sync::atomic::Ordering;

use bedside_web::WebConfig;
use serde_json::json;

use crate::{ID, browser::Browser};

#[tokio::test]
async fn a_browser_that_leaves_takes_its_tabs_along_and_nobody_elses() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let stranger = browser.stranger();
    let mut tab = browser.events("/api/events", None).await;
    tab.next("open").await;
    let mut other = stranger.events("/api/events", None).await;
    other.next("greeting").await;
    let response = browser.forget("").await;
    assert_eq!(response.status().as_u16(), 204);
    assert!(
        browser.memory.updates.lock().unwrap().is_empty(),
        "nothing is deleted unasked"
    );
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("bedside=;") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
    tab.next("forgotten").await;
    other.assert_silent().await;
}

#[tokio::test]
async fn a_browser_that_leaves_can_have_everything_deleted() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let stranger = browser.stranger();
    assert_eq!(stranger.forget("?delete=true").await.status().as_u16(), 204);
    assert!(
        browser.memory.updates.lock().unwrap().is_empty(),
        "without a cookie there is nothing to delete"
    );

    browser.post(&json!({"id": ID, "text": "question"})).await;
    browser.memory.broken.store(true, Ordering::SeqCst);
    let refused = browser.forget("?delete=true").await;
    assert_eq!(refused.status().as_u16(), 503);
    assert!(
        !refused.headers().contains_key("set-cookie"),
        "the browser keeps the way to ask again"
    );

    browser.memory.broken.store(false, Ordering::SeqCst);
    assert_eq!(browser.forget("?delete=true").await.status().as_u16(), 204);
    let conversation = browser.memory.conversation();
    let updates = browser.memory.updates.lock().unwrap();
    assert_eq!(updates.len(), 2);
    assert_eq!(updates[1].conversation, conversation);
    assert_eq!(updates[1].text(), Some("delete:yes"));
}
