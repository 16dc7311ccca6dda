//! A template is tried before it serves: one that does not end must not be met with the first patient.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use bedside_contract::ChatRole::{self, Assistant, System, User};

use super::{TemplateError, jinja::Jinja, markers::PlainMarkers, words::Piece};

/// Thousands of times what a template takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// Rounds with and without instructions; not all templates take each of them.
const CHATS: [&[ChatRole]; 3] = [
    &[User],
    &[User, Assistant, User],
    &[System, User, Assistant, User],
];

/// Writes chats down on a thread of its own, and tells the plain words that stand around their contents.
///
/// # Errors
/// If the template takes none of them, or does not come to an end.
pub(super) fn tried(jinja: &Arc<Jinja>) -> Result<PlainMarkers, TemplateError> {
    let (sender, outcome) = mpsc::channel();
    let jinja = Arc::clone(jinja);
    let trial = move || drop(sender.send(plain_markers(&jinja)));
    thread::Builder::new()
        .name("bedside-template".to_owned())
        .spawn(trial)
        .map_err(|error| TemplateError::Render(format!("a thread to try it cannot be started: {error}")))?;
    let stopped = |problem: String| Err(TemplateError::Stopped { problem });
    match outcome.recv_timeout(DEADLINE) {
        Ok(markers) => markers,
        Err(RecvTimeoutError::Timeout) => stopped(format!("takes longer than {} s", DEADLINE.as_secs())),
        Err(RecvTimeoutError::Disconnected) => stopped("panics".to_owned()),
    }
}

fn plain_markers(jinja: &Jinja) -> Result<PlainMarkers, TemplateError> {
    let mut written = Vec::new();
    let mut refused = None;
    for roles in CHATS {
        match jinja.skeleton(roles) {
            Ok(pieces) => written.extend(pieces.into_iter().filter_map(|it| match it {
                Piece::Template(text) => Some(text),
                Piece::Slot(_) | Piece::Word(_) => None,
            })),
            Err(error @ TemplateError::Stopped { .. }) => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if written.is_empty() => Err(error),
        _ => Ok(PlainMarkers::of(written.iter().map(String::as_str))),
    }
}
