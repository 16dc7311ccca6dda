//! A plugin over its C ABI, in one process and without loading a file.
#![expect(unsafe_code, reason = "this test is the host's side of the ABI")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    ffi::c_void,
    ptr,
    sync::{Mutex, mpsc},
};

use bedside_plugin_api::{
    Error, Host, Plugin,
    abi::{Hook, HostApi, MAX_MESSAGE, Op, Owned, Status, View},
    export_plugin,
    msg::{Forget, LogLevel, Message, Verdict},
};

struct Probe {
    host: Host,
}

/// Where the plugin leaves a thread's channel and the host its log lines.
static LEFT_BEHIND: Mutex<Option<Left>> = Mutex::new(None);
type Left = (mpsc::Sender<()>, mpsc::Receiver<Result<(), Error>>);
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Plugin for Probe {
    type Config = serde_json::Map<String, serde_json::Value>;

    fn new(host: Host, config: Self::Config) -> Result<Self, Error> {
        if config.contains_key("fail") {
            return Err(Error::new("asked to fail"));
        }
        assert!(!config.contains_key("panic"), "asked to panic");
        Ok(Self { host })
    }

    fn on_message(&mut self, message: &Message) -> Result<Verdict, Error> {
        match message.text.as_str() {
            "panic" => panic!("with the patient's words: {}", message.text),
            "panic twice" => std::panic::panic_any(DropPanics),
            "error" => Err(Error::new("asked to fail")),
            "log" => {
                self.host.log(LogLevel::Info, "a line");
                Ok(Verdict::Continue)
            }
            "denied" => self.host.message_send("hi").map(|()| Verdict::Continue),
            "clock" => {
                let since = self.host.clock()?.duration_since(std::time::UNIX_EPOCH)?;
                Ok(Verdict::Reply(since.as_millis().to_string()))
            }
            "thread" => {
                let (go, wait) = mpsc::channel();
                let (result, results) = mpsc::channel();
                let host = self.host.clone();
                std::thread::spawn(move || {
                    wait.recv().unwrap();
                    result.send(host.storage_delete("x")).unwrap();
                });
                *LEFT_BEHIND.lock().unwrap() = Some((go, results));
                Ok(Verdict::Continue)
            }
            _ => Ok(Verdict::Continue),
        }
    }

    fn forget(&mut self, forget: &Forget) -> Result<(), Error> {
        match forget.conversation.as_str() {
            "kept" => Err(Error::new("asked to fail")),
            _ => Ok(()),
        }
    }
}

struct DropPanics;

impl Drop for DropPanics {
    fn drop(&mut self) {
        panic!("in the payload's drop");
    }
}

export_plugin!(Probe);

unsafe extern "C" fn call(_: *mut c_void, op: u32, _: View, answer: *mut Owned) -> Status {
    let (status, text) = match Op::from_number(op) {
        Some(Op::Clock) => (Status::OK, "1234"),
        Some(Op::MessageSend) => (Status::DENIED, "not in the manifest"),
        _ => (Status::UNKNOWN_OP, "later"),
    };
    // SAFETY: the plugin gives a place for the answer.
    unsafe { answer.write(Owned::from_vec(text.as_bytes().to_vec())) };
    status
}

unsafe extern "C" fn log(_: *mut c_void, _: u32, text: View) {
    // SAFETY: lent for this call.
    let text = unsafe { text.bytes() };
    LOGGED
        .lock()
        .unwrap()
        .push(String::from_utf8(text.to_vec()).unwrap());
}

fn create(setup: &str) -> (Status, *mut c_void, String) {
    let api = HostApi {
        size: size_of::<HostApi>(),
        ctx: ptr::null_mut(),
        call,
        log,
    };
    let (mut instance, mut answer) = (ptr::null_mut(), Owned::empty());
    // SAFETY: all that is lent lives through the call.
    unsafe {
        let entry = &BEDSIDE_PLUGIN_ENTRY;
        let status = (entry.create)(
            &raw const api,
            View::new(setup.as_bytes()),
            &raw mut instance,
            &raw mut answer,
        );
        (
            status,
            instance,
            String::from_utf8(answer.take(MAX_MESSAGE)).unwrap(),
        )
    }
}

fn invoke(instance: *mut c_void, hook: u32, body: &[u8]) -> (Status, String) {
    let mut answer = Owned::empty();
    // SAFETY: instances are made by `create` and destroyed at the end of each test.
    unsafe {
        let status = (BEDSIDE_PLUGIN_ENTRY.invoke)(instance, hook, View::new(body), &raw mut answer);
        (status, String::from_utf8(answer.take(MAX_MESSAGE)).unwrap())
    }
}

fn say(instance: *mut c_void, text: &str) -> (Status, String) {
    let message = Message {
        text: text.to_owned(),
        ..Message::default()
    };
    invoke(
        instance,
        Hook::OnMessage.number(),
        &serde_json::to_vec(&message).unwrap(),
    )
}

fn destroy(instance: *mut c_void) {
    // SAFETY: made by `create`, given back once.
    unsafe { (BEDSIDE_PLUGIN_ENTRY.destroy)(instance) };
}

#[test]
fn hooks_answer_or_say_why_not() {
    let (status, instance, _) = create(r#"{"id":"test.probe","config":{}}"#);
    assert_eq!(status, Status::OK);
    let check = |text: &str, status: Status, answer: &str| {
        let (got_status, got) = say(instance, text);
        assert_eq!(got_status, status, "{text}");
        assert!(got.contains(answer), "{text}: {got}");
    };
    check("hi", Status::OK, r#"{"verdict":"continue"}"#);
    check("clock", Status::OK, "1234");
    check("error", Status::FAILED, "asked to fail");
    check(
        "denied",
        Status::FAILED,
        "message.send is not permitted: not in the manifest",
    );
    check("log", Status::OK, "continue");
    assert_eq!(*LOGGED.lock().unwrap(), ["a line"]);

    assert_eq!(
        invoke(instance, Hook::OnAnswer.number(), b"{}").0,
        Status::UNKNOWN_HOOK
    );
    assert_eq!(invoke(instance, 4711, b"{}").0, Status::UNKNOWN_HOOK);
    for (body, status, answer) in [
        (&br#"{"conversation":"c1"}"#[..], Status::OK, "null"),
        (
            &br#"{"conversation":"kept"}"#[..],
            Status::FAILED,
            "asked to fail",
        ),
    ] {
        assert_eq!(
            invoke(instance, Hook::Forget.number(), body),
            (status, answer.to_owned())
        );
    }
    assert_eq!(invoke(instance, Hook::Describe.number(), b"").0, Status::OK);
    let (status, text) = invoke(
        instance,
        Hook::OnMessage.number(),
        br#"{"text":["secret words"]}"#,
    );
    assert_eq!(status, Status::BAD_INPUT);
    assert!(!text.contains("secret"), "{text}");
    destroy(instance);
}

#[test]
fn a_panic_is_caught_and_poisons() {
    for deed in ["panic", "panic twice"] {
        let (_, instance, _) = create(r#"{"config":{}}"#);
        let (status, place) = say(instance, deed);
        assert_eq!(status, Status::PANICKED);
        assert!(place.contains("abi.rs:") && !place.contains("words"), "{place}");
        assert_eq!(say(instance, "hi").0, Status::POISONED);
        destroy(instance);
    }
}

#[test]
fn create_fails_in_words() {
    let check = |setup: &str, expect: Status, words: &str| {
        let (status, instance, text) = create(setup);
        assert_eq!(status, expect, "{setup}");
        assert!(instance.is_null() && text.contains(words), "{setup}: {text}");
    };
    check(r#"{"config":{"fail":1}}"#, Status::FAILED, "asked to fail");
    check(r#"{"config":{"panic":1}}"#, Status::PANICKED, "abi.rs:");
    check(r#"{"config":[]}"#, Status::BAD_INPUT, "settings: ");
    check("[", Status::BAD_INPUT, "line 1");
}

#[test]
fn a_thread_left_behind_gets_an_error_not_a_dangling_host() {
    let (_, instance, _) = create(r#"{"config":{}}"#);
    say(instance, "thread");
    destroy(instance);
    let (go, results) = LEFT_BEHIND.lock().unwrap().take().unwrap();
    go.send(()).unwrap();
    assert!(
        results
            .recv()
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("was ended")
    );
}
