//! Which of the hospital's levels an assessment gets, and how other readers than the rules raise it.

use bedside_contract::{Disposition, Language, ThirdReading, ThirdVerdict};

use super::Rules;
use crate::{
    assessment::{Assessment, EmergencyContacts, RedFlag},
    departments::MOST_NAMED,
    levels::{Levels, Urgency, time_text},
    notice,
    other_languages::{self, OtherLanguage},
};

impl Rules {
    /// Other levels than China's four.
    #[must_use]
    pub fn with_levels(mut self, levels: Levels) -> Self {
        self.levels = levels;
        self
    }

    /// The level of an assessment in one line for staff: name, colour, time to be seen, and the ambulance's number
    /// where one is to be sent.
    #[must_use]
    pub fn level_text(
        &self,
        assessment: &Assessment,
        language: Language,
        contacts: &EmergencyContacts,
    ) -> String {
        let Some(level) = self.levels.numbered(assessment.level) else {
            return String::new();
        };
        let text = |key: &str| notice::text(&self.bundle, key, language);
        let colour = text(&format!("colour-{}", level.colour.name()));
        let time = match level.minutes {
            None => String::new(),
            Some(0) => text("level-at-once"),
            Some(minutes) => text("level-within").replace("{time}", &time_text(minutes, language)),
        };
        let ambulance = if level.ambulance && !contacts.emergency_number.is_empty() {
            text("level-ambulance").replace("{emergency}", &contacts.emergency_number)
        } else {
            String::new()
        };
        text("level")
            .replace("{time}", &time)
            .replace("{ambulance}", &ambulance)
            .replace("{colour}", &colour)
            .replace("{id}", &level.id)
            .replace("{name}", level.name.get(language))
    }

    /// The assessment with what the served model made of the text: it may raise it to an emergency, never lower it.
    #[must_use]
    pub fn with_third_reading(&self, assessment: Assessment, reading: ThirdReading) -> Assessment {
        let is_raised =
            reading.verdict == ThirdVerdict::Emergency && assessment.disposition < Disposition::Emergency;
        let assessment = if is_raised {
            self.as_emergency(assessment, Urgency::Emergency)
        } else {
            assessment
        };
        Assessment {
            third_reading: Some(reading),
            ..assessment
        }
    }

    /// The rules know nothing of the other language: its emergency words alone raise the urgency, and nothing lowers
    /// it.
    pub(super) fn raised_by(&self, other: &OtherLanguage, mut assessment: Assessment) -> Assessment {
        assessment.other_language = Some(other.id.to_owned());
        if !other.emergency {
            return assessment;
        }
        let (title_en, title_zh) = other_languages::red_flag_title();
        assessment.red_flags.push(RedFlag {
            id: other_languages::RED_FLAG.to_owned(),
            title_en: title_en.to_owned(),
            title_zh: title_zh.to_owned(),
        });
        assessment.self_harm |= other.self_harm;
        self.as_emergency(assessment, Urgency::Immediate)
    }

    fn as_emergency(&self, mut assessment: Assessment, urgency: Urgency) -> Assessment {
        assessment.disposition = Disposition::Emergency;
        assessment.level = self.levels.number(urgency);
        assessment.medical = true;
        assessment.departments.retain(|it| it != "emergency");
        assessment.departments.insert(0, "emergency".to_owned());
        assessment.departments.truncate(MOST_NAMED);
        assessment
    }
}
