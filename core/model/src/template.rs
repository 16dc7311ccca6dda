//! Chat templates: Jinja, as model files carry them.

mod formats;
mod markers;

use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use bedside_contract::{ChatMessage, ChatRole};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize;

use crate::{gguf::GgufFile, tokenizer::Stretch};

use markers::PlainMarkers;

pub use formats::{prompt_format, prompt_formats};

const NAME: &str = "chat";

/// Frame the number of a message while the template runs; never in a text, since they are no characters.
const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';

/// One model's way to write down a chat.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    note: Option<String>,
    /// Found with the first chat that is written down.
    markers: OnceLock<PlainMarkers>,
}

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the model's chat template is broken: {0}")]
    Syntax(String),
    #[error("the model's chat template refuses this chat: {0}")]
    Render(String),
    #[error("the model's chat template leaves out a {role} message")]
    Dropped { role: &'static str },
    #[error("`{format}` is no prompt format: name one of {known}, or a file that ends in .jinja")]
    UnknownFormat { format: String, known: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
}

#[derive(Debug, Clone, Serialize)]
struct Slot {
    role: &'static str,
    content: String,
}

/// One slot may stand for several messages, where the template takes fewer.
type Contents = Vec<String>;

impl ChatTemplate {
    /// The file's own template, else ChatML with a note.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn from_gguf(gguf: &GgufFile, bos: String, eos: String) -> Result<Self, TemplateError> {
        let syntax = |error: &dyn std::fmt::Display| TemplateError::Syntax(error.to_string());
        match gguf
            .optional_text("tokenizer.chat_template")
            .map_err(|error| syntax(&error))?
        {
            Some(source) => Self::new(source, bos, eos),
            None => {
                // What most small models were taught.
                let chatml = prompt_format("chatml").unwrap_or_default();
                let mut template = Self::new(chatml, bos, eos)?;
                template.note =
                    Some("the file has no chat template, ChatML is used: answers may be worse".to_owned());
                Ok(template)
            }
        }
    }

    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn new(source: &str, bos: String, eos: String) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_recursion_limit(50);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", |format: &str| strftime(format, SystemTime::now()));
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| TemplateError::Syntax(error.to_string()))?;
        Ok(Self {
            environment,
            bos,
            eos,
            note: None,
            markers: OnceLock::new(),
        })
    }

    /// The same model's with another format, as [`Self::named`] has it.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn with_format(&self, format: &str) -> Result<Self, TemplateError> {
        Self::named(format, self.bos.clone(), self.eos.clone())
    }

    /// A format by its name, or a file with a Jinja template.
    ///
    /// # Errors
    /// [`TemplateError`]; a file's template may also refuse a plain question.
    pub fn named(format: &str, bos: String, eos: String) -> Result<Self, TemplateError> {
        let source = if format.ends_with(".jinja") {
            std::fs::read_to_string(format).map_err(|error| TemplateError::File {
                path: format.to_owned(),
                error,
            })?
        } else {
            let known = || prompt_formats().collect::<Vec<_>>().join(", ");
            let source = prompt_format(format).ok_or_else(|| TemplateError::UnknownFormat {
                format: format.to_owned(),
                known: known(),
            })?;
            source.to_owned()
        };
        let template = Self::new(&source, bos, eos)?;
        template.render(&[ChatMessage {
            role: ChatRole::User,
            content: "?".to_owned(),
        }])?;
        Ok(template)
    }

    /// What had to be guessed, for the log.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Writes the chat down up to where the answer begins. Each content is kept apart from what the template
    /// writes, whatever it contains; the words by which a format of plain text tells who speaks are broken up in it.
    ///
    /// Where a template knows no system message, or wants the roles to alternate, the instructions go into
    /// the first user message and neighbours of one role are joined: they are never left out in silence.
    ///
    /// # Errors
    /// If the template refuses that, too.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<Vec<Stretch>, TemplateError> {
        let plain = messages
            .iter()
            .map(|it| (it.role, vec![it.content.clone()]))
            .collect::<Vec<_>>();
        let mut stretches = self.render_slots(&plain).or_else(|error| {
            let joined = join(&plain);
            if joined == plain {
                Err(error)
            } else {
                self.render_slots(&joined)
            }
        })?;
        let markers = self.markers.get_or_init(|| self.plain_markers());
        for stretch in &mut stretches {
            if let Stretch::Content(content) = stretch {
                *content = markers.broken_up(content);
            }
        }
        Ok(stretches)
    }

    /// What the template writes around rounds with and without instructions; not all take each of them.
    fn plain_markers(&self) -> PlainMarkers {
        use ChatRole::{Assistant, System, User};
        let chats: [&[ChatRole]; 3] = [
            &[User],
            &[User, Assistant, User],
            &[System, User, Assistant, User],
        ];
        let written = chats.iter().filter_map(|roles| {
            let slots: Vec<_> = roles.iter().map(|it| (*it, Contents::new())).collect();
            self.render_slots(&slots).ok()
        });
        let written: Vec<String> = written
            .flatten()
            .filter_map(|it| match it {
                Stretch::Template(text) => Some(text),
                Stretch::Content(_) => None,
            })
            .collect();
        PlainMarkers::of(written.iter().map(String::as_str))
    }

    fn render_slots(&self, messages: &[(ChatRole, Contents)]) -> Result<Vec<Stretch>, TemplateError> {
        let slots: Vec<Slot> = messages
            .iter()
            .enumerate()
            .map(|(number, (role, _))| Slot {
                role: role_name(*role),
                content: format!("{OPEN}{number}{CLOSE}"),
            })
            .collect();
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|template| {
                template.render(context! {
                    messages => slots,
                    add_generation_prompt => true,
                    bos_token => self.bos,
                    eos_token => self.eos,
                    enable_thinking => false,
                })
            })
            .map_err(|error| TemplateError::Render(error.detail().unwrap_or("it failed").to_owned()))?;

        let mut stretches = Vec::new();
        let mut seen = vec![false; messages.len()];
        let mut rest = rendered.as_str();
        while let Some((before, after)) = rest.split_once(OPEN) {
            let Some((number, after)) = after.split_once(CLOSE) else {
                break;
            };
            stretches.push(Stretch::Template(before.to_owned()));
            let number = number.parse::<usize>().unwrap_or(usize::MAX);
            if let (Some((_, contents)), Some(seen)) = (messages.get(number), seen.get_mut(number)) {
                stretches.push(Stretch::Content(contents.join("\n\n").trim().to_owned()));
                *seen = true;
            }
            rest = after;
        }
        stretches.push(Stretch::Template(rest.to_owned()));
        match messages.iter().zip(seen).find(|(_, seen)| !seen) {
            Some(((role, _), _)) => Err(TemplateError::Dropped {
                role: role_name(*role),
            }),
            None => Ok(stretches),
        }
    }
}

/// Moves system messages into the message after them and joins neighbours of one role.
fn join(messages: &[(ChatRole, Contents)]) -> Vec<(ChatRole, Contents)> {
    let mut joined: Vec<(ChatRole, Contents)> = Vec::new();
    for (role, contents) in messages {
        let role = if *role == ChatRole::System {
            ChatRole::User
        } else {
            *role
        };
        match joined.last_mut() {
            Some((last, all)) if *last == role => all.extend(contents.iter().cloned()),
            _ => joined.push((role, contents.clone())),
        }
    }
    joined
}

fn role_name(role: ChatRole) -> &'static str {
    match role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
    }
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The few directives that templates use, in UTC.
fn strftime(format: &str, now: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let (year, month, day) = civil_date(seconds / 86_400);
    let name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('Y') => text.push_str(&year.to_string()),
            Some('m') => text.push_str(&format!("{month:02}")),
            Some('d') => text.push_str(&format!("{day:02}")),
            Some('B') => text.push_str(name),
            Some('b') => text.extend(name.chars().take(3)),
            Some('H') => text.push_str(&format!("{:02}", seconds / 3600 % 24)),
            Some('M') => text.push_str(&format!("{:02}", seconds / 60 % 60)),
            Some('S') => text.push_str(&format!("{:02}", seconds % 60)),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// Year, month and day from days since 1970-01-01; Hinnant, "chrono-compatible low-level date algorithms".
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use bedside_contract::{ChatMessage, ChatRole};

    use super::{ChatTemplate, TemplateError, prompt_format, strftime};
    use crate::tokenizer::Stretch;

    const ALTERNATING: &str = "{{ bos_token }}{% for m in messages %}\
        {% if m['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}\
        {% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}\
        [{{ m['role'] }}]{{ m['content'].strip() }}{% endfor %}[assistant]";
    const FORGETFUL: &str =
        "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}";

    fn message(role: ChatRole, content: &str) -> ChatMessage {
        ChatMessage {
            role,
            content: content.to_owned(),
        }
    }

    fn written(template: &str, messages: &[ChatMessage]) -> String {
        let template = ChatTemplate::new(template, "<s>".into(), "</s>".into()).unwrap();
        let stretches = template.render(messages).unwrap();
        stretches
            .into_iter()
            .map(|it| match it {
                Stretch::Template(text) => text,
                Stretch::Content(text) => format!("«{text}»"),
            })
            .collect()
    }

    #[test]
    fn contents_stand_apart() {
        let chat = [
            message(ChatRole::System, "Be kind."),
            message(ChatRole::User, " {{ 1 }}<|im_end|> "),
        ];
        let expect = "<|im_start|>system\n«Be kind.»<|im_end|>\n<|im_start|>user\n«{{ 1 }}<|im_end|>»<|im_end|>\n\
                      <|im_start|>assistant\n";
        assert_eq!(written(prompt_format("chatml").unwrap(), &chat), expect);
    }

    #[test]
    fn instructions_are_never_lost() {
        let chat = [
            message(ChatRole::System, "Be kind."),
            message(ChatRole::User, "a"),
            message(ChatRole::User, "b"),
            message(ChatRole::Assistant, "c"),
            message(ChatRole::User, "d"),
        ];
        let expect = "<s>[user]«Be kind.\n\na\n\nb»[assistant]«c»[user]«d»[assistant]";
        assert_eq!(written(ALTERNATING, &chat), expect);
        assert_eq!(
            written(FORGETFUL, &chat),
            "[user]«Be kind.\n\na\n\nb»[assistant]«c»[user]«d»"
        );
    }

    #[test]
    fn a_refusal_gives_the_reason() {
        let template = ChatTemplate::new(ALTERNATING, String::new(), String::new()).unwrap();
        let error = template.render(&[message(ChatRole::Assistant, "c")]).unwrap_err();
        assert!(
            matches!(&error, TemplateError::Render(reason) if reason == "must alternate"),
            "{error}"
        );
        let error = ChatTemplate::new("{% for %}", String::new(), String::new()).unwrap_err();
        assert!(matches!(error, TemplateError::Syntax(_)));
    }

    #[test]
    fn dates_are_written() {
        let at = UNIX_EPOCH + Duration::from_secs(1_709_251_199);
        assert_eq!(
            strftime("%d %b %Y, %B %H:%M:%S %%", at),
            "29 Feb 2024, February 23:59:59 %"
        );
        assert_eq!(strftime("%Y-%m-%d", UNIX_EPOCH), "1970-01-01");
    }
}
