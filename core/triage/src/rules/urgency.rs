//! How urgent a text is that raises no red flag.

use bedside_contract::Disposition;
use bedside_language::{NormalText, is_han};

use super::Rules;
use crate::{
    assessment::PatientFacts,
    bundle::{RedFlag, Rule},
    data::FindingKind,
    evidence::Evidence,
    pattern::pattern,
};

// Paperwork, money, visits, hygiene of knowledge: with no complaint beside it, nobody is ill.
pattern!(
    ASKED_OUT_OF_INTEREST,
    r"报销|医保|保险|发票|复印|退费|退号|退款|停车|探视|探病|探望|上班吗|几点(上班|开门|停号|下班)|多少钱|贵不贵|价格|盖章|请假条|病假条|健康证|评残|投诉|食堂|陪护|献血|好奇|想了解|了解一下|是真的吗|真的假的|谣言|有?(什么|啥)区别|怎么区分|原理|是什么意思|什么叫|作业|课题|板报|讲座|宣传|科普|遗传吗|会遗传|传染吗|传上吗|会传染|预防|\b(refund|insurance|insurer|invoice|receipt|sick note|fit note|certificate|parking|car park|visiting hours|opening hours|medical records?|paperwork|cost|price|leaflet|airline|complain|donate|give blood|canteen|curious|just wondering|myth|is it true|homework|assignment|difference between|explain|what causes|project|lecture|hereditary|runs? in families|prevent|prevention|contagious|catching)\b"
);

/// The red flags whose signs are there, most urgent first; true where they are certain.
pub(super) struct Raised<'a>(Vec<(&'a RedFlag, bool)>);

impl<'a> Raised<'a> {
    /// Those that make an emergency; weaker signs only if they are confirmed.
    pub(super) fn counting(&self, confirmed: bool) -> Vec<&'a RedFlag> {
        let counting = self.0.iter().filter(|(_, certain)| *certain || confirmed);
        counting.map(|it| it.0).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_certain(&self) -> bool {
        self.0.iter().any(|it| it.1)
    }
}

/// What the rules say of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// Where nobody else is asked.
    pub(super) disposition: Disposition,
    /// By certain signs: the second reader may not go below it.
    pub(super) floor: Disposition,
    /// By weaker signs: it may where it holds that unlikely.
    pub(super) suspected: Disposition,
}

impl Said {
    pub(super) const EMERGENCY: Self = Self {
        disposition: Disposition::Emergency,
        floor: Disposition::Emergency,
        suspected: Disposition::Emergency,
    };

    /// With the second reader's urgency, where there is one, and the weaker signs that it confirms.
    pub(super) fn with(
        self,
        reader: Option<Disposition>,
        confirms: impl Fn(Disposition) -> bool,
    ) -> Disposition {
        let by_rules = || standing(self.floor, self.suspected, confirms);
        reader.map_or(self.disposition, |it| it.max(by_rules()))
    }
}

/// The highest urgency for which there are certain signs, or weaker ones that are confirmed.
pub(crate) fn standing(
    certain: Disposition,
    suspected: Disposition,
    confirms: impl Fn(Disposition) -> bool,
) -> Disposition {
    [
        Disposition::Emergency,
        Disposition::SameDay,
        Disposition::OutPatient,
    ]
    .into_iter()
    .find(|it| *it <= certain || *it <= suspected && confirms(*it))
    .unwrap_or(Disposition::SelfCare)
}

impl Rules {
    /// The most urgent of what is there, each by itself, and of the rules that hold.
    ///
    /// That a text names a complaint, a disease or a part of the body makes it out-patient for want of better: it
    /// may be a question, a story or something long over. There the second reader decides, if there is more to read
    /// than the complaint. What a finding or a rule sees by weaker signs it may doubt in a text that says enough.
    pub(super) fn below_emergency(&self, evidence: &Evidence, raised: &Raised<'_>, text: &str) -> Said {
        let most = |holds: &dyn Fn(&Rule) -> bool| {
            let matched = self.bundle.rules.iter().filter(|it| holds(it));
            matched
                .map(|it| it.disposition)
                .max()
                .unwrap_or(Disposition::SelfCare)
        };
        let certain = most(&|it| it.certain.holds(evidence));
        let suspected = most(&|it| it.suspected.holds(evidence));
        let mut base = self.base_disposition(evidence, text);
        if is_unread_case(evidence, text) {
            base = base.max(Disposition::OutPatient);
        }
        let disposition = base.max(certain).max(suspected);
        let size = size(text);
        let floor = match disposition {
            Disposition::OutPatient if size < ENOUGH_TO_JUDGE => disposition,
            Disposition::SameDay if size < ENOUGH_TO_DOUBT => disposition,
            _ => certain,
        };
        let suspected = match base {
            Disposition::OutPatient => suspected,
            _ => suspected.max(base),
        };
        Said {
            disposition,
            floor,
            suspected: if raised.is_empty() {
                suspected
            } else {
                Disposition::Emergency
            },
        }
    }

    /// Where there is little to read beside the signs, nobody can doubt them.
    pub(super) fn raised(&self, evidence: &Evidence, text: &str) -> Raised<'_> {
        let little = size(text) < ENOUGH_TO_DOUBT;
        let certainty = |flag: &RedFlag| {
            let certain = flag.certain.holds(evidence);
            (certain || flag.suspected.holds(evidence)).then_some(certain || little)
        };
        let flags = self.bundle.red_flags.iter();
        Raised(flags.filter_map(|it| Some((it, certainty(it)?))).collect())
    }

    /// The urgency by certain signs, and by weaker ones.
    pub(super) fn urgency_by_signs(&self, normal: &NormalText) -> (Disposition, Disposition) {
        let evidence = Evidence::gather(&self.bundle, normal, &PatientFacts::default());
        let raised = self.raised(&evidence, &normal.text);
        if raised.is_certain() {
            return (Disposition::Emergency, Disposition::Emergency);
        }
        let said = self.below_emergency(&evidence, &raised, &normal.text);
        (said.floor, said.suspected)
    }

    /// What speaks for more than self-care, by itself: findings that count, as `finding:ID`, and rules that hold,
    /// as `rule:ID`. For those who write rules.
    #[must_use]
    pub fn reasons(&self, text: &str) -> Vec<(String, Disposition)> {
        let normal = self.readings(text).swap_remove(0);
        let evidence = Evidence::gather(&self.bundle, &normal, &PatientFacts::default());
        let exact = self.complaints(&evidence).any(|it| !it.generic);
        let findings = self
            .complaints(&evidence)
            .filter(|it| !exact || !it.generic)
            .map(|it| (format!("finding:{}", it.id), it.base));
        let clinic = evidence
            .active()
            .filter(|it| self.complaints(&evidence).next().is_none() && self.calls_for_a_clinic(*it))
            .filter(|_| !ASKED_OUT_OF_INTEREST.is_match(&normal.text))
            .filter_map(|it| self.bundle.findings.get(it))
            .map(|it| (format!("finding:{}", it.id), Disposition::OutPatient));
        let rules = self.bundle.rules.iter().filter(|it| it.holds(&evidence));
        let rules = rules.map(|it| (format!("rule:{}", it.id), it.disposition));
        let all = findings.chain(clinic).chain(rules);
        all.filter(|(_, it)| *it > Disposition::SelfCare).collect()
    }

    /// The alternatives of red flags that hold, as `heart-attack 3`, or `heart-attack suspect 1`, counted from 1. For
    /// those who write rules.
    #[must_use]
    pub fn raised_alternatives(&self, text: &str) -> Vec<String> {
        let normal = self.readings(text).swap_remove(0);
        let evidence = Evidence::gather(&self.bundle, &normal, &PatientFacts::default());
        let mut raised = Vec::new();
        for flag in &self.bundle.red_flags {
            for (kind, condition) in [("", &flag.certain), (" suspect", &flag.suspected)] {
                let holding = condition.alternatives_that_hold(&evidence);
                raised.extend(holding.map(|it| format!("{}{kind} {}", flag.id, it + 1)));
            }
        }
        raised
    }

    /// What each symptom is called, in English and Chinese.
    pub(crate) fn complaint_names(&self) -> impl Iterator<Item = [&str; 2]> {
        let symptoms = self.bundle.findings.iter();
        let symptoms = symptoms.filter(|it| it.kind == FindingKind::Symptom);
        symptoms.map(|it| [it.name.en.as_str(), it.name.zh.as_str()])
    }

    fn complaints<'a>(&'a self, evidence: &'a Evidence) -> impl Iterator<Item = &'a crate::bundle::Finding> {
        evidence
            .active()
            .filter(|it| matches!(self.kind(*it), FindingKind::Symptom | FindingKind::Event))
            .filter_map(|it| self.bundle.findings.get(it))
    }

    /// A known disease or a word of medicine without any complaint is for the out-patient clinic; a question out
    /// of interest is not urgent at all.
    fn base_disposition(&self, evidence: &Evidence, text: &str) -> Disposition {
        let exact = self.complaints(evidence).filter(|it| !it.generic);
        let complaint = exact.map(|it| it.base).max();
        let complaint = complaint.or_else(|| self.complaints(evidence).map(|it| it.base).max());
        let clinic = || evidence.active().any(|it| self.calls_for_a_clinic(it));
        // Only a red flag makes an emergency: it has a name and a notice.
        let complaint = complaint.map(|it| it.min(Disposition::SameDay));
        complaint.unwrap_or(if !ASKED_OUT_OF_INTEREST.is_match(text) && clinic() {
            Disposition::OutPatient
        } else {
            Disposition::SelfCare
        })
    }

    /// A disease, an organ or a department's word; 'doctor' or 'medicine' alone is none.
    fn calls_for_a_clinic(&self, entry: usize) -> bool {
        match self.kind(entry) {
            FindingKind::Condition => true,
            FindingKind::Term => self.bundle.id("medical-word") != Some(entry),
            _ => false,
        }
    }
}

/// A bare complaint may be no more than it says.
pub(super) fn says_little(text: &str) -> bool {
    size(text) < ENOUGH_TO_JUDGE
}

/// In Chinese characters; an English word counts for two.
fn size(text: &str) -> usize {
    let (mut size, mut in_word) = (0, false);
    for c in text.chars() {
        size += usize::from(is_han(c));
        if c.is_ascii_alphanumeric() && !in_word {
            size += 2;
        }
        in_word = c.is_ascii_alphanumeric();
    }
    size
}

/// Whether a complaint is a question, a story or long over, by [`size`]: 胸闷 and "I have palpitations" are not.
const ENOUGH_TO_JUDGE: usize = 20;
/// Whether weaker signs mean what they say.
const ENOUGH_TO_DOUBT: usize = 32;

/// Somebody's age and a story, of which not a word is known here: a doctor should hear it.
pub(super) fn is_unread_case(evidence: &Evidence, text: &str) -> bool {
    evidence.mentions.is_empty() && evidence.facts.age_years.is_some() && text.chars().count() > 20
}
