//! Tokens to text, as they come.

use super::Tokenizer;

/// Gives out whole characters only, never a token that structures a chat and never what the model only thinks.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    pending: Vec<u8>,
    thinking: bool,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        // Some templates open the thinking themselves.
        let last = |(open, close): (u32, u32)| {
            prompt
                .iter()
                .rev()
                .find(|it| **it == open || **it == close)
                .copied()
        };
        let thinking = tokenizer.thinking.is_some_and(|pair| last(pair) == Some(pair.0));
        Self {
            tokenizer,
            pending: Vec::new(),
            thinking,
        }
    }

    /// The text that this token completes; often none, when it ends amid a character.
    pub fn push(&mut self, token: u32) -> String {
        if let Some((open, close)) = self.tokenizer.thinking
            && (token == open || token == close)
        {
            self.thinking = token == open;
            return String::new();
        }
        if self.thinking || self.tokenizer.is_special(token) {
            return String::new();
        }
        self.pending.extend(self.tokenizer.spellings.get(token));
        self.take()
    }

    /// What is left when no more tokens come; a character that was cut off, as at the limit of an answer, is left out.
    pub fn finish(&mut self) -> String {
        let text = self.take();
        self.pending.clear();
        text
    }

    fn take(&mut self) -> String {
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let invalid = chunk.invalid();
            // The start of a character at the very end may still be completed.
            if invalid.is_empty() || (done + invalid.len() == self.pending.len() && may_go_on(invalid)) {
                continue;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            done += invalid.len();
        }
        self.pending.drain(..done);
        text
    }
}

/// Whether these bytes begin a character that needs more.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
