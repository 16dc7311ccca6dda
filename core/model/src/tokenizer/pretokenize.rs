//! How a text is cut into words before pairs are merged, by the name that the GGUF file gives.

use tokenizers::{
    PreTokenizerWrapper, SplitDelimiterBehavior,
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

/// A family of pre-tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    cut: Cut,
    /// A word that is a token as a whole is not merged from pairs.
    pub(super) whole_words_first: bool,
    /// Unicode NFC first.
    pub(super) compose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// GPT-2's own words.
    Gpt2,
    /// The same after every digit stands alone.
    Gpt2AfterDigits,
    /// Digits in groups of up to this many, contractions in any case.
    Words { digits: usize },
}

const fn plain(cut: Cut) -> Rules {
    Rules {
        cut,
        whole_words_first: false,
        compose: false,
    }
}

/// The rules of that name, and whether the name is known.
pub(super) fn rules(name: &str) -> (Rules, bool) {
    let rules = match name {
        "default" | "gpt-2" | "gpt2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" => plain(Cut::Gpt2),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
            plain(Cut::Gpt2AfterDigits)
        }
        "llama-bpe" | "llama3" | "llama-v3" => Rules {
            cut: Cut::Words { digits: 3 },
            whole_words_first: true,
            compose: false,
        },
        "smaug-bpe" | "dbrx" | "chatglm-bpe" | "glm4" | "lfm2" => plain(Cut::Words { digits: 3 }),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" => Rules {
            cut: Cut::Words { digits: 1 },
            whole_words_first: false,
            compose: name != "stablelm2",
        },
        _ => return (plain(Cut::Gpt2), false),
    };
    (rules, true)
}

impl Rules {
    pub(super) fn pre_tokenizer(self) -> Result<PreTokenizerWrapper, String> {
        let gpt2 = ByteLevel::new(false, false, true);
        Ok(match self.cut {
            Cut::Gpt2 => gpt2.into(),
            Cut::Gpt2AfterDigits => Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into(),
            Cut::Words { digits } => {
                let digits = if digits == 1 {
                    String::from(r"\p{N}")
                } else {
                    format!(r"\p{{N}}{{1,{digits}}}")
                };
                let pattern = format!(
                    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                );
                let split = Split::new(
                    SplitPattern::Regex(pattern),
                    SplitDelimiterBehavior::Isolated,
                    false,
                )
                .map_err(|error| error.to_string())?;
                Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::rules;

    fn check(name: &str, text: &str, expect: &[&str]) {
        let mut words = PreTokenizedString::from(text);
        rules(name)
            .0
            .pre_tokenizer()
            .unwrap()
            .pre_tokenize(&mut words)
            .unwrap();
        let words = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        let words: Vec<_> = words
            .into_iter()
            .map(|(word, _, _)| word.replace('Ġ', "_").replace('Ċ', "/"))
            .collect();
        assert_eq!(words, expect, "{name}");
    }

    #[test]
    fn words_are_cut_as_each_family_does() {
        let text = "I'Ve had 39.25 \n\n  fever";
        check(
            "gpt-2",
            text,
            &["I", "'", "Ve", "_had", "_39", ".", "25", "_//_", "_fever"],
        );
        check(
            "smollm",
            text,
            &[
                "I", "'", "Ve", "_had", "_", "3", "9", ".", "2", "5", "_//_", "_fever",
            ],
        );
        check(
            "qwen2",
            text,
            &[
                "I", "'Ve", "_had", "_", "3", "9", ".", "2", "5", "_//", "_", "_fever",
            ],
        );
        check(
            "llama-bpe",
            text,
            &["I", "'Ve", "_had", "_", "39", ".", "25", "_//", "_", "_fever"],
        );
        check("llama-bpe", "12345", &["123", "45"]);
    }

    #[test]
    fn an_unknown_name_is_told() {
        assert!(rules("qwen2").1);
        assert!(!rules("something-new").1);
    }
}
