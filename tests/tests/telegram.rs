//! Patients on Telegram: the real binary against an independent fake, with faults in between.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::{Duration, Instant};

use bedside_tests::{
    Bot, BotOptions, TelegramFake, TelegramUser, eventually, holds_for, telegram_fake::Message,
};

const QUESTION: &str = "How is gout treated?";
const EMERGENCY: &str = "I have crushing chest pain that spreads to my left arm and I am sweating";

async fn start() -> (TelegramFake, Bot) {
    start_with("").await
}

async fn start_with(config: &str) -> (TelegramFake, Bot) {
    let fake = TelegramFake::start().await.unwrap();
    let options = BotOptions {
        telegram: fake.access(),
        config: config.to_owned(),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    (fake, bot)
}

fn is_answer(message: &Message) -> bool {
    message.text.contains("Sources:") && message.text.contains("Written by AI")
}

fn answers(user: &TelegramUser<'_>) -> Vec<Message> {
    user.messages().into_iter().filter(is_answer).collect()
}

/// Nothing more comes to a chat.
async fn stays(user: &TelegramUser<'_>, count: usize) {
    holds_for("no further message", Duration::from_secs(3), || {
        user.messages().len() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_comes_first_then_a_cited_answer_that_grows() {
    let (fake, bot) = start().await;
    let user = fake.user(42);
    user.say(QUESTION).await.unwrap();
    let consent = user
        .message("the consent question", |it| it.buttons.len() == 2)
        .await;
    assert_eq!(consent.buttons, ["consent:yes", "consent:no"]);
    assert!(
        consent
            .text
            .contains("The operator of this chat app can read it too"),
        "{}",
        consent.text
    );
    stays(&user, 1).await;

    user.press("consent:yes").await.unwrap();
    let answer = user.message("the answer to the held question", is_answer).await;
    assert!(
        answer.text.contains("[1]") && answer.text.to_lowercase().contains("gout"),
        "{}",
        answer.text
    );
    assert!(!answer.edits.is_empty(), "the answer grew by edits: {answer:?}");
    let typing = fake.proxy.calls("sendchataction");
    assert!(
        typing.iter().any(|it| it.at <= answer.sent),
        "typing was shown before the first word"
    );
    assert_eq!(fake.proxy.calls("answercallbackquery").len(), 1);
    stays(&user, 2).await;
    for pair in [vec![answer.sent], answer.edits].concat().windows(2) {
        let pause = pair[1].duration_since(pair[0]);
        let is_last = pair[1] == *user.messages()[1].edits.last().unwrap();
        assert!(
            is_last || pause >= Duration::from_millis(1000),
            "edits came {pause:?} apart"
        );
    }
    assert!(
        !bot.log().contains("gout") && !bot.log().contains("AAF7"),
        "words or token in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_answered_at_once_and_before_consent() {
    let (fake, _bot) = start().await;
    let user = fake.user(7);
    let start = Instant::now();
    user.say(EMERGENCY).await.unwrap();
    let notice = user
        .message("the emergency notice", |it| it.text.contains("120"))
        .await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        start.elapsed()
    );
    assert!(notice.text.starts_with('🚨'), "{}", notice.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_is_split_where_telegram_allows() {
    let contact = "Ward 3 开门时间 😷 <b>& more</b>. ".repeat(300);
    let (fake, _bot) = start_with(&format!("[bot]\nhuman_contact = {contact:?}")).await;
    let user = fake.user(1);
    user.say("/privacy").await.unwrap();
    user.message("the last piece", |it| {
        it.text.trim_end().ends_with("more</b>. .") || it.text.contains("Questions")
    })
    .await;
    eventually("all pieces", Duration::from_secs(30), async || {
        let told: usize = user
            .messages()
            .iter()
            .map(|it| it.text.matches("Ward 3").count())
            .sum();
        (told == 300).then_some(())
    })
    .await;
    assert!(user.messages().len() >= 2);
    assert!(
        user.messages()
            .iter()
            .all(|it| it.text.encode_utf16().count() <= 4096)
    );
    let refused: Vec<_> = fake
        .proxy
        .calls("sendmessage")
        .into_iter()
        .filter(|it| !it.succeeded())
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_while_answering_leaves_one_answer() {
    let (fake, mut bot) = start().await;
    let user = fake.user(42);
    user.consent().await.unwrap();
    let before = user.messages().len();
    user.say(QUESTION).await.unwrap();
    eventually("the answer begins", Duration::from_secs(60), async || {
        let growing = user.messages().get(before).is_some_and(|it| !it.edits.is_empty());
        (growing || !answers(&user).is_empty()).then_some(())
    })
    .await;
    bot.kill9().await.unwrap();
    bot.restart().await.unwrap();
    user.message("the answer after the restart", is_answer).await;
    stays(&user, before + 1).await;
    assert_eq!(answers(&user).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_bot_was_away_is_answered_once_and_in_order() {
    let (fake, mut bot) = start().await;
    let user = fake.user(42);
    user.say("/help").await.unwrap();
    user.message("the help", |it| it.text.contains("/privacy")).await;
    assert!(bot.stop().await.unwrap().success());
    user.say("/language").await.unwrap();
    user.say("/privacy").await.unwrap();
    bot.restart().await.unwrap();
    user.message("the privacy note", |it| it.text.contains("Your rights"))
        .await;
    stays(&user, 3).await;
    assert!(user.messages()[1].buttons.contains(&"language:zh".to_owned()));
    // Everything was confirmed to the platform, after it was stored.
    eventually("the confirmation", Duration::from_secs(10), async || {
        (fake.proxy.platform().confirmed_up_to() > 3).then_some(())
    })
    .await;
}
