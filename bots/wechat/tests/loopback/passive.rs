//! Replies in WeChat's own requests.

use bedside_contract::{Connector, DeliverError, Initiative, Part};
use tokio::task::JoinHandle;

use crate::{
    bot_around::{Around, PATIENCE, config, emergency, notice},
    servers::{Caller, Shown, text},
};

const THINKING: &str = "正在思考中，回复任意文字获取回复";

/// One try, in the background.
fn asking(
    caller: &Caller,
    patient: &'static str,
    id: &str,
    words: &'static str,
) -> JoinHandle<Option<Shown>> {
    let (caller, id) = (caller.clone(), id.to_owned());
    tokio::spawn(async move { caller.one_try(patient, &id, words, PATIENCE).await })
}

#[tokio::test]
async fn an_answer_within_the_window() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let can = around.connector.capabilities();
    assert_eq!(
        (can.edits, can.buttons, can.initiative),
        (false, false, Initiative::Patient { messages: 1 })
    );
    let request = asking(&caller, "oP", "1", "我头疼");
    let seq = around.intake.seq_of(1).await;
    let delivered = around.deliver("oP", seq, notice("**多休息**。")).await.unwrap();
    assert_eq!(delivered.unwrap().0, "part-1");
    assert_eq!(request.await.unwrap(), Some(text("多休息。")));
    // WeChat did not get it and asks again: the very same.
    for _ in 0..2 {
        assert_eq!(
            caller.one_try("oP", "1", "我头疼", PATIENCE).await,
            Some(text("多休息。"))
        );
    }
    assert_eq!(around.intake.accepted().len(), 1);
}

#[tokio::test]
async fn a_try_after_a_restart_asks_for_the_answer_that_may_have_been_lost() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "我头疼");
    let seq = around.intake.seq_of(1).await;
    around
        .deliver("oP", seq, notice("多休息。"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.await.unwrap(), Some(text("多休息。")));
    assert!(around.intake.again.lock().unwrap().is_empty());

    let around = around.restarted();
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "我头疼");
    let asked = async {
        while around.intake.again.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("it asks for the answer");
    assert_eq!(around.intake.again.lock().unwrap()[0].1, seq);
    around
        .deliver("oP", seq, notice("多休息。"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.await.unwrap(), Some(text("多休息。")));
}

#[tokio::test]
async fn a_slow_answer_comes_with_the_next_message() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let tries = [None, None, Some(text(THINKING))];
    for expect in tries {
        assert_eq!(caller.one_try("oP", "1", "我头疼", PATIENCE).await, expect);
    }
    let seq = around.intake.seq_of(1).await;
    let late = around.deliver("oP", seq, notice("多休息。")).await.unwrap();
    assert!(matches!(late, Err(DeliverError::PatientFirst(_))), "{late:?}");

    let request = asking(&caller, "oP", "2", "继续");
    around.intake.seq_of(2).await;
    around
        .deliver("oP", seq, notice("多休息。"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.await.unwrap(), Some(text("多休息。")));
    assert_eq!(around.intake.accepted().len(), 2);
}

#[tokio::test]
async fn english_patients_are_told_in_english() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    for _ in 0..2 {
        drop(caller.one_try("oP", "1", "my head hurts", PATIENCE).await);
    }
    assert_eq!(
        caller.one_try("oP", "1", "my head hurts", PATIENCE).await,
        Some(text("Still thinking. Write anything to get the answer."))
    );
}

#[tokio::test]
async fn an_answer_for_the_second_try() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    assert_eq!(caller.one_try("oP", "1", "hi", PATIENCE).await, None);
    let seq = around.intake.seq_of(1).await;
    // Nobody listens at this moment: it waits for the next try, and is not delivered before.
    let delivery = around.deliver("oP", seq, notice("here"));
    tokio::task::yield_now().await;
    assert!(!delivery.is_finished());
    assert_eq!(
        caller.one_try("oP", "1", "hi", PATIENCE).await,
        Some(text("here"))
    );
    delivery.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_loses_nothing() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "hi");
    let seq = around.intake.seq_of(1).await;
    let delivery = around.deliver("oP", seq, notice("here"));
    request.abort();
    let again = caller.one_try("oP", "1", "hi", PATIENCE).await;
    assert_eq!(again, Some(text("here")));
    delivery.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_further_try_it_waits_for_the_patient() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "hi");
    let seq = around.intake.seq_of(1).await;
    request.abort();
    let _cancelled = request.await;
    // The server has to notice that WeChat hung up.
    let outcome = around.deliver("oP", seq, notice("here")).await.unwrap();
    match outcome {
        Err(DeliverError::PatientFirst(_)) => {}
        // The bytes were written before the server noticed: a further try is given the same.
        Ok(_) => assert_eq!(
            caller.one_try("oP", "1", "hi", PATIENCE).await,
            Some(text("here"))
        ),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_emergency_notice_displaces_an_answer() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "我胸口疼");
    let seq = around.intake.seq_of(1).await;
    let answer = around.deliver("oP", seq, notice("多休息。"));
    tokio::task::yield_now().await;
    let urgent = around
        .deliver("oP", seq, emergency("请立即拨打 120"))
        .await
        .unwrap();
    let shown = request.await.unwrap();
    // On a machine that is busy the answer may have been written already; then the notice waits, unlost.
    match urgent {
        Ok(_) => {
            let expect = text("请立即拨打 120\n\n【未完待续，回复任意文字以继续】");
            assert_eq!(shown, Some(expect));
            assert!(matches!(
                answer.await.unwrap(),
                Err(DeliverError::PatientFirst(_))
            ));
        }
        Err(DeliverError::PatientFirst(_)) => {
            assert_eq!(shown, Some(text("多休息。")));
            answer.await.unwrap().unwrap();
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn pieces_come_one_for_each_message() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let limit = around.connector.capabilities().max_length;
    let first_piece = Part {
        more: true,
        ..notice(&"好".repeat(limit / 3))
    };
    let request = asking(&caller, "oP", "1", "hi");
    let seq = around.intake.seq_of(1).await;
    around.deliver("oP", seq, first_piece).await.unwrap().unwrap();
    let Some(Shown::Text(shown)) = request.await.unwrap() else {
        panic!("the first piece should have come");
    };
    assert!(
        shown.ends_with("【未完待续，回复任意文字以继续】") && shown.len() <= 2048,
        "{}",
        shown.len()
    );
    let early = around.deliver("oP", seq, notice("rest")).await.unwrap();
    assert!(matches!(early, Err(DeliverError::PatientFirst(_))));
    let request = asking(&caller, "oP", "2", "1");
    around.intake.seq_of(2).await;
    around.deliver("oP", seq, notice("rest")).await.unwrap().unwrap();
    assert_eq!(request.await.unwrap(), Some(text("rest")));
}

#[tokio::test]
async fn conversations_are_never_crossed() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let patients: Vec<String> = (0..40).map(|it| format!("oPatient{it}")).collect();
    let requests: Vec<_> = patients
        .iter()
        .map(|patient| {
            let (caller, patient) = (caller.clone(), patient.clone());
            tokio::spawn(async move {
                caller
                    .shown(caller.message(&patient, &patient, "hi"), &patient)
                    .await
            })
        })
        .collect();
    around.intake.seq_of(patients.len()).await;
    // In another order than they came, each with its own words.
    let mut accepted = around.intake.accepted();
    accepted.reverse();
    let deliveries: Vec<_> = accepted
        .iter()
        .map(|(seq, update)| {
            let words = format!("for {}", update.sender);
            around.deliver(&update.sender, *seq, notice(&words))
        })
        .collect();
    for delivery in deliveries {
        delivery.await.unwrap().unwrap();
    }
    for (patient, request) in patients.iter().zip(requests) {
        assert_eq!(request.await.unwrap(), text(&format!("for {patient}")));
    }
}

#[tokio::test]
async fn a_hundred_deliveries_at_once_are_one_message() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.shown(caller.message("oP", "1", "hi"), "oP").await })
        })
        .collect();
    let seq = around.intake.seq_of(1).await;
    around.deliver("oP", seq, notice("once")).await.unwrap().unwrap();
    for request in requests {
        assert_eq!(request.await.unwrap(), text("once"));
    }
    assert_eq!(around.intake.accepted().len(), 1);
}

#[tokio::test]
async fn open_requests_are_answered_during_a_shutdown() {
    let around = Around::start(config());
    let caller = Caller::new(around.address());
    let request = asking(&caller, "oP", "1", "hi");
    let seq = around.intake.seq_of(1).await;
    around.running.abort();
    tokio::task::yield_now().await;
    around
        .deliver("oP", seq, notice("in time"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.await.unwrap(), Some(text("in time")));
}
