//! How long reading a message takes.

use std::{fmt, time::Instant};

use bedside_triage::{PatientFacts, Rules};

use crate::batch::Case;

/// Milliseconds a message, on one core.
#[derive(Debug)]
pub(crate) struct Speed {
    rules: Spread,
    with_second_reader: Spread,
}

#[derive(Debug)]
struct Spread {
    median: f64,
    /// Of a hundred messages one takes longer.
    p99: f64,
    longest: f64,
}

/// Every message is read by the rules, and by rules and second reader together.
pub(crate) fn speed(rules: &Rules, cases: &[Case]) -> Speed {
    let facts = PatientFacts::default();
    Speed {
        rules: spread(cases, |text| drop(rules.assess_by_rules(text, &facts))),
        with_second_reader: spread(cases, |text| drop(rules.assess(text, &facts))),
    }
}

fn spread(cases: &[Case], read: impl Fn(&str)) -> Spread {
    // The first one waits until tables are made.
    cases.iter().take(1).for_each(|it| read(&it.text));
    let mut times: Vec<f64> = cases
        .iter()
        .map(|case| {
            let start = Instant::now();
            read(&case.text);
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times.get(place).or(times.last()).copied().unwrap_or_default()
    };
    Spread {
        median: at(0.5),
        p99: at(0.99),
        longest: at(1.0),
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, it) in [
            ("rules", &self.rules),
            ("rules and second reader", &self.with_second_reader),
        ] {
            writeln!(
                f,
                "{name}: {:.2} ms a message (median), {:.2} ms p99, {:.2} ms at most",
                it.median, it.p99, it.longest
            )?;
        }
        Ok(())
    }
}
