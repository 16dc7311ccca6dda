use proptest::prelude::{ProptestConfig, prop_assert, proptest};

use super::{Attending, CHUNK, Chunk, KvPrecision, SLOTS, TILE, mix, portable, scores};

/// Numbers in ±1 that depend on the seed alone.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

struct Kept {
    precision: KvPrecision,
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

impl Kept {
    fn new(precision: KvPrecision, keys: &[f32], values: &[f32], width: usize) -> Self {
        let blocks = (keys.len() / width).div_ceil(SLOTS);
        let empty = vec![vec![0; precision.head_bytes(width)]; blocks];
        let mut kept = Self {
            precision,
            keys: empty.clone(),
            values: empty,
        };
        for (position, (key, value)) in keys.chunks(width).zip(values.chunks(width)).enumerate() {
            let (block, slot) = (position / SLOTS, position % SLOTS);
            precision.write_key(key, slot, &mut kept.keys[block]);
            precision.write_value(value, slot, &mut kept.values[block]);
        }
        kept
    }

    /// What each query, which sees `first..=its own position`, gets.
    fn attend(&self, queries: &[f32], width: usize, positions: &[usize], first: usize) -> Vec<f32> {
        let mut attending = Attending::default();
        attending.start(width, 0.3, queries.chunks(width));
        let blocks: Vec<_> = self
            .keys
            .iter()
            .zip(&self.values)
            .map(|(k, v)| (k.as_slice(), v.as_slice()))
            .collect();
        for (number, blocks) in blocks.chunks(CHUNK / SLOTS).enumerate() {
            let start = number * CHUNK;
            attending.look(
                &Chunk {
                    precision: self.precision,
                    blocks,
                },
                |query| {
                    first.saturating_sub(start)
                        ..(positions[query] + 1)
                            .saturating_sub(start)
                            .max(first.saturating_sub(start))
                },
            );
        }
        let mut output = vec![0.0; queries.len()];
        attending.finish(|query, row| output[query * width..(query + 1) * width].copy_from_slice(row));
        output
    }
}

/// In f64, all at once.
fn expected(
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    width: usize,
    positions: &[usize],
    first: usize,
) -> Vec<f64> {
    let mut output = Vec::new();
    for (query, position) in queries.chunks(width).zip(positions) {
        let seen = first..=*position;
        let scores: Vec<f64> = seen
            .clone()
            .map(|at| {
                let key = &keys[at * width..(at + 1) * width];
                query
                    .iter()
                    .zip(key)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum::<f64>()
                    * f64::from(0.3_f32)
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|it| (it - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        for column in 0..width {
            output.push(
                seen.clone()
                    .zip(&weights)
                    .map(|(at, weight)| weight * f64::from(values[at * width + column]))
                    .sum::<f64>()
                    / total,
            );
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_softmax_attention(width in 1_usize..12, length in 1_usize..400, count in 1_usize..20, window in 1_usize..300, seed in 0_u64..1000) {
        let width = width * 8;
        let (keys, values) = (numbers(length * width, seed), numbers(length * width, seed + 1));
        let queries: Vec<f32> = numbers(count * width, seed + 2).iter().map(|it| it * 4.0).collect();
        let positions: Vec<usize> = (0..count).map(|it| (it * 31 + seed as usize) % length).collect();
        let first = positions.iter().min().unwrap().saturating_sub(window);
        let expect = expected(&queries, &keys, &values, width, &positions, first);
        // A half has eleven bits, an eighth-bit number seven.
        for (precision, tolerance) in [
            (KvPrecision::F32, 1e-5),
            (KvPrecision::F16, 2e-3),
            (KvPrecision::Q8, 4e-2),
        ] {
            let kept = Kept::new(precision, &keys, &values, width);
            let found = kept.attend(&queries, width, &positions, first);
            for (found, expect) in found.iter().zip(&expect) {
                prop_assert!((f64::from(*found) - expect).abs() < tolerance, "{precision:?}: {found} {expect}");
            }
            // Alone, each query gets the same bits.
            for (query, position) in positions.iter().enumerate() {
                let part = query * width..(query + 1) * width;
                let alone = kept.attend(&queries[part.clone()], width, &[*position], first);
                prop_assert!(alone == found[part]);
            }
        }
    }

    #[test]
    fn the_portable_path_gives_the_same(width in 1_usize..20, tile in 1..=TILE, blocks in 1..=CHUNK / SLOTS, seed in 0_u64..1000) {
        let width = width * 8;
        let length = blocks * SLOTS;
        for precision in [KvPrecision::F32, KvPrecision::F16, KvPrecision::Q8] {
            let kept = Kept::new(precision, &numbers(length * width, seed), &numbers(length * width, seed + 1), width);
            let pairs: Vec<_> = kept.keys.iter().zip(&kept.values).map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
            let chunk = Chunk { precision, blocks: &pairs };
            let queries = numbers(tile * width, seed + 2);
            let (mut found, mut expect) = (vec![0.0; TILE * CHUNK], vec![0.0; TILE * CHUNK]);
            scores(&chunk, &queries, tile, width, &mut found);
            portable::scores(&chunk, &queries, tile, width, &mut expect);
            prop_assert!(found.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 1e-4));
            let mut weights = numbers(TILE * CHUNK, seed + 3);
            let (mut mixed, mut expect) = (vec![0.0; TILE * width], vec![0.0; TILE * width]);
            mix(&chunk, tile, width, &mut weights, &mut mixed);
            portable::mix(&chunk, tile, width, &weights, &mut expect);
            prop_assert!(mixed.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }
}

#[test]
fn large_numbers_stay_finite() {
    let kept = Kept::new(KvPrecision::F16, &[1e6; 8], &[-1e6; 8], 8);
    let found = kept.attend(&[1.0; 8], 8, &[0], 0);
    assert!(found.iter().all(|it| *it == -65504.0), "{found:?}");
}
