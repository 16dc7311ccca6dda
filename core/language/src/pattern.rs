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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::compile_pattern;

    /// All `pattern!` literals below a folder.
    fn literals(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(literals(&path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for use_of in text.split("pattern!(").skip(1) {
                let literal = use_of.split_once(',').unwrap().1.trim_start();
                let raw = literal.starts_with("r\"");
                let Some(rest) = literal.trim_start_matches('r').strip_prefix('"') else {
                    continue;
                };
                let pattern = rest
                    .split_once("\"\n")
                    .or_else(|| rest.split_once("\")"))
                    .unwrap()
                    .0;
                found.push(if raw {
                    pattern.to_owned()
                } else {
                    pattern.replace(r"\\", r"\")
                });
            }
        }
        found
    }

    #[test]
    fn every_pattern_of_this_crate_compiles() {
        let patterns = literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/negation"));
        assert!(patterns.len() > 60, "{}", patterns.len());
        for pattern in patterns {
            assert!(!compile_pattern(&pattern).as_str().is_empty());
        }
    }
}
