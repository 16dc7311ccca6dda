//! Stop strings, whatever the server makes of them: one must never leave.

/// Lets text through until a stop string comes, and holds back what may be the start of one.
pub(crate) struct StopGate {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopGate {
    pub(crate) fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.iter().filter(|it| !it.is_empty()).cloned().collect(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Text that is certain not to belong to a stop string.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|it| self.held.find(it.as_str()));
        if let Some(at) = found.min() {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let rest = self.held.split_off(self.certain());
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back, when no more text comes.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Bytes before the first place from which on all is the start of a stop string.
    fn certain(&self) -> usize {
        let mut places = self.held.char_indices().map(|(at, _)| at);
        let is_start = |at: &usize| {
            let rest = self.held.get(*at..).unwrap_or_default();
            self.stops.iter().any(|it| it.starts_with(rest))
        };
        places.find(is_start).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::StopGate;

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab好]{0,24}", stop in "[ab好]{1,4}", cut in 1_usize..5) {
            let mut gate = StopGate::new(std::slice::from_ref(&stop));
            let characters: Vec<char> = text.chars().collect();
            let mut out: String =
                characters.chunks(cut).map(|it| gate.push(&it.iter().collect::<String>())).collect();
            out.push_str(&gate.finish());
            prop_assert_eq!(out, text.split(&stop).next().unwrap_or_default());
            prop_assert_eq!(gate.is_stopped(), text.contains(&stop));
        }
    }
}
