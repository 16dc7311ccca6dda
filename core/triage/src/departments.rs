//! Departments by their stable ids, and a hospital's own names for them.

mod own_list;
mod ranking;
pub(crate) mod terms;

use bedside_contract::Language;
use bedside_language::normalized;

use crate::department_list::short_name;
pub(crate) use crate::department_list::{Department, Departments};

pub(crate) use ranking::{MOST_NAMED, Person, Signs, named};

impl Departments {
    pub(crate) fn id_of(&self, index: usize) -> Option<&str> {
        self.list.get(index).map(|it| it.id.as_str())
    }

    pub(crate) fn name(&self, id: &str, language: Language) -> String {
        let known = self.by_id.get(id).and_then(|it| self.list.get(*it));
        known.map_or_else(|| id.to_owned(), |it| it.name.get(language).to_owned())
    }

    pub(crate) fn is_for_children(&self, index: usize) -> bool {
        let id = self.id_of(index).unwrap_or_default();
        id.starts_with("pediatric") || id == "neonatology" || id == "child-health"
    }

    /// Whom a name means: exactly, or by the known names in it, longest first (心血管内科一病区, 风湿免疫肾病科).
    /// The first is meant most.
    pub(crate) fn recognize(&self, name: &str) -> Vec<usize> {
        let name = short_name(&normalized(name));
        let exact = self.aliases.get(&name).copied();
        if let Some(several) = self.combined.get(&name) {
            let first = exact.filter(|it| !several.contains(it));
            return first.into_iter().chain(several.iter().copied()).collect();
        }
        if let Some(department) = exact {
            return vec![department];
        }
        let mut inside: Vec<(usize, usize, usize)> = self
            .aliases
            .iter()
            .filter(|(alias, _)| {
                if alias.is_ascii() {
                    alias.len() >= 4
                } else {
                    alias.chars().count() >= 2
                }
            })
            .filter_map(|(alias, department)| Some((name.find(alias.as_str())?, alias.len(), *department)))
            .collect();
        inside.sort_by_key(|(start, length, department)| (std::cmp::Reverse(*length), *start, *department));
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut found = Vec::new();
        for (start, length, department) in inside {
            let end = start + length;
            if taken.iter().all(|it| end <= it.0 || it.1 <= start) {
                taken.push((start, end));
                if !found.contains(&department) {
                    found.push(department);
                }
            }
        }
        found
    }

    /// Breadth first, without circles; the department itself is not among them.
    fn instead_of(&self, department: usize) -> Vec<usize> {
        let mut order = vec![department];
        let mut next = 0;
        while let Some(current) = order.get(next).copied() {
            for other in self
                .list
                .get(current)
                .into_iter()
                .flat_map(|it| it.instead.iter())
            {
                if !order.contains(other) {
                    order.push(*other);
                }
            }
            next += 1;
        }
        order.remove(0);
        order
    }
}

#[cfg(test)]
mod tests {
    use crate::Rules;

    #[test]
    fn hospitals_call_them_differently() {
        let departments = &Rules::builtin().bundle().departments;
        for (name, ids) in [
            ("心内科", &["cardiology"][..]),
            ("心血管内科", &["cardiology"]),
            ("心脏内科门诊", &["cardiology"]),
            ("心臟內科", &["cardiology"]),
            ("Department of Cardiology", &["cardiology"]),
            ("心血管内科一病区", &["cardiology"]),
            ("神内", &["neurology"]),
            ("妇科", &["gynecology"]),
            ("产科", &["obstetrics"]),
            ("妇产科", &["gynecology", "obstetrics"]),
            ("五官科", &["ent", "ophthalmology", "dentistry"]),
            ("耳鼻咽喉头颈外科", &["ent"]),
            ("ENT", &["ent"]),
            ("ENT clinic", &["ent"]),
            ("小儿外科", &["pediatric-surgery"]),
            ("儿科", &["pediatrics"]),
            ("骨外科", &["orthopedics"]),
            ("消化内科", &["gastroenterology"]),
            ("风湿免疫肾病科", &["rheumatology", "nephrology"]),
            ("药剂库房", &[]),
        ] {
            let found: Vec<_> = departments
                .recognize(name)
                .into_iter()
                .filter_map(|it| departments.id_of(it))
                .collect();
            assert_eq!(found, ids, "{name}");
        }
    }
}
