//! Markers of chat templates: nobody but a model that has lost its way writes them.

use unicode_normalization::UnicodeNormalization;

use crate::pattern::pattern;

pattern!(
    TOKEN,
    r"<\s?\||\|\s?>|\[\s?/?\s?inst\s?\]|\[[sg]?mask\]|<\s?<?\s?/?\s?sys\s?>>?|<\s?/?\s?s\s?>|</?\s?(bos|eos|pad|unk|mask|cls|sep|sop|eop|think|thinking|assistant|system|user|human|inst|instruction|prompt|response|answer|reasoning|tool_call|tool_calls|tool_response|tool_result|image|audio|video|start_of_turn|end_of_turn|start_of_image|end_of_image|start_header_id|end_header_id|eot_id|eom_id|im_start|im_end|endoftext|fim_[a-z]+|unused_?[0-9]*|reserved[a-z0-9_]*|extra_id_[0-9]+|0x[0-9a-f]{2})\s?>|\[\s?round ?[0-9]+\s?\]|\[(cls|sep|eos|bos|pad|unk|unused[0-9]+|available_tools|/available_tools|/sys|sys|tool_calls|tool_results|/tool_results|system_prompt|/system_prompt)\]|\{\{|\}\}|\{%|%\}|###? ?(instruction|response|input|human|user|assistant|system)\b|^\s*(human|user|assistant|system|bot|ai|用户|助手|系统|人类|机器人) ?:|问: ?.{1,80}答:|\b(patient|user|human|question|q) ?:.{1,120}\b(assistant|ai|bot|doctor|answer|a) ?:|▁"
);

/// Reads the sentence as it came: Markdown and marks share their brackets.
pub(super) fn holds(sentence: &str) -> bool {
    if !sentence.contains([
        '<', '＜', '|', '｜', '[', '［', '{', '｛', '#', '＃', ':', '：', '>', '＞', '▁', '}',
    ]) {
        return false;
    }
    let plain: String = sentence
        .nfkc()
        .filter(|it| !matches!(it, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'))
        .collect();
    TOKEN.is_match(&plain.to_lowercase())
}
