//! Which words of a message are denied: "no fever, but a cough", 没有发烧，就是咳嗽.

use std::ops::Range;

use crate::{
    phrases::overlap,
    units::{COMMA, STOP, UnitText},
    vocabulary::Negation,
};

/// For each unit whether a negation before it reaches it.
pub(crate) fn denied_units(text: &UnitText, rules: &Negation) -> Vec<bool> {
    let mut denied = vec![false; text.len()];
    let pseudo = rules.pseudo.find_longest(text);
    let ends: Vec<Range<usize>> = rules
        .ends
        .find_longest(text)
        .into_iter()
        .map(|it| it.units)
        .collect();
    for cue in rules.cues.find_longest(text) {
        if pseudo.iter().any(|it| overlap(&it.units, &cue.units)) {
            continue;
        }
        let near = cue.units.len() == 1 && rules.near.contains(text.unit(cue.units.start));
        let reach = if near { 2 } else { rules.reach };
        let mut left = reach;
        for index in cue.units.end..text.len() {
            let unit = text.unit(index);
            let ended = unit == STOP
                || ends.iter().any(|it| it.start == index)
                || (unit == COMMA && !list_runs_on(text, index + 1, rules));
            if ended || left == 0 {
                break;
            }
            // A list of denied things may be long.
            left = if unit == COMMA || rules.joins.contains(unit) {
                reach
            } else {
                left - 1
            };
            if let Some(flag) = denied.get_mut(index) {
                *flag = true;
            }
        }
    }
    denied
}

/// Whether what follows a comma is still the same list: "no fever, cough or rash".
fn list_runs_on(text: &UnitText, from: usize, rules: &Negation) -> bool {
    let segment = || {
        (from..text.len())
            .map(|it| text.unit(it))
            .take_while(|it| *it != STOP && *it != COMMA)
    };
    segment().any(|it| rules.joins.contains(it)) && !segment().any(|it| rules.resumes.contains(it))
}

#[cfg(test)]
mod tests {
    use super::denied_units;
    use crate::{section::Language, vocabulary::vocabulary};

    fn check(language: Language, text: &str, word: &str, expect: bool) {
        let vocabulary = vocabulary(language);
        let units = vocabulary.units(text);
        let word = vocabulary.units(word);
        let denied = denied_units(&units, &vocabulary.negation);
        let at = (0..units.len()).find(|it| {
            units.unit(*it) == word.unit(0) && units.unit(it + word.len() - 1) == word.unit(word.len() - 1)
        });
        let at = at.unwrap_or_else(|| panic!("{word:?} in {units:?}"));
        assert_eq!(denied[at], expect, "{text}: {word:?}");
    }

    #[test]
    fn english_denials() {
        for (text, word, expect) in [
            ("I have no fever", "fever", true),
            ("no fever but a cough", "cough", false),
            ("no fever, I cough a lot", "cough", false),
            ("no fever, cough or rash", "rash", true),
            ("cough without fever", "fever", true),
            ("cough without fever", "cough", false),
            ("I don't have a rash", "rash", true),
            ("not only fever", "fever", false),
            ("the headache does not stop and nausea", "nausea", false),
            ("I'm not sure, fever maybe", "fever", false),
            ("No. Fever since Monday", "fever", false),
        ] {
            check(Language::En, text, word, expect);
        }
    }

    #[test]
    fn chinese_denials() {
        for (text, word, expect) in [
            ("没有发烧", "发热", true),
            ("没发烧，就是咳嗽", "咳嗽", false),
            ("没有发烧、咳嗽", "咳嗽", true),
            ("有没有发烧都要去吗", "发热", false),
            ("不发烧", "发热", true),
            ("不舒服头痛", "头痛", false),
            ("咳嗽不停发烧", "发热", false),
            ("睡不着头痛", "头痛", false),
            ("无腹泻", "腹泻", true),
            ("头痛但是不发热", "头痛", false),
            ("看不清头痛", "头痛", false),
        ] {
            check(Language::Zh, text, word, expect);
        }
    }
}
