//! How likely each department is the right one, and how many of them to name.

use std::collections::HashMap;

use super::Departments;

/// What speaks for departments, each by index.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Of red flags, rules and findings: 1 for a finding that points to it, up to 4 for a red flag.
    pub(crate) rules: HashMap<usize, f32>,
    /// Of the names of diseases and symptoms.
    pub(crate) terms: HashMap<usize, f32>,
    /// Log odds by the second reader. Empty where it was not asked.
    pub(crate) reader: HashMap<usize, f32>,
    /// Log odds by the second reader's encoder. Empty where it was not asked.
    pub(crate) meaning: HashMap<usize, f32>,
}

/// Who it is, as far as the department depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Person {
    pub(crate) child: bool,
    pub(crate) infant: bool,
    /// Eighteen or older by a number, and no word of a child.
    pub(crate) adult: bool,
    pub(crate) age_years: Option<f32>,
    pub(crate) female: bool,
    pub(crate) male: bool,
    pub(crate) pregnant: bool,
}

/// In log odds: what one point of the rules and of the terms is worth.
const OF_RULES: f32 = 0.35;
const OF_TERMS: f32 = 1.2;
/// The three know of each other: their sum is too sure. So the best department's chance is about the share of texts in
/// which it is right.
const SURENESS: f32 = 0.7;
/// A department that the second reader has no head for, or without a reader.
const UNREAD: f32 = -5.0;
/// What the encoder's log odds count beside the chance that rules and words give. Both know much of the same.
const OF_MEANING: f32 = 0.6;
const OF_WORDS: f32 = 0.7;
/// A department that the encoder has no head for.
const UNENCODED: f32 = -6.0;
/// Nobody's department by age or sex.
const WRONG_PERSON: f32 = -9.0;
const LIKELIER: f32 = 1.5;
/// Of what has no children's side, what goes to paediatrics for an infant.
const FOR_INFANTS: f32 = 0.6;
/// Of a child's department's chance, what its special one on the children's side gets.
const SPECIAL_FOR_CHILDREN: f32 = 0.5;

/// Another department is named beside the best if it is this likely beside it.
const BESIDE_BEST: f32 = 0.4;
/// With the emergency department.
pub(crate) const MOST_NAMED: usize = 3;

impl Departments {
    /// The chance of each department, best first, in sum 1. The emergency department is not among them: urgency
    /// decides about it.
    pub(crate) fn rank(&self, signs: &Signs, person: Person) -> Vec<(usize, f32)> {
        let emergency = self.by_id.get("emergency");
        let of = |map: &HashMap<usize, f32>, index: usize| map.get(&index).copied();
        let mut chances: Vec<f32> = (0..self.list.len())
            .map(|index| {
                if Some(&index) == emergency {
                    return 0.0;
                }
                let general = f32::from(u8::from(self.id_of(index) == Some("general-practice")));
                let unread = if signs.reader.is_empty() {
                    UNREAD + 1.5 * general
                } else {
                    UNREAD
                };
                let odds = of(&signs.reader, index).unwrap_or(unread)
                    + OF_RULES * of(&signs.rules, index).unwrap_or_default()
                    + OF_TERMS * of(&signs.terms, index).unwrap_or_default()
                    + self.of_person(index, person);
                (SURENESS * odds.clamp(-30.0, 30.0)).exp()
            })
            .collect();
        if person.child {
            self.turn_to_children(&mut chances, person.infant);
        }
        if !signs.meaning.is_empty() {
            for (index, chance) in chances.iter_mut().enumerate().filter(|it| *it.1 > 0.0) {
                let odds = of(&signs.meaning, index).unwrap_or(UNENCODED);
                *chance = (OF_WORDS * chance.ln() + OF_MEANING * odds).exp();
            }
        }
        let sum: f32 = chances.iter().sum();
        let mut ranked: Vec<(usize, f32)> = chances.into_iter().map(|it| it / sum).enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    }

    /// In log odds, what age and sex say.
    fn of_person(&self, index: usize, person: Person) -> f32 {
        let Some(id) = self.id_of(index) else {
            return 0.0;
        };
        let wrong = match id {
            "neonatology" => person.adult || person.age_years.is_some_and(|it| it >= 1.0),
            "andrology" => person.female || person.child,
            "gynecology" | "obstetrics" => person.male,
            "geriatrics" => person.child,
            "pediatrics" | "child-health" => person.adult,
            _ => person.adult && id.starts_with("pediatric-"),
        };
        if wrong {
            WRONG_PERSON
        } else if id == "obstetrics" && person.pregnant {
            LIKELIER
        } else {
            0.0
        }
    }

    /// Whatever has a children's side goes to paediatrics, and to the special one of it.
    fn turn_to_children(&self, chances: &mut [f32], infant: bool) {
        let Some(&pediatrics) = self.by_id.get("pediatrics") else {
            return;
        };
        for (index, department) in self.list.iter().enumerate() {
            let moved = match department.child {
                Some(_) => 1.0,
                None if infant && !self.is_for_children(index) => FOR_INFANTS,
                None => continue,
            };
            let Some(chance) = chances.get_mut(index) else {
                continue;
            };
            let goes = *chance * moved;
            *chance -= goes;
            if let Some(it) = chances.get_mut(pediatrics) {
                *it += goes;
            }
            if let Some(child) = department.child.filter(|it| *it != pediatrics)
                && let Some(it) = chances.get_mut(child)
            {
                *it += goes * SPECIAL_FOR_CHILDREN;
            }
        }
    }
}

/// The best of a list that is ordered by chance, and those that are close to it.
pub(crate) fn named(ranked: &[(usize, f32)], most: usize) -> impl Iterator<Item = usize> {
    let best = ranked.first().map_or(0.0, |it| it.1);
    let close = ranked
        .iter()
        .take_while(move |it| it.1 >= best * BESIDE_BEST && it.1 > 0.0);
    close.take(most).map(|it| it.0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Person, Signs};
    use crate::{Rules, SecondReader, departments::terms};
    use bedside_language::normalized;

    #[test]
    fn it_costs_less_than_a_millisecond() {
        let departments = &Rules::builtin().bundle().departments;
        let reader = SecondReader::built_in().unwrap();
        let offered: Vec<String> = departments.list.iter().map(|it| it.name.zh.clone()).collect();
        let text = normalized(
            "最近总是反酸烧心，晚上躺下更厉害，吃了奥美拉唑好一些，停药又犯，需要做胃镜吗？我今年45岁，平时抽烟喝酒，\
             去年体检发现胃息肉，幽门螺杆菌阳性，吃过四联。另外有时候心慌，量血压偏高，不知道该挂哪个科。",
        );
        let mut each: Vec<_> = (0..100)
            .map(|_| {
                let start = Instant::now();
                let index = |(id, value): (&str, f32)| Some((*departments.by_id.get(id)?, value));
                let signs = Signs {
                    terms: terms::speak_for(&text, &[])
                        .into_iter()
                        .filter_map(index)
                        .collect(),
                    reader: reader
                        .read_departments(&text, &[])
                        .into_iter()
                        .filter_map(index)
                        .collect(),
                    ..Signs::default()
                };
                let ranked = departments.rank(&signs, Person::default());
                assert!(!departments.choose(&ranked, None, &offered, 3).is_empty());
                start.elapsed()
            })
            .collect();
        each.sort();
        assert!(each[50].as_micros() < 1_000, "{:?}", each[50]);
    }
}
