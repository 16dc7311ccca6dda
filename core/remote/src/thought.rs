//! What a model thinks aloud between `<think>` and `</think>`: servers without a parser for it leave it in the
//! answer's text, and it must never leave.

/// How an answer begins, where a server leaves thoughts in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// As an answer, or with the mark of a thought.
    Plain,
    /// Some templates open the thought in the prompt, so that the answer brings its end alone.
    InThought,
    /// One or the other: no answer has shown it yet.
    Unknown,
}

/// Lets text through outside of thoughts, and holds back what may be the start of a mark.
#[derive(Debug)]
pub(crate) struct ThoughtGate {
    held: String,
    /// Open marks; some models open one within another.
    depth: usize,
    /// `Plain` as soon as no end of a thought has to be waited for.
    beginning: Beginning,
    /// It stands outside of marks, but the end of a thought may still come behind it.
    unsure: String,
    shown: Option<Beginning>,
}

/// In lower case, since they are compared so.
const OPENS: [&str; 12] = [
    "<think>",
    "<thinking>",
    "<thought>",
    "<thoughts>",
    "<reasoning>",
    "<reflection>",
    "<seed:think>",
    "<|begin_of_thought|>",
    "<unused94>",
    "[think]",
    "◁think▷",
    "## thinking\n",
];
const CLOSES: [&str; 12] = [
    "</think>",
    "</thinking>",
    "</thought>",
    "</thoughts>",
    "</reasoning>",
    "</reflection>",
    "</seed:think>",
    "<|end_of_thought|>",
    "<unused95>",
    "[/think]",
    "◁/think▷",
    "## final response\n",
];
/// All marks begin so.
const FIRST_CHARACTERS: [char; 4] = ['<', '[', '◁', '#'];

enum Mark {
    Open,
    Close,
}

impl ThoughtGate {
    pub(crate) fn new(beginning: Beginning) -> Self {
        Self {
            held: String::new(),
            depth: 0,
            beginning,
            unsure: String::new(),
            shown: None,
        }
    }

    /// Text that is certain not to be thought.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let mut out = String::new();
        if self.beginning == Beginning::Plain {
            out = std::mem::take(&mut self.unsure);
        }
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|it| !it.is_empty()) {
            if let Some((mark, length)) = mark_at(rest) {
                at += length;
                match mark {
                    Mark::Open => self.open(&mut out),
                    Mark::Close => self.close(&mut out),
                }
                continue;
            }
            if may_become_mark(rest) {
                break;
            }
            let length = rest.chars().next().map_or(1, char::len_utf8);
            if self.depth == 0 {
                let spoken = rest.get(..length).unwrap_or_default();
                match self.beginning {
                    Beginning::Plain => out.push_str(spoken),
                    Beginning::InThought | Beginning::Unknown => self.unsure.push_str(spoken),
                }
            }
            at += length;
        }
        self.held = self.held.split_off(at);
        out
    }

    /// What was held back, when no more text comes; nothing of a thought that has no end. `is_whole`: the answer is
    /// over and not only cut off.
    pub(crate) fn finish(&mut self, is_whole: bool) -> String {
        let mut rest = std::mem::take(&mut self.unsure);
        let held = std::mem::take(&mut self.held);
        if self.depth == 0 {
            rest.push_str(&held);
        }
        if self.beginning == Beginning::Plain {
            return rest;
        }
        if !is_whole {
            return String::new();
        }
        if self.beginning == Beginning::Unknown && self.depth == 0 && !rest.trim().is_empty() {
            self.shown = Some(Beginning::Plain);
        }
        rest
    }

    /// The server keeps thoughts apart itself: what it calls content is the answer.
    pub(crate) fn come_apart(&mut self) {
        if self.beginning != Beginning::Plain {
            self.beginning = Beginning::Plain;
            self.shown = Some(Beginning::Plain);
        }
    }

    /// How this answer began, as far as it has shown it.
    pub(crate) fn shown(&self) -> Option<Beginning> {
        self.shown
    }

    /// Nothing of the answer could be let through so far, since nobody knows how it began.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.beginning == Beginning::Unknown && !self.unsure.trim().is_empty()
    }

    fn open(&mut self, out: &mut String) {
        let is_first = self.depth == 0 && self.unsure.trim().is_empty();
        if is_first && self.beginning == Beginning::Unknown {
            // A model that opens its thoughts itself.
            self.beginning = Beginning::Plain;
            self.shown = Some(Beginning::Plain);
            out.push_str(&std::mem::take(&mut self.unsure));
        }
        self.depth += 1;
    }

    fn close(&mut self, out: &mut String) {
        if self.depth == 0 {
            // All before it was thought.
            self.shown = Some(Beginning::InThought);
            self.beginning = Beginning::Plain;
            self.unsure.clear();
            out.clear();
            return;
        }
        self.depth -= 1;
        if self.depth == 0 && self.beginning == Beginning::InThought {
            if self.unsure.trim().is_empty() {
                // It opened the thought once more.
                self.beginning = Beginning::Plain;
            }
            self.unsure.clear();
        }
    }
}

/// The mark that a text begins with, and its bytes.
fn mark_at(text: &str) -> Option<(Mark, usize)> {
    if !text.starts_with(FIRST_CHARACTERS) {
        return None;
    }
    let length_of = |mark: &&str| begins_with(text, mark).then_some(mark.len());
    let open = OPENS.iter().find_map(length_of).map(|it| (Mark::Open, it));
    open.or_else(|| CLOSES.iter().find_map(length_of).map(|it| (Mark::Close, it)))
}

/// More text could make it a mark.
fn may_become_mark(text: &str) -> bool {
    let mut marks = OPENS.iter().chain(&CLOSES);
    text.starts_with(FIRST_CHARACTERS) && marks.any(|it| text.len() < it.len() && begins_with(it, text))
}

fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|it| it.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{
        Beginning::{self, InThought, Plain, Unknown},
        CLOSES, FIRST_CHARACTERS, OPENS, ThoughtGate,
    };

    fn through(text: &str, cuts: &[usize], beginning: Beginning) -> String {
        let mut gate = ThoughtGate::new(beginning);
        let characters: Vec<char> = text.chars().collect();
        let mut rest = characters.as_slice();
        let mut out = String::new();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().map_or(1, |it| (*it).clamp(1, rest.len()));
            let (piece, after) = rest.split_at(cut);
            out.push_str(&gate.push(&piece.iter().collect::<String>()));
            rest = after;
        }
        out + &gate.finish(true)
    }

    #[test]
    fn thoughts_are_left_out() {
        let check = |text: &str, expect: &str| {
            for cut in 1..=text.chars().count().max(1) {
                for beginning in [Plain, Unknown] {
                    assert_eq!(
                        through(text, &[cut], beginning),
                        expect,
                        "{text} in pieces of {cut}, {beginning:?}"
                    );
                }
            }
        };
        check("Rest well.", "Rest well.");
        check("<think>The patient…</think>Rest well.", "Rest well.");
        check("<THINK>hm</Think>\n\nRest.", "\n\nRest.");
        check("Rest. <think>or not?</think>Drink.", "Rest. Drink.");
        check("<think>a <think>b</think> c</think>Rest.", "Rest.");
        check("<think>never ends", "");
        check("◁think▷嗯◁/think▷多喝水", "多喝水");
        check("below 36 < x <thi", "below 36 < x <thi");
        check("< think > a <b>c</b>", "< think > a <b>c</b>");
        check("[THINK]hm[/THINK]Rest.", "Rest.");
        check("<unused94>thought\nhm<unused95>Rest.", "Rest.");
        check("## Thinking\n\nHm.\n\n## Final Response\n\nRest.", "\nRest.");
        check(
            "## Thinking about [sleep](a.org) #1 ◁",
            "## Thinking about [sleep](a.org) #1 ◁",
        );
    }

    #[test]
    fn a_thought_that_the_prompt_opened_never_leaves() {
        for cut in 1..40 {
            for beginning in [InThought, Unknown] {
                let check = |text: &str, expect: &str| {
                    assert_eq!(
                        through(text, &[cut], beginning),
                        expect,
                        "{text} in pieces of {cut}, {beginning:?}"
                    );
                };
                check("The patient asks…</think>Rest.", "Rest.");
                check("The patient asks…</THINKING>\nRest.", "\nRest.");
                check("Hm. <think>or</think> not?</think>Rest.", "Rest.");
                check("<think>hm</think>Rest.", "Rest.");
                check("病人发烧◁/think▷多喝水", "多喝水");
                check("Rest well.", "Rest well.");
                check("Rest </thi", "Rest </thi");
            }
        }
    }

    #[test]
    fn what_is_cut_off_may_be_thought() {
        for (beginning, expect) in [(InThought, ""), (Unknown, ""), (Plain, "The patient asks")] {
            let mut gate = ThoughtGate::new(beginning);
            let mut out = gate.push("The patient asks");
            assert_eq!(gate.is_in_doubt(), beginning == Unknown);
            out.push_str(&gate.finish(false));
            assert_eq!(out, expect, "{beginning:?}");
            assert_eq!(gate.shown(), None);
        }
    }

    #[test]
    fn an_answer_shows_how_it_began() {
        let cases = [
            (Plain, "Rest.", None),
            (Unknown, "Rest.", Some(Plain)),
            (Unknown, "\n<think>hm</think>Rest.", Some(Plain)),
            (Unknown, "<think>never ends", Some(Plain)),
            (Unknown, " ", None),
            (Unknown, "Hm.</think>Rest.", Some(InThought)),
            (Plain, "Hm.</think>Rest.", Some(InThought)),
            (InThought, "Hm.</think>Rest.", Some(InThought)),
            (InThought, "Rest.", None),
        ];
        for (beginning, text, expect) in cases {
            let mut gate = ThoughtGate::new(beginning);
            gate.push(text);
            gate.finish(true);
            assert_eq!(gate.shown(), expect, "{beginning:?} {text}");
        }
    }

    #[test]
    fn an_answer_streams_as_soon_as_it_is_known_to_be_one() {
        let mut opened = ThoughtGate::new(Unknown);
        assert_eq!(opened.push("<think>hm</think>Re"), "Re");
        assert_eq!(opened.push("st"), "st");
        let mut closed = ThoughtGate::new(Unknown);
        assert_eq!(closed.push("Hm"), "");
        assert_eq!(closed.push("</think>Re"), "Re");
        assert_eq!(closed.push("st"), "st");
        let mut apart = ThoughtGate::new(Unknown);
        assert_eq!(apart.push("\n"), "");
        apart.come_apart();
        assert_eq!(apart.push("Rest"), "\nRest");
        assert_eq!(apart.shown(), Some(Plain));
    }

    #[test]
    fn all_marks_are_looked_for() {
        for mark in OPENS.iter().chain(&CLOSES) {
            assert!(mark.starts_with(FIRST_CHARACTERS), "{mark}");
            assert_eq!(*mark, mark.to_lowercase());
        }
    }

    fn thought() -> impl Strategy<Value = String> {
        (0..OPENS.len(), "[a-z 好<>/]{0,12}")
            .prop_map(|(kind, secret)| format!("{}SECRET{secret}SECRET{}", OPENS[kind], CLOSES[kind]))
    }

    proptest! {
        #[test]
        fn no_thought_leaves_however_it_is_cut(
            parts in proptest::collection::vec(prop_oneof![thought(), "[a-z 好.<]{0,12}", Just("</".to_owned())], 0..6),
            cuts in proptest::collection::vec(1_usize..9, 1..6),
            is_known in any::<bool>(),
        ) {
            let text = parts.concat();
            let out = through(&text, &cuts, Plain);
            prop_assert!(!out.contains("SECRET"), "{text} gave {out}");
            prop_assert_eq!(&out, &through(&text, &[usize::MAX], Plain));
            prop_assert_eq!(&out, &through(&text, &cuts, Unknown));
            let beginning = if is_known { InThought } else { Unknown };
            let of_prompt = through(&format!("SECRET</think>{text}"), &cuts, beginning);
            prop_assert_eq!(of_prompt, out, "{:?}", beginning);
        }
    }
}
