use std::{sync::Arc, time::Duration};

use bedside_contract::{ConversationKey, InboxSeq, Language, Receipt, Update, UpdateKind};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Answer, Attached, MOST, Note, REMEMBERED, Timing, Windows, handover::NoWindow};
use crate::incoming::Incoming;

const SENT: i64 = 1_700_000_000;

fn windows() -> Arc<Windows> {
    Arc::new(Windows::new(Timing::default()))
}

fn incoming(patient: &str, id: &str) -> Incoming {
    let conversation = ConversationKey::new("wechat", "wx12", patient);
    Incoming {
        account: "gh".to_owned(),
        language: Language::Zh,
        is_event: false,
        only_asks_for_more: false,
        sent: SENT,
        update: Update {
            platform: "wechat".to_owned(),
            bot: "wx12".to_owned(),
            external_id: id.to_owned(),
            conversation,
            sender: patient.to_owned(),
            language_hint: None,
            answer_in: None,
            kind: UpdateKind::Joined,
        },
    }
}

fn note(patient: &str, seq: i64, text: &str) -> Note {
    Note {
        conversation: ConversationKey::new("wechat", "wx12", patient),
        seq: InboxSeq(seq),
        text: text.to_owned(),
        language: Language::Zh,
        more: false,
        is_emergency: false,
    }
}

fn emergency(patient: &str, seq: i64) -> Note {
    Note {
        is_emergency: true,
        ..note(patient, seq, "120")
    }
}

/// A request whose message is committed.
fn open(windows: &Arc<Windows>, incoming: &Incoming, seq: i64) -> Attached {
    let attached = windows.attach(incoming).unwrap();
    commit(&attached, seq, false, SENT);
    attached
}

fn commit(attached: &Attached, seq: i64, duplicate: bool, now: i64) {
    let seq = InboxSeq(seq);
    attached.committer(SENT, now)(&Receipt { seq, duplicate });
}

fn hand(windows: &Arc<Windows>, note: Note) -> JoinHandle<Result<(), NoWindow>> {
    let windows = Arc::clone(windows);
    tokio::spawn(async move { windows.hand_over(note).await })
}

/// Lets other tasks run without time passing.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn said(text: &str) -> Answer {
    Answer::Reply(text.into())
}

const THINKING: &str = "正在思考中，回复任意文字获取回复";

#[tokio::test(start_paused = true)]
async fn a_part_travels_in_its_own_window() {
    let windows = windows();
    let mut first = open(&windows, &incoming("p", "1"), 1);
    let mut second = open(&windows, &incoming("p", "2"), 2);
    let delivery = hand(&windows, note("p", 2, "two"));
    assert_eq!(second.answer(Instant::now()).await, said("two"));
    settle().await;
    assert!(!delivery.is_finished(), "it is delivered only when it is written");
    second.written();
    assert_eq!(delivery.await.unwrap(), Ok(()));
    let delivery = hand(&windows, note("p", 1, "one"));
    assert_eq!(first.answer(Instant::now()).await, said("one"));
    first.written();
    assert_eq!(delivery.await.unwrap(), Ok(()));
    assert_eq!(
        hand(&windows, note("p", 1, "three")).await.unwrap(),
        Err(NoWindow::NoneOpen)
    );
}

#[tokio::test(start_paused = true)]
async fn another_patients_window_is_never_taken() {
    let windows = windows();
    let mut other = open(&windows, &incoming("q", "1"), 1);
    assert_eq!(
        hand(&windows, note("p", 1, "mine")).await.unwrap(),
        Err(NoWindow::NoneOpen)
    );
    // Not even if the platform gave two messages the same id.
    let mut mine = open(&windows, &incoming("p", "1"), 2);
    let delivery = hand(&windows, note("p", 2, "mine"));
    assert_eq!(mine.answer(Instant::now()).await, said("mine"));
    mine.written();
    assert_eq!(delivery.await.unwrap(), Ok(()));
    assert_eq!(other.answer(Instant::now()).await, Answer::NotYet);
}

#[tokio::test(start_paused = true)]
async fn three_tries_and_then_the_patient_is_told() {
    let windows = windows();
    for (place, waits) in [6_000, 6_000, 4_600].into_iter().enumerate() {
        let started = Instant::now();
        let mut attached = open(&windows, &incoming("p", "1"), 1);
        let expect = if place == 2 {
            said(THINKING)
        } else {
            Answer::NotYet
        };
        assert_eq!(attached.answer(started).await, expect);
        assert_eq!(started.elapsed(), Duration::from_millis(waits));
    }
    assert_eq!(
        hand(&windows, note("p", 1, "late")).await.unwrap(),
        Err(NoWindow::NoneOpen)
    );
    let mut again = open(&windows, &incoming("p", "1"), 1);
    assert_eq!(
        again.answer(Instant::now()).await,
        said(THINKING),
        "a further try hears the same"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_between_two_tries_waits_for_the_next() {
    let windows = windows();
    drop(open(&windows, &incoming("p", "1"), 1));
    let delivery = hand(&windows, note("p", 1, "here"));
    sleep(Duration::from_secs(1)).await;
    assert!(!delivery.is_finished());
    let mut second = open(&windows, &incoming("p", "1"), 1);
    assert_eq!(second.answer(Instant::now()).await, said("here"));
    // It breaks off before the bytes are written.
    drop(second);
    settle().await;
    assert!(!delivery.is_finished());
    let mut third = open(&windows, &incoming("p", "1"), 1);
    assert_eq!(third.answer(Instant::now()).await, said("here"));
    third.written();
    drop(third);
    assert_eq!(delivery.await.unwrap(), Ok(()));
    let mut fourth = open(&windows, &incoming("p", "1"), 1);
    assert_eq!(
        fourth.answer(Instant::now()).await,
        said("here"),
        "an answer that got lost is given again"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_further_try_the_part_is_not_delivered() {
    let windows = windows();
    drop(open(&windows, &incoming("p", "1"), 1));
    let started = Instant::now();
    assert_eq!(
        hand(&windows, note("p", 1, "here")).await.unwrap(),
        Err(NoWindow::BrokeOff)
    );
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    // After the third try none can follow.
    for _ in 0..3 {
        drop(open(&windows, &incoming("p", "2"), 2));
    }
    assert_eq!(
        hand(&windows, note("p", 2, "here")).await.unwrap(),
        Err(NoWindow::NoneOpen)
    );
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_given_up_takes_its_part_back() {
    let windows = windows();
    let mut attached = open(&windows, &incoming("p", "1"), 1);
    let delivery = hand(&windows, note("p", 1, "first"));
    settle().await;
    delivery.abort();
    assert!(delivery.await.is_err());
    let delivery = hand(&windows, note("p", 1, "second"));
    assert_eq!(attached.answer(Instant::now()).await, said("second"));
    drop(attached);
    delivery.abort();
    assert!(delivery.await.is_err());
    let mut next = open(&windows, &incoming("p", "1"), 1);
    assert_eq!(next.answer(Instant::now()).await, Answer::NotYet);
}

#[tokio::test(start_paused = true)]
async fn an_emergency_notice_takes_the_place_of_an_answer() {
    let windows = windows();
    let mut attached = open(&windows, &incoming("p", "1"), 1);
    let answer = hand(&windows, note("p", 1, "rest"));
    settle().await;
    let notice = hand(&windows, emergency("p", 2));
    let expect = "120\n\n【未完待续，回复任意文字以继续】";
    assert_eq!(attached.answer(Instant::now()).await, said(expect));
    assert_eq!(answer.await.unwrap(), Err(NoWindow::NoneOpen));
    // What is being written is not taken back any more.
    let late = hand(&windows, emergency("p", 3));
    assert_eq!(late.await.unwrap(), Err(NoWindow::NoneOpen));
    attached.written();
    assert_eq!(notice.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_emergency_notice_is_faster_than_the_commit() {
    let windows = windows();
    let _older = open(&windows, &incoming("p", "1"), 1);
    let mut newer = windows.attach(&incoming("p", "2")).unwrap();
    let notice = hand(&windows, emergency("p", 2));
    settle().await;
    commit(&newer, 2, false, SENT);
    assert_eq!(newer.answer(Instant::now()).await, said("120"));
    newer.written();
    assert_eq!(notice.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_was_overtaken_ends_in_silence() {
    let windows = windows();
    drop(open(&windows, &incoming("p", "1"), 1));
    drop(open(&windows, &incoming("p", "1"), 1));
    let mut question = open(&windows, &incoming("p", "1"), 1);
    let mut stop = open(&windows, &incoming("p", "2"), 2);
    let delivery = hand(&windows, note("p", 2, "stopped"));
    assert_eq!(stop.answer(Instant::now()).await, said("stopped"));
    stop.written();
    assert_eq!(delivery.await.unwrap(), Ok(()));
    assert_eq!(question.answer(Instant::now()).await, Answer::Nothing);
}

#[tokio::test(start_paused = true)]
async fn an_event_about_which_nothing_is_said_ends_in_silence() {
    let windows = windows();
    let event = Incoming {
        is_event: true,
        ..incoming("p", "1")
    };
    for expect in [Answer::NotYet, Answer::NotYet, Answer::Nothing] {
        assert_eq!(open(&windows, &event, 1).answer(Instant::now()).await, expect);
    }
}

#[tokio::test(start_paused = true)]
async fn the_hint_stands_where_more_waits() {
    let hint = "old\n\n【未完待续，回复任意文字以继续】";
    let check = async |message: Incoming, note: Note, expect: &str| {
        let windows = windows();
        let mut attached = open(&windows, &message, 2);
        let delivery = hand(&windows, note);
        assert_eq!(attached.answer(Instant::now()).await, said(expect));
        attached.written();
        assert_eq!(delivery.await.unwrap(), Ok(()));
    };
    let asks_for_more = || Incoming {
        only_asks_for_more: true,
        ..incoming("p", "2")
    };
    let with_more = |seq| Note {
        more: true,
        ..note("p", seq, "old")
    };
    check(incoming("p", "2"), note("p", 2, "old"), "old").await;
    check(incoming("p", "2"), with_more(2), hint).await;
    check(incoming("p", "2"), note("p", 1, "old"), hint).await;
    check(asks_for_more(), note("p", 1, "old"), "old").await;
    check(asks_for_more(), with_more(1), hint).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_request_sent_again_gets_nothing() {
    let windows = windows();
    let mut replayed = windows.attach(&incoming("p", "1")).unwrap();
    let delivery = hand(&windows, note("p", 9, "waits for the patient"));
    settle().await;
    commit(&replayed, 1, true, SENT + 61);
    assert_eq!(replayed.answer(Instant::now()).await, Answer::Nothing);
    assert_eq!(delivery.await.unwrap(), Err(NoWindow::NoneOpen));
    // After a restart a true further try looks alike, but comes soon.
    let mut further = windows.attach(&incoming("p", "2")).unwrap();
    commit(&further, 2, true, SENT + 10);
    let delivery = hand(&windows, note("p", 2, "here"));
    assert_eq!(further.answer(Instant::now()).await, said("here"));
    further.written();
    assert_eq!(delivery.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn windows_take_bounded_memory() {
    let windows = windows();
    for id in 0..MOST + 500 {
        drop(open(
            &windows,
            &incoming(&format!("p{}", id % 100), &id.to_string()),
            1,
        ));
    }
    assert_eq!(windows.lock().windows.len(), MOST);
    sleep(REMEMBERED + Duration::from_secs(1)).await;
    let held: Vec<_> = (0..10)
        .map(|it| open(&windows, &incoming("p", &format!("held {it}")), 1))
        .collect();
    let state = windows.lock();
    assert_eq!(
        (
            state.windows.len(),
            state.order.len(),
            state.by_conversation.len()
        ),
        (10, 10, 1)
    );
    drop(state);
    drop(held);
}
