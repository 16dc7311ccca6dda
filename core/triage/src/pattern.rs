//! Regular expressions that are part of the code.

pub(crate) use bedside_language::{compile_pattern as compile, has_any, pattern};
