//! The rules, loaded and asked.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use bedside_contract::{Disposition, Embedder, Language};

use crate::{
    assessment::{Assessment, EmergencyContacts, Finding, PatientFacts, RedFlag, Sex},
    bundle::Bundle,
    condition::Fact,
    data::FindingKind,
    departments::{MOST_NAMED, Person, Signs, named, terms},
    evidence::Evidence,
    levels::{Levels, Urgency},
    measurements::Measurements,
    notice,
    other_languages::{self, OtherLanguage},
    output_gate::OutputGate,
    second_reader::{AskEncoder, Explanation, SecondReader, evidence_words, training::Batch},
    spelling::Speller,
};
use bedside_language::{NormalText, fingerprint, negation::Polarity};
use loading::BUILT_IN;
pub(crate) use urgency::standing;
use urgency::{Said, is_unread_case, says_little};

/// Findings, red flags, rules, departments and questions, ready to read texts.
pub struct Rules {
    bundle: Bundle,
    /// Beside the rules; they alone decide where there is none.
    second_reader: Option<SecondReader>,
    /// Fingerprint of a hospital's own file.
    additions: Option<u32>,
    levels: Levels,
}

/// What the rules make of a message, for the second reader's training.
pub(crate) struct RulesReading {
    /// Normal.
    pub(crate) text: String,
    /// What was found, as words.
    pub(crate) evidence: Vec<String>,
    /// By certain signs.
    pub(crate) floor: Disposition,
    /// By weaker signs.
    pub(crate) suspected: Disposition,
}

static BUILTIN: LazyLock<Rules> =
    LazyLock::new(|| Rules::load(None).expect("the built-in rule files are loaded by a test"));

impl Rules {
    /// The rules that Bedside brings.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Another model for the second reader, e.g. one trained with a hospital's own messages, or none.
    #[must_use]
    pub fn with_second_reader(mut self, second_reader: Option<SecondReader>) -> Self {
        self.second_reader = second_reader;
        self
    }

    /// An encoder beside the second reader's n-grams; nothing without a second reader.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Arc<dyn Embedder>) -> Self {
        self.second_reader = self.second_reader.map(|it| it.with_encoder(encoder));
        self
    }

    /// A gate for one answer, with the encoder that reads messages, too.
    #[must_use]
    pub fn output_gate(&self) -> OutputGate {
        OutputGate::new(self.second_reader.as_ref().and_then(SecondReader::encoder))
    }

    /// Fingerprints of all that an assessment depends on: the built-in rules, a hospital's additions, the second
    /// reader, levels other than China's.
    #[must_use]
    pub fn version(&self) -> String {
        static RULES: LazyLock<u32> = LazyLock::new(|| fingerprint(BUILT_IN.iter().copied()));
        let mut version = format!("rules {:08x}", *RULES);
        if let Some(additions) = self.additions {
            version.push_str(&format!(", additions {additions:08x}"));
        }
        if let Some(reader) = &self.second_reader {
            version.push_str(&format!(", second reader {:08x}", reader.fingerprint()));
            if !reader.has_encoder() {
                version.push_str(" without encoder");
            }
        }
        if self.levels != Levels::default() {
            version.push_str(&format!(", levels {}", self.levels.name()));
        }
        version
    }

    /// Why the second reader thinks as it does, for staff. `batches` hold the messages to compare with. Nothing
    /// where there is no second reader.
    #[must_use]
    pub fn explain(&self, text: &str, batches: &[Batch]) -> Option<Explanation> {
        let read = self.read_for_training(text);
        let reader = self.second_reader.as_ref()?;
        Some(reader.explain(&read.text, &read.evidence, batches, |it| NormalText::new(it).text))
    }

    pub(crate) fn read_for_training(&self, text: &str) -> RulesReading {
        let readings = self.readings(text);
        let urgencies = readings.iter().map(|it| self.urgency_by_signs(it));
        let nothing = (Disposition::SelfCare, Disposition::SelfCare);
        let (floor, suspected) = urgencies.fold(nothing, |all, it| (all.0.max(it.0), all.1.max(it.1)));
        let normal = readings
            .into_iter()
            .next()
            .unwrap_or_else(|| NormalText::new(text));
        let evidence = Evidence::gather(&self.bundle, &normal, &PatientFacts::default());
        RulesReading {
            evidence: evidence_words(&self.bundle, &evidence),
            text: normal.text,
            floor,
            suspected,
        }
    }

    /// Reads a message by rules and second reader. Never panics, whatever the text; takes about a millisecond.
    #[must_use]
    pub fn assess(&self, text: &str, patient: &PatientFacts) -> Assessment {
        // It was trained with Chinese and English, and a bare number says nothing.
        let other = self.other_language(text);
        let is_words = other.is_none() && text.chars().any(char::is_alphabetic);
        let reader = self.second_reader.as_ref().filter(|_| is_words);
        self.most_urgent(text, patient, reader, other.as_ref())
    }

    /// Reads a message by the rules alone.
    #[must_use]
    pub fn assess_by_rules(&self, text: &str, patient: &PatientFacts) -> Assessment {
        self.most_urgent(text, patient, None, self.other_language(text).as_ref())
    }

    /// A slip that may have been meant for several words is read as the most urgent of them.
    fn most_urgent(
        &self,
        text: &str,
        patient: &PatientFacts,
        reader: Option<&SecondReader>,
        other: Option<&OtherLanguage>,
    ) -> Assessment {
        let assessment = self
            .readings(text)
            .iter()
            .map(|it| self.assess_reading(text, it, patient, reader))
            .reduce(|first, other| {
                if other.disposition > first.disposition {
                    other
                } else {
                    first
                }
            })
            .unwrap_or_else(|| self.assess_reading(text, &NormalText::new(text), patient, reader));
        match other {
            Some(other) => self.raised_by(other, assessment),
            None => assessment,
        }
    }

    /// Whether a text is in a language other than Chinese and English, or holds an emergency word of one.
    #[must_use]
    pub fn other_language(&self, text: &str) -> Option<OtherLanguage> {
        other_languages::read(text)
    }

    /// At least one.
    fn readings(&self, text: &str) -> Vec<NormalText> {
        let normal = NormalText::new(text);
        if text.is_ascii() || text.bytes().any(|it| it.is_ascii_alphabetic()) {
            self.speller().readings(&normal)
        } else {
            vec![normal]
        }
    }

    fn assess_reading(
        &self,
        text: &str,
        normal: &NormalText,
        patient: &PatientFacts,
        reader: Option<&SecondReader>,
    ) -> Assessment {
        let evidence = Evidence::gather(&self.bundle, normal, patient);
        let raised = self.raised(&evidence, &normal.text);
        let words = || evidence_words(&self.bundle, &evidence);
        let little = says_little(&normal.text);
        let ask = match (raised.is_certain(), little) {
            (true, _) => AskEncoder::Not,
            (_, true) => AskEncoder::ForDepartments,
            _ => AskEncoder::ForAll,
        };
        let second = reader.map(|it| it.read(&normal.text, &words(), ask));
        // Where nobody else is asked, a suspicion stands.
        let confirms = |urgency| second.as_ref().is_none_or(|it| it.confirms(urgency));
        let fired = raised.counting(confirms(Disposition::Emergency));
        let mut medical = evidence
            .mentions
            .iter()
            .any(|it| self.is_medical(it.mention.entry))
            || evidence.measurements != Measurements::default()
            || is_unread_case(&evidence, text)
            || !raised.is_empty();

        let said = if fired.is_empty() {
            self.below_emergency(&evidence, &raised, &normal.text)
        } else {
            Said::EMERGENCY
        };
        let mut second_reading = second.as_ref().map(|it| it.reading.clone());
        // A bare complaint is for today at most, if the rules see no more in it. Small talk is not raised to a doctor's
        // visit, and to an emergency only where little doubt is left.
        let asked = second_reading.as_ref().map(|it| match it.disposition {
            Disposition::Emergency if medical && little => Disposition::SameDay,
            disposition => disposition,
        });
        let is_sure = second_reading
            .as_ref()
            .is_some_and(|it| it.emergency >= SURE_OF_SMALL_TALK);
        let asked = asked.filter(|it| medical || *it == Disposition::Emergency && is_sure);
        let disposition = said.with(asked, confirms);
        if let Some(reading) = &mut second_reading
            && disposition > said.disposition
        {
            reading.raised = true;
            medical = true;
        }
        let immediate = fired.iter().any(|it| it.level == 1);
        let level = self.levels.number(Urgency::of(disposition, immediate));

        let mut signs = Signs::default();
        let mut score = |departments: &[usize], weight: f32| {
            for (rank, department) in departments.iter().enumerate() {
                *signs.rules.entry(*department).or_default() +=
                    weight / f32::powi(2.0, i32::try_from(rank).unwrap_or(9));
            }
        };
        fired.iter().for_each(|it| score(&it.departments, 4.0));
        let rules = self.bundle.rules.iter().filter(|it| it.holds(&evidence));
        rules.for_each(|it| score(&it.departments, 3.0));
        self.score_findings(&evidence, &mut score);
        let terms = terms::speak_for(&normal.text, &denied(&evidence));
        let chances = if medical || terms::are_medical(&terms) {
            let by_id = &self.bundle.departments.by_id;
            let index = |(id, value): (&str, f32)| Some((*by_id.get(id)?, value));
            signs.terms = terms.into_iter().filter_map(index).collect();
            if let Some(read) = second {
                signs.reader = read.departments.into_iter().filter_map(index).collect();
                signs.meaning = read
                    .departments_by_meaning
                    .into_iter()
                    .filter_map(index)
                    .collect();
            }
            self.bundle.departments.rank(&signs, self.person(&evidence))
        } else {
            Vec::new()
        };

        Assessment {
            disposition,
            level,
            red_flags: fired
                .iter()
                .map(|it| RedFlag {
                    id: it.id.clone(),
                    title_en: it.title.en.clone(),
                    title_zh: it.title.zh.clone(),
                })
                .collect(),
            findings: self.findings(&evidence, normal),
            departments: self.departments(&chances, disposition),
            department_chances: self.worth_naming(&chances),
            missing: self.missing(&evidence),
            medical,
            self_harm: fired.iter().any(|it| it.self_harm),
            second_reading,
            third_reading: None,
            other_language: None,
        }
    }

    /// The hospital's own names for the departments of an assessment, best first, several where several are close,
    /// at most three; in an emergency the emergency department first. Only names of `offered`, and none if none
    /// fits and no general department is offered.
    #[must_use]
    pub fn choose_departments(&self, assessment: &Assessment, offered: &[String]) -> Vec<String> {
        let departments = &self.bundle.departments;
        let index = |id: &str| departments.by_id.get(id).copied();
        let chances: Vec<(usize, f32)> = assessment
            .department_chances
            .iter()
            .filter_map(|(id, chance)| Some((index(id)?, *chance)))
            .collect();
        let for_a_child = chances.iter().take(1).any(|it| departments.is_for_children(it.0));
        let order = if for_a_child {
            ["pediatric-emergency", "emergency"].as_slice()
        } else {
            &["emergency"]
        };
        let first: Vec<usize> = order.iter().filter_map(|it| index(it)).collect();
        let emergency = assessment.disposition == Disposition::Emergency;
        departments.choose(
            &chances,
            emergency.then_some(first.as_slice()),
            offered,
            MOST_NAMED,
        )
    }

    /// The notice shown at once: what was noticed, what to do now, which number to call.
    #[must_use]
    pub fn emergency_notice(
        &self,
        assessment: &Assessment,
        language: Language,
        contacts: &EmergencyContacts,
    ) -> String {
        notice::emergency(&self.bundle, assessment, language, contacts)
    }

    /// "Be seen by a doctor today", 今天之内就诊 …
    #[must_use]
    pub fn disposition_text(&self, disposition: Disposition, language: Language) -> String {
        notice::text(
            &self.bundle,
            &format!("disposition-{}", disposition.name()),
            language,
        )
    }

    /// The name of a department by its id; the id itself if it is unknown.
    #[must_use]
    pub fn department_name(&self, department: &str, language: Language) -> String {
        self.bundle.departments.name(department, language)
    }

    /// The ids of the departments that a name means, in any hospital's words: 心血管内科, "ENT clinic"; one meant most
    /// first.
    #[must_use]
    pub fn departments_called(&self, name: &str) -> Vec<&str> {
        let departments = &self.bundle.departments;
        let meant = departments.recognize(name).into_iter();
        meant.filter_map(|it| departments.id_of(it)).collect()
    }

    /// The name of a finding by its id, for people; the id itself if it is unknown.
    #[must_use]
    pub fn finding_name(&self, finding: &str, language: Language) -> String {
        let known = self
            .bundle
            .id(finding)
            .and_then(|it| self.bundle.findings.get(it));
        known.map_or_else(|| finding.to_owned(), |it| it.name.get(language).to_owned())
    }

    /// How to ask for something in [`Assessment::missing`].
    #[must_use]
    pub fn question_for(&self, missing: &str, language: Language) -> Option<String> {
        let question = self.bundle.questions.iter().find(|it| it.id == missing)?;
        Some(question.words.get(language).to_owned())
    }

    /// One sentence that says when to seek care at once, suited to the findings. Empty for an emergency,
    /// where the notice says it all.
    #[must_use]
    pub fn safety_net(&self, findings: &[String], language: Language) -> String {
        notice::safety_net(&self.bundle, findings, language)
    }

    /// Each red flag's id with the texts in the data that must raise it.
    pub fn red_flag_examples(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.bundle
            .red_flags
            .iter()
            .map(|it| (it.id.as_str(), it.examples.as_slice()))
    }

    /// Those of some English words that lie one slip from a word of the forms and are none: what the correction
    /// of slips must leave alone. For `examples/similar_words.rs`.
    #[must_use]
    pub fn similar_words(&self, words: &[String]) -> Vec<String> {
        self.speller().similar(words)
    }

    #[cfg(test)]
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    fn speller(&self) -> Speller<'_> {
        Speller {
            words: &self.bundle.words,
        }
    }

    fn kind(&self, entry: usize) -> FindingKind {
        self.bundle
            .findings
            .get(entry)
            .map_or(FindingKind::Mask, |it| it.kind)
    }

    fn is_medical(&self, entry: usize) -> bool {
        !matches!(self.kind(entry), FindingKind::Modifier | FindingKind::Mask)
            && self
                .bundle
                .findings
                .get(entry)
                .is_some_and(|it| !matches!(it.id.as_str(), "child-words" | "infant-words" | "elderly-words"))
    }

    fn score_findings(&self, evidence: &Evidence, score: &mut impl FnMut(&[usize], f32)) {
        let mut seen = Vec::new();
        for reading in &evidence.mentions {
            let entry = reading.mention.entry;
            if seen.contains(&entry) {
                continue;
            }
            let (Some(finding), weight) = (
                self.bundle.findings.get(entry),
                match reading.polarity {
                    Polarity::Present if reading.active => 1.0,
                    Polarity::Present => 0.2,
                    Polarity::Possible | Polarity::Hypothetical => 0.7,
                    Polarity::Over => 0.3,
                    Polarity::Absent => 0.0,
                },
            ) else {
                continue;
            };
            if weight > 0.0 {
                seen.push(entry);
                let kind = match finding.kind {
                    FindingKind::Term => 1.5,
                    FindingKind::Condition => 1.2,
                    FindingKind::Event => 1.3,
                    _ => 1.0,
                };
                score(&finding.departments, weight * kind);
            }
        }
    }

    fn departments(&self, chances: &[(usize, f32)], disposition: Disposition) -> Vec<String> {
        let departments = &self.bundle.departments;
        let emergency = disposition == Disposition::Emergency && !chances.is_empty();
        let first = emergency.then_some("emergency");
        let others = named(chances, MOST_NAMED).filter_map(|it| departments.id_of(it));
        first
            .into_iter()
            .chain(others)
            .take(MOST_NAMED)
            .map(str::to_owned)
            .collect()
    }

    fn worth_naming(&self, chances: &[(usize, f32)]) -> Vec<(String, f32)> {
        let id = |(index, chance): &(usize, f32)| {
            Some((self.bundle.departments.id_of(*index)?.to_owned(), *chance))
        };
        chances
            .iter()
            .take_while(|it| it.1 >= LEAST_CHANCE)
            .filter_map(id)
            .collect()
    }

    fn person(&self, evidence: &Evidence) -> Person {
        let says_child = ["child-words", "infant-words"]
            .iter()
            .filter_map(|it| self.bundle.id(it))
            .any(|it| evidence.is_active(it));
        Person {
            child: evidence.fact(Fact::Child),
            infant: evidence.fact(Fact::Infant),
            adult: evidence.age_years.is_some_and(|it| it >= 18.0) && !says_child,
            age_years: evidence.age_years,
            female: evidence.fact(Fact::Female),
            male: evidence.fact(Fact::Male),
            pregnant: evidence.fact(Fact::Pregnant),
        }
    }

    fn findings(&self, evidence: &Evidence, normal: &NormalText) -> Vec<Finding> {
        let reported = evidence.mentions.iter().filter(|it| {
            matches!(
                self.kind(it.mention.entry),
                FindingKind::Symptom | FindingKind::Event | FindingKind::Condition
            )
        });
        reported
            .filter_map(|it| {
                let name = self.bundle.findings.get(it.mention.entry)?.id.clone();
                let span = normal.original_characters(&it.mention.span);
                Some(Finding {
                    name,
                    status: it.status(),
                    start: span.start,
                    end: span.end,
                })
            })
            .collect()
    }

    fn missing(&self, evidence: &Evidence) -> Vec<String> {
        let active: Vec<_> = evidence
            .active()
            .filter(|it| matches!(self.kind(*it), FindingKind::Symptom | FindingKind::Event))
            .filter_map(|it| self.bundle.findings.get(it))
            .collect();
        if active.is_empty() {
            return Vec::new();
        }
        let mut missing: Vec<String> = Vec::new();
        if evidence.age_years.is_none() {
            missing.push("age".to_owned());
        }
        if evidence.facts.durations.is_empty() {
            missing.push("duration".to_owned());
        }
        // What each complaint asks first comes before what any asks second.
        let deepest = active.iter().map(|it| it.ask.len()).max().unwrap_or(0);
        let asked = (0..deepest).flat_map(|rank| active.iter().filter_map(move |it| it.ask.get(rank)));
        for question in asked {
            if !missing.contains(question) && !self.is_answered(question, evidence) {
                missing.push(question.clone());
            }
        }
        missing.truncate(6);
        missing
    }

    fn is_answered(&self, question: &str, evidence: &Evidence) -> bool {
        match question {
            "age" => evidence.age_years.is_some(),
            "duration" => !evidence.facts.durations.is_empty(),
            "sex" => evidence.sex.is_some(),
            "pregnancy" => {
                evidence.pregnant.is_some()
                    || evidence.sex == Some(Sex::Male)
                    || evidence.age_years.is_some_and(|it| !(12.0..=55.0).contains(&it))
            }
            "temperature" => evidence.measurements.temperature.is_some(),
            "severity" => {
                evidence.measurements.pain_score.is_some()
                    || ["severe", "mild"]
                        .iter()
                        .filter_map(|it| self.bundle.id(it))
                        .any(|it| evidence.has_modifier(it))
            }
            _ => self
                .bundle
                .questions
                .iter()
                .find(|it| it.id == question)
                .is_none_or(|it| it.answered_by.iter().any(|it| evidence.is_mentioned(*it))),
        }
    }
}

/// The second reader's probability from which on it may call a text an emergency in which the rules find nothing of
/// health: who gives away the cat may mean to die.
const SURE_OF_SMALL_TALK: f32 = 0.75;
/// Departments with a smaller chance are not kept.
const LEAST_CHANCE: f32 = 0.001;

/// Where the text says that something is not there.
fn denied(evidence: &Evidence) -> Vec<Range<usize>> {
    let denied = evidence
        .mentions
        .iter()
        .filter(|it| it.polarity == Polarity::Absent);
    denied.map(|it| it.mention.span.clone()).collect()
}

mod grading;
mod loading;
#[cfg(test)]
mod tests;
mod urgency;
