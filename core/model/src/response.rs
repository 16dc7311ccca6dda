//! What some models' own code does to an answer before anyone sees it, as the text comes.

/// What ChatGLM was taught to write for the time that it knows of; its code puts the year there.
const TRAINING_TIME: (&str, &str) = ("[[训练时间]]", "2023年");

/// Their tokenizers fold the wide forms into the narrow ones.
const NARROW_AND_WIDE: [(char, char); 5] = [(',', '，'), ('!', '！'), (':', '：'), (';', '；'), ('?', '？')];

/// What is done to the answers of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseRules {
    /// Sentencepiece writes a space before the first word, ChatGLM3 a line before its text.
    pub trim_start: bool,
    /// `process_response` of all of ChatGLM.
    pub name_training_time: bool,
    /// `process_response` of ChatGLM-6B: punctuation beside a Chinese character is wide.
    pub widen_punctuation: bool,
}

/// One answer on its way.
#[derive(Debug)]
pub struct ResponseFilter {
    rules: ResponseRules,
    /// Not given out yet: what follows decides.
    pending: String,
    last: Option<char>,
}

impl ResponseFilter {
    #[must_use]
    pub fn new(rules: ResponseRules) -> Self {
        Self {
            rules,
            pending: String::new(),
            last: None,
        }
    }

    /// The text that is settled by now.
    pub fn push(&mut self, text: &str) -> String {
        if self.rules == ResponseRules::default() {
            return text.to_owned();
        }
        self.pending.push_str(text);
        self.take(false)
    }

    /// What is left when no more comes.
    pub fn finish(&mut self) -> String {
        self.take(true)
    }

    fn take(&mut self, last: bool) -> String {
        let mut text = std::mem::take(&mut self.pending);
        if self.rules.trim_start && self.last.is_none() {
            text.drain(..text.len() - text.trim_start().len());
        }
        if self.rules.name_training_time {
            let (written, meant) = TRAINING_TIME;
            text = text.replace(written, meant);
            if !last {
                self.pending = text.split_off(text.len() - common_end(&text, written));
            }
        }
        let mut settled = String::with_capacity(text.len());
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let wide = NARROW_AND_WIDE.iter().find(|(narrow, _)| *narrow == character);
            let wide = wide.filter(|_| self.rules.widen_punctuation);
            let before = self.last.is_some_and(is_chinese);
            let next = characters.peek().copied();
            if wide.is_some() && !before && next.is_none() && !(last && self.pending.is_empty()) {
                self.pending.insert(0, character);
                break;
            }
            let beside = before || next.is_some_and(is_chinese);
            settled.push(wide.filter(|_| beside).map_or(character, |(_, wide)| *wide));
            self.last = Some(character);
        }
        settled
    }
}

/// How many bytes at the end of `text` may be the beginning of `wanted`.
fn common_end(text: &str, wanted: &str) -> usize {
    let beginnings = wanted
        .char_indices()
        .skip(1)
        .filter_map(|(end, _)| wanted.get(..end));
    let longest = beginnings.filter(|it| text.ends_with(it)).last();
    longest.map_or(0, str::len)
}

fn is_chinese(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{ResponseFilter, ResponseRules};

    const ALL: ResponseRules = ResponseRules {
        trim_start: true,
        name_training_time: true,
        widen_punctuation: true,
    };

    fn filtered<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
        let mut filter = ResponseFilter::new(ALL);
        let mut text: String = pieces.map(|it| filter.push(it)).collect();
        text.push_str(&filter.finish());
        text
    }

    fn by_character(text: &str) -> String {
        let characters: Vec<String> = text.chars().map(String::from).collect();
        filtered(characters.iter().map(String::as_str))
    }

    #[test]
    fn answers_are_written_as_chatglm_writes_them() {
        for (text, expected) in [
            (" \n 您好,请多喝水!ok?", "您好，请多喝水！ok?"),
            ("头疼:a,b;好,", "头疼：a,b；好，"),
            ("我的知识到[[训练时间]],之后", "我的知识到2023年，之后"),
            (",[[训练时间]]", ",2023年"),
            ("a,[[训练", "a,[[训练"),
            ("39.5,", "39.5,"),
        ] {
            assert_eq!(filtered([text].into_iter()), expected);
            assert_eq!(by_character(text), expected);
        }
    }

    #[test]
    fn other_models_are_left_alone() {
        let mut filter = ResponseFilter::new(ResponseRules::default());
        assert_eq!(filter.push("  好,"), "  好,");
    }

    #[test]
    fn what_is_settled_is_not_kept_back() {
        let mut filter = ResponseFilter::new(ALL);
        assert_eq!(filter.push("好,"), "好，");
        assert_eq!(filter.push("a"), "a");
        assert_eq!(
            (filter.push(","), filter.push("好")),
            (String::new(), "，好".to_owned())
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in r"(?:[a好,!:;? ]|\[\[训练时间\]\]|\[){0,24}") {
            prop_assert_eq!(by_character(&text), filtered([text.as_str()].into_iter()));
        }
    }
}
