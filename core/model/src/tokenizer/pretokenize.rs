//! How a text is cut into words before pairs are merged, by the name that the GGUF file gives.
//!
//! The patterns are those of the models' own tokenizers; the names are llama.cpp's.

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
    /// Every text begins with the model's first token, where the file says nothing of it.
    pub(super) begins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// GPT-2's own words.
    Gpt2,
    /// The same after every digit stands alone.
    Gpt2AfterDigits,
    /// By each of these in turn; what none matches stays together.
    By(&'static [&'static str]),
}

/// Words with contractions in any case; the digits differ.
macro_rules! words {
    ($digits:literal) => {
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// Words end before a capital letter; what may follow a word, and the digits, differ.
macro_rules! words_by_case {
    ($behind:literal, $digits:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $behind,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $behind,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

const PLAIN: Rules = Rules {
    cut: Cut::Gpt2,
    whole_words_first: false,
    compose: false,
    begins: false,
};

const GPT2_NAMES: &[&str] = &[
    "default", "gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "trillion", "gigachat", "a.x-4.0", "mellum",
    "exaone4",
];

/// By the names that files have for them.
const FAMILIES: &[(&[&str], Rules)] = &[
    (GPT2_NAMES, PLAIN),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        Rules {
            cut: Cut::Gpt2AfterDigits,
            ..PLAIN
        },
    ),
    (
        &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        Rules {
            cut: Cut::By(&[words!(r"\p{N}{1,3}")]),
            whole_words_first: true,
            begins: true,
            ..PLAIN
        },
    ),
    (
        &["smaug-bpe", "dbrx", "chatglm-bpe", "glm4"],
        Rules {
            cut: Cut::By(&[words!(r"\p{N}{1,3}")]),
            ..PLAIN
        },
    ),
    (
        &["qwen2", "deepseek-r1-qwen", "megrez", "kormo"],
        Rules {
            cut: Cut::By(&[words!(r"\p{N}")]),
            compose: true,
            ..PLAIN
        },
    ),
    (
        &["stablelm2", "hunyuan", "solar-open", "grok-2"],
        Rules {
            cut: Cut::By(&[words!(r"\p{N}")]),
            ..PLAIN
        },
    ),
    (
        &["qwen35"],
        Rules {
            cut: Cut::By(&[
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ]),
            compose: true,
            ..PLAIN
        },
    ),
    (
        &["seed-coder"],
        Rules {
            cut: Cut::By(&[
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
            ]),
            ..PLAIN
        },
    ),
    (
        &["minicpm5"],
        Rules {
            cut: Cut::By(&[r"\p{N}{1,3}", words!(r"\p{N}+")]),
            whole_words_first: true,
            ..PLAIN
        },
    ),
    // Mistral NeMo and what came after it.
    (
        &["tekken"],
        Rules {
            cut: Cut::By(&[words_by_case!("", r"\p{N}")]),
            whole_words_first: true,
            begins: true,
            ..PLAIN
        },
    ),
    (
        &["gpt-4o", "llama4", "kanana2", "minimax-m2"],
        Rules {
            cut: Cut::By(&[words_by_case!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}")]),
            ..PLAIN
        },
    ),
    (
        &["deepseek-llm"],
        Rules {
            cut: Cut::By(&[
                r"[\r\n]",
                r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
                r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
                r"\s+$",
                r"[\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+",
                r"\p{N}",
            ]),
            ..PLAIN
        },
    ),
    (
        &["deepseek-coder"],
        Rules {
            cut: Cut::By(&[
                r"[\r\n]",
                r"\s?\p{L}+",
                r"\s?\p{P}+",
                r"[\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+",
                r"\p{N}",
            ]),
            ..PLAIN
        },
    ),
    (
        &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        Rules {
            cut: Cut::By(&[
                r"\p{N}{1,3}",
                r"[\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+",
                r"[!-/:-@\[-\x60{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ]),
            ..PLAIN
        },
    ),
];

/// The rules of that name, if it is known.
pub(super) fn rules(name: &str) -> Option<Rules> {
    let family = FAMILIES.iter().find(|(names, _)| names.contains(&name));
    family.map(|(_, rules)| *rules)
}

/// All names, for who wrote another one.
pub(super) fn known_names() -> String {
    let names: Vec<&str> = FAMILIES.iter().flat_map(|(names, _)| *names).copied().collect();
    names.join(", ")
}

impl Rules {
    pub(super) fn pre_tokenizer(self) -> Result<PreTokenizerWrapper, String> {
        let gpt2 = ByteLevel::new(false, false, true);
        Ok(match self.cut {
            Cut::Gpt2 => gpt2.into(),
            Cut::Gpt2AfterDigits => Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into(),
            Cut::By(patterns) => {
                let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
                for pattern in patterns {
                    let pattern = SplitPattern::Regex((*pattern).to_owned());
                    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
                    steps.push(split.map_err(|error| error.to_string())?.into());
                }
                steps.push(ByteLevel::new(false, false, false).into());
                Sequence::new(steps).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::{FAMILIES, known_names, rules};

    fn check(name: &str, text: &str, expect: &[&str]) {
        let mut words = PreTokenizedString::from(text);
        let cutter = rules(name).unwrap().pre_tokenizer().unwrap();
        cutter.pre_tokenize(&mut words).unwrap();
        let words = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let words: Vec<_> = words
            .into_iter()
            .map(|(_, (start, end), _)| text.get(start..end).unwrap())
            .collect();
        assert_eq!(words, expect, "{name}");
    }

    #[test]
    fn words_are_cut_as_each_family_does() {
        let text = "I'Ve had 39.25 \n\n  fever";
        let alone = [
            "I", "'Ve", " had", " ", "3", "9", ".", "2", "5", " \n\n", " ", " fever",
        ];
        let in_threes = ["I", "'Ve", " had", " ", "39", ".", "25", " \n\n", " ", " fever"];
        let apart = [
            "I", "'", "Ve", " had", " ", "3", "9", ".", "2", "5", " ", "\n", "\n", " ", " fever",
        ];
        check(
            "gpt-2",
            text,
            &["I", "'", "Ve", " had", " 39", ".", "25", " \n\n ", " fever"],
        );
        check(
            "smollm",
            text,
            &[
                "I", "'", "Ve", " had", " ", "3", "9", ".", "2", "5", " \n\n ", " fever",
            ],
        );
        for name in ["qwen2", "stablelm2", "qwen35", "seed-coder", "tekken"] {
            check(name, text, &alone);
        }
        for name in ["llama-bpe", "glm4", "minicpm5", "deepseek-v3"] {
            check(name, text, &in_threes);
        }
        for name in ["deepseek-llm", "deepseek-coder"] {
            check(name, text, &apart);
        }
        check(
            "gpt-4o",
            text,
            &["I'Ve", " had", " ", "39", ".", "25", " \n\n", " ", " fever"],
        );
        check("llama-bpe", "12345", &["123", "45"]);
    }

    /// What the library makes of the patterns in Python, for letters of several cases and scripts.
    #[test]
    fn families_differ_in_cases_and_scripts() {
        let text = "McDonald HIV患者发烧39.5度，\n咳嗽 and/or a//\nb  5";
        check(
            "tekken",
            text,
            &[
                "Mc",
                "Donald",
                " HIV患者发烧",
                "3",
                "9",
                ".",
                "5",
                "度",
                "，\n",
                "咳嗽",
                " and",
                "/or",
                " a",
                "//\n",
                "b",
                " ",
                " ",
                "5",
            ],
        );
        check(
            "gpt-4o",
            text,
            &[
                "Mc",
                "Donald",
                " HIV患者发烧",
                "39",
                ".",
                "5",
                "度",
                "，\n",
                "咳嗽",
                " and",
                "/or",
                " a",
                "//\n",
                "b",
                " ",
                " ",
                "5",
            ],
        );
        for name in ["deepseek-llm", "deepseek-coder"] {
            check(
                name,
                text,
                &[
                    "McDonald",
                    " HIV",
                    "患者发烧",
                    "3",
                    "9",
                    ".",
                    "5",
                    "度",
                    "，",
                    "\n",
                    "咳嗽",
                    " and",
                    "/",
                    "or",
                    " a",
                    "//",
                    "\n",
                    "b",
                    "  ",
                    "5",
                ],
            );
        }
        check(
            "deepseek-v3",
            text,
            &[
                "McDonald",
                " HIV",
                "患者发烧",
                "39",
                ".",
                "5",
                "度",
                "，\n",
                "咳嗽",
                " and",
                "/or",
                " a",
                "//\n",
                "b",
                "  ",
                "5",
            ],
        );
        check(
            "minicpm5",
            text,
            &[
                "McDonald",
                " HIV患者发烧",
                "39",
                ".",
                "5",
                "度",
                "，\n",
                "咳嗽",
                " and",
                "/or",
                " a",
                "//\n",
                "b",
                "  ",
                "5",
            ],
        );
    }

    #[test]
    fn every_name_leads_to_a_cutter_and_no_other_does() {
        for (names, _) in FAMILIES {
            for name in *names {
                rules(name).unwrap().pre_tokenizer().unwrap();
                assert!(known_names().contains(name), "{name}");
            }
        }
        assert!(rules("something-new").is_none() && rules("").is_none());
    }
}
