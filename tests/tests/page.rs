//! The chat page in a real browser: `tests/node/page.mjs` drives Chromium and checks what a patient sees.

use std::{process::Stdio, time::Duration};

use bedside_tests::{Bot, BotOptions, places};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_in_a_browser() {
    let bot = Bot::start(BotOptions::default()).await.unwrap();
    let pictures = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg("page.mjs")
        .arg(bot.url())
        .arg(pictures.path())
        .current_dir(places::node().unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(240), output)
        .await
        .expect("the browser ends")
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}\nthe bot's log:\n{}", bot.log());
    for picture in ["conversation.png", "phone.png", "emergency.png"] {
        let size = std::fs::metadata(pictures.path().join(picture)).unwrap().len();
        assert!(size > 10_000, "{picture} is nearly empty: {size} bytes");
    }
    // `make screenshot` asks for the picture in the manual.
    if let Some(wanted) = std::env::var_os("BEDSIDE_SCREENSHOT") {
        std::fs::copy(
            pictures.path().join("conversation.png"),
            places::repository().join(wanted),
        )
        .unwrap();
    }
}
