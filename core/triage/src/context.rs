//! Who is spoken of, and whether anybody is; how it is spoken of is read by [`bedside_language::negation`].

mod register;
mod subject;

pub(crate) use register::{Story, story, tells_a_story};
pub(crate) use subject::{Subjects, is_family_history};
