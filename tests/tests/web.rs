//! Patients on the chat page, without a browser.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::{Duration, Instant};

use bedside_tests::{Bot, BotOptions, Entry, WebClient, eventually, holds_for};

const QUESTION: &str =
    "I have had a runny nose and a sore throat for two days. What helps against a common cold?";
const LONG_WAIT: Duration = Duration::from_secs(120);

async fn start() -> Bot {
    Bot::start(BotOptions::default()).await.unwrap()
}

fn part(entry: &Entry) -> &bedside_tests::web_client::Part {
    entry.part.as_ref().unwrap()
}

async fn stays(page: &WebClient, seq: i64, count: usize) {
    holds_for("no further answer", Duration::from_secs(3), || {
        page.said_to(seq).len() == count
    })
    .await;
}

/// The bot is at work on a message.
async fn begun(page: &WebClient, seq: i64, typing_before: usize) {
    eventually("the answer begins", LONG_WAIT, async || {
        let begun = page.previews().iter().any(|it| it.0 == seq) || page.typing_notices() > typing_before;
        (begun || !page.said_to(seq).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_gets_an_answer_with_sources_and_label() {
    let bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let said = page.ask(QUESTION).await.unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    let answer = part(&said[0]);
    assert_eq!((answer.kind.as_str(), answer.language.as_str()), ("answer", "en"));
    assert!(
        !answer.citations.is_empty() && answer.text.contains("[1]"),
        "{answer:?}"
    );
    assert!(
        answer
            .citations
            .iter()
            .all(|it| !it.title.is_empty() && !it.source.is_empty())
    );
    assert!(
        answer.citations[0].title.to_lowercase().contains("cold"),
        "{answer:?}"
    );
    assert!(answer.label.as_deref().is_some_and(|it| it.contains("AI")));
    assert!(answer.disposition.is_some(), "{answer:?}");
    assert_eq!(
        page.reload().await.unwrap().len(),
        page.entries().len(),
        "a reload shows the same"
    );
    assert!(
        !bot.log().contains("common cold"),
        "a patient's words are in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chinese_question_gets_the_cited_passages() {
    let bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let said = page.ask("普通感冒怎么治疗？").await.unwrap();
    let answer = part(&said[0]);
    assert_eq!(answer.language, "zh");
    assert!(
        answer.text.contains("感冒") && !answer.citations.is_empty(),
        "{answer:?}"
    );
    assert!(
        answer.citations.iter().any(|it| it.title.contains("感冒")),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_comes_before_the_first_answer() {
    let bot = start().await;
    let page = WebClient::open(&bot.url()).await.unwrap();
    let taken = page.say(QUESTION).await.unwrap();
    let asked = page.answer_to(taken.seq, LONG_WAIT).await;
    assert!(
        part(&asked[0])
            .quick_replies
            .iter()
            .any(|it| it.data == "consent:yes"),
        "{asked:?}"
    );
    let yes = page.choose("consent:yes").await.unwrap();
    let said = page.answer_to(yes.seq, LONG_WAIT).await;
    assert_eq!(
        part(&said[0]).kind,
        "answer",
        "the held question is answered: {said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_answered_within_a_second_whatever_is_going_on() {
    let bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let typing = page.typing_notices();
    let question = page.say(QUESTION).await.unwrap();
    begun(&page, question.seq, typing).await;
    let start = Instant::now();
    let taken = page
        .say("now I have crushing chest pain and I cannot breathe")
        .await
        .unwrap();
    let said = page.answer_to(taken.seq, Duration::from_secs(10)).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(
        (
            part(&said[0]).kind.as_str(),
            part(&said[0]).disposition.as_deref()
        ),
        ("emergency", Some("emergency"))
    );
    assert!(part(&said[0]).text.contains("120"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_does_not_need_a_model() {
    let options = BotOptions {
        without_model: true,
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    let page = WebClient::open(&bot.url()).await.unwrap();
    let said = page.ask("我胸口剧痛，喘不上气").await.unwrap();
    assert_eq!(part(&said[0]).kind, "emergency");
    assert_eq!(part(&said[0]).language, "zh");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_a_running_answer() {
    let bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let typing = page.typing_notices();
    let question = page.say(QUESTION).await.unwrap();
    begun(&page, question.seq, typing).await;
    let stop = page.say("/stop").await.unwrap();
    let start = Instant::now();
    let said = page.answer_to(stop.seq, Duration::from_secs(10)).await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        start.elapsed()
    );
    assert!(part(&said[0]).text.contains("Stopped"), "{said:?}");
    page.answer_to(question.seq, Duration::from_secs(10)).await;
    stays(&page, question.seq, 1).await;
    // The conversation goes on.
    let next = page.ask("What is influenza?").await.unwrap();
    assert_eq!(part(&next[0]).kind, "answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_five_times_is_answered_once() {
    let bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let id = uuid::Uuid::new_v4();
    let posts = (0..5).map(|_| page.say_as(id, "/help"));
    let taken: Vec<_> = futures::future::join_all(posts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(taken.iter().filter(|it| !it.duplicate).count(), 1, "{taken:?}");
    let seq = taken[0].seq;
    assert!(taken.iter().all(|it| it.seq == seq));
    page.answer_to(seq, LONG_WAIT).await;
    stays(&page, seq, 1).await;
    assert_eq!(
        page.entries()
            .iter()
            .filter(|it| it.from == "patient" && it.seq == seq)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_patients_at_once_are_not_mixed_up() {
    let bot = start().await;
    let url = bot.url();
    let (ann, ben) = futures::try_join!(
        WebClient::open_with_consent(&url),
        WebClient::open_with_consent(&url)
    )
    .unwrap();
    let (gout, asthma) = futures::try_join!(
        ann.ask("What is gout and how is it treated?"),
        ben.ask("What is asthma and how is it treated?"),
    )
    .unwrap();
    let titles = |entries: &[Entry]| {
        let all = entries.iter().flat_map(|it| part(it).citations.clone());
        all.map(|it| it.title.to_lowercase()).collect::<Vec<_>>()
    };
    assert!(titles(&gout).iter().any(|it| it.contains("gout")), "{gout:?}");
    assert!(
        titles(&asthma).iter().any(|it| it.contains("asthma")),
        "{asthma:?}"
    );
    assert!(
        ann.entries()
            .iter()
            .all(|it| !format!("{it:?}").contains("asthma"))
    );
    assert!(ben.entries().iter().all(|it| !format!("{it:?}").contains("gout")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_while_answering_leaves_one_answer() {
    let mut bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let typing = page.typing_notices();
    let taken = page.say(QUESTION).await.unwrap();
    begun(&page, taken.seq, typing).await;
    bot.kill9().await.unwrap();
    bot.restart().await.unwrap();
    page.answer_to(taken.seq, LONG_WAIT).await;
    stays(&page, taken.seq, 1).await;
    let ids: Vec<i64> = page.entries().iter().map(|it| it.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_service_ends_cleanly_and_keeps_the_question() {
    let mut bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let typing = page.typing_notices();
    let taken = page.say(QUESTION).await.unwrap();
    begun(&page, taken.seq, typing).await;
    assert!(bot.stop().await.unwrap().success(), "{}", bot.log());
    bot.restart().await.unwrap();
    page.answer_to(taken.seq, LONG_WAIT).await;
    stays(&page, taken.seq, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_who_only_look_leave_nothing_in_the_store() {
    let bot = start().await;
    let kept = || {
        let files = std::fs::read_dir(bot.data_directory())
            .unwrap()
            .map(Result::unwrap);
        let of_store = files.filter(|it| it.file_name().to_string_lossy().starts_with("bedside.sqlite"));
        of_store.map(|it| it.metadata().unwrap().len()).sum::<u64>()
    };
    let before = kept();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..500 {
        let mut page = client
            .get(format!("{}/api/events?after=0&language=zh", bot.url()))
            .send()
            .await
            .unwrap();
        let mut seen = String::new();
        while !seen.contains("consent:yes") {
            seen.push_str(&String::from_utf8_lossy(&page.chunk().await.unwrap().unwrap()));
        }
        assert!(
            seen.contains("event: greeting") && seen.contains("同意"),
            "{seen}"
        );
    }
    assert!(kept() <= before, "{} bytes before, {} after", before, kept());
}

/// A stop leaves no connection hanging: a message is taken and answered after the start, or refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_during_a_stop_is_kept_or_refused_at_once() {
    let mut bot = start().await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(WebClient::open_with_consent(&bot.url()).await.unwrap());
    }
    let typing = page.typing_notices();
    let taken = page.say(QUESTION).await.unwrap();
    begun(&page, taken.seq, typing).await;
    let writing = futures::future::join_all(others.iter().zip(1..).map(async |(other, place)| {
        tokio::time::sleep(Duration::from_millis(place * 60)).await;
        let sent = Instant::now();
        let taken = other.say("How is gout treated?").await;
        assert!(
            sent.elapsed() < Duration::from_secs(3),
            "it hung for {:?}",
            sent.elapsed()
        );
        taken.ok().map(|it| it.seq)
    }));
    let (stopped, written) = futures::future::join(bot.stop(), writing).await;
    stopped.unwrap();
    bot.restart().await.unwrap();
    page.answer_to(taken.seq, LONG_WAIT).await;
    for (other, seq) in others.iter().zip(written) {
        if let Some(seq) = seq {
            other.answer_to(seq, LONG_WAIT).await;
            stays(other, seq, 1).await;
        }
    }
}
