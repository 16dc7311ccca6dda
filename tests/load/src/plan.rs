use std::time::Duration;

/// What the patients do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// With the version, without a slash behind it: `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    pub api_key: Option<String>,
    /// Dealt round robin to the patients; none sends no name.
    pub models: Vec<String>,
    /// Dealt round robin; sent as llama-server's `lora`, at full scale.
    pub lora_ids: Vec<u32>,
    /// Token ids that must not be generated: with the model's end tokens every answer has its full length.
    pub never: Vec<u32>,
    pub patients: usize,
    /// Questions of one chat.
    pub turns: usize,
    pub system_tokens: usize,
    pub question_tokens: usize,
    pub answer_tokens: usize,
    /// So long every patient begins a new chat after the last one; none is one chat each.
    pub duration: Option<Duration>,
    /// Of one answer, first to last byte.
    pub timeout: Duration,
    pub seed: u64,
    /// The server's process, to watch its memory.
    pub pid: Option<u32>,
}
