//! Which tokens structure a chat, whatever a file calls them.

/// Tokens that end an answer, beside the ids in the metadata.
pub(super) const END_NAMES: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|end_of_sentence|>",
    "</s>",
];

/// Others that structure a chat, though files call some of them user-defined.
const NAMES: [&str; 34] = [
    "<s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<EOT>",
    "<start_of_turn>",
    "<end_of_utterance>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<sop>",
    "<eop>",
    "[gMASK]",
    "[sMASK]",
    "[MASK]",
    "[CLS]",
    "[SEP]",
    "[PAD]",
    "[BOS]",
    "[EOS]",
    "[EOT]",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
];

/// How names of such tokens begin and end.
const FRAMES: [(&str, &str); 5] = [
    ("<|", "|>"),
    ("<｜", "｜>"),
    ("<unused", ">"),
    ("<reserved", ">"),
    ("[UNUSED_TOKEN", "]"),
];

/// Whether a token that a file calls user-defined structures a chat all the same: by its name, or since the chat
/// template writes it.
pub(super) fn structures_chats(token: &str, template: &str) -> bool {
    let framed = FRAMES.iter().any(|(open, close)| is_framed(token, open, close));
    framed
        || END_NAMES.contains(&token)
        || NAMES.contains(&token)
        || is_in_brackets(token) && template.contains(token)
}

/// `<human>`, `[INST]`.
pub(super) fn is_in_brackets(token: &str) -> bool {
    is_framed(token, "<", ">") || is_framed(token, "[", "]")
}

fn is_framed(token: &str, open: &str, close: &str) -> bool {
    let inner = token.strip_prefix(open).and_then(|it| it.strip_suffix(close));
    inner.is_some_and(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::structures_chats;

    #[test]
    fn structure_is_told_from_words() {
        let template = "{% for m in messages %}<human>{{ m['content'] }}<bot>{% endfor %} messages[0]";
        for token in [
            "<|im_start|>",
            "<｜User｜>",
            "<unused12>",
            "<think>",
            "[/INST]",
            "</s>",
            "<human>",
            "<bot>",
        ] {
            assert!(structures_chats(token, template), "{token}");
        }
        for token in [
            "[主诉]", "<体温>", "<table>", "zorbitis", "[", "<", "<>", "|", "m", "\n", "  ", "[Hello]",
        ] {
            assert!(!structures_chats(token, template), "{token}");
        }
    }
}
