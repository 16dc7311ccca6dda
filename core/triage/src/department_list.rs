//! The departments that there are: what `build.rs` makes of the data.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::data::Words;

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
    pub(crate) aliases: HashMap<String, usize>,
    /// Short names of departments that are several of ours.
    pub(crate) combined: HashMap<String, Vec<usize>>,
}

impl Departments {
    /// `alias` in the texts' spelling.
    pub(crate) fn add_alias(&mut self, alias: &str, department: usize) {
        self.aliases.entry(short_name(alias)).or_insert(department);
    }

    /// `name` in the texts' spelling.
    pub(crate) fn add_combined(&mut self, name: &str, departments: &[usize]) {
        self.combined.insert(short_name(name), departments.to_vec());
    }
}

/// Without what says nothing: 科, 门诊, "department of".
pub(crate) fn short_name(name: &str) -> String {
    let mut name = name.replace([' ', '(', ')', '&', ',', '.', '、', '/', '-'], "");
    for word in [
        "departmentof",
        "department",
        "clinic",
        "outpatient",
        "division",
        "ward",
    ] {
        if name.len() > word.len() {
            name = name.replace(word, "");
        }
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
