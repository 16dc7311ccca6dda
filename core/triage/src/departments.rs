//! Departments by their stable ids, and a hospital's own names for them.

use std::collections::HashMap;

use bedside_contract::Language;
use serde::{Deserialize, Serialize};

use crate::data::Words;
use bedside_language::normalized;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Department {
    pub(crate) id: String,
    pub(crate) name: Words,
    /// For patients under 14 years.
    pub(crate) child: Option<usize>,
    pub(crate) instead: Vec<usize>,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Departments {
    pub(crate) list: Vec<Department>,
    pub(crate) by_id: HashMap<String, usize>,
    /// Short names to departments.
    aliases: HashMap<String, usize>,
}

impl Departments {
    /// `alias` in the texts' spelling.
    pub(crate) fn add_alias(&mut self, alias: &str, department: usize) {
        self.aliases.entry(short_name(alias)).or_insert(department);
    }

    pub(crate) fn id_of(&self, index: usize) -> Option<&str> {
        self.list.get(index).map(|it| it.id.as_str())
    }

    pub(crate) fn name(&self, id: &str, language: Language) -> String {
        let known = self.by_id.get(id).and_then(|it| self.list.get(*it));
        known.map_or_else(|| id.to_owned(), |it| it.name.get(language).to_owned())
    }

    /// Orders by score and turns to the children's side if need be; at most three, close ones only.
    pub(crate) fn rank(&self, scores: &HashMap<usize, f32>, child: bool) -> Vec<usize> {
        let mut ranked: Vec<(usize, f32)> = scores
            .iter()
            .map(|(department, score)| (*department, *score))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let best = ranked.first().map_or(0.0, |it| it.1);
        let mut chosen = Vec::new();
        for (department, _) in ranked
            .into_iter()
            .filter(|(_, score)| *score >= best * 0.6)
            .take(2)
        {
            let paediatric = self
                .list
                .get(department)
                .and_then(|it| it.child)
                .filter(|_| child);
            if let Some(paediatric) = paediatric {
                chosen.extend(self.by_id.get("pediatrics"));
                chosen.push(paediatric);
            } else {
                chosen.push(department);
            }
        }
        let mut seen = Vec::new();
        chosen.retain(|it| {
            !seen.contains(it) && {
                seen.push(*it);
                true
            }
        });
        chosen.truncate(3);
        chosen
    }

    /// The offered names that fit the ids, at most two; each id's own first, then what serves instead.
    pub(crate) fn choose(&self, ids: &[String], offered: &[String]) -> Vec<String> {
        let known: Vec<(Option<usize>, &String)> =
            offered.iter().map(|name| (self.recognize(name), name)).collect();
        let named = |department: usize| {
            known
                .iter()
                .find(|(it, _)| *it == Some(department))
                .map(|(_, name)| *name)
        };
        let mut wanted: Vec<usize> = ids.iter().filter_map(|it| self.by_id.get(it).copied()).collect();
        // A children's cardiology, where there is one, before general paediatrics.
        if let Some(general) = self.by_id.get("pediatrics")
            && wanted
                .iter()
                .any(|it| self.is_paediatric(*it) && named(*it).is_some())
        {
            wanted.retain(|it| it != general);
        }
        let mut chosen: Vec<String> = Vec::new();
        let mut push = |name: &String| {
            if chosen.len() < 2 && !chosen.contains(name) {
                chosen.push(name.clone());
            }
        };
        wanted.iter().filter_map(|it| named(*it)).for_each(&mut push);
        if chosen.is_empty() {
            let mut push = |name: &String| {
                if chosen.is_empty() {
                    chosen.push(name.clone());
                }
            };
            for department in &wanted {
                self.instead_of(*department)
                    .into_iter()
                    .filter_map(named)
                    .for_each(&mut push);
            }
            for general in ["general-practice", "internal-medicine", "emergency"] {
                self.by_id
                    .get(general)
                    .and_then(|it| named(*it))
                    .into_iter()
                    .for_each(&mut push);
            }
        }
        chosen
    }

    /// Whom a name means: exactly, or by the longest known name in it (心血管内科一病区).
    pub(crate) fn recognize(&self, name: &str) -> Option<usize> {
        let name = short_name(&normalized(name));
        if let Some(department) = self.aliases.get(&name) {
            return Some(*department);
        }
        let inside = self.aliases.iter().filter(|(alias, _)| {
            let long_enough = if alias.is_ascii() {
                alias.len() >= 4
            } else {
                alias.chars().count() >= 2
            };
            long_enough && name.contains(alias.as_str())
        });
        inside
            .max_by_key(|(alias, department)| (alias.len(), std::cmp::Reverse(**department)))
            .map(|(_, it)| *it)
    }

    fn is_paediatric(&self, department: usize) -> bool {
        self.id_of(department)
            .is_some_and(|it| it.starts_with("pediatric-"))
    }

    /// Breadth first, without circles.
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
        order
    }
}

/// Without what says nothing: 科, 门诊, "department of".
fn short_name(name: &str) -> String {
    let mut name = name.replace([' ', '(', ')', '&', ',', '.', '、', '/', '-'], "");
    for word in [
        "departmentof",
        "department",
        "clinic",
        "outpatient",
        "division",
        "ward",
    ] {
        name = name.replace(word, "");
    }
    for ending in ["门诊", "诊室", "专科", "中心", "专业", "病区", "科"] {
        if let Some(stem) = name.strip_suffix(ending)
            && !stem.is_empty()
        {
            name = stem.to_owned();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use crate::Rules;

    #[test]
    fn hospitals_call_them_differently() {
        let departments = &Rules::builtin().bundle().departments;
        for (name, id) in [
            ("心内科", "cardiology"),
            ("心血管内科", "cardiology"),
            ("心脏内科门诊", "cardiology"),
            ("心臟內科", "cardiology"),
            ("Department of Cardiology", "cardiology"),
            ("心血管内科一病区", "cardiology"),
            ("神内", "neurology"),
            ("妇科", "gynecology"),
            ("产科", "obstetrics"),
            ("耳鼻咽喉头颈外科", "ent"),
            ("ENT", "ent"),
            ("小儿外科", "pediatric-surgery"),
            ("儿科", "pediatrics"),
            ("骨外科", "orthopedics"),
            ("消化内科", "gastroenterology"),
        ] {
            let found = departments.recognize(name).and_then(|it| departments.id_of(it));
            assert_eq!(found, Some(id), "{name}");
        }
        assert_eq!(departments.recognize("药剂库房"), None);
    }

    #[test]
    fn the_answer_is_one_of_the_hospitals_own() {
        let rules = Rules::builtin();
        let choose = |ids: &[&str], offered: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|it| (*it).to_owned()).collect();
            let offered: Vec<String> = offered.iter().map(|it| (*it).to_owned()).collect();
            rules.bundle().departments.choose(&ids, &offered)
        };
        assert_eq!(choose(&["cardiology"], &["骨科", "心血管内科"]), ["心血管内科"]);
        assert_eq!(choose(&["cardiology"], &["骨科", "内科"]), ["内科"]);
        assert_eq!(
            choose(&["pediatrics", "pediatric-cardiology"], &["儿科", "小儿心内科"]),
            ["小儿心内科"]
        );
        assert_eq!(
            choose(&["pediatrics", "pediatric-cardiology"], &["儿科", "心内科"]),
            ["儿科"]
        );
        assert_eq!(choose(&["cardiology"], &["口腔科"]), Vec::<String>::new());
    }
}
