//! What plugins keep.

use bedside_contract::StoreError;

use super::Place;

pub async fn plugins_keep_data(place: &dyn Place) {
    let store = place.open().await;
    for (key, value) in [
        ("chat/1", "one"),
        ("chat/2", "two"),
        ("chat_3", "three"),
        ("聊天", "four"),
        ("", "five"),
    ] {
        store
            .plugin_put("a", key, value.as_bytes(), 1000)
            .await
            .expect("plugin_put");
    }
    store
        .plugin_put("a", "chat/1", &[0, 255], 1000)
        .await
        .expect("plugin_put");
    store
        .plugin_put("b", "chat/9", b"other", 1000)
        .await
        .expect("plugin_put");
    store.plugin_delete("a", "chat/2").await.expect("plugin_delete");
    store
        .plugin_delete("a", "never there")
        .await
        .expect("plugin_delete");
    store.audit("system", "start", "store", "").await.expect("audit");

    let store = place.open().await;
    let check_value = async |plugin: &str, key: &str, expect: Option<&[u8]>| {
        assert_eq!(
            store
                .plugin_get(plugin, key)
                .await
                .expect("plugin_get")
                .as_deref(),
            expect,
            "{plugin} {key}"
        );
    };
    check_value("a", "chat/1", Some(&[0, 255])).await;
    check_value("a", "chat/2", None).await;
    check_value("a", "", Some(b"five")).await;
    check_value("b", "chat/1", None).await;
    check_value("b", "chat/9", Some(b"other")).await;
    let check_list = async |plugin: &str, prefix: &str, expect: &[&str]| {
        assert_eq!(
            store.plugin_list(plugin, prefix).await.expect("plugin_list"),
            expect,
            "{plugin} {prefix}"
        );
    };
    check_list("a", "", &["", "chat/1", "chat_3", "聊天"]).await;
    check_list("a", "chat/", &["chat/1"]).await;
    check_list("a", "chat_", &["chat_3"]).await;
    check_list("a", "%", &[]).await;
    check_list("a", "聊", &["聊天"]).await;
    check_list("b", "", &["chat/9"]).await;
    check_list("c", "", &[]).await;
}

pub async fn a_quota_holds(place: &dyn Place) {
    let store = place.open().await;
    let check_put = async |key: &str, size: usize, quota: u64, refused: Option<u64>| match (
        store.plugin_put("a", key, &vec![7; size], quota).await,
        refused,
    ) {
        (Ok(()), None) => {}
        (
            Err(StoreError::QuotaExceeded {
                plugin,
                quota: told,
                wanted,
            }),
            Some(expect),
        ) => {
            assert_eq!(
                (plugin.as_str(), told, wanted),
                ("a", quota, expect),
                "{key} {size}"
            );
        }
        (other, _) => panic!("{key} {size}: {other:?}"),
    };
    check_put("k1", 98, 100, None).await;
    check_put("k2", 0, 100, Some(102)).await;
    check_put("k1", 99, 100, Some(101)).await;
    check_put("k1", 10, 100, None).await;
    check_put("键", 86, 100, Some(101)).await;
    check_put("键", 80, 95, None).await;
    check_put("k3", 1, 95, Some(98)).await;
    store.plugin_delete("a", "键").await.expect("plugin_delete");
    store.plugin_delete("a", "键").await.expect("plugin_delete");
    check_put("k3", 81, 95, None).await;
    check_put("k4", 0, 95, Some(97)).await;
    store
        .plugin_put("b", "k", &[0; 90], 95)
        .await
        .expect("each plugin has its own");
    store
        .plugin_put("a", "k3", &[], 0)
        .await
        .expect_err("a quota that was lowered");
    assert_eq!(
        store
            .plugin_get("a", "k3")
            .await
            .expect("plugin_get")
            .map(|it| it.len()),
        Some(81)
    );
}
