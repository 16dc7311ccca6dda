//! Stop strings, found across the borders of tokens.

/// Lets text through until one of the stop strings comes, and holds back what might be the start of one.
#[derive(Debug, Clone, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopMatcher {
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|it| !it.is_empty()).cloned().collect();
        Self {
            stops,
            held: String::new(),
            stopped: false,
        }
    }

    /// Text that is certain not to belong to a stop string.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()
        {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let rest = self.held.split_off(self.certain());
        std::mem::replace(&mut self.held, rest)
    }

    /// What is held back when no more text comes.
    pub fn finish(&mut self) -> String {
        if self.stopped {
            String::new()
        } else {
            std::mem::take(&mut self.held)
        }
    }

    /// Whether a stop string has come.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Bytes before the first place where the rest is the start of a stop string.
    fn certain(&self) -> usize {
        let places = self.held.char_indices().map(|(at, _)| at);
        places
            .filter_map(|at| self.held.get(at..).map(|rest| (at, rest)))
            .find(|(_, rest)| self.stops.iter().any(|stop| stop.starts_with(rest)))
            .map_or(self.held.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::StopMatcher;

    fn check(stops: &[&str], pieces: &[&str], expect: &[&str], stopped: bool) {
        let stops: Vec<String> = stops.iter().map(|it| (*it).to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut out: Vec<String> = pieces.iter().map(|it| matcher.push(it)).collect();
        out.push(matcher.finish());
        assert_eq!(out, expect, "{stops:?} {pieces:?}");
        assert_eq!(matcher.is_stopped(), stopped);
    }

    #[test]
    fn stops_across_borders() {
        check(&[], &["a", "b"], &["a", "b", ""], false);
        check(&["###"], &["hi#", "#", "x"], &["hi", "", "##x", ""], false);
        check(&["###"], &["hi#", "##", "x"], &["hi", "", "", ""], true);
        check(
            &["病人：", "User:"],
            &["好的。病", "人", "：再说"],
            &["好的。", "", "", ""],
            true,
        );
        check(&["病人："], &["好的。病", "人"], &["好的。", "", "病人"], false);
        check(&["aab"], &["aa", "ab"], &["", "a", ""], true);
        check(&["", "x"], &["a"], &["a", ""], false);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn pieces_do_not_matter(text in "[ab好]{0,24}", stop in "[ab好]{1,4}", cut in 1_usize..5) {
            let mut matcher = StopMatcher::new(std::slice::from_ref(&stop));
            let characters: Vec<char> = text.chars().collect();
            let mut out: String =
                characters.chunks(cut).map(|it| matcher.push(&it.iter().collect::<String>())).collect();
            out.push_str(&matcher.finish());
            let expect = text.split(&stop).next().unwrap_or_default();
            prop_assert_eq!(out, expect);
            prop_assert_eq!(matcher.is_stopped(), text.contains(&stop));
        }
    }
}
