//! Regular expressions that are part of the code.

use regex::Regex;

/// Compiles a pattern of ours. `\b` is made ASCII: Latin words border on Chinese characters without a blank,
/// and the fast engine cannot look for Unicode word boundaries. So is `\w`, which takes ten times as long to
/// compile with all letters of the world; the texts are in lower case.
///
/// # Panics
/// If the pattern is none. Every pattern is compiled by a test.
#[must_use]
pub fn compile_pattern(pattern: &str) -> Regex {
    let ascii = pattern.replace(r"\b", r"(?-u:\b)").replace(r"\w", "[a-z0-9_]");
    Regex::new(&ascii).expect("every pattern is compiled by a test")
}

/// A quick look that saves the compiling of a pattern.
#[must_use]
pub fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|it| text.contains(it))
}

/// A static with a pattern, compiled when it is first used; the crate needs `regex`.
#[macro_export]
macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| $crate::compile_pattern($pattern));
    };
}
