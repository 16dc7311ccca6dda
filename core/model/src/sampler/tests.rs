use std::collections::HashSet;

use bedside_contract::Sampling;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Sampler, SplitMix64};

fn plain(seed: u64) -> Sampling {
    Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        seed: Some(seed),
        ..Sampling::default()
    }
}

fn drawn(sampling: &Sampling, logits: &[f32], times: usize) -> HashSet<u32> {
    let mut sampler = Sampler::new(sampling, &[]);
    (0..times).map(|_| sampler.sample(&mut logits.to_vec())).collect()
}

fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-8.0_f32..8.0, 1..600)
}

/// Tokens by logit, best first.
fn order(logits: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn cold_takes_the_most_likely(logits in logits(), seed in any::<u64>()) {
        let sampling = Sampling { temperature: 0.0, ..plain(seed) };
        prop_assert_eq!(drawn(&sampling, &logits, 1), HashSet::from([order(&logits)[0]]));
    }

    #[test]
    fn top_k_draws_from_the_best(logits in logits(), k in 1_usize..50, seed in any::<u64>()) {
        let sampling = Sampling { top_k: k, ..plain(seed) };
        let allowed: HashSet<u32> = order(&logits).into_iter().take(k).collect();
        prop_assert!(drawn(&sampling, &logits, 20).is_subset(&allowed));
    }

    #[test]
    fn top_p_draws_from_the_smallest_set_of_that_mass(logits in logits(), p in 0.0_f32..1.0, seed in any::<u64>()) {
        let sampling = Sampling { top_p: p, ..plain(seed) };
        let all: f64 = logits.iter().map(|it| f64::from(*it).exp()).sum();
        let mut mass = 0.0;
        let mut allowed = HashSet::new();
        for token in order(&logits) {
            allowed.insert(token);
            mass += f64::from(logits[token as usize]).exp() / all;
            // A little more for rounding at the very border.
            if mass >= f64::from(p) + 1e-9 {
                break;
            }
        }
        prop_assert!(drawn(&sampling, &logits, 20).is_subset(&allowed));
    }

    #[test]
    fn min_p_is_relative_to_the_best(logits in logits(), min_p in 0.01_f32..1.0, temperature in 0.2_f32..2.0, seed in any::<u64>()) {
        let sampling = Sampling { min_p, temperature, ..plain(seed) };
        let best = logits[order(&logits)[0] as usize];
        for token in drawn(&sampling, &logits, 20) {
            let ratio = ((logits[token as usize] - best) / temperature).exp();
            prop_assert!(ratio >= min_p * 0.9999);
        }
    }

    #[test]
    fn a_seed_repeats(logits in logits(), seed in any::<u64>(), k in 0_usize..40, p in 0.1_f32..=1.0) {
        let sampling = Sampling { top_k: k, top_p: p, repetition_penalty: 1.1, ..plain(seed) };
        let run = || {
            let mut sampler = Sampler::new(&sampling, &[1, 2]);
            (0..10).map(|_| sampler.sample(&mut logits.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn the_penalty_never_favours_what_was_seen(logits in logits(), penalty in 1.0_f32..3.0) {
        let sampling = Sampling { temperature: 0.0, repetition_penalty: penalty, ..plain(1) };
        let best = order(&logits)[0];
        let mut penalized = logits.clone();
        let token = Sampler::new(&sampling, &[best]).sample(&mut penalized);
        prop_assert!(penalized[best as usize] <= logits[best as usize]);
        prop_assert!(penalized[token as usize] >= penalized[best as usize]);
    }

    #[test]
    fn what_is_no_number_is_not_drawn(mut logits in logits(), at in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let at = at.index(logits.len());
        logits.push(0.0);
        logits[at] = f32::NAN;
        prop_assert!(!drawn(&plain(seed), &logits, 20).contains(&(at as u32)));
        logits[at] = f32::NEG_INFINITY;
        prop_assert!(!drawn(&plain(seed), &logits, 20).contains(&(at as u32)));
    }
}

#[test]
fn frequencies_follow_the_logits() {
    let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
    for top_k in [0, 3] {
        let mut sampler = Sampler::new(&Sampling { top_k, ..plain(7) }, &[]);
        let mut counts = [0_u32; 3];
        for _ in 0..20_000 {
            counts[sampler.sample(&mut logits.to_vec()) as usize] += 1;
        }
        for (count, expect) in counts.iter().zip([10_000_u32, 6_000, 4_000]) {
            assert!(count.abs_diff(expect) < 300, "{counts:?}");
        }
    }
}

#[test]
fn numbers_are_those_of_the_paper() {
    // The reference implementation's first outputs from seed 1234567.
    let mut random = SplitMix64(1_234_567);
    assert_eq!(
        [random.next(), random.next()],
        [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
    );
}

#[test]
fn no_logits_do_no_harm() {
    assert_eq!(Sampler::new(&plain(1), &[]).sample(&mut []), 0);
    assert_eq!(Sampler::new(&plain(1), &[]).sample(&mut [f32::NAN]), 0);
}

#[test]
fn bias_and_penalties_of_a_request() {
    let mut biased = Sampling {
        temperature: 0.0,
        ..plain(1)
    };
    biased.logit_bias.insert(2, 5.0);
    biased.logit_bias.insert(99, 5.0);
    assert_eq!(Sampler::new(&biased, &[]).sample(&mut [1.0, 2.0, 0.0]), 2);
    let penalized = Sampling {
        temperature: 0.0,
        frequency_penalty: 0.4,
        presence_penalty: 0.5,
        ..plain(1)
    };
    // The prompt's tokens do not count; 1 loses 0.9 after its first time, 1.3 after its second.
    let mut sampler = Sampler::new(&penalized, &[1, 1, 1]);
    let drawn: Vec<u32> = (0..4).map(|_| sampler.sample(&mut [0.0, 1.0, -5.0])).collect();
    assert_eq!(drawn, [1, 1, 0, 1]);
}

#[test]
fn without_a_cut_all_may_be_drawn_by_their_weight() {
    let logits: Vec<f32> = [0.5_f32, 0.25, 0.125, 0.125].iter().map(|it| it.ln()).collect();
    let mut sampler = Sampler::new(&plain(3), &[]);
    let mut counts = [0_u32; 4];
    for _ in 0..4000 {
        counts[sampler.sample(&mut logits.clone()) as usize] += 1;
    }
    for (count, expect) in counts.iter().zip([2000, 1000, 500, 500]) {
        assert!(count.abs_diff(expect) < 150, "{counts:?}");
    }
}
