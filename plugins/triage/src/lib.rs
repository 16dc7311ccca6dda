//! Triage in the conversation: tells the model what is known and missing, asks for what is missing, and says
//! when to seek care at once.
//!
//! The red-flag gate is no plugin: the bot asks the rules itself before any plugin. What stands here makes
//! answers better; without it they are still safe.
#![forbid(unsafe_code)]

use std::sync::Arc;

use bedside_embeddings::PatientEncoder;
use bedside_plugin_api::{
    Error, Host, Plugin, export_plugin,
    msg::{
        Answer, AnswerVerdict, Command, CommandReply, Description, Message, PromptAdditions, PromptRequest,
    },
};
use bedside_triage::{
    Assessment, Disposition, EmergencyContacts, Language, LevelsSetting, PatientFacts, Rules,
};
use serde::Deserialize;

/// The plugin.
pub struct Triage {
    config: Config,
    /// With the hospital's additions and levels, as the bot has them.
    rules: Rules,
    contacts: EmergencyContacts,
}

/// The plugin's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many questions are asked below an answer at most; 0 asks none.
    pub questions: usize,
    /// The text of the hospital's own rule file. The bot sends what `bot.triage_additions` names.
    pub additions: String,
    /// The levels that `/triage` names beside the urgency. The bot sends what `triage.levels` says.
    pub levels: LevelsSetting,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            questions: 2,
            additions: String::new(),
            levels: LevelsSetting::default(),
        }
    }
}

impl Plugin for Triage {
    type Config = Config;

    fn new(host: Host, config: Config) -> Result<Self, Error> {
        let rules = Rules::with_additions(config.additions.trim(), "bot.triage_additions")
            .map_err(|error| Error::new(error.to_string()))?;
        let levels = config.levels.levels().map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Error::new(format!("triage.levels: {}", problems.join("; ")))
        })?;
        let rules = rules
            .with_levels(levels)
            .with_encoder(Arc::new(PatientEncoder::default()));
        let contacts = EmergencyContacts {
            emergency_number: host.contacts().emergency_number.clone(),
            crisis_line: host.contacts().crisis_line.clone(),
        };
        Ok(Self {
            config,
            rules,
            contacts,
        })
    }

    fn describe(&mut self) -> Result<Description, Error> {
        Ok(Description {
            hooks: vec!["augment_prompt".to_owned(), "on_answer".to_owned()],
            commands: vec!["triage".to_owned()],
            ..Description::default()
        })
    }

    /// One short line: the whole prompt has to stay within some hundred tokens.
    fn augment_prompt(&mut self, request: &PromptRequest) -> Result<PromptAdditions, Error> {
        let message = &request.message;
        if message.findings.is_empty() {
            return Ok(PromptAdditions::default());
        }
        // Small models repeat instructions instead of following them: the shorter, the better.
        let urgency = message.disposition.as_deref().and_then(Disposition::parse);
        let see_doctor = urgency.is_some_and(|it| it >= Disposition::OutPatient);
        let instruction = match (language_of(message), see_doctor) {
            (Language::En, false) => "Do not name a diagnosis as certain.",
            (Language::En, true) => {
                "Do not name a diagnosis as certain. Say that a doctor should look at it."
            }
            (Language::Zh, false) => "不要下肯定的诊断。",
            (Language::Zh, true) => "不要下肯定的诊断，并建议就医检查。",
        };
        let instruction = instruction.to_owned();
        Ok(PromptAdditions {
            instructions: vec![instruction],
            ..PromptAdditions::default()
        })
    }

    /// Safety-netting and questions belong below an answer about somebody's own complaint only.
    fn on_answer(&mut self, answer: &Answer) -> Result<AnswerVerdict, Error> {
        let message = &answer.message;
        if message.findings.is_empty()
            || message.disposition.as_deref() == Some(Disposition::Emergency.name())
        {
            return Ok(AnswerVerdict::Pass);
        }
        let language = language_of(message);
        let mut lines = Vec::new();
        let safety_net = self.rules.safety_net(&message.findings, language);
        if !safety_net.is_empty() {
            lines.push(safety_net);
        }
        let questions = message
            .missing
            .iter()
            .filter_map(|it| self.rules.question_for(it, language));
        let questions: Vec<_> = questions.take(self.config.questions).collect();
        if !questions.is_empty() {
            let (before, between) = match language {
                Language::En => ("To help you better: ", " "),
                Language::Zh => ("为了更好地帮您：", ""),
            };
            lines.push(format!("{before}{}", questions.join(between)));
        }
        if lines.is_empty() {
            Ok(AnswerVerdict::Pass)
        } else {
            Ok(AnswerVerdict::Append(lines.join("\n")))
        }
    }

    fn command(&mut self, command: &Command) -> Result<CommandReply, Error> {
        let text = command.arguments.trim();
        let language = Language::detect(text).unwrap_or_else(|| language_of(&command.message));
        if text.is_empty() {
            let text = match language {
                Language::En => {
                    "Write what it is about behind the command, e.g. /triage cough for three weeks"
                }
                Language::Zh => "请在命令后写明情况，例如：/triage 咳嗽三周",
            };
            return Ok(CommandReply {
                text: text.to_owned(),
                failed: true,
            });
        }
        let assessment = self.rules.assess(text, &PatientFacts::default());
        let text = if command.json {
            self.as_json(&assessment)
        } else {
            self.in_words(&assessment, language)
        };
        Ok(CommandReply { text, failed: false })
    }
}

impl Triage {
    fn in_words(&self, assessment: &Assessment, language: Language) -> String {
        let rules = &self.rules;
        let mut lines = vec![
            rules.disposition_text(assessment.disposition, language),
            rules.level_text(assessment, language, &self.contacts),
        ];
        lines.extend(assessment.red_flags.iter().map(|it| match language {
            Language::En => it.title_en.clone(),
            Language::Zh => it.title_zh.clone(),
        }));
        let separator = if language == Language::Zh { "、" } else { ", " };
        let departments: Vec<_> = assessment
            .departments
            .iter()
            .map(|it| self.rules.department_name(it, language))
            .collect();
        lines.push(departments.join(separator));
        lines.retain(|it| !it.is_empty());
        lines.join("\n")
    }

    fn as_json(&self, assessment: &Assessment) -> String {
        serde_json::json!({
            "disposition": assessment.disposition.name(),
            "level": assessment.level,
            "departments": assessment.departments,
            "red_flags": assessment.red_flags.iter().map(|it| &it.id).collect::<Vec<_>>(),
            "missing": assessment.missing,
        })
        .to_string()
    }
}

fn language_of(message: &Message) -> Language {
    Language::parse(&message.language).unwrap_or_default()
}

export_plugin!(Triage);

#[cfg(test)]
mod tests {
    use bedside_plugin_api::{
        Plugin,
        msg::{Answer, AnswerVerdict, Command, Message, PromptRequest},
        testing::FakeHost,
    };

    use super::Triage;

    fn plugin() -> Triage {
        FakeHost::default().start(serde_json::json!({})).unwrap()
    }

    fn message(language: &str, findings: &[&str], disposition: &str) -> Message {
        Message {
            language: language.to_owned(),
            findings: findings.iter().map(|it| (*it).to_owned()).collect(),
            disposition: Some(disposition.to_owned()),
            missing: vec!["age".to_owned(), "duration".to_owned(), "sex".to_owned()],
            ..Message::default()
        }
    }

    fn appended(message: Message) -> Option<String> {
        match plugin()
            .on_answer(&Answer {
                message,
                ..Answer::default()
            })
            .unwrap()
        {
            AnswerVerdict::Append(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn two_questions_at_most_and_in_the_patients_language() {
        let english = appended(message("en", &["headache"], "self-care")).unwrap();
        assert!(
            english.contains("How old") && !english.contains("female or male"),
            "{english}"
        );
        assert!(english.matches('?').count() <= 2, "{english}");
        let chinese = appended(message("zh", &["headache"], "self-care")).unwrap();
        assert!(
            chinese.contains("多大年龄") && !chinese.contains("How old"),
            "{chinese}"
        );
    }

    #[test]
    fn nothing_below_emergencies_and_general_questions() {
        assert_eq!(appended(message("en", &["headache"], "emergency")), None);
        assert_eq!(appended(message("en", &[], "self-care")), None);
    }

    #[test]
    fn the_instruction_is_short() {
        let request = PromptRequest {
            message: message("en", &["headache"], "same-day"),
            ..PromptRequest::default()
        };
        let added = plugin().augment_prompt(&request).unwrap();
        let words = added.instructions.concat().split_whitespace().count();
        assert!((5..=45).contains(&words), "{words}");
    }

    #[test]
    fn the_command_says_urgency_and_department() {
        let command = |arguments: &str, json| Command {
            arguments: arguments.to_owned(),
            json,
            ..Command::default()
        };
        let reply = plugin()
            .command(&command("胸口压榨样疼，左胳膊发麻", false))
            .unwrap();
        assert!(reply.text.contains("急诊"), "{}", reply.text);
        let reply = plugin()
            .command(&command("my chest feels crushed and my left arm is numb", true))
            .unwrap();
        assert!(reply.text.contains("\"emergency\""), "{}", reply.text);
        assert!(plugin().command(&command(" ", false)).unwrap().failed);
    }

    #[test]
    fn the_command_names_the_hospitals_level() {
        let reply = |settings, arguments: &str| {
            let mut plugin: Triage = FakeHost::default().contacts("999", "").start(settings).unwrap();
            let command = Command {
                arguments: arguments.to_owned(),
                ..Command::default()
            };
            plugin.command(&command).unwrap().text
        };
        let arrest = "my father is not breathing and has no pulse";
        let four = reply(serde_json::json!({}), arrest);
        assert!(
            four.contains("Level I, critical (red)") && four.contains("999"),
            "{four}"
        );
        let five = reply(serde_json::json!({ "levels": "five" }), "流鼻涕一天了");
        assert!(five.contains("5级 非急（蓝色）"), "{five}");
        let own = serde_json::json!({ "levels": [
            { "id": "A", "name": { "en": "now", "zh": "马上" }, "colour": "red", "dispositions": ["emergency"] },
            { "id": "B", "name": { "en": "later", "zh": "稍后" }, "colour": "white",
              "dispositions": ["same-day", "out-patient", "self-care"] },
        ] });
        let own = reply(own, "流鼻涕一天了");
        assert!(own.contains("B级 稍后（白色）"), "{own}");
        let gap = serde_json::json!({ "levels": [] });
        assert!(FakeHost::default().start::<Triage>(gap).is_err());
    }

    #[test]
    fn the_hospitals_own_rules_are_used() {
        let additions = r#"
            [[finding]]
            id = "mine-dust"
            name = { en = "Mine dust", zh = "矿尘" }
            zh = ["矿尘吸入"]
            [[red_flag]]
            id = "mine-dust"
            title = { en = "Mine dust", zh = "吸入矿尘" }
            level = 2
            when = "mine-dust"
        "#;
        let settings = serde_json::json!({ "additions": additions });
        let mut plugin: Triage = FakeHost::default().start(settings).unwrap();
        let command = Command {
            arguments: "矿尘吸入".to_owned(),
            ..Command::default()
        };
        let reply = plugin.command(&command).unwrap();
        assert!(reply.text.contains("吸入矿尘"), "{}", reply.text);
        let broken = serde_json::json!({ "additions": "[[finding]]" });
        assert!(FakeHost::default().start::<Triage>(broken).is_err());
    }
}
