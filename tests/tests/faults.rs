//! What happens to messages on a bad line: each platform that is called over HTTP, with the same faults.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::{Duration, Instant};

use bedside_tests::{
    Fault, FaultProxy, Hospital, Patient,
    fault_proxy::{Call, Platform},
    holds_for,
};
use futures::future::join_all;

/// So long nothing further may come.
const QUIET: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_secs(2);

/// A platform's way out: its patients and the call that sends a message.
struct Line<'a> {
    patient: Patient<'a>,
    inject: Box<dyn Fn(Fault) + 'a>,
    calls: Box<dyn Fn() -> Vec<Call> + 'a>,
    /// A message whose confirmation was lost is not made twice.
    has_keys: bool,
}

impl<'a> Line<'a> {
    fn new<P: Platform>(
        patient: Patient<'a>,
        proxy: &'a FaultProxy<P>,
        pattern: &'static str,
        has_keys: bool,
    ) -> Self {
        Self {
            patient,
            inject: Box::new(move |fault| proxy.inject(pattern, fault)),
            calls: Box::new(move || proxy.calls(pattern)),
            has_keys,
        }
    }

    /// What each message was an answer to: `false` help, `true` privacy.
    fn kinds(&self) -> Vec<bool> {
        let heard = self.patient.heard();
        let is_privacy = |text: &str| text.contains("Your rights") || text.contains("您的权利");
        heard.iter().map(|it| is_privacy(&it.text)).collect()
    }
}

async fn lines(hospital: &Hospital, number: u32) -> Vec<Line<'_>> {
    let platforms = &hospital.platforms;
    let patients = platforms.remote_patients(number).await.unwrap();
    let line = |patient| match patient {
        Patient::Telegram(_) => Some(Line::new(
            patient,
            &platforms.telegram.proxy,
            "POST /*/sendmessage",
            false,
        )),
        Patient::Discord(_) => Some(Line::new(
            patient,
            &platforms.discord.proxy,
            "POST /channels/*/messages",
            true,
        )),
        Patient::Wechat(_) if patient.platform() == "wechat, customer service" => Some(Line::new(
            patient,
            &platforms.wechat_service.api,
            "POST /message/custom/send",
            false,
        )),
        _ => None,
    };
    patients.into_iter().filter_map(line).collect()
}

/// Two messages of one patient after a fault: what came, and how long the first took.
async fn after(fault: Fault, line: &Line<'_>) -> (Vec<bool>, Duration) {
    let start = Instant::now();
    let before = (line.calls)().len();
    (line.inject)(fault);
    line.patient.say("/help").await.unwrap();
    line.patient
        .hears("the call with the fault", |_| (line.calls)().len() > before)
        .await;
    line.patient.say("/privacy").await.unwrap();
    line.patient
        .hears("the help", |_| line.kinds().contains(&false))
        .await;
    let took = start.elapsed();
    line.patient
        .hears("the privacy note", |_| line.kinds().contains(&true))
        .await;
    let count = line.kinds().len();
    holds_for("no further message", QUIET, || line.kinds().len() == count).await;
    (line.kinds(), took)
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_neither_lose_nor_reorder_and_double_at_most_once() {
    let hospital = Hospital::open("").await.unwrap();
    let faults = [
        Fault::TooMany { retry_after: WAIT },
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Delay(WAIT),
    ];
    for (number, fault) in (1..).zip(faults) {
        let lines = lines(&hospital, number).await;
        assert_eq!(lines.len(), 3);
        join_all(lines.iter().map(|line| async move {
            let (kinds, took) = after(fault, line).await;
            let name = format!("{}, {fault:?}: {kinds:?} after {took:?}", line.patient.platform());
            let once = kinds == [false, true];
            let twice = kinds == [false, false, true];
            let may_double = fault == Fault::ResetAfter && !line.has_keys;
            assert!(once || (twice && may_double), "{name}");
            if let Fault::TooMany { retry_after } = fault {
                assert!(took >= retry_after, "{name}");
            }
            assert!(took < Duration::from_secs(20), "{name}");
        }))
        .await;
    }
    for calls in [
        hospital.platforms.telegram.proxy.calls("sendmessage"),
        hospital
            .platforms
            .discord
            .proxy
            .calls("POST /channels/*/messages"),
        hospital
            .platforms
            .wechat_service
            .api
            .calls("POST /message/custom/send"),
    ] {
        let wrong: Vec<_> = calls
            .iter()
            .filter(|it| it.fault.is_none() && !it.succeeded())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
