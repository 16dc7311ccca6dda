//! Jinja as model files carry it, run within limits: a template comes from whoever made the file.

use std::{collections::HashSet, io, sync::LazyLock, time::SystemTime};

use bedside_contract::ChatRole;
use minijinja::{Environment, Error, ErrorKind, context};
use regex::{Captures, Regex};
use serde::Serialize;

use super::{
    SpecialTokens, TemplateError,
    dates::strftime,
    words::{CLOSE, OPEN, Piece, pieces, slot},
};

const NAME: &str = "chat";
/// Steps of one rendering; a chat of a thousand messages takes a twentieth of it.
const MAX_STEPS: u64 = 2_000_000;
/// More than any model reads.
const MAX_OUTPUT_BYTES: usize = 16 << 20;
/// Of a reason that a template gives.
const MAX_REASON_CHARS: usize = 200;

/// Marks what a model is trained to say; nothing when a chat is written down. minijinja does not know it.
static GENERATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("it is tried by tests")
});

/// One template, ready to run.
#[derive(Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// What a template sees of a message.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

/// What a template itself objects to, by `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl Jinja {
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub(super) fn new(source: &str, tokens: &SpecialTokens) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_recursion_limit(50);
        environment.set_fuel(Some(MAX_STEPS));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", |format: &str| strftime(format, SystemTime::now()));
        environment
            .add_template_owned(NAME, without_generation_marks(source))
            .map_err(|error| TemplateError::Syntax(printable(&error.to_string())))?;
        Ok(Self {
            environment,
            bos: tokens.bos.clone(),
            eos: tokens.eos.clone(),
        })
    }

    /// What the template writes around messages of these roles, without any of their words.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub(super) fn skeleton(&self, roles: &[ChatRole]) -> Result<Vec<Piece>, TemplateError> {
        let slots: Vec<String> = (0..roles.len()).map(slot).collect();
        let messages: Vec<Message<'_>> = roles
            .iter()
            .zip(&slots)
            .map(|(role, content)| Message {
                role: role_name(*role),
                content,
            })
            .collect();
        let written = pieces(&self.render(&messages)?);
        let slots: HashSet<usize> = written
            .iter()
            .filter_map(|it| match it {
                Piece::Slot(number) => Some(*number),
                Piece::Template(_) | Piece::Word(_) => None,
            })
            .collect();
        for (number, role) in roles.iter().enumerate() {
            if !slots.contains(&number) {
                return Err(TemplateError::Dropped {
                    role: role_name(*role),
                });
            }
        }
        Ok(written)
    }

    /// # Errors
    /// [`TemplateError`]; its words may be those of the messages.
    pub(super) fn render(&self, messages: &[Message<'_>]) -> Result<String, TemplateError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| TemplateError::Render(error.to_string()))?;
        let context = context! {
            messages => messages,
            add_generation_prompt => true,
            bos_token => self.bos,
            eos_token => self.eos,
            enable_thinking => false,
        };
        let mut output = Output::default();
        let outcome = template.render_captured_to(context, &mut output).map(drop);
        if output.is_full {
            return Err(TemplateError::Stopped {
                problem: format!("writes more than {} MiB", MAX_OUTPUT_BYTES >> 20),
            });
        }
        outcome.map_err(|error| failure(&error))?;
        String::from_utf8(output.bytes).map_err(|error| TemplateError::Render(error.to_string()))
    }
}

pub(super) fn role_name(role: ChatRole) -> &'static str {
    match role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
    }
}

/// Blocks that change nothing in their place, so that the white space around them is treated alike.
fn without_generation_marks(source: &str) -> String {
    let plain = |it: &Captures<'_>| {
        let group = |number| it.get(number).map_or("", |it: regex::Match<'_>| it.as_str());
        let statement = if it.get(2).is_some() { "endif" } else { "if true" };
        format!("{{%{} {statement} {}%}}", group(1), group(3))
    };
    GENERATION.replace_all(source, plain).into_owned()
}

fn raise_exception(message: String) -> Result<String, Error> {
    let detail = message.clone();
    Err(Error::new(ErrorKind::InvalidOperation, detail).with_source(Raised(message)))
}

fn failure(error: &Error) -> TemplateError {
    if matches!(error.kind(), ErrorKind::OutOfFuel) {
        return TemplateError::Stopped {
            problem: format!("takes more than {MAX_STEPS} steps"),
        };
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(Raised(reason)) = inner.downcast_ref::<Raised>() {
            return TemplateError::Refused(printable(reason));
        }
        cause = inner.source();
    }
    TemplateError::Render(printable(
        &error.detail().map_or_else(|| error.to_string(), str::to_owned),
    ))
}

/// Templates write what they like: without control characters and at a length for a log.
fn printable(reason: &str) -> String {
    reason
        .chars()
        .filter(|it| ![OPEN, CLOSE].contains(it))
        .map(|it| if it.is_control() { ' ' } else { it })
        .take(MAX_REASON_CHARS)
        .collect()
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_OUTPUT_BYTES {
            self.is_full = true;
            return Err(io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::ChatRole;

    use super::{Jinja, without_generation_marks};
    use crate::template::{SpecialTokens, TemplateError};

    fn jinja(source: &str) -> Jinja {
        Jinja::new(source, &SpecialTokens::default()).unwrap()
    }

    #[test]
    fn marks_for_training_write_nothing() {
        let check = |source: &str, expect: &str| assert_eq!(without_generation_marks(source), expect);
        check(
            "{% generation %}a{% endgeneration %}",
            "{% if true %}a{% endif %}",
        );
        check(
            "{%- generation -%} a\n{%-endgeneration-%}",
            "{%- if true -%} a\n{%- endif -%}",
        );
        check(
            "{{ generation }}{% set generation = 1 %}",
            "{{ generation }}{% set generation = 1 %}",
        );
    }

    #[test]
    fn what_never_ends_or_writes_without_end_is_stopped() {
        for source in [
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}",
            "{{ messages[0].content }}{% for a in range(10000) %}{{ 'a' * 10000 }}{% endfor %}",
        ] {
            let error = jinja(source).skeleton(&[ChatRole::User]).unwrap_err();
            assert!(matches!(error, TemplateError::Stopped { .. }), "{error}");
        }
    }

    #[test]
    fn only_what_the_template_objects_to_is_a_refusal() {
        let check = |source: &str, expect: Option<&str>| {
            let error = jinja(source).skeleton(&[ChatRole::User]).unwrap_err();
            assert_eq!(error.refusal().as_deref(), expect, "{error}");
        };
        check("{{ raise_exception('must\nalternate') }}", Some("must alternate"));
        check(
            "{% macro m() %}{{ raise_exception('no') }}{% endmacro %}{{ m() }}",
            Some("no"),
        );
        check("nothing of it", Some("it leaves out a user message"));
        check("{{ nothing.of.it }}", None);
    }
}
