//! From the chances of our departments to names of a hospital's own list.

use super::{Departments, ranking::named};

/// Below this share no name fits.
const LEAST: f32 = 0.08;
/// A department's chance on the name that serves instead.
const INSTEAD: f32 = 0.9;

impl Departments {
    /// The offered names that fit, best first: the department's own name, else one that stands for several
    /// departments, else what serves instead. More than one where they are close. With `emergency` the emergency
    /// department's name comes first. Names that no department's names or aliases explain are never chosen.
    pub(crate) fn choose(
        &self,
        chances: &[(usize, f32)],
        emergency: Option<&[usize]>,
        offered: &[String],
        most: usize,
    ) -> Vec<String> {
        let meanings: Vec<Vec<usize>> = offered.iter().map(|it| self.recognize(it)).collect();
        let mut shares: Vec<(usize, f32)> = (0..offered.len()).map(|it| (it, 0.0)).collect();
        for (department, chance) in chances {
            let own = self.name_of(*department, &meanings).map(|it| (it, *chance));
            let instead = || {
                let names = self.instead_of(*department);
                let name = names.into_iter().find_map(|it| self.name_of(it, &meanings))?;
                Some((name, chance * INSTEAD))
            };
            if let Some((name, chance)) = own.or_else(instead)
                && let Some(share) = shares.get_mut(name)
            {
                share.1 += chance;
            }
        }
        // Of equal names the hospital's first.
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));

        let mut chosen: Vec<usize> = Vec::new();
        let first = emergency.into_iter().flatten();
        chosen.extend(first.filter_map(|it| self.name_of(*it, &meanings)).take(1));
        shares.retain(|it| it.1 >= LEAST && !chosen.contains(&it.0));
        chosen.extend(named(&shares, most.saturating_sub(chosen.len())));
        if chosen.is_empty() {
            let general = ["general-practice", "internal-medicine", "emergency"];
            let general = general.iter().filter_map(|it| self.by_id.get(*it));
            chosen.extend(general.filter_map(|it| self.name_of(*it, &meanings)).take(1));
        }
        chosen.iter().filter_map(|it| offered.get(*it).cloned()).collect()
    }

    /// The name that means a department: one that means nothing else before one that means several.
    fn name_of(&self, department: usize, meanings: &[Vec<usize>]) -> Option<usize> {
        let means = |it: &&(usize, &Vec<usize>)| it.1.contains(&department);
        let names: Vec<(usize, &Vec<usize>)> = meanings.iter().enumerate().collect();
        let of_those = names.iter().filter(means);
        of_those
            .min_by_key(|(place, it)| (it.len(), *place))
            .map(|it| it.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::Rules;

    fn choose(ids: &[(&str, f32)], emergency: bool, offered: &[&str]) -> Vec<String> {
        let departments = &Rules::builtin().bundle().departments;
        let chances: Vec<(usize, f32)> = ids
            .iter()
            .map(|(id, chance)| (departments.by_id[*id], *chance))
            .collect();
        let first = [departments.by_id["emergency"]];
        let offered: Vec<String> = offered.iter().map(|it| (*it).to_owned()).collect();
        departments.choose(&chances, emergency.then_some(first.as_slice()), &offered, 3)
    }

    #[test]
    fn the_answer_is_one_of_the_hospitals_own() {
        for (ids, emergency, offered, expected) in [
            (
                &[("cardiology", 1.0)][..],
                false,
                &["骨科", "心血管内科"][..],
                &["心血管内科"][..],
            ),
            (&[("cardiology", 1.0)], false, &["骨科", "内科"], &["内科"]),
            (&[("cardiology", 1.0)], false, &["口腔科"], &[]),
            (&[("cardiology", 1.0)], false, &["口腔科", "全科"], &["全科"]),
            (
                &[("cardiology", 1.0)],
                true,
                &["心内科", "急诊"],
                &["急诊", "心内科"],
            ),
            (&[("cardiology", 1.0)], true, &["心内科"], &["心内科"]),
            // Several that are close; chances of what is not offered go to what serves instead.
            (
                &[("urology", 0.5), ("nephrology", 0.4), ("ent", 0.1)],
                false,
                &["肾内科", "泌尿外科", "耳鼻喉科"],
                &["泌尿外科", "肾内科"],
            ),
            (
                &[("urology", 0.4), ("nephrology", 0.35), ("cardiology", 0.25)],
                false,
                &["泌尿外科", "内科"],
                &["内科", "泌尿外科"],
            ),
            // A name for several departments, unless one has a name of its own.
            (&[("ophthalmology", 1.0)], false, &["内科", "五官科"], &["五官科"]),
            (&[("ophthalmology", 1.0)], false, &["五官科", "眼科"], &["眼科"]),
            (&[("obstetrics", 1.0)], false, &["外科", "妇产科"], &["妇产科"]),
            (
                &[("obstetrics", 1.0)],
                false,
                &["Gynaecology", "Surgery"],
                &["Gynaecology"],
            ),
            // The special one on the children's side, where there is one.
            (
                &[("pediatrics", 0.6), ("pediatric-cardiology", 0.3)],
                false,
                &["儿科", "小儿心内科"],
                &["儿科", "小儿心内科"],
            ),
            (
                &[("pediatrics", 0.6), ("pediatric-cardiology", 0.3)],
                false,
                &["儿科", "心内科"],
                &["儿科"],
            ),
        ] {
            assert_eq!(
                choose(ids, emergency, offered),
                expected,
                "{ids:?} of {offered:?}"
            );
        }
    }
}
