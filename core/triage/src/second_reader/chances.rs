//! How likely each urgency is, and which one is said for it.

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};

use super::training::LEVELS;
use crate::learning::{linear_head::LinearHead, logistic};

/// Of emergency, same day, out-patient and self-care; together 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Chances([f32; 4]);

/// Makes chances of scores: for each urgency a logistic regression on the scores of the n-grams' heads, and on the
/// encoder's where it reads, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calibration {
    /// Of emergency, same-day, out-patient, self-care.
    urgencies: [LinearHead; 4],
}

/// How scores are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judgement {
    pub(super) calibration: Calibration,
    pub(super) thresholds: Thresholds,
}

/// From which probability on an urgency is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Of an emergency.
    pub emergency: f32,
    /// Of an emergency, for the same day: what could be one does not wait.
    pub worry: f32,
    /// Of a case for today or more.
    pub same_day: f32,
    /// Of anything but self-care.
    pub out_patient: f32,
    /// Of an emergency for which the rules see only weaker signs: below it they do not count.
    pub doubt: f32,
    /// Likewise of a lower urgency, or more.
    pub doubt_below_emergency: f32,
}

impl Chances {
    /// From log odds of each urgency against the rest: the emergency's chance is its own, the others share what is left
    /// of it.
    fn of(odds: [f32; 4]) -> Self {
        let [emergency, others @ ..] = odds;
        let emergency = logistic(emergency);
        let highest = others.iter().copied().fold(f32::MIN, f32::max);
        let shares = others.map(|it| (it - highest).exp());
        let sum: f32 = shares.iter().sum();
        let [same_day, out_patient, self_care] = shares.map(|it| it / sum * (1.0 - emergency));
        Self([emergency, same_day, out_patient, self_care])
    }

    /// That it is so urgent, or more.
    pub(super) fn at_least(self, urgency: Disposition) -> f32 {
        let [emergency, same_day, out_patient, _] = self.0;
        match urgency {
            Disposition::Emergency => emergency,
            Disposition::SameDay => emergency + same_day,
            Disposition::OutPatient => emergency + same_day + out_patient,
            Disposition::SelfCare => 1.0,
        }
    }
}

impl Calibration {
    /// On messages that those who scored have not seen; a row of scores for each.
    pub(super) fn fit(rows: &[Vec<f32>], urgencies: &[Disposition]) -> Self {
        let fitted = |urgency: Disposition| {
            let labels: Vec<bool> = urgencies.iter().map(|it| *it == urgency).collect();
            LinearHead::fit(rows, &labels)
        };
        Self {
            urgencies: LEVELS.map(fitted),
        }
    }

    pub(super) fn chances(&self, scores: &[f32]) -> Chances {
        Chances::of(self.urgencies.each_ref().map(|it| it.score(scores)))
    }
}

impl Thresholds {
    /// Whether an urgency for which there are only weaker signs is likely enough to stand.
    pub(super) fn confirm(self, chances: Chances, urgency: Disposition) -> bool {
        let doubt = match urgency {
            Disposition::Emergency => self.doubt,
            _ => self.doubt_below_emergency,
        };
        chances.at_least(urgency) >= doubt
    }

    pub(super) fn level(self, chances: Chances) -> Disposition {
        let emergency = chances.at_least(Disposition::Emergency);
        if emergency >= self.emergency {
            Disposition::Emergency
        } else if emergency >= self.worry || chances.at_least(Disposition::SameDay) >= self.same_day {
            Disposition::SameDay
        } else if chances.at_least(Disposition::OutPatient) >= self.out_patient {
            Disposition::OutPatient
        } else {
            Disposition::SelfCare
        }
    }
}
