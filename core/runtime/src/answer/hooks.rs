//! What plugins do to an answer, hook by hook.

use bedside_contract::{
    AnswerMode, AnswerVerdict, Augmented, MessageFacts, MessageVerdict, Passage, Prompt, PromptText,
};

use super::{
    AnswerReport, Answering,
    drafting::Draft,
    grounding::citations_of,
    part::gated_text,
    present_findings,
    prompt::{history_of, instruction},
};
use crate::context::words::say;

impl Answering<'_> {
    pub(super) fn facts(&self) -> MessageFacts {
        let asked = self.asked;
        MessageFacts {
            conversation: asked.conversation.clone(),
            platform: asked.conversation.platform().to_owned(),
            text: asked.text.to_owned(),
            language: asked.language,
            disposition: asked.assessment.medical.then_some(asked.assessment.disposition),
            findings: present_findings(asked.assessment),
            departments: asked.assessment.departments.clone(),
            missing: asked.assessment.missing.clone(),
            department: asked.department.map(str::to_owned),
        }
    }

    /// A plugin's own answer, in place of the model's.
    pub(super) async fn replied(&mut self, facts: &MessageFacts) -> Option<AnswerReport> {
        let Self { context, asked, .. } = *self;
        let (verdict, notes) = context.plugins.on_message(facts).await;
        self.notes.extend(notes);
        match verdict {
            MessageVerdict::Continue => None,
            MessageVerdict::Reply { text, .. } => {
                let (mut text, withheld) = gated_text(context.rules, text).await;
                if withheld {
                    text = format!("{text}\n{}", say(asked.language, "no-doses"));
                }
                Some(self.report(Draft::of_ours(text), &[], None).await)
            }
            MessageVerdict::Handoff { .. } => {
                Some(self.notice(context.say_with_number(asked.language, "handoff")))
            }
            MessageVerdict::Refuse { .. } => Some(self.refusal()),
        }
    }

    /// The runtime's prompt with what plugins add; `None` if one refuses.
    pub(super) async fn prompt(&mut self, facts: &MessageFacts) -> Option<Prompt> {
        let Self { context, asked, .. } = *self;
        let mode = context
            .generator
            .model()
            .map_or(AnswerMode::Grounded, |it| it.answer_mode);
        let hospital = &context.config.hospital;
        let runtime_instruction = PromptText {
            from: "runtime".to_owned(),
            text: instruction(asked.language, hospital, mode == AnswerMode::Grounded),
        };
        let mut prompt = Prompt {
            instructions: vec![runtime_instruction],
            passages: Vec::new(),
            history: history_of(asked.turns),
            question: asked.text.to_owned(),
        };
        let (augmented, notes) = context.plugins.augment_prompt(facts, &prompt).await;
        self.notes.extend(notes);
        let Augmented {
            instructions,
            passages,
            refused_by,
        } = augmented;
        prompt.instructions.extend(instructions);
        prompt.passages = passages;
        refused_by.is_none().then_some(prompt)
    }

    /// The adapter that a plugin chose, if the model has it.
    pub(super) async fn chosen_adapter(&mut self, facts: &MessageFacts) -> Option<String> {
        let (adapter, notes) = self.context.plugins.choose_adapter(facts).await;
        self.notes.extend(notes);
        let adapter = adapter?;
        if self.context.generator.adapters().contains(&adapter) {
            return Some(adapter);
        }
        tracing::warn!(
            adapter,
            "The adapter that a plugin chose is not loaded: the base model answers."
        );
        None
    }

    /// The draft as plugins leave it, and what they append; `None` if one withholds it.
    pub(super) async fn read_by_plugins(
        &mut self,
        facts: &MessageFacts,
        draft: Draft,
        passages: &[Passage],
    ) -> Option<(Draft, Option<String>)> {
        let rules = self.context.rules;
        let citations = citations_of(passages, &draft.used);
        let (verdict, notes) = self
            .context
            .plugins
            .on_answer(facts, &draft.text, &citations)
            .await;
        self.notes.extend(notes);
        match verdict {
            AnswerVerdict::Pass => Some((draft, None)),
            AnswerVerdict::Append { texts } => {
                let (text, _) = gated_text(rules, texts.join("\n")).await;
                Some((draft, Some(text)))
            }
            AnswerVerdict::Replace { text, .. } => {
                Some((Draft::of_ours(gated_text(rules, text).await.0), None))
            }
            AnswerVerdict::Withhold { reason, plugin } => {
                tracing::warn!(plugin, reason, "A plugin withheld an answer.");
                None
            }
        }
    }
}
