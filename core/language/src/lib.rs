//! How Bedside reads text, in Chinese and English: one understanding for triage, knowledge and grounding.
//!
//! The way of a text: [`NormalText`] (one spelling, offsets kept) → [`Sentences`] → [`parse_number`],
//! [`quantities_of`]; [`negation`] tells how it speaks of what it mentions.
#![forbid(unsafe_code)]

mod characters;
mod fingerprint;
pub mod negation;
mod normal_text;
mod numerals;
mod pattern;
mod quantities;
mod sentences;
mod traditional;

pub use characters::{is_han, is_invisible};
pub use fingerprint::fingerprint;
pub use normal_text::{NormalText, folded, normalized, normalized_built_in};
pub use numerals::{exact_number, parse_number};
pub use pattern::{compile_pattern, has_any};
pub use quantities::{Quantity, all_stand_in, quantities_of};
pub use sentences::{Sentences, sentences_of};
pub use traditional::simplified;
