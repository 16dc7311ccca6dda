//! Cuts sections into passages that fit a small model's prompt.

use bedside_language::is_han;

use crate::{
    article::Article,
    section::{Language, Section},
};

/// A piece of a section, short enough that several fit into a prompt of 512 tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassage {
    /// `common-cold/treatment`; further pieces of the same section end in `-2`, `-3` …
    pub id: String,
    /// e.g. "Common cold – Treatment".
    pub title: String,
    pub section: Section,
    pub text: String,
}

/// Words (English) or Chinese characters of the longest passage. A single sentence may be longer.
const ENGLISH_WORDS: usize = 90;
const CHINESE_CHARACTERS: usize = 180;

/// The passages of an article, in its order.
#[must_use]
pub fn passages(article: &Article) -> Vec<StoredPassage> {
    let pieces = article.sections.iter().flat_map(|(section, text)| {
        split(text, article.language)
            .into_iter()
            .enumerate()
            .map(|(index, text)| (*section, index, text))
    });
    pieces
        .map(|(section, index, text)| StoredPassage {
            id: match index {
                0 => format!("{}/{}", article.id, section.slug()),
                _ => format!("{}/{}-{}", article.id, section.slug(), index + 1),
            },
            title: format!("{} – {}", article.name, section.heading(article.language)),
            section,
            text,
        })
        .collect()
}

/// How many words or characters a text has, in its language's measure.
pub(crate) fn length(text: &str, language: Language) -> usize {
    match language {
        Language::En => text.split_whitespace().count(),
        Language::Zh => {
            text.chars().filter(|it| is_han(*it)).count()
                + text
                    .split(|it: char| !it.is_ascii_alphanumeric())
                    .filter(|it| !it.is_empty())
                    .count()
        }
    }
}

fn split(text: &str, language: Language) -> Vec<String> {
    let limit = match language {
        Language::En => ENGLISH_WORDS,
        Language::Zh => CHINESE_CHARACTERS,
    };
    let mut pieces: Vec<String> = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|it| !it.is_empty()) {
        let mut glue = "\n\n";
        let units = if length(paragraph, language) <= limit {
            vec![paragraph]
        } else {
            sentences(paragraph)
        };
        for unit in units {
            let fits = |it: &&mut String| length(it, language) + length(unit, language) <= limit;
            if let Some(last) = pieces.last_mut().filter(fits) {
                // Lists keep their lines; sentences run on.
                let list = unit.starts_with(['-', '*', '•']) && glue.is_empty();
                last.push_str(match (glue, language) {
                    ("", _) if list => "\n",
                    ("", Language::En) => " ",
                    _ => glue,
                });
                last.push_str(unit);
            } else {
                pieces.push(unit.to_owned());
            }
            glue = "";
        }
    }
    pieces
}

/// Sentences and lines of a paragraph.
fn sentences(paragraph: &str) -> Vec<&str> {
    let mut units = Vec::new();
    for line in paragraph.lines() {
        let mut rest = line;
        while let Some(end) = sentence_end(rest) {
            let (sentence, tail) = rest.split_at(end);
            units.push(sentence.trim());
            rest = tail;
        }
        units.push(rest.trim());
    }
    units.retain(|it| !it.is_empty());
    units
}

/// The byte after the first sentence, if another follows. A full stop ends one only before a space, so
/// that 37.5 and e.g. stay whole; "e.g. x" is rare enough in plain text.
fn sentence_end(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        let next = chars.peek().map(|it| it.1);
        let ends = matches!(c, '。' | '！' | '？') || (matches!(c, '.' | '!' | '?') && next == Some(' '));
        if ends && next.is_some() {
            return Some(index + c.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{CHINESE_CHARACTERS, ENGLISH_WORDS, length, split};
    use crate::section::Language;

    #[test]
    fn short_sections_stay_whole() {
        assert_eq!(split("One.\n\nTwo.", Language::En), ["One.\n\nTwo."]);
        assert_eq!(split("- 多休息\n- 多喝水", Language::Zh), ["- 多休息\n- 多喝水"]);
        assert!(split("", Language::En).is_empty());
    }

    #[test]
    fn long_sections_are_cut_at_paragraphs_then_sentences() {
        let paragraph = "word ".repeat(50).trim().to_owned() + ".";
        let pieces = split(&format!("{paragraph}\n\n{paragraph}"), Language::En);
        assert_eq!(pieces, [paragraph.clone(), paragraph.clone()]);

        let long = vec![paragraph.clone(); 4].join(" ");
        let pieces = split(&long, Language::En);
        assert_eq!(pieces, vec![paragraph; 4]);

        let chinese = "多喝水，多休息，室内通风，注意保暖，体温超过三十八度五时可用退热药。".repeat(12);
        let pieces = split(&chinese, Language::Zh);
        assert!(pieces.len() > 1);
        assert_eq!(pieces.concat(), chinese);
        assert!(
            pieces
                .iter()
                .all(|it| length(it, Language::Zh) <= CHINESE_CHARACTERS && it.ends_with('。'))
        );
    }

    #[test]
    fn lists_keep_their_lines() {
        let list = (0..30)
            .map(|it| format!("- item {it} has a few words"))
            .collect::<Vec<_>>()
            .join("\n");
        let pieces = split(&list, Language::En);
        assert_eq!(pieces.join("\n"), list);
        assert!(pieces.iter().all(|it| length(it, Language::En) <= ENGLISH_WORDS));
    }

    #[test]
    fn decimals_do_not_end_a_sentence() {
        let text = "fever of 38.5 degrees ".repeat(30);
        assert_eq!(split(text.trim(), Language::En).len(), 1);
    }
}
