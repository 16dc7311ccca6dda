//! Hooks through all plugins, and the translation between the bot's words and the plugins'.

use std::sync::Arc;

use async_trait::async_trait;
use bedside_contract::{
    AnswerVerdict, Augmented, ChatRole, Citation, CommandInfo, ConversationKey, Disposition, Language,
    MessageFacts, MessageVerdict, Passage, PluginNote, PluginStatus, Plugins, Prompt, PromptText, StoreError,
};
use bedside_plugin_api::{abi::Hook, msg};
use futures::future::join_all;

use crate::{
    PluginHost,
    handle::Plugin,
    manifest::OnFailure,
    opaque::opaque_id,
    problem::{Problem, cut},
};

/// What plugins are told to keep to; the runtime drops what does not fit.
const TOKEN_BUDGET: usize = 1000;
/// More passages of one plugin are not looked at.
const MAX_PASSAGES: usize = 32;

#[async_trait]
impl Plugins for PluginHost {
    async fn on_message(&self, facts: &MessageFacts) -> (MessageVerdict, Vec<PluginNote>) {
        let mut notes = Vec::new();
        for (plugin, rule) in self.order(Hook::OnMessage) {
            let message = self.message_for(plugin, facts).await;
            let id = plugin.id().to_owned();
            match plugin.ask(Hook::OnMessage, &message).await {
                Ok(msg::Verdict::Continue | msg::Verdict::Unknown) => {}
                Ok(msg::Verdict::Reply(text)) => return (MessageVerdict::Reply { text, plugin: id }, notes),
                Ok(msg::Verdict::Handoff(reason)) => {
                    return (MessageVerdict::Handoff { reason, plugin: id }, notes);
                }
                Err(problem) => {
                    notes.push(note(plugin, Hook::OnMessage, &problem));
                    if rule.on_failure == OnFailure::Refuse {
                        return (MessageVerdict::Refuse { plugin: id }, notes);
                    }
                }
            }
        }
        (MessageVerdict::Continue, notes)
    }

    async fn augment_prompt(&self, facts: &MessageFacts, prompt: &Prompt) -> (Augmented, Vec<PluginNote>) {
        let (mut all, mut notes) = (Augmented::default(), Vec::new());
        let asked = self.order(Hook::AugmentPrompt).map(|(plugin, rule)| async move {
            let request = prompt_request(self.message_for(plugin, facts).await, prompt);
            (
                plugin,
                rule,
                plugin
                    .ask::<msg::PromptAdditions>(Hook::AugmentPrompt, &request)
                    .await,
            )
        });
        for (plugin, rule, answer) in join_all(asked).await {
            match answer {
                Ok(additions) => {
                    let from = |text| PromptText {
                        from: plugin.id().to_owned(),
                        text,
                    };
                    all.instructions
                        .extend(additions.instructions.into_iter().map(from));
                    let passages = additions.passages.into_iter().take(MAX_PASSAGES);
                    all.passages
                        .extend(passages.map(|it| contract_passage(it, facts.language)));
                }
                Err(problem) => {
                    notes.push(note(plugin, Hook::AugmentPrompt, &problem));
                    if rule.on_failure == OnFailure::Refuse && all.refused_by.is_none() {
                        all.refused_by = Some(plugin.id().to_owned());
                    }
                }
            }
        }
        (all, notes)
    }

    async fn choose_adapter(&self, facts: &MessageFacts) -> (Option<String>, Vec<PluginNote>) {
        let (mut chosen, mut notes) = (None, Vec::new());
        let asked = self.order(Hook::ChooseAdapter).map(|(plugin, _)| async move {
            let message = self.message_for(plugin, facts).await;
            (
                plugin,
                plugin.ask::<Option<String>>(Hook::ChooseAdapter, &message).await,
            )
        });
        for (plugin, answer) in join_all(asked).await {
            match answer {
                Ok(adapter) => chosen = chosen.or(adapter),
                Err(problem) => notes.push(note(plugin, Hook::ChooseAdapter, &problem)),
            }
        }
        (chosen, notes)
    }

    async fn on_answer(
        &self,
        facts: &MessageFacts,
        answer: &str,
        citations: &[Citation],
    ) -> (AnswerVerdict, Vec<PluginNote>) {
        let mut notes = Vec::new();
        let mut replaced: Option<(String, String)> = None;
        let mut appended = Vec::new();
        for (plugin, rule) in self.order(Hook::OnAnswer) {
            let question = msg::Answer {
                message: self.message_for(plugin, facts).await,
                text: replaced.as_ref().map_or(answer, |(text, _)| text).to_owned(),
                citations: citations.iter().map(|it| it.title.clone()).collect(),
            };
            let id = plugin.id().to_owned();
            match plugin.ask(Hook::OnAnswer, &question).await {
                Ok(msg::AnswerVerdict::Pass | msg::AnswerVerdict::Unknown) => {}
                Ok(msg::AnswerVerdict::Append(text)) => appended.push(text),
                Ok(msg::AnswerVerdict::Replace(text)) if rule.may_withhold => replaced = Some((text, id)),
                Ok(msg::AnswerVerdict::Replace(_)) => {
                    let problem = "on_answer: replaced an answer, which needs may_withhold = true; ignored";
                    notes.push(PluginNote {
                        plugin: id,
                        hook: Hook::OnAnswer.name().to_owned(),
                        problem: problem.to_owned(),
                    });
                }
                Ok(msg::AnswerVerdict::Withhold(reason)) => {
                    // Heeded even without may_withhold: to stay silent never gives wrong advice.
                    return (
                        AnswerVerdict::Withhold {
                            reason: cut(&reason, 200),
                            plugin: id,
                        },
                        notes,
                    );
                }
                Err(problem) => {
                    notes.push(note(plugin, Hook::OnAnswer, &problem));
                    if rule.on_failure == OnFailure::Refuse {
                        let reason = "it could not read the answer, and must".to_owned();
                        return (AnswerVerdict::Withhold { reason, plugin: id }, notes);
                    }
                }
            }
        }
        let verdict = match replaced {
            Some((text, plugin)) => {
                let text = [vec![text], appended].concat().join("\n\n");
                AnswerVerdict::Replace { text, plugin }
            }
            None if appended.is_empty() => AnswerVerdict::Pass,
            None => AnswerVerdict::Append { texts: appended },
        };
        (verdict, notes)
    }

    fn may_withhold(&self) -> bool {
        self.order(Hook::OnAnswer).any(|(plugin, rule)| {
            rule.on_failure == OnFailure::Refuse || (rule.may_withhold && !plugin.is_given_up())
        })
    }

    fn commands(&self) -> Vec<CommandInfo> {
        let of = |plugin: &Arc<Plugin>| {
            let id = plugin.id().to_owned();
            let commands = plugin.manifest.commands.clone();
            commands.into_iter().map(move |it| CommandInfo {
                plugin: id.clone(),
                name: it.name,
                help_en: it.help.en,
                help_zh: it.help.zh,
                staff_only: it.staff_only,
            })
        };
        self.plugins().flat_map(of).collect()
    }

    async fn command(&self, name: &str, arguments: &str, facts: &MessageFacts) -> Result<String, String> {
        let has = |plugin: &&Arc<Plugin>| plugin.manifest.commands.iter().any(|it| it.name == name);
        let Some(plugin) = self.plugins().find(has) else {
            return Err(match facts.language {
                Language::En => format!("There is no command /{name}."),
                Language::Zh => format!("没有 /{name} 这个命令。"),
            });
        };
        let command = msg::Command {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            message: self.message_for(plugin, facts).await,
            json: false,
        };
        match plugin.ask::<msg::CommandReply>(Hook::Command, &command).await {
            Ok(reply) if reply.failed => Err(reply.text),
            Ok(reply) => Ok(reply.text),
            Err(problem) => {
                tracing::warn!(plugin = plugin.id(), %problem, "a command failed");
                Err(match facts.language {
                    Language::En => format!("/{name} did not work. Please try again in a minute."),
                    Language::Zh => format!("/{name} 没有成功，请稍后再试。"),
                })
            }
        }
    }

    async fn forget(&self, conversation: &ConversationKey) -> Result<Vec<String>, StoreError> {
        self.forget_conversation(conversation).await
    }

    fn status(&self) -> Vec<PluginStatus> {
        self.list()
    }
}

impl PluginHost {
    async fn message_for(&self, plugin: &Plugin, facts: &MessageFacts) -> msg::Message {
        msg::Message {
            conversation: opaque_id(self.ids.salt().await, plugin.id(), &facts.conversation),
            platform: facts.platform.clone(),
            text: facts.text.clone(),
            language: facts.language.code().to_owned(),
            disposition: facts.disposition.map(|it| it.name().to_owned()),
            findings: facts.findings.clone(),
            departments: facts.departments.clone(),
            missing: facts.missing.clone(),
            department: facts.department.clone(),
        }
    }
}

fn note(plugin: &Plugin, hook: Hook, problem: &Problem) -> PluginNote {
    PluginNote {
        plugin: plugin.id().to_owned(),
        hook: hook.name().to_owned(),
        problem: problem.to_string(),
    }
}

fn prompt_request(message: msg::Message, prompt: &Prompt) -> msg::PromptRequest {
    let role = |role| match role {
        ChatRole::User => "patient",
        ChatRole::Assistant | ChatRole::System => "bot",
    };
    let turn = |it: &bedside_contract::ChatMessage| msg::HistoryTurn {
        role: role(it.role).to_owned(),
        text: it.content.clone(),
    };
    msg::PromptRequest {
        message,
        instructions: prompt.instructions.iter().map(|it| it.text.clone()).collect(),
        history: prompt.history.iter().map(turn).collect(),
        token_budget: TOKEN_BUDGET,
    }
}

fn contract_passage(passage: msg::Passage, asked_in: Language) -> Passage {
    Passage {
        language: Language::parse(&passage.language).unwrap_or(asked_in),
        score: if passage.score.is_finite() {
            passage.score.clamp(0.0, 1.0)
        } else {
            0.0
        },
        disposition: passage.disposition.as_deref().and_then(Disposition::parse),
        id: passage.id,
        title: passage.title,
        text: passage.text,
        source: passage.source,
        departments: passage.departments,
    }
}
