//! What a server turned out to do. It is forgotten when the server is asked anew what it serves.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{config::RemoteConfig, field::Field, thought::Beginning};

/// In names of models whose template opens the thought, so that only its end stands in the answer.
const THINKERS: [&str; 5] = ["deepseek-r1", "qwq", "thinking", "reasoner", "reasoning"];
/// A request for fewer tokens asks for a word and shows nobody a thought.
const FEWEST_TOKENS_OF_THOUGHTS: usize = 32;

/// Learned from its answers.
pub(crate) struct Habits(Mutex<State>);

struct State {
    /// How answers begin.
    beginning: Beginning,
    refused: BTreeSet<Field>,
    has_told_of_cut_answers: bool,
}

impl Habits {
    /// `names`: all that the model is called, in lower case.
    pub(crate) fn new(config: &RemoteConfig, names: &str) -> Self {
        let beginning = match config.thinks_aloud {
            Some(true) => Beginning::InThought,
            Some(false) => Beginning::Plain,
            None if THINKERS.iter().any(|it| names.contains(it)) => Beginning::InThought,
            None => Beginning::Unknown,
        };
        Self(Mutex::new(State {
            beginning,
            refused: BTreeSet::new(),
            has_told_of_cut_answers: false,
        }))
    }

    /// How an answer of so many tokens has to be taken.
    pub(crate) fn beginning(&self, max_tokens: usize) -> Beginning {
        match self.lock().beginning {
            Beginning::Unknown if max_tokens < FEWEST_TOKENS_OF_THOUGHTS => Beginning::Plain,
            known => known,
        }
    }

    /// Takes over what an answer has shown. That one thinks aloud outweighs all that do not.
    pub(crate) fn learn(&self, shown: Beginning) {
        let mut state = self.lock();
        match (state.beginning, shown) {
            (Beginning::Plain | Beginning::Unknown, Beginning::InThought) => {
                state.beginning = shown;
                tracing::warn!(
                    "The model server leaves thoughts in its answers: from now on they are shown when they are whole. \
                     Start it with a parser for them (vLLM: --reasoning-parser)."
                );
            }
            (Beginning::Unknown, Beginning::Plain) => state.beginning = shown,
            _ => {}
        }
    }

    /// An answer was cut off, and nothing of it is shown, since all of it may be thought.
    pub(crate) fn tell_of_cut_answer(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.has_told_of_cut_answers, true) {
            tracing::warn!(
                "An answer was cut off before it was known not to be a thought, and is not shown: raise \
                 bot.answer_tokens, or set remote.thinks_aloud = false for a model that does not think aloud."
            );
        }
    }

    /// The fields that the server does not take.
    pub(crate) fn refused(&self) -> BTreeSet<Field> {
        self.lock().refused.clone()
    }

    /// The server answered as soon as these were left out.
    pub(crate) fn refuses(&self, fields: &BTreeSet<Field>) {
        let mut state = self.lock();
        for field in fields {
            if state.refused.insert(*field) {
                tracing::warn!(
                    field = field.name(),
                    "The model server refuses this field: it is asked without it."
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Habits;
    use crate::{config::RemoteConfig, thought::Beginning};

    fn habits(thinks_aloud: Option<bool>, names: &str) -> Habits {
        let config = RemoteConfig {
            thinks_aloud,
            ..RemoteConfig::default()
        };
        Habits::new(&config, names)
    }

    #[test]
    fn how_answers_begin_is_set_named_or_learned() {
        let cases = [
            (None, "qwen2.5-14b", 160, Beginning::Unknown),
            (None, "qwen2.5-14b", 1, Beginning::Plain),
            (None, "deepseek-r1:8b", 160, Beginning::InThought),
            (None, "deepseek-r1:8b", 1, Beginning::InThought),
            (Some(false), "deepseek-r1:8b", 160, Beginning::Plain),
            (Some(true), "qwen2.5-14b", 160, Beginning::InThought),
        ];
        for (set, names, max_tokens, expect) in cases {
            assert_eq!(
                habits(set, names).beginning(max_tokens),
                expect,
                "{set:?} {names} {max_tokens}"
            );
        }
    }

    #[test]
    fn a_thought_outweighs_answers_without() {
        use Beginning::{InThought, Plain, Unknown};
        let cases: [(&[Beginning], Beginning); 4] = [
            (&[], Unknown),
            (&[Plain], Plain),
            (&[Plain, InThought], InThought),
            (&[InThought, Plain], InThought),
        ];
        for (shown, expect) in cases {
            let habits = habits(None, "m");
            for it in shown {
                habits.learn(*it);
            }
            assert_eq!(habits.beginning(160), expect, "{shown:?}");
        }
    }
}
