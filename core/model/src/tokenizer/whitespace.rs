//! ChatGLM-6B's way to write down white space: its sentencepiece model would fold it.

/// What `tokenizer.ggml.pre` says of it.
pub(crate) const PRE_TOKENIZER: &str = "chatglm1";

/// Spaces that one token can stand for.
const LONGEST: usize = 80;

/// Lines, tabs and runs of spaces as `<n>`, `<|tab|>` and `<|blank_k|>`, the longest runs first.
pub(super) fn write(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut spaces = 0;
    for character in text.chars().map(Some).chain([None]) {
        if character == Some(' ') {
            spaces += 1;
            continue;
        }
        while spaces > 0 {
            match spaces.min(LONGEST) {
                1 => written.push(' '),
                run => written.push_str(&format!("<|blank_{run}|>")),
            }
            spaces -= spaces.min(LONGEST);
        }
        match character {
            Some('\n') => written.push_str("<n>"),
            Some('\t') => written.push_str("<|tab|>"),
            Some(other) => written.push(other),
            None => {}
        }
    }
    written
}

/// What such a token stands for.
pub(super) fn read(token: &str) -> Option<String> {
    let blank = || token.strip_prefix("<|blank_")?.strip_suffix("|>");
    match token {
        "<n>" => Some("\n".to_owned()),
        "<|tab|>" => Some("\t".to_owned()),
        _ => {
            let run = blank()?.parse().ok()?;
            (2..=LONGEST).contains(&run).then(|| " ".repeat(run))
        }
    }
}

/// All of these tokens, as they stand in the vocabulary behind its special tokens.
pub(crate) fn blanks() -> impl Iterator<Item = String> {
    let runs = (2..=LONGEST).map(|it| format!("<|blank_{it}|>"));
    ["<|tab|>".to_owned()].into_iter().chain(runs)
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn white_space_is_written_down_and_read() {
        let text = format!("a\n\tb  c {}d", " ".repeat(81));
        assert_eq!(write(&text), "a<n><|tab|>b<|blank_2|>c<|blank_80|><|blank_2|>d");
        assert_eq!(read("<|blank_3|>").as_deref(), Some("   "));
        assert_eq!(
            (read("<|blank_81|>"), read("<sop>"), read("<n>").as_deref()),
            (None, None, Some("\n"))
        );
    }
}
