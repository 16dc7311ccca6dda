use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use bedside_contract::{Citation, Disposition, InboxSeq, Language, Part, PartKind, QuickReply, UpdateKind};

use super::Screen;
use crate::config::Look;

const PLAIN: Look = Look {
    color: false,
    live: false,
};
const LIVE: Look = Look {
    color: false,
    live: true,
};
const COLORED: Look = Look {
    color: true,
    live: true,
};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands on the screen after `act`.
fn printed(look: Look, act: impl FnOnce(&mut Screen)) -> String {
    let paper = Paper::default();
    act(&mut Screen::new(Box::new(paper.clone()), look, Language::En));
    String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
}

fn part(kind: PartKind, text: &str) -> Part {
    Part {
        kind,
        ..Part::notice(Language::En, text)
    }
}

#[test]
fn a_growing_answer_is_printed_once() {
    let check = |previews: &[&str], last: &str, expect: &str| {
        let text = printed(LIVE, |screen| {
            for preview in previews {
                screen.preview(InboxSeq(1), preview).unwrap();
            }
            screen.part(InboxSeq(1), &part(PartKind::Answer, last)).unwrap();
        });
        assert_eq!(text, expect, "{previews:?}");
    };
    check(
        &["Drink", "Drink wa", "Drink water."],
        "Drink water. Rest.",
        "Drink water. Rest.\n\n",
    );
    check(&["喝", "喝水"], "喝水。", "喝水。\n\n");
    check(
        &["Rest.\n", "Rest.\n\nAnd"],
        "Rest.",
        "Rest.\n\nAnd\nThe answer was changed; this is the whole of it:\nRest.\n\n",
    );
    check(&["Rest.\n"], "Rest.", "Rest.\n\n");
    check(
        &["One", "Two", "One more"],
        "Two more",
        "One\nThe answer was changed; this is the whole of it:\nTwo more\n\n",
    );
    check(&[], "Whole.", "Whole.\n\n");
}

#[test]
fn in_a_pipe_only_the_finished_answer_is_printed() {
    let text = printed(PLAIN, |screen| {
        screen.hint("hint").unwrap();
        screen.typing().unwrap();
        screen.preview(InboxSeq(1), "Dri").unwrap();
        screen
            .part(InboxSeq(1), &part(PartKind::Answer, "Drink."))
            .unwrap();
    });
    assert_eq!(text, "Drink.\n\n");
}

#[test]
fn an_emergency_interrupts_what_is_being_written() {
    let text = printed(LIVE, |screen| {
        screen.preview(InboxSeq(1), "Drink wat").unwrap();
        screen
            .part(
                InboxSeq(2),
                &part(PartKind::Emergency, "Call 120 now.\nDo not wait."),
            )
            .unwrap();
        screen.preview(InboxSeq(1), "Drink water").unwrap();
        screen
            .part(InboxSeq(1), &part(PartKind::Notice, "Stopped."))
            .unwrap();
    });
    let expect = "Drink wat\n┏━━ EMERGENCY ━━━━━━━━━━━━━━━━━━━━\n┃ Call 120 now.\n┃ Do not wait.\n\
                  ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\n\n\
                  The answer was changed; this is the whole of it:\nStopped.\n\n";
    assert_eq!(text, expect);
}

#[test]
fn an_emergency_is_red_and_the_waiting_mark_goes_away() {
    let text = printed(COLORED, |screen| {
        screen.typing().unwrap();
        screen.typing().unwrap();
        screen
            .part(InboxSeq(1), &part(PartKind::Emergency, "Call 120."))
            .unwrap();
    });
    assert_eq!(text.matches('…').count(), 1);
    assert!(
        text.contains("…\x1b[0m\r\x1b[2K\x1b[1;31m┏━━ EMERGENCY"),
        "{text:?}"
    );
    assert!(text.contains("\x1b[1;31m┃ Call 120.\x1b[0m\n"), "{text:?}");
}

#[test]
fn below_an_answer_stand_urgency_departments_sources_and_label() {
    let answer = Part {
        disposition: Some(Disposition::SameDay),
        disposition_text: Some("Be seen by a doctor today".to_owned()),
        departments: vec!["Fever clinic".to_owned()],
        citations: vec![Citation {
            number: 1,
            title: "Fever".to_owned(),
            source: "Starter, 2026-11".to_owned(),
        }],
        label: Some("Written by AI".to_owned()),
        ..part(PartKind::Answer, "See a doctor [1].")
    };
    let check = |look: Look, expect: &str| {
        assert_eq!(
            printed(look, |screen| screen.part(InboxSeq(1), &answer).unwrap()),
            expect
        );
    };
    check(
        PLAIN,
        "See a doctor [1].\n➜ Be seen by a doctor today\nDepartment: Fever clinic\nSources:\n\
         [1] Fever (Starter, 2026-11)\nWritten by AI\n\n",
    );
    check(
        COLORED,
        "See a doctor [1].\n\x1b[33m➜ Be seen by a doctor today\x1b[0m\n\x1b[2mDepartment: Fever clinic\x1b[0m\n\
         \x1b[2mSources:\x1b[0m\n\x1b[2m[1] Fever (Starter, 2026-11)\x1b[0m\n\x1b[2mWritten by AI\x1b[0m\n\n",
    );
}

#[test]
fn a_number_or_its_words_choose_a_quick_reply() {
    let reply = |label: &str, data: &str| QuickReply {
        label: label.to_owned(),
        data: data.to_owned(),
    };
    let question = Part {
        quick_replies: vec![reply("I agree", "yes"), reply("不同意", "no")],
        ..part(PartKind::Notice, "Agree?")
    };
    let check = |line: &str, expect: &str| {
        let text = printed(PLAIN, |screen| {
            screen.part(InboxSeq(1), &question).unwrap();
            let data = match screen.read(line) {
                UpdateKind::Choice { data } => data,
                UpdateKind::Text { text } => format!("text {text}"),
                other => panic!("{other:?}"),
            };
            assert_eq!(data, expect, "{line}");
            assert_eq!(
                screen.read("1"),
                UpdateKind::Text { text: "1".to_owned() },
                "a question is answered once"
            );
        });
        assert_eq!(text, "Agree?\n  1) I agree\n  2) 不同意\n\n");
    };
    check("1", "yes");
    check("2", "no");
    check("不同意", "no");
    check("i AGREE", "yes");
    check("0", "text 0");
    check("3", "text 3");
    check("my head hurts", "text my head hurts");
}

#[test]
fn a_model_cannot_command_the_terminal() {
    let text = printed(LIVE, |screen| {
        screen.preview(InboxSeq(1), "a\x1b[2J").unwrap();
        screen
            .part(
                InboxSeq(1),
                &part(PartKind::Answer, "a\x1b[2Jb\u{9b}31m\r\n\tc\x07"),
            )
            .unwrap();
    });
    assert_eq!(text, "a[2Jb31m\n\tc\n\n");
}
