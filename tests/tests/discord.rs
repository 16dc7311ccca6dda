//! Patients on Discord: the real binary against an independent fake.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::Duration;

use bedside_tests::{
    Bot, BotOptions, DiscordFake, DiscordUser,
    discord_fake::Message,
    eventually, holds_for,
    patients::{READING, asks_for_consent, is_answer},
};
use serde_json::json;

const QUESTION: &str = "How is gout treated?";
/// So that an answer takes longer than one preview.
const SLOW: &str = "engine = { threads = 1, prefix_cache = false, sequences = 1 }";
const SENT: &str = "POST /channels/*/messages";
const ACKNOWLEDGED: &str = "POST /interactions/*/*/callback";

async fn start() -> (DiscordFake, Bot) {
    start_with("").await
}

async fn start_with(config: &str) -> (DiscordFake, Bot) {
    let fake = DiscordFake::start().await.unwrap();
    let options = BotOptions {
        discord: Some(fake.access()),
        config: config.to_owned(),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    fake.connected().await.unwrap();
    (fake, bot)
}

async fn consent(user: &DiscordUser<'_>) {
    user.say("/start").await.unwrap();
    user.message("the consent question", |it| asks_for_consent(&it.text))
        .await;
    user.press("consent:yes").await.unwrap();
    user.message("the thanks", |it| it.text.contains("Thank you"))
        .await;
}

fn answers(user: &DiscordUser<'_>) -> Vec<Message> {
    let messages = user.messages().into_iter();
    messages.filter(|it| is_answer(&it.text)).collect()
}

async fn stays(user: &DiscordUser<'_>, count: usize) {
    holds_for("no further message", Duration::from_secs(3), || {
        user.messages().len() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_by_buttons_then_a_cited_answer_that_grows() {
    let (fake, bot) = start_with(SLOW).await;
    let user = fake.user("Ann").await.unwrap();
    user.say(QUESTION).await.unwrap();
    let question = user
        .message("the consent question", |it| it.buttons.len() == 2)
        .await;
    assert_eq!(question.buttons[0].data, "consent:yes");
    assert!(
        question.text.contains("The operator of this chat app"),
        "{}",
        question.text
    );

    tokio::time::sleep(READING).await;
    user.press("consent:yes").await.unwrap();
    let answer = user
        .message("the answer to the held question", |it| is_answer(&it.text))
        .await;
    assert!(answer.text.contains("[1]"), "{}", answer.text);
    assert!(!answer.edits.is_empty(), "the answer grew by edits: {answer:?}");
    let pressed = user
        .message("the pressed message", |it| it.id == question.id)
        .await;
    assert!(
        pressed.buttons.iter().all(|it| it.disabled),
        "it cannot be pressed twice: {pressed:?}"
    );
    let acknowledged = &fake.proxy.calls(ACKNOWLEDGED)[0].body["type"];
    assert!(*acknowledged == 6 || *acknowledged == 7, "{acknowledged}");
    stays(&user, 2).await;

    for call in fake.proxy.calls(SENT) {
        assert_eq!(call.body["allowed_mentions"]["parse"], json!([]), "{call:?}");
        assert!(
            call.body["enforce_nonce"] == true && call.body["nonce"].is_string(),
            "{call:?}"
        );
    }
    let log = bot.log();
    assert!(
        !log.contains("gout") && !log.contains(&fake.access().token),
        "words or token in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slash_commands_are_deferred_and_answered_in_place() {
    let (fake, _bot) = start().await;
    eventually("the commands", Duration::from_secs(20), async || {
        let commands = fake.commands().await.ok()?;
        let all = ["ask", "new", "stop", "help", "privacy"];
        all.iter()
            .all(|it| commands.iter().any(|found| found == it))
            .then_some(())
    })
    .await;
    let user = fake.user("Ann").await.unwrap();
    consent(&user).await;
    let before = user.messages().len();
    user.slash("ask", &[("question", QUESTION)]).await.unwrap();
    user.message("the answer", |it| is_answer(&it.text)).await;
    stays(&user, before + 1).await;
    let deferred = fake.proxy.calls(ACKNOWLEDGED).pop().unwrap();
    assert_eq!(deferred.body["type"], 5, "{deferred:?}");
    let edits = fake.proxy.calls("PATCH /webhooks/*/*/messages/*");
    assert!(!edits.is_empty(), "the deferred answer is the answer");
    assert!(deferred.at <= edits[0].at);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_patient_is_said_in_a_guild() {
    let (fake, _bot) = start().await;
    let user = fake.user("Ann").await.unwrap();
    let mention = format!("<@{}> my chest hurts", fake.bot);
    user.say_in(&fake.general, "hello everybody").await.unwrap();
    user.say_in(&fake.general, &mention).await.unwrap();
    eventually("one sentence", Duration::from_secs(20), async || {
        (fake.messages(&fake.general).len() == 1).then_some(())
    })
    .await;
    user.say_in(&fake.general, &mention).await.unwrap();
    user.slash_in(&fake.general, "help", &[]).await.unwrap();
    eventually("the help", Duration::from_secs(20), async || {
        let there = fake.messages(&fake.general);
        there.iter().any(|it| it.text.contains("/privacy")).then_some(())
    })
    .await;
    let deferred = fake.proxy.calls(ACKNOWLEDGED).pop().unwrap();
    assert_eq!(
        deferred.body["data"]["flags"], 64,
        "only the patient sees it: {deferred:?}"
    );
    let there = || fake.messages(&fake.general).len();
    holds_for("no second sentence", Duration::from_secs(2), || there() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_gateway_was_away_is_answered_once() {
    let (fake, mut bot) = start().await;
    let user = fake.user("Ann").await.unwrap();
    consent(&user).await;
    let asked = async |question: &str| {
        let before = answers(&user).len();
        user.say(question).await.unwrap();
        eventually(question, Duration::from_secs(60), async || {
            (answers(&user).len() > before).then_some(())
        })
        .await;
    };
    fake.cut().await.unwrap();
    asked(QUESTION).await;
    assert_eq!(fake.resumes(), [true], "the session goes on");
    fake.forget_sessions().await.unwrap();
    asked("What is asthma?").await;
    assert_eq!(
        fake.resumes(),
        [true, false],
        "the session is gone: what was missed is fetched"
    );
    bot.kill9().await.unwrap();
    user.say("What is influenza?").await.unwrap();
    bot.restart().await.unwrap();
    eventually("the third answer", Duration::from_secs(60), async || {
        (answers(&user).len() == 3).then_some(())
    })
    .await;
    assert_eq!(
        fake.resumes(),
        [true, false, true],
        "a new process resumes the stored session"
    );
    let count = user.messages().len();
    stays(&user, count).await;
    assert_eq!(answers(&user).len(), 3);
}
