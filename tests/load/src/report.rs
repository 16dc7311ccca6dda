use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    memory::{MemoryReport, Trend},
    patient::Tally,
};

/// What `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub patients: usize,
    /// From the first question to the end of the last answer.
    pub seconds: f64,
    pub answers: u64,
    pub prompt_tokens: u64,
    /// Of the prompt tokens, those that the server says it had read before.
    pub cached_tokens: u64,
    pub generated_tokens: u64,
    pub prompt_tokens_per_s: f64,
    pub generated_tokens_per_s: f64,
    /// From a question to the first piece of its answer.
    pub first_token_ms: Spread,
    /// From one piece of an answer to the next.
    pub inter_token_ms: Spread,
    /// How often a patient was told to come back later.
    pub busy: u64,
    /// How often a patient was told so for a minute and gave the chat up.
    pub gave_up: u64,
    /// By kind.
    pub errors: BTreeMap<String, u64>,
    pub memory: Option<MemoryReport>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub p50: f64,
    pub p95: f64,
}

impl Report {
    pub(crate) fn new(patients: usize, seconds: f64, tally: Tally, memory: Option<MemoryReport>) -> Self {
        let rate = |tokens: u64| tokens as f64 / seconds.max(1e-9);
        Self {
            patients,
            seconds,
            answers: tally.answers,
            prompt_tokens: tally.prompt_tokens,
            cached_tokens: tally.cached_tokens,
            generated_tokens: tally.generated_tokens,
            prompt_tokens_per_s: rate(tally.prompt_tokens),
            generated_tokens_per_s: rate(tally.generated_tokens),
            first_token_ms: Spread::of(tally.first_ms),
            inter_token_ms: Spread::of(tally.gaps_ms),
            busy: tally.busy,
            gave_up: tally.gave_up,
            errors: tally.errors,
            memory,
        }
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            p50: percentile(&values, 50),
            p95: percentile(&values, 95),
        }
    }
}

/// The smallest value that so many percent of all do not exceed; 0 of nothing.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} patients, {} answers in {:.1} s",
            self.patients, self.answers, self.seconds
        )?;
        writeln!(
            f,
            "generated      {:.1} tokens/s ({} tokens)",
            self.generated_tokens_per_s, self.generated_tokens
        )?;
        writeln!(
            f,
            "prompts        {:.1} tokens/s ({} tokens, {} of them read before)",
            self.prompt_tokens_per_s, self.prompt_tokens, self.cached_tokens
        )?;
        writeln!(f, "first token    {}", self.first_token_ms)?;
        writeln!(f, "between tokens {}", self.inter_token_ms)?;
        write!(f, "busy           {}, given up {}", self.busy, self.gave_up)?;
        for (kind, count) in &self.errors {
            write!(f, "\nerror          {kind}: {count}")?;
        }
        if let Some(memory) = &self.memory {
            write!(f, "\nresident       {}", memory.resident)?;
            write!(f, "\nanonymous      {}", memory.anonymous)?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.0} ms, p95 {:.0} ms", self.p50, self.p95)
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "start {:.0} MB, max {:.0} MB, end {:.0} MB, {:+.2} MB a minute at last",
            self.start, self.max, self.end, self.slope_per_minute
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Spread, percentile};

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let check = |count: usize, percent, expect: f64| {
            let values: Vec<f64> = (1..=count).map(|it| it as f64).collect();
            assert_eq!(percentile(&values, percent), expect, "p{percent} of 1..={count}");
        };
        check(0, 50, 0.0);
        check(1, 50, 1.0);
        check(1, 95, 1.0);
        check(2, 50, 1.0);
        check(3, 50, 2.0);
        check(20, 95, 19.0);
        check(21, 95, 20.0);
        check(100, 95, 95.0);
        check(100, 100, 100.0);
    }

    #[test]
    fn order_does_not_matter() {
        let spread = Spread::of(vec![9.0, 1.0, 5.0]);
        assert_eq!(spread, Spread { p50: 5.0, p95: 9.0 });
    }
}
