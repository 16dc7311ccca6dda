//! What a model makes of messages that it has not seen: thresholds are chosen and figures told by it.

use bedside_contract::Disposition;
use serde::Serialize;

use super::{
    chances::{Calibration, Chances, Judgement, Thresholds},
    training::{Case, LEVELS},
};
use crate::rules::standing;

/// Messages, each read by a model that has not seen it.
pub(super) struct HeldOut<'a> {
    cases: Vec<&'a Case>,
    chances: Vec<Chances>,
    calibration: Calibration,
    /// Of the messages that are no emergencies, the reader alone may call this share.
    false_alarms: f32,
    doubt: f32,
    doubt_below_emergency: f32,
}

#[derive(Clone, Default)]
pub(super) struct HeldOutReading {
    /// By n-grams: of emergency, same-day, out-patient, self-care.
    pub(super) scores: [f32; 4],
    /// By the encoder, if it has not seen the message.
    pub(super) encoded: Option<[f32; 4]>,
}

/// Measured on messages of batches that the measured model had not seen (five folds).
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub messages: usize,
    pub area_under_curve: f32,
    pub thresholds: Thresholds,
    /// Of the emergencies, those that the reader alone finds.
    pub emergencies_found: f32,
    /// Of the others, those that the reader alone calls emergencies.
    pub others_called: f32,
    /// By rules and reader together.
    pub found_together: f32,
    pub called_together: f32,
    pub dispositions_right: f32,
    /// Share with at least the right urgency.
    pub safe: f32,
    /// Of the messages for self-care, those left there.
    pub self_care_found: f32,
}

/// Of the messages that are no emergencies, n-grams alone may call this share.
const FALSE_ALARMS: f32 = 0.045;
/// The batches that the encoder has not seen hold fewer near misses than patients' messages do.
const FALSE_ALARMS_WITH_ENCODER: f32 = 0.02;
/// Weaker signs of an urgency do not count where n-grams alone hold it less likely than this.
const DOUBT: f32 = 0.08;
/// Where the encoder reads, too. Lower, and more near misses are called; at 0.45 a twentieth of another author's
/// emergencies was doubted.
const DOUBT_WITH_ENCODER: f32 = 0.2;
/// Likewise of lower urgencies. A third of those who could care for themselves were kept at a visit by weaker signs.
const DOUBT_BELOW_EMERGENCY: f32 = 0.4;
/// Of two messages that are so likely an emergency and are not called one, about one is.
const WORRY: f32 = 0.3;

impl<'a> HeldOut<'a> {
    /// By n-grams; a reading for each case.
    pub(super) fn alone(cases: &'a [Case], readings: &'a [HeldOutReading]) -> Self {
        Self::new(cases, readings, (FALSE_ALARMS, DOUBT, DOUBT), |it| {
            Some(it.scores.to_vec())
        })
    }

    /// By n-grams and encoder, where the encoder has not seen the message.
    pub(super) fn with_encoder(cases: &'a [Case], readings: &'a [HeldOutReading]) -> Self {
        Self::new(
            cases,
            readings,
            (
                FALSE_ALARMS_WITH_ENCODER,
                DOUBT_WITH_ENCODER,
                DOUBT_BELOW_EMERGENCY,
            ),
            |it| Some([it.scores, it.encoded?].concat()),
        )
    }

    fn new(
        cases: &'a [Case],
        readings: &'a [HeldOutReading],
        (false_alarms, doubt, doubt_below_emergency): (f32, f32, f32),
        scores: impl Fn(&HeldOutReading) -> Option<Vec<f32>>,
    ) -> Self {
        let scored = cases.iter().zip(readings);
        let scored = scored.filter_map(|(case, it)| Some((case, scores(it)?)));
        let (cases, scores): (Vec<&Case>, Vec<Vec<f32>>) = scored.unzip();
        let urgencies: Vec<Disposition> = cases.iter().map(|it| it.disposition).collect();
        let calibration = Calibration::fit(&scores, &urgencies);
        Self {
            chances: scores.iter().map(|it| calibration.chances(it)).collect(),
            cases,
            calibration,
            false_alarms,
            doubt,
            doubt_below_emergency,
        }
    }

    pub(super) fn judgement(&self) -> Judgement {
        Judgement {
            calibration: self.calibration.clone(),
            thresholds: self.thresholds(),
        }
    }

    /// The emergency's by false alarms, those of the other urgencies by what is worth most together with the rules.
    fn thresholds(&self) -> Thresholds {
        let others = self.each().filter(|(case, _)| !case.is_emergency());
        let mut of_others: Vec<f32> = others
            .map(|(_, it)| it.at_least(Disposition::Emergency))
            .collect();
        of_others.sort_by(|a, b| b.total_cmp(a));
        let allowed = (of_others.len() as f32 * self.false_alarms) as usize;
        let emergency = of_others.get(allowed).map_or(0.5, |it| it + 1e-4);
        let thresholds = |same_day: f32, out_patient: f32| Thresholds {
            emergency,
            worry: WORRY.min(emergency),
            same_day,
            out_patient,
            doubt: self.doubt,
            doubt_below_emergency: self.doubt_below_emergency,
        };
        let steps = || (4..=19).map(|it| it as f32 * 0.05);
        let mut best = (i32::MIN, thresholds(0.5, 0.5));
        for (same_day, out_patient) in steps().flat_map(|a| steps().map(move |b| (a, b))) {
            let thresholds = thresholds(same_day, out_patient);
            let said = self
                .each()
                .map(|(case, it)| (case, together(it, case, thresholds)));
            let worth: i32 = said.map(|(case, said)| worth(case.disposition, said)).sum();
            if worth > best.0 {
                best = (worth, thresholds);
            }
        }
        best.1
    }

    pub(super) fn report(&self, thresholds: Thresholds) -> Report {
        let emergency = |it: Disposition| it == Disposition::Emergency;
        let alone = |_: &Case, it: Chances| thresholds.level(it);
        let with_rules = |case: &Case, it: Chances| together(it, case, thresholds);
        Report {
            messages: self.cases.len(),
            area_under_curve: self.area_under_curve(),
            thresholds,
            emergencies_found: self.share(emergency, alone, |_, said| emergency(said)),
            others_called: self.share(|it| !emergency(it), alone, |_, said| emergency(said)),
            found_together: self.share(emergency, with_rules, |_, said| emergency(said)),
            called_together: self.share(|it| !emergency(it), with_rules, |_, said| emergency(said)),
            dispositions_right: self.share(|_| true, with_rules, |right, said| said == right),
            safe: self.share(|_| true, with_rules, |right, said| said >= right),
            self_care_found: self.share(
                |it| it == Disposition::SelfCare,
                with_rules,
                |right, said| said == right,
            ),
        }
    }

    /// The chance that an emergency is held likelier than another message.
    fn area_under_curve(&self) -> f32 {
        let mut scored: Vec<(f32, bool)> = self
            .each()
            .map(|(case, it)| (it.at_least(Disposition::Emergency), case.is_emergency()))
            .collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut others, mut won, mut emergencies) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (_, emergency) in scored {
            if emergency {
                emergencies += 1.0;
                won += others;
            } else {
                others += 1.0;
            }
        }
        (won / (others * emergencies).max(1.0)) as f32
    }

    fn each(&self) -> impl Iterator<Item = (&Case, Chances)> {
        self.cases.iter().copied().zip(self.chances.iter().copied())
    }

    /// Of the messages of some urgencies, those of which something right is said.
    fn share(
        &self,
        of: impl Fn(Disposition) -> bool,
        said: impl Fn(&Case, Chances) -> Disposition,
        is_right: impl Fn(Disposition, Disposition) -> bool,
    ) -> f32 {
        let chosen = self.each().filter(|(case, _)| of(case.disposition));
        share_of(chosen.map(|(case, it)| is_right(case.disposition, said(case, it))))
    }
}

fn share_of(hits: impl Iterator<Item = bool>) -> f32 {
    let (mut all, mut right) = (0.0_f32, 0.0_f32);
    for hit in hits {
        all += 1.0;
        right += f32::from(u8::from(hit));
    }
    right / all.max(1.0)
}

/// By rules and reader.
fn together(chances: Chances, case: &Case, thresholds: Thresholds) -> Disposition {
    let by_rules = standing(case.floor, case.suspected, |it| thresholds.confirm(chances, it));
    thresholds.level(chances).max(by_rules)
}

/// What an urgency is worth where another is right. Self-care counts six times: whoever is sent to a doctor with a cold
/// does not ask again. Two levels too low takes away what a right one gives.
fn worth(right: Disposition, said: Disposition) -> i32 {
    let rank = |level: Disposition| LEVELS.iter().position(|it| *it == level).unwrap_or(0);
    match (rank(said), rank(right)) {
        (said, right) if said == right && LEVELS.get(right) == Some(&Disposition::SelfCare) => 6,
        (said, right) if said == right => 1,
        (said, right) if said > right + 1 => -1,
        _ => 0,
    }
}
