//! Patients on WeChat: the real binary, with foreign code on the other end of the wire.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::Duration;

use bedside_tests::{
    Bot, BotOptions, Replies, WebClient, WechatFake, WechatUser, eventually, holds_for,
    patients::{TALKATIVE, asks_for_consent, is_answer},
};
use futures::future::{join_all, try_join_all};
use tokio::time::sleep;

const QUESTION: &str = "How is gout treated?";
const SENT: &str = "POST /message/custom/send";

async fn start(replies: Replies) -> (WechatFake, Bot) {
    start_with(replies, "").await
}

async fn start_with(replies: Replies, config: &str) -> (WechatFake, Bot) {
    let fake = WechatFake::start(replies).await.unwrap();
    let options = BotOptions {
        wechat: Some(fake.access()),
        config: config.to_owned(),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    (fake, bot)
}

fn answers(user: &WechatUser) -> usize {
    user.heard().iter().filter(|it| is_answer(&it.text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_welcomed_agrees_and_is_answered_in_the_reply() {
    let (fake, bot) = start(Replies::Passive).await;
    assert!(fake.verify().await.unwrap());
    let user = fake.user("ann");
    let welcome = user.push(user.subscription()).await.unwrap();
    let text = welcome.reply().unwrap();
    assert!(asks_for_consent(text) && text.contains("1. "), "{text}");
    let thanks = user.say("1").await.unwrap();
    assert!(thanks.reply().is_some_and(|it| it.contains("谢谢")), "{thanks:?}");
    let answer = user.say(QUESTION).await.unwrap();
    assert!(answer.reply().is_some_and(is_answer), "{answer:?}");
    // The same message once more: WeChat did not get the answer.
    let text = user.text("/help");
    let (first, second) = (
        user.push(text.clone()).await.unwrap(),
        user.push(text).await.unwrap(),
    );
    assert_eq!(first.reply().unwrap(), second.reply().unwrap());
    assert!(first.is_shown && !second.is_shown);
    assert!(!bot.log().contains("gout"), "words of a patient in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_comes_with_the_next_message() {
    // Others have asked before, and the engine answers one after the other.
    let config = format!("{TALKATIVE}engine = {{ sequences = 1 }}\n");
    let (fake, bot) = start_with(Replies::Passive, &config).await;
    let user = fake.user("ann");
    let asked = user.say("/start").await.unwrap();
    assert!(asked.reply().is_some_and(asks_for_consent), "{asked:?}");
    let thanks = user.say("1").await.unwrap();
    assert!(thanks.reply().is_some_and(|it| it.contains("谢谢")), "{thanks:?}");
    let url = bot.url();
    let crowd = (0..20).map(|_| WebClient::open_with_consent(&url));
    let crowd = try_join_all(crowd).await.unwrap();
    let asks = crowd
        .iter()
        .map(|it| it.say("What is asthma and how is it treated?"));
    try_join_all(asks).await.unwrap();

    let pushed = user.say(QUESTION).await.unwrap();
    assert_eq!(pushed.outcomes(), ["timeout", "timeout", "reply"], "{pushed:?}");
    let thinking = pushed.reply().unwrap();
    assert!(thinking.contains("Write anything to get"), "{thinking}");
    try_join_all(crowd.iter().map(|it| it.say("/stop")))
        .await
        .unwrap();
    // A long one has several pieces; all but the last say that there is more.
    eventually("the whole answer", Duration::from_secs(60), async || {
        let reply = user.say("ok").await.unwrap();
        let is_last = |it: &str| it.contains("Written by AI") && !it.contains("to see the rest");
        reply.reply().is_some_and(is_last).then_some(())
    })
    .await;
    let pieces = || -> Vec<String> {
        let heard = user.heard().into_iter().map(|it| it.text);
        heard.filter(|it| it.contains("Written by AI")).collect()
    };
    let told = pieces();
    let last = user.say("/help").await.unwrap();
    assert!(
        last.reply().is_some_and(|it| it.contains("/privacy")),
        "{:#?}",
        user.heard()
    );
    assert_eq!(pieces(), told, "nothing comes twice");
    assert!(
        told.iter()
            .all(|it| told.iter().filter(|other| it == *other).count() == 1)
    );
}

/// The connector waits some seconds for WeChat's next try; around the end of that time the patient writes.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_request_broke_off_comes_once_with_the_next_message() {
    let (fake, _bot) = start(Replies::Passive).await;
    let patients = (0..12_u64).map(|number| {
        let user = fake.user(&format!("patient-{number}"));
        async move {
            user.say("/start").await.unwrap();
            user.say("1").await.unwrap();
            let cut = user
                .push_for(user.text(QUESTION), 1, Duration::from_millis(300))
                .await
                .unwrap();
            assert_eq!(cut.outcomes(), ["timeout"]);
            sleep(Duration::from_millis(4200 + 150 * number)).await;
            eventually("the answer", Duration::from_secs(30), async || {
                user.say("ok").await.unwrap();
                (answers(&user) > 0).then_some(())
            })
            .await;
            user.say("/help").await.unwrap();
            user.say("/language").await.unwrap();
            let last = user.heard().len();
            assert_eq!(answers(&user), 1, "patient {number}: {:#?}", user.heard());
            assert!(last >= 4, "patient {number}: {:#?}", user.heard());
        }
    });
    join_all(patients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_service_messages_carry_typing_menu_and_answer() {
    let (fake, _bot) = start(Replies::CustomerService).await;
    assert!(fake.verify().await.unwrap());
    let user = fake.user("ann");
    let pushed = user.push(user.subscription()).await.unwrap();
    assert_eq!(pushed.outcomes(), ["nothing"], "taken at once");
    let welcome = user
        .message("the consent question", |it| it.menu.len() == 2)
        .await;
    assert!(asks_for_consent(&welcome.text), "{}", welcome.text);
    let (id, label) = &welcome.menu[0];
    assert_eq!(id, "consent:yes");
    user.push(user.menu_click(id, label)).await.unwrap();
    user.message("the thanks", |it| it.text.contains("谢谢")).await;

    fake.api.platform().expire_tokens();
    let pushed = user.say(QUESTION).await.unwrap();
    assert_eq!(pushed.outcomes(), ["nothing"]);
    assert!(pushed.tries[0].took < Duration::from_secs(2), "{pushed:?}");
    user.message("the answer", |it| is_answer(&it.text)).await;
    assert!(user.saw_typing());
    assert_eq!(
        fake.api.platform().made_tokens(),
        2,
        "a refused token is renewed, once"
    );
    holds_for("no second answer", Duration::from_secs(2), || answers(&user) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_five_messages_waits_for_the_patient() {
    let fake = WechatFake::start(Replies::CustomerService).await.unwrap();
    let wards: Vec<String> = (1..=600).map(|it| format!("Ward {it}, ring twice.")).collect();
    let options = BotOptions {
        wechat: Some(fake.access()),
        without_model: true,
        config: format!("[bot]\nhuman_contact = {:?}", wards.join(" ")),
        ..BotOptions::default()
    };
    let mut bot = Bot::start(options).await.unwrap();
    let user = fake.user("ann");
    let heard = |count: usize| {
        let user = user.clone();
        async move {
            eventually("messages", Duration::from_secs(20), async || {
                (user.heard().len() == count).then_some(())
            })
            .await
        }
    };
    user.say("/privacy").await.unwrap();
    heard(5).await;
    holds_for("no sixth message", Duration::from_secs(2), || {
        user.heard().len() == 5
    })
    .await;
    // What waits is in the store.
    bot.kill9().await.unwrap();
    bot.restart().await.unwrap();
    holds_for("no sixth message", Duration::from_secs(2), || {
        user.heard().len() == 5
    })
    .await;
    user.say("1").await.unwrap();
    user.message("the end", |it| it.text.contains("Ward 600,")).await;
    let texts: Vec<String> = user.heard().into_iter().map(|it| it.text).collect();
    let story = texts.join(" ");
    let told: Vec<&str> = story
        .split("Ward ")
        .skip(1)
        .filter_map(|it| it.split(',').next())
        .collect();
    let expect: Vec<String> = (1..=600).map(|it| it.to_string()).collect();
    assert_eq!(told, expect);
    let refused = fake
        .api
        .calls(SENT)
        .into_iter()
        .filter(|it| it.answer.as_ref().is_some_and(|it| it.body["errcode"] == 45047));
    assert!(refused.count() <= 2, "it is not tried again and again");
}
