//! `/help` and `/privacy`.

use bedside_contract::{FinishedTurn, Language};

use crate::{
    answer::gated_line,
    context::words::{Variable, say_with},
    turn::TurnInWork,
};

/// Characters that a plugin may say of one of its commands.
const LONGEST_HELP: usize = 120;

impl TurnInWork<'_> {
    pub(super) fn help(&self) -> String {
        let Self {
            context, language, ..
        } = *self;
        let emergency = Variable::Text(&context.config.emergency_number);
        let mut text = say_with(language, "help", &[("emergency", emergency)]);
        let gate = context.rules.output_gate();
        for command in context.plugins.commands().into_iter().filter(|it| !it.staff_only) {
            let help = match language {
                Language::En => &command.help_en,
                Language::Zh => &command.help_zh,
            };
            let help = gated_line(&gate, help, LONGEST_HELP).unwrap_or_default();
            let variables = [
                ("name", Variable::Text(command.name.as_str())),
                ("help", Variable::Text(&help)),
            ];
            text.push('\n');
            text.push_str(&say_with(language, "help-plugin", &variables));
        }
        text
    }

    pub(super) fn privacy(&self) -> FinishedTurn {
        self.notice(self.what_stays("privacy"))
    }
}
