//! Chat templates: Jinja, as model files carry them.
//!
//! A template sees the words of a chat, since some look at them (a switch such as `/no_think`, a thought to cut out).
//! What it writes around none of them is known before: if the tokens that structure the chat are others once it has seen
//! the words, and these could have made them, the words are put into that skeleton instead.

mod dates;
mod formats;
mod jinja;
mod markers;
mod trial;
mod words;

use std::{fmt::Display, sync::Arc};

use bedside_contract::{ChatMessage, ChatRole};

use crate::{
    gguf::GgufFile,
    tokenizer::{Stretch, Tokenizer},
};

use formats::known_format;
use jinja::{Jinja, Message, role_name};
use markers::PlainMarkers;
use words::{Markers, filled, pieces, plain};

pub use formats::{prompt_format, prompt_formats};

/// One model's way to write down a chat.
#[derive(Debug)]
pub struct ChatTemplate {
    jinja: Arc<Jinja>,
    /// The words that structure a chat in plain text, and the tokens that do.
    plain_markers: PlainMarkers,
    markers: Markers,
    note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the model's chat template is broken: {0}")]
    Syntax(String),
    #[error("the model's chat template fails: {0}")]
    Render(String),
    #[error("the model's chat template refuses this chat: {0}")]
    Refused(String),
    #[error("the model's chat template leaves out a {role} message")]
    Dropped { role: &'static str },
    #[error(
        "the model's chat template was stopped, since it {problem}: set model.prompt_format to another one"
    )]
    Stopped { problem: String },
    #[error(
        "{problem}; the file's tokens fit no known prompt format: set model.prompt_format to one of {known}, or to a \
         file that ends in .jinja"
    )]
    NoFormat { problem: String, known: String },
    #[error("`{format}` is no prompt format: name one of {known}, or a file that ends in .jinja")]
    UnknownFormat { format: String, known: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
}

/// What a template may write that no message may.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecialTokens {
    bos: String,
    eos: String,
    /// All of the vocabulary.
    markers: Vec<String>,
}

/// One slot may stand for several messages, where the template takes fewer.
type Contents = Vec<String>;

impl ChatTemplate {
    /// The format that is asked for; else the file's own template; where it has none that can be used, the format that
    /// its tokens fit, with a note.
    ///
    /// # Errors
    /// [`TemplateError`], if no format is known either; [`TemplateError::Stopped`] for a template that does not end.
    pub fn from_gguf(
        gguf: &GgufFile,
        tokenizer: &Tokenizer,
        prompt_format: Option<&str>,
    ) -> Result<Self, TemplateError> {
        let tokens = SpecialTokens::of(gguf, tokenizer)?;
        if let Some(format) = prompt_format {
            return Self::named(format, &tokens);
        }
        let own = gguf
            .optional_text("tokenizer.chat_template")
            .map_err(|error| unreadable(&error))?;
        let problem = match own.map(|source| Self::new(source, &tokens)) {
            Some(Ok(template)) => return Ok(template),
            Some(Err(error @ TemplateError::Stopped { .. })) => return Err(error),
            Some(Err(error)) => error.to_string(),
            None => "the file has no chat template".to_owned(),
        };
        let vocabulary = gguf
            .texts("tokenizer.ggml.tokens")
            .map_err(|error| unreadable(&error))?;
        // Models that were taught no chat at all are written to as most others are.
        let format = known_format(vocabulary).or(own.is_none().then_some("chatml"));
        let Some(format) = format else {
            return Err(TemplateError::NoFormat {
                problem,
                known: known_formats(),
            });
        };
        let mut template = Self::named(format, &tokens)?;
        template.note = Some(format!(
            "{problem}; the prompt format `{format}` is used, answers may be worse: if it is the wrong one, set \
             model.prompt_format"
        ));
        Ok(template)
    }

    /// Whether a format is known, or its file a template that takes a plain question.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn check(format: &str) -> Result<(), TemplateError> {
        Self::named(format, &SpecialTokens::default()).map(drop)
    }

    /// A format by its name, or a file with a Jinja template.
    fn named(format: &str, tokens: &SpecialTokens) -> Result<Self, TemplateError> {
        let source = if format.ends_with(".jinja") {
            std::fs::read_to_string(format).map_err(|error| TemplateError::File {
                path: format.to_owned(),
                error,
            })?
        } else {
            let source = prompt_format(format).ok_or_else(|| TemplateError::UnknownFormat {
                format: format.to_owned(),
                known: known_formats(),
            })?;
            source.to_owned()
        };
        Self::new(&source, tokens)
    }

    pub(crate) fn new(source: &str, tokens: &SpecialTokens) -> Result<Self, TemplateError> {
        let jinja = Arc::new(Jinja::new(source, tokens)?);
        Ok(Self {
            plain_markers: trial::tried(&jinja)?,
            markers: Markers::new(&tokens.markers)?,
            jinja,
            note: None,
        })
    }

    /// What had to be guessed, for the log.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Writes the chat down up to where the answer begins. No content becomes a token that structures the chat, whatever
    /// it contains; the words by which a format of plain text tells who speaks are broken up in it.
    ///
    /// Where a template knows no system message, or wants the roles to alternate, the instructions go into
    /// the first user message and neighbours of one role are joined: they are never left out in silence.
    ///
    /// # Errors
    /// If the template refuses that, too. The error holds no word of the messages.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<Vec<Stretch>, TemplateError> {
        let mut chat: Vec<(ChatRole, Contents)> = messages
            .iter()
            .map(|it| (it.role, vec![it.content.clone()]))
            .collect();
        let skeleton = match self.jinja.skeleton(&roles_of(&chat)) {
            Ok(skeleton) => skeleton,
            Err(error) => {
                let joined = join(&chat);
                if joined == chat {
                    return Err(error);
                }
                chat = joined;
                self.jinja.skeleton(&roles_of(&chat))?
            }
        };
        let contents: Vec<String> = chat
            .iter()
            .map(|(_, contents)| self.plain_markers.broken_up(&plain(&contents.join("\n\n"))))
            .collect();
        let unseen = filled(skeleton, &contents);
        Ok(self.seen(&roles_of(&chat), &contents, &unseen).unwrap_or(unseen))
    }

    /// The chat as the template writes it once it sees the words, unless they could have changed its structure.
    fn seen(&self, roles: &[ChatRole], contents: &[String], unseen: &[Stretch]) -> Option<Vec<Stretch>> {
        let mut hidden = Vec::new();
        let guarded: Vec<String> = roles
            .iter()
            .zip(contents)
            .map(|(role, content)| self.markers.guarded(*role, content, &mut hidden))
            .collect();
        let messages: Vec<Message<'_>> = roles
            .iter()
            .zip(&guarded)
            .map(|(role, content)| Message {
                role: role_name(*role),
                content,
            })
            .collect();
        let seen = filled(pieces(&self.jinja.render(&messages).ok()?), &hidden);
        let is_safe = !contents.iter().any(|it| self.markers.could_come_from(it))
            || self.markers.written(&seen) == self.markers.written(unseen);
        is_safe.then_some(seen)
    }
}

impl TemplateError {
    /// Why the template does not take a chat that it would take with other roles, or in another order.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::Refused(reason) => Some(reason.clone()),
            Self::Dropped { role } => Some(format!("it leaves out a {role} message")),
            _ => None,
        }
    }
}

impl SpecialTokens {
    fn of(gguf: &GgufFile, tokenizer: &Tokenizer) -> Result<Self, TemplateError> {
        let spelling = |id: Option<u32>| id.map(|it| tokenizer.spelling(it)).unwrap_or_default();
        let eos = gguf
            .optional_unsigned("tokenizer.ggml.eos_token_id")
            .map_err(|error| unreadable(&error))?
            .and_then(|it| u32::try_from(it).ok());
        Ok(Self {
            bos: spelling(tokenizer.bos()),
            eos: spelling(eos),
            markers: tokenizer.markers().collect(),
        })
    }
}

fn unreadable(error: &dyn Display) -> TemplateError {
    TemplateError::Syntax(error.to_string())
}

fn known_formats() -> String {
    prompt_formats().collect::<Vec<_>>().join(", ")
}

fn roles_of(chat: &[(ChatRole, Contents)]) -> Vec<ChatRole> {
    chat.iter().map(|(role, _)| *role).collect()
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

#[cfg(test)]
mod tests;
