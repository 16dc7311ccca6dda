//! The same dialogues on every platform, with one bot behind all of them: the same words come, once, in order and
//! to the right patient.

use std::time::{Duration, Instant};

use bedside_tests::{
    Heard, Hospital, Patient, eventually,
    patients::{TALKATIVE, asks_for_consent, is_answer, words},
};
use futures::future::join_all;

const QUESTION: &str = "How is gout treated?";
const EMERGENCY: &str = "I have crushing chest pain that spreads to my left arm and I am sweating";
const NOTICE: &str = "What you describe may be an emergency";
/// So long nothing further may come.
const QUIET: Duration = Duration::from_secs(3);

/// Has all patients do the same at the same time.
async fn each<'p, T>(patients: &'p [Patient<'p>], act: impl AsyncFn(&'p Patient<'p>) -> T) -> Vec<T> {
    join_all(patients.iter().map(|it| act(it))).await
}

fn answers(patient: &Patient<'_>) -> Vec<Heard> {
    let heard = patient.heard().into_iter();
    heard.filter(|it| is_answer(&it.text)).collect()
}

/// Nothing more comes to anybody.
async fn nothing_more(patients: &[Patient<'_>]) {
    let stories = || patients.iter().map(Patient::story).collect::<Vec<_>>();
    let (before, start) = (stories(), Instant::now());
    while start.elapsed() < QUIET {
        for ((patient, before), now) in patients.iter().zip(&before).zip(stories()) {
            assert_eq!(*before, now, "{}: something further came", patient.platform());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The answer's own words: on some platforms the thanks for the consent stand before it.
fn answer_words(text: &str) -> String {
    let text = words(text);
    let thanks = "Thank you. About your question:";
    text.split_once(thanks)
        .map_or(text.clone(), |it| it.1.trim().to_owned())
}

fn all_agree(told: &[(&str, String)]) {
    for (platform, words) in told {
        assert_eq!(
            words, &told[0].1,
            "{platform} tells something else than {}",
            told[0].0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_gets_the_same_cited_answer_everywhere() {
    let hospital = Hospital::open("").await.unwrap();
    let patients = hospital.platforms.patients(1).await.unwrap();
    let told = each(&patients, async |patient| {
        patient.say(QUESTION).await.unwrap();
        let consent = |all: &[Heard]| all.last().is_some_and(|it| asks_for_consent(&it.text));
        patient.hears("the consent question", consent).await;
        patient.choose(1).await.unwrap();
        let answer = patient.hears_one("the answer", |it| is_answer(&it.text)).await;
        (patient.platform(), answer_words(&answer.text))
    })
    .await;
    all_agree(&told);
    assert!(
        told[0].1.contains("[1]") && told[0].1.to_lowercase().contains("gout"),
        "{told:?}"
    );
    nothing_more(&patients).await;
    for patient in &patients {
        assert_eq!(answers(patient).len(), 1, "{}", patient.platform());
    }
    assert!(
        !hospital.bots.log().contains("gout"),
        "words of a patient in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_needs_neither_consent_nor_model() {
    let hospital = Hospital::open_without_model().await.unwrap();
    let patients = hospital.platforms.patients(1).await.unwrap();
    let told = each(&patients, async |patient| {
        let start = Instant::now();
        patient.say(EMERGENCY).await.unwrap();
        let is_notice = |it: &Heard| it.text.contains(NOTICE);
        let notice = patient.hears_one("the notice", is_notice).await;
        // The terminal's bot starts only now.
        let is_terminal = matches!(patient, Patient::Terminal(_));
        assert!(
            is_terminal || start.elapsed() < Duration::from_secs(2),
            "{}: it took {:?}",
            patient.platform(),
            start.elapsed()
        );
        let (_, text) = notice.text.split_once(NOTICE).unwrap();
        assert!(text.contains("120"), "{}: {text}", patient.platform());
        (patient.platform(), words(text))
    })
    .await;
    all_agree(&told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_arrives_whole_and_in_order() {
    const COUNT: usize = 300;
    let wards: Vec<String> = (1..=COUNT)
        .map(|it| format!("Ward no. {it} 开门时间 😷 <b>& more</b>."))
        .collect();
    let config = format!("[bot]\nhuman_contact = {:?}", wards.join(" "));
    let hospital = Hospital::open(&config).await.unwrap();
    let patients = hospital.platforms.patients(1).await.unwrap();
    each(&patients, async |patient| {
        patient.say("/privacy").await.unwrap();
        let last = format!("no. {COUNT} ");
        patient
            .hears("the last ward", |all| {
                all.iter().any(|it| it.text.contains(&last))
            })
            .await;
    })
    .await;
    nothing_more(&patients).await;
    for patient in &patients {
        let story = words(&patient.story());
        let numbers = story
            .split("Ward no. ")
            .skip(1)
            .map(|it| it.split(' ').next().unwrap().parse::<usize>());
        let numbers: Vec<usize> = numbers.map(Result::unwrap).collect();
        assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>(), "{}", patient.platform());
        assert!(
            story.contains("开门时间 😷 <b>& more</b>") || story.contains("＜b"),
            "{story}"
        );
        for heard in patient.heard() {
            assert!(
                patient.fits(&heard.text),
                "{}: {} bytes",
                patient.platform(),
                heard.text.len()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_five_times_is_answered_once() {
    let hospital = Hospital::open("").await.unwrap();
    let patients = hospital.platforms.remote_patients(1).await.unwrap();
    each(&patients, async |patient| {
        patient.consent().await.unwrap();
        patient.say(QUESTION).await.unwrap();
        eventually(
            "something to deliver again",
            Duration::from_secs(10),
            async || {
                patient
                    .redeliver_last(4)
                    .await
                    .ok()
                    .filter(|done| *done)
                    .map(drop)
            },
        )
        .await;
        patient.hears_one("the answer", |it| is_answer(&it.text)).await;
    })
    .await;
    nothing_more(&patients).await;
    for patient in &patients {
        assert_eq!(
            answers(patient).len(),
            1,
            "{}: {:#?}",
            patient.platform(),
            patient.heard()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_chats_at_once_are_not_mixed_up() {
    let hospital = Hospital::open("").await.unwrap();
    let asks = async |number: u32, about: &str| {
        let patients = hospital.platforms.remote_patients(number).await.unwrap();
        each(&patients, async |patient| {
            patient.consent().await.unwrap();
            patient
                .say(&format!("What is {about} and how is it treated?"))
                .await
                .unwrap();
            patient.hears_one("the answer", |it| is_answer(&it.text)).await;
        })
        .await;
        patients
    };
    let (ann, ben) = futures::join!(asks(1, "gout"), asks(2, "asthma"));
    for (patients, own, other) in [(&ann, "gout", "asthma"), (&ben, "asthma", "gout")] {
        for patient in patients {
            let story = patient.story().to_lowercase();
            assert!(
                story.contains(own) && !story.contains(other),
                "{}: {story}",
                patient.platform()
            );
        }
    }
}

/// In a pipe the terminal reads the next line after the answer: `tests/terminal.rs` types while one is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_is_stopped() {
    let hospital = Hospital::open(TALKATIVE).await.unwrap();
    let patients = hospital.platforms.remote_patients(1).await.unwrap();
    each(&patients, async |patient| {
        let before = patient.consent().await.unwrap();
        patient.say(QUESTION).await.unwrap();
        patient.is_being_answered(before).await;
        patient.say("/stop").await.unwrap();
        patient
            .hears_one("the confirmation", |it| {
                ["Stopped.", "已停止"].iter().any(|word| it.text.contains(word))
            })
            .await;
        patient
            .hears_one("the end of the answer", |it| it.text.contains("(stopped)"))
            .await;
    })
    .await;
    nothing_more(&patients).await;
    each(&patients, async |patient| {
        let whole = answers(patient)
            .into_iter()
            .find(|it| !it.text.contains("(stopped)"));
        assert!(whole.is_none(), "{}: {whole:?}", patient.platform());
        patient.say("/help").await.unwrap();
        patient
            .hears_one("the help", |it| it.text.contains("/privacy"))
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_and_a_planned_stop_lose_and_double_nothing() {
    let mut hospital = Hospital::open("").await.unwrap();
    let mut patients = hospital.platforms.patients(1).await.unwrap();
    each(&patients, async |patient| {
        let before = patient.consent().await.unwrap();
        patient.say(QUESTION).await.unwrap();
        patient.is_being_answered(before).await;
    })
    .await;
    hospital.bots.kill9().await.unwrap();
    for patient in &mut patients {
        if let Patient::Terminal(it) = patient {
            it.kill9_and_restart().await.unwrap();
        }
    }
    hospital.bots.restart().await.unwrap();
    each(&patients, async |patient| {
        patient.hears_one("the answer", |it| is_answer(&it.text)).await;
    })
    .await;
    nothing_more(&patients).await;
    for patient in &patients {
        assert_eq!(
            answers(patient).len(),
            1,
            "{}: {:#?}",
            patient.platform(),
            patient.heard()
        );
    }

    assert_eq!(
        hospital.platforms.discord.resumes(),
        [true],
        "the session outlives the process"
    );

    hospital.bots.stop().await.unwrap();
    let kept = each(&patients, async |patient| {
        patient.say_meanwhile("What is asthma?").await.unwrap()
    })
    .await;
    hospital.bots.restart().await.unwrap();
    each(&patients, async |patient| {
        let at = patients.iter().position(|it| std::ptr::eq(it, patient)).unwrap();
        let count = if kept[at] { 2 } else { 1 };
        patient
            .hears("the answers", |_| answers(patient).len() == count)
            .await;
    })
    .await;
    nothing_more(&patients).await;
}
