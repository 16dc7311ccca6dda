//! The page over real HTTP, with a store in memory behind it.

#[cfg(test)]
mod browser;
mod leaving;
#[cfg(test)]
mod memory;

use std::{sync::atomic::Ordering, time::Duration};

use bedside_contract::{Connector, ConnectorError, InboxSeq, Language, Part, UpdateKind};
use bedside_web::WebConfig;
use reqwest::{StatusCode, header};
use serde_json::json;

use browser::{Browser, context};
use memory::{RED_FLAG, RED_FLAG_ZH, outbox_item};

const ID: &str = "6f6c1f0e-8f0a-4f43-9d8a-0d2c6b1c7a11";

#[tokio::test]
async fn the_page_comes_with_a_secret_cookie_and_strict_headers() {
    let browser = Browser::open(WebConfig::default()).await;
    let page = browser.get("/").await;
    assert_eq!(page.status(), StatusCode::OK);

    let cookie = page.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000");
    let secret = pair.strip_prefix("bedside=").unwrap();
    assert!(
        secret.len() == 64 && secret.chars().all(|it| it.is_ascii_hexdigit()),
        "{secret}"
    );

    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    for directive in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");

    let nonce = policy
        .split("script-src 'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap()
        .to_owned();
    let html = page.text().await.unwrap();
    assert_eq!(html.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert!(html.contains("Test &amp; Hospital"));
    let second = browser.get("/").await;
    assert_ne!(
        second.headers()["content-security-policy"].to_str().unwrap(),
        policy,
        "a nonce serves once"
    );
}

#[tokio::test]
async fn the_cookie_stays_the_same_while_it_is_used() {
    let browser = Browser::open(WebConfig {
        session_days: 0,
        ..WebConfig::default()
    })
    .await;
    let first = browser.get("/").await.headers()[header::SET_COOKIE].clone();
    let again = browser.with_cookie(&first).get("/").await.headers()[header::SET_COOKIE].clone();
    assert_eq!(first, again);
    assert!(!first.to_str().unwrap().contains("Max-Age"));
}

#[tokio::test]
async fn other_sites_other_names_and_other_formats_are_refused() {
    let browser = Browser::open(WebConfig::default()).await;
    let own = format!("http://{}", browser.authority());
    let check = async |headers: &[(&'static str, &str)], expect: (u16, &str)| {
        // `headers` replaces where `header` would add a second one.
        let headers_map = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let request = browser
            .post_request(&json!({"id": ID, "text": "hello"}))
            .headers(headers_map);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(
            (status, body["code"].as_str().unwrap_or("taken")),
            expect,
            "{headers:?}"
        );
    };
    check(&[("origin", "https://evil.example")], (403, "other-site")).await;
    check(&[("origin", "null")], (403, "other-site")).await;
    check(&[("sec-fetch-site", "cross-site")], (403, "other-site")).await;
    check(&[("host", "evil.example")], (421, "unknown-host")).await;
    check(&[("content-type", "text/plain")], (415, "not-json")).await;
    assert_eq!(browser.memory.updates.lock().unwrap().len(), 0);
    check(
        &[("origin", &own), ("sec-fetch-site", "same-origin")],
        (202, "taken"),
    )
    .await;
    assert_eq!(browser.memory.updates.lock().unwrap().len(), 1);

    let rebound = browser
        .get_request("/api/events")
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    let probe = browser
        .get_request("/healthz")
        .header("host", "bedside.internal")
        .send()
        .await
        .unwrap();
    assert_eq!(probe.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_message_sent_twice_is_taken_once() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let message = json!({"id": ID, "text": "我头疼", "language": "zh"});
    assert_eq!(
        browser.post(&message).await,
        (202, json!({"seq": 1, "duplicate": false}))
    );
    assert_eq!(
        browser.post(&message).await,
        (202, json!({"seq": 1, "duplicate": true}))
    );
    let upper = json!({"id": ID.to_uppercase(), "text": "我头疼"});
    assert_eq!(
        browser.post(&upper).await,
        (202, json!({"seq": 1, "duplicate": true}))
    );

    let updates = browser.memory.updates.lock().unwrap().clone();
    assert_eq!(updates.len(), 1);
    assert_eq!(
        updates[0].kind,
        UpdateKind::Text {
            text: "我头疼".to_owned()
        }
    );
    assert_eq!(updates[0].language_hint, Some(Language::Zh));
    assert_eq!(
        updates[0].conversation.as_str(),
        format!("web:page:{}", updates[0].sender)
    );
    assert_eq!(updates[0].external_id, format!("{}:{ID}", updates[0].sender));
}

#[tokio::test]
async fn two_browsers_do_not_meet() {
    let first = Browser::open(WebConfig::default()).await.into_session().await;
    let second = first.stranger().into_session().await;
    first.post(&json!({"id": ID, "text": "my secret"})).await;
    assert_eq!(
        second.post(&json!({"id": ID, "text": "hello"})).await,
        (202, json!({"seq": 2, "duplicate": false}))
    );

    let mut stream = second.events("/api/events?after=0", None).await;
    assert_eq!(stream.next("entry").await.data["text"], "hello");
    stream.assert_silent().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_said_in_both_languages() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let check = async |message: serde_json::Value, expect: (u16, &str)| {
        let (status, body) = browser.post(&message).await;
        assert_eq!((status, body["code"].as_str().unwrap_or("taken")), expect);
        if status != 202 {
            assert!(
                body["en"].as_str().unwrap().len() > 10 && body["zh"].as_str().unwrap().chars().count() > 3
            );
        }
    };
    check(json!({"id": ID, "text": "x".repeat(17_000)}), (413, "too-large")).await;
    check(json!({"id": ID, "text": "x".repeat(300_000)}), (413, "too-large")).await;
    check(json!({"id": ID, "text": "痛".repeat(4_001)}), (413, "too-long")).await;
    check(json!({"id": ID, "text": "  \n"}), (422, "empty")).await;
    check(json!({"id": "7", "text": "hello"}), (422, "bad-id")).await;
    check(json!({"id": ID}), (400, "unreadable")).await;
    check(json!({"id": ID, "text": "a", "choice": "b"}), (400, "unreadable")).await;
    check(json!({"id": ID, "text": "痛".repeat(4_000)}), (202, "taken")).await;
    let (status, body) = browser.post_raw("{").await;
    assert_eq!((status, body["code"].as_str()), (400, Some("unreadable")));
}

#[tokio::test]
async fn what_could_not_be_stored_is_not_acknowledged() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    browser.memory.broken.store(true, Ordering::SeqCst);
    let (status, body) = browser.post(&json!({"id": ID, "text": "hello"})).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("not-stored")));
    assert!(
        !body.to_string().contains("disk full"),
        "the operator's words are not the patient's"
    );
    browser.memory.broken.store(false, Ordering::SeqCst);
    assert_eq!(browser.post(&json!({"id": ID, "text": "hello"})).await.0, 202);
}

#[tokio::test]
async fn who_writes_too_fast_is_told_to_call_if_it_is_urgent() {
    let config = WebConfig {
        messages_per_minute: 2,
        ..WebConfig::default()
    };
    let browser = Browser::open(config).await.into_session().await;
    let message =
        |number: u8| json!({"id": format!("{number:08x}-0000-4000-8000-000000000000"), "text": "hello"});
    assert_eq!(browser.post(&message(1)).await.0, 202);
    assert_eq!(browser.post(&message(2)).await.0, 202);
    let response = browser.post_request(&message(3)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(
        response.headers()[header::RETRY_AFTER]
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            <= 31
    );
    let body: serde_json::Value = response.json().await.unwrap();
    assert!(
        body["en"].as_str().unwrap().contains("call 120")
            && body["zh"].as_str().unwrap().contains("拨打 120")
    );
    let stranger = browser.stranger().into_session().await;
    assert_eq!(
        stranger.post(&message(3)).await.0,
        202,
        "one patient's limit is not another's"
    );
}

#[tokio::test]
async fn whatever_is_refused_its_red_flags_are_answered() {
    let config = WebConfig {
        messages_per_minute: 2,
        ..WebConfig::default()
    };
    let browser = Browser::open(config).await.into_session().await;
    let id = |number: u8| format!("{number:08x}-0000-4000-8000-000000000000");
    let refused = async |body: String, code: &str| {
        let (status, body) = browser.post_raw(&body).await;
        assert!(status >= 400, "{body}");
        assert_eq!(body["code"], code);
        for language in ["en", "zh"] {
            let words = body[language].as_str().unwrap();
            assert!(words.contains("120"), "{words}");
        }
        body["notice"].clone()
    };
    let padding = "x".repeat(3_000);
    let large = "x ".repeat(150_000);
    for (number, words) in [(10, RED_FLAG), (20, RED_FLAG_ZH), (30, "my knee itches")] {
        let is_emergency = number < 30;
        let text = |text: &str| json!({"id": id(number), "text": text}).to_string();
        let mut notices = vec![
            refused(text(&format!("{padding}{padding}{words}")), "too-long").await,
            refused(text(&format!("{words}{large}")), "too-large").await,
            refused(text(&format!("{large}{words}")), "too-large").await,
            refused(json!({"id": "7", "text": words}).to_string(), "bad-id").await,
            refused(
                json!({"id": id(number), "choice": words, "text": words}).to_string(),
                "unreadable",
            )
            .await,
            refused(format!("{{\"text\": \"{words}"), "unreadable").await,
        ];
        browser.memory.broken.store(true, Ordering::SeqCst);
        let fresh = browser.stranger().into_session().await;
        let (_, body) = fresh.post_raw(&text(words)).await;
        assert_eq!(body["code"], "not-stored");
        notices.push(body["notice"].clone());
        browser.memory.broken.store(false, Ordering::SeqCst);
        for notice in notices {
            assert_eq!(notice["kind"] == "emergency", is_emergency, "{words}: {notice}");
        }
    }
    for number in [1, 2] {
        browser.post(&json!({"id": id(number), "text": "hello"})).await;
    }
    let too_fast = json!({"id": id(3), "text": RED_FLAG}).to_string();
    assert_eq!(refused(too_fast, "too-fast").await["text"], "Call 120 now.");
}

#[tokio::test]
async fn every_page_begins_with_the_greeting_and_a_visit_keeps_nothing() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let mut stream = browser.events("/api/events?after=0&language=zh", None).await;
    let greeting = stream.next("greeting").await;
    assert_eq!(
        greeting.id, None,
        "a browser that comes back does not go on from it"
    );
    assert_eq!(greeting.data["part"]["language"], "zh");
    assert!(
        browser.memory.updates.lock().unwrap().is_empty(),
        "a visit is no message"
    );

    browser.post(&json!({"id": ID, "text": "hello"})).await;
    let mut reload = browser.events("/api/events?after=0", None).await;
    reload.next("greeting").await;
    assert_eq!(reload.next("entry").await.data["text"], "hello");
    let mut resumed = browser.events("/api/events?after=1", None).await;
    resumed.assert_silent().await;
}

#[tokio::test]
async fn a_stream_goes_on_where_the_page_left_off() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    browser.post(&json!({"id": ID, "text": "question"})).await;
    browser.say(1, "answer").await;
    browser.say(1, "more").await;

    let check = async |path: &str, last_event_id: Option<&str>, expect: &[i64]| {
        let mut stream = browser.events(path, last_event_id).await;
        for id in expect {
            let event = stream.next("entry").await;
            assert_eq!(
                (event.id.as_deref(), &event.data["id"]),
                (Some(id.to_string().as_str()), &json!(id))
            );
        }
        stream.assert_silent().await;
    };
    check("/api/events", None, &[1, 2, 3]).await;
    check("/api/events?after=1", None, &[2, 3]).await;
    check("/api/events?after=3", None, &[]).await;
    check("/api/events?after=0", Some("2"), &[3]).await;
    check("/api/events?after=1", Some("3"), &[]).await;
    check("/api/events?after=2", Some("nonsense"), &[3]).await;
}

#[tokio::test]
async fn a_long_conversation_comes_whole_and_in_order() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    browser.post(&json!({"id": ID, "text": "question"})).await;
    for number in 0..350 {
        browser.say(1, &number.to_string()).await;
    }
    let mut stream = browser.events("/api/events?after=1", None).await;
    for number in 0..350 {
        assert_eq!(
            stream.next("entry").await.data["part"]["text"],
            number.to_string()
        );
    }
    stream.assert_silent().await;
}

#[tokio::test]
async fn the_page_finds_its_own_message_by_its_own_id() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let mut stream = browser.events("/api/events", None).await;
    browser.post(&json!({"id": ID, "choice": "consent:yes"})).await;
    let entry = stream.next("entry").await.data;
    assert_eq!(
        entry,
        json!({"id": 1, "seq": 1, "external_id": ID, "from": "patient", "text": "consent:yes"})
    );
}

#[tokio::test]
async fn an_answer_is_shown_while_it_is_written_and_then_whole() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    browser.post(&json!({"id": ID, "text": "question"})).await;
    let conversation = browser.memory.conversation();
    let mut stream = browser.events("/api/events?after=1", None).await;
    stream.next("open").await;

    browser.connector.typing(&conversation).await;
    stream.next("typing").await;
    let shown = browser
        .connector
        .preview(&conversation, InboxSeq(1), None, "Dri")
        .await
        .unwrap();
    assert_eq!(
        stream.next("preview").await.data,
        json!({"seq": 1, "text": "Dri"})
    );
    let again = browser
        .connector
        .preview(&conversation, InboxSeq(1), Some(&shown), "Drink wat")
        .await
        .unwrap();
    assert_eq!(again, shown);
    assert_eq!(stream.next("preview").await.data["text"], "Drink wat");
    let mut second_tab = browser.events("/api/events?after=1", None).await;
    assert_eq!(second_tab.next("preview").await.data["text"], "Drink wat");

    let item = browser
        .memory
        .say(&conversation, 1, Part::notice(Language::En, "Drink water."));
    assert_eq!(browser.connector.deliver(&item).await.unwrap().0, "part-1");
    browser.connector.settled(&item);
    for stream in [&mut stream, &mut second_tab] {
        assert_eq!(stream.next("entry").await.data["part"]["text"], "Drink water.");
    }
    browser
        .connector
        .preview(&conversation, InboxSeq(1), Some(&shown), "late")
        .await
        .unwrap();
    stream.assert_silent().await;
}

#[tokio::test]
async fn a_part_is_shown_as_soon_as_the_store_has_settled_it() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    browser.post(&json!({"id": ID, "text": "question"})).await;
    let mut stream = browser.events("/api/events?after=1", None).await;
    stream.next("open").await;
    let item = outbox_item(
        &browser.memory.conversation(),
        1,
        Part::notice(Language::En, "late"),
    );
    browser.connector.deliver(&item).await.unwrap();
    browser.memory.show(&item);
    browser.connector.settled(&item);
    assert_eq!(stream.next("entry").await.data["part"]["text"], "late");
}

#[tokio::test]
async fn the_health_page_tells_alive_from_ready() {
    let browser = Browser::open(WebConfig::default()).await;
    let check = async |path: &str, expect: u16| {
        assert_eq!(browser.get(path).await.status().as_u16(), expect, "{path}")
    };
    check("/healthz", 200).await;
    check("/readyz", 503).await;
    browser.ready.store(true, Ordering::SeqCst);
    check("/readyz", 200).await;
    let body: serde_json::Value = browser.get("/readyz").await.json().await.unwrap();
    assert_eq!(
        body,
        json!({"ready": true}),
        "nothing of models, plugins and their versions"
    );
    browser.memory.is_low.store(true, Ordering::SeqCst);
    check("/readyz", 503).await;
    check("/healthz", 200).await;
    browser.memory.is_low.store(false, Ordering::SeqCst);
    browser.memory.broken.store(true, Ordering::SeqCst);
    check("/readyz", 503).await;
    check("/healthz", 503).await;
    check("/nothing", 404).await;
}

#[tokio::test]
async fn further_routes_stand_behind_the_same_guard() {
    let browser = Browser::open(WebConfig::default()).await;
    assert_eq!(browser.get("/extra").await.text().await.unwrap(), "extra");
    let rebound = browser
        .get_request("/extra")
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn only_so_many_pages_are_open_at_once() {
    let config = WebConfig {
        max_open_pages: 1,
        ..WebConfig::default()
    };
    let browser = Browser::open(config).await.into_session().await;
    let mut first = browser.events("/api/events", None).await;
    first.next("open").await;
    assert_eq!(
        browser.get("/api/events").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    drop(first);
    for _ in 0..100 {
        if browser.get("/api/events").await.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a closed page still counts");
}

#[tokio::test]
async fn streams_end_when_the_connector_stops() {
    let browser = Browser::open(WebConfig::default()).await.into_session().await;
    let mut stream = browser.events("/api/events", None).await;
    stream.next("greeting").await;
    browser.stop();
    stream.assert_ends().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_one_that_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let config = WebConfig {
        listen: listen.clone(),
        ..WebConfig::default()
    };
    let error = config.build(context().0).err().unwrap();
    let ConnectorError::AddressInUse {
        key,
        address,
        suggestion,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((key.as_str(), address), ("web.listen", &listen));
    assert!(error.to_string().contains(suggestion));
    let config = WebConfig {
        listen: suggestion.clone(),
        ..WebConfig::default()
    };
    assert_eq!(
        config.build(context().0).unwrap().local_address().to_string(),
        *suggestion
    );
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let check = |config: WebConfig, expect: &str| {
        let error = config.build(context().0).err().unwrap();
        assert!(error.to_string().starts_with(expect), "{error}");
    };
    check(
        WebConfig {
            listen: "8080".to_owned(),
            ..WebConfig::default()
        },
        "web.listen: ",
    );
    check(
        WebConfig {
            public_url: Some("chat.example".to_owned()),
            ..WebConfig::default()
        },
        "web.public_url: ",
    );
    check(
        WebConfig {
            messages_per_minute: 0,
            ..WebConfig::default()
        },
        "web.messages_per_minute: ",
    );
}
