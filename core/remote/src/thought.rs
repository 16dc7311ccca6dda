//! What a model thinks aloud between `<think>` and `</think>`: servers without a parser for it leave it in the
//! answer's text, and it must never leave.

/// Lets text through outside of thoughts, and holds back what may be the start of a mark.
#[derive(Debug, Default)]
pub(crate) struct ThoughtGate {
    held: String,
    /// Open marks; some models open one within another.
    depth: usize,
    /// Some templates open the thought in the prompt, so that the answer brings its end alone: nothing leaves until it
    /// has come.
    awaits_end: bool,
    has_seen_lone_end: bool,
}

/// In lower case, since they are compared so.
const OPENS: [&str; 7] = [
    "<think>",
    "<thinking>",
    "<thought>",
    "<thoughts>",
    "<reasoning>",
    "<reflection>",
    "◁think▷",
];
const CLOSES: [&str; 7] = [
    "</think>",
    "</thinking>",
    "</thought>",
    "</thoughts>",
    "</reasoning>",
    "</reflection>",
    "◁/think▷",
];

enum Mark {
    Open,
    Close,
}

impl ThoughtGate {
    /// `begins_in_thought`: the model is known to answer with the end of a thought that its prompt opened.
    pub(crate) fn new(begins_in_thought: bool) -> Self {
        Self {
            awaits_end: begins_in_thought,
            ..Self::default()
        }
    }

    /// Text that is certain not to be thought.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        if self.awaits_end {
            let Some(end) = end_of_first_thought(&self.held) else {
                return String::new();
            };
            self.awaits_end = false;
            self.held.drain(..end);
        }
        let mut out = String::new();
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|it| !it.is_empty()) {
            if let Some((mark, length)) = mark_at(rest) {
                match mark {
                    Mark::Open => self.depth += 1,
                    Mark::Close if self.depth > 0 => self.depth -= 1,
                    Mark::Close => {
                        // All before it was thought.
                        self.has_seen_lone_end = true;
                        out.clear();
                    }
                }
                at += length;
                continue;
            }
            if may_become_mark(rest) {
                break;
            }
            let length = rest.chars().next().map_or(1, char::len_utf8);
            if self.depth == 0 {
                out.push_str(rest.get(..length).unwrap_or_default());
            }
            at += length;
        }
        self.held = self.held.split_off(at);
        out
    }

    /// What was held back, when no more text comes; nothing of a thought that has no end. `is_whole`: the answer is
    /// over and not only cut off.
    pub(crate) fn finish(&mut self, is_whole: bool) -> String {
        let held = std::mem::take(&mut self.held);
        if self.awaits_end && is_whole {
            let mut answer = Self::default();
            return answer.push(&held) + &answer.finish(true);
        }
        if self.awaits_end || self.depth > 0 {
            return String::new();
        }
        held
    }

    /// The server keeps thoughts apart itself: what it calls content is the answer.
    pub(crate) fn come_apart(&mut self) {
        self.awaits_end = false;
    }

    /// The end of a thought came that this answer had not begun: the next answers will bring such a one too.
    pub(crate) fn has_seen_lone_end(&self) -> bool {
        self.has_seen_lone_end
    }
}

/// The byte behind the end of the thought that a text begins in.
fn end_of_first_thought(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, _) in text.char_indices() {
        match text.get(at..).and_then(mark_at) {
            Some((Mark::Open, _)) => depth += 1,
            Some((Mark::Close, length)) if depth <= 1 => return Some(at + length),
            Some((Mark::Close, _)) => depth -= 1,
            None => {}
        }
    }
    None
}

/// The mark that a text begins with, and its bytes.
fn mark_at(text: &str) -> Option<(Mark, usize)> {
    let length_of = |mark: &&str| begins_with(text, mark).then_some(mark.len());
    let open = OPENS.iter().find_map(length_of).map(|it| (Mark::Open, it));
    open.or_else(|| CLOSES.iter().find_map(length_of).map(|it| (Mark::Close, it)))
}

/// More text could make it a mark.
fn may_become_mark(text: &str) -> bool {
    let mut marks = OPENS.iter().chain(&CLOSES);
    marks.any(|it| text.len() < it.len() && begins_with(it, text))
}

fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|it| it.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{CLOSES, OPENS, ThoughtGate};

    fn through(text: &str, cuts: &[usize], begins_in_thought: bool) -> String {
        let mut gate = ThoughtGate::new(begins_in_thought);
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
                assert_eq!(through(text, &[cut], false), expect, "{text} in pieces of {cut}");
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
    }

    #[test]
    fn a_thought_that_the_prompt_opened_never_leaves() {
        for cut in 1..40 {
            assert_eq!(through("The patient asks…</think>Rest.", &[cut], true), "Rest.");
            assert_eq!(through("Rest well.", &[cut], true), "Rest well.");
        }
        let mut cut_off = ThoughtGate::new(true);
        assert_eq!(cut_off.push("The patient asks") + &cut_off.finish(false), "");
        let mut gate = ThoughtGate::new(false);
        gate.push("Hm.</think>Rest.");
        assert!(gate.has_seen_lone_end());
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
            opened in any::<bool>(),
        ) {
            let text = parts.concat();
            let out = through(&text, &cuts, false);
            prop_assert!(!out.contains("SECRET"), "{text} gave {out}");
            prop_assert_eq!(&out, &through(&text, &[usize::MAX], false));
            let of_prompt = through(&format!("SECRET</think>{text}"), &cuts, true);
            prop_assert_eq!(of_prompt, out, "{}", opened);
        }
    }
}
