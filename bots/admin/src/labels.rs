//! Label values: few, short, and without anything that the exposition format would have to escape.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Values of one label that names things of the configuration. A fault elsewhere that puts something else there (a chat's
/// name, say) neither shows it nor fills the memory of Prometheus: beyond so many values all are "other".
#[derive(Debug, Default)]
pub(crate) struct Bounded(Mutex<BTreeSet<String>>);

const MOST_VALUES: usize = 32;
const LONGEST_NAME: usize = 48;
const LONGEST_TEXT: usize = 96;
const OTHER: &str = "other";

impl Bounded {
    pub(crate) fn value(&self, name: &str) -> String {
        let is_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_name) {
            return OTHER.to_owned();
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(name) {
            if known.len() >= MOST_VALUES {
                return OTHER.to_owned();
            }
            known.insert(name.to_owned());
        }
        name.to_owned()
    }
}

/// A text of the operator's (a model's name, a version) as a label value.
pub(crate) fn text(words: &str) -> String {
    let plain = |it: char| {
        if it.is_control() || matches!(it, '"' | '\\') {
            '_'
        } else {
            it
        }
    };
    words.chars().take(LONGEST_TEXT).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::{Bounded, LONGEST_TEXT, MOST_VALUES, text};

    #[test]
    fn a_label_has_few_values_and_none_that_is_no_name() {
        let names = Bounded::default();
        assert_eq!(names.value("telegram"), "telegram");
        for strange in ["", "web:page:4711", "a b", "张三", "\"", &"x".repeat(49)] {
            assert_eq!(names.value(strange), "other", "{strange}");
        }
        for number in 0..MOST_VALUES - 1 {
            let name = format!("p{number}");
            assert_eq!(names.value(&name), name);
        }
        assert_eq!(names.value("one-too-many"), "other");
        assert_eq!(names.value("telegram"), "telegram");
    }

    #[test]
    fn a_text_needs_no_escapes() {
        assert_eq!(text("Qwen \"7B\"\n\\x"), "Qwen _7B___x");
        assert_eq!(text(&"中".repeat(500)).chars().count(), LONGEST_TEXT);
    }
}
