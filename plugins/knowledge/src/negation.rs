//! Which words of a message are denied: "no fever, but a cough", 没有发烧，就是咳嗽.

use std::ops::Range;

use bedside_language::{
    NormalText,
    negation::{Polarity, Span, SpanKind, polarities},
};

use crate::units::{UnitText, is_mark};

/// For each unit whether the text denies it; `named` are the units of terms, which are denied as a whole.
pub(crate) fn denied_units(text: &UnitText, named: &[Range<usize>]) -> Vec<bool> {
    let mut denied = vec![false; text.len()];
    let normal = NormalText::new(text.source());
    let mut in_terms = vec![false; text.len()];
    for unit in named.iter().flat_map(Clone::clone) {
        if let Some(it) = in_terms.get_mut(unit) {
            *it = true;
        }
    }
    let alone = (0..text.len()).filter(|it| in_terms.get(*it) == Some(&false) && !is_mark(text.unit(*it)));
    let places: Vec<(Range<usize>, SpanKind)> = named
        .iter()
        .map(|it| (it.clone(), SpanKind::Complaint))
        .chain(alone.map(|it| (it..it + 1, SpanKind::Term)))
        .collect();
    let spans: Vec<Span> = places
        .iter()
        .map(|(units, kind)| Span {
            bytes: normal.bytes_of(&text.origin(units.clone())),
            gap: None,
            kind: *kind,
        })
        .collect();
    for ((units, _), polarity) in places.iter().zip(polarities(&normal.text, &spans)) {
        if polarity == Polarity::Absent
            && let Some(it) = denied.get_mut(units.clone())
        {
            it.fill(true);
        }
    }
    denied
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::denied_units;
    use crate::{phrases::Phrases, section::Language, units::UnitText, vocabulary::vocabulary};

    fn check(language: Language, text: &str, word: &str, expect: bool) {
        let vocabulary = vocabulary(language);
        let units = vocabulary.units(text);
        let word = vocabulary.units(word);
        let complaints = "fever;cough;rash;headache;nausea;发热;咳嗽;头痛;腹泻";
        let complaints: Vec<UnitText> = complaints.split(';').map(|it| vocabulary.units(it)).collect();
        let named = Phrases::new(&complaints).unwrap().find_longest(&units);
        let named: Vec<Range<usize>> = named.into_iter().map(|it| it.units).collect();
        let denied = denied_units(&units, &named);
        let at = named
            .iter()
            .find(|it| (it.start..it.end).map(|at| units.unit(at)).eq(word.units()));
        let at = at.unwrap_or_else(|| panic!("{word:?} in {units:?}"));
        assert_eq!(denied[at.start], expect, "{text}: {word:?}");
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
            ("I have no\nfever", "fever", true),
            ("fever: none, cough", "fever", true),
            ("fever: none, cough", "cough", false),
            ("no day without a headache", "headache", false),
            ("denies: fever; cough; rash", "rash", true),
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
            ("发烧(-)，咳嗽", "发热", true),
            ("没有一天不头疼", "头痛", false),
            ("咳嗽倒没有，头疼", "咳嗽", true),
            ("否认\n发烧", "发热", true),
        ] {
            check(Language::Zh, text, word, expect);
        }
    }
}
