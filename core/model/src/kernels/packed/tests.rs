use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::{Format, Packed, is_supported};

/// Rows × columns of numbers that depend on the seed alone.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The packed product, and the same from decoded weights in f64; with the weights' decoded rows.
fn products(
    format: Format,
    rows: usize,
    columns: usize,
    tokens: usize,
    seed: u64,
) -> Option<(Vec<f32>, Vec<f32>, f32)> {
    let dtype = match format {
        Format::Q4_0 => GgmlDType::Q4_0,
        Format::Q4_1 => GgmlDType::Q4_1,
        Format::Q5_0 => GgmlDType::Q5_0,
        Format::Q8_0 => GgmlDType::Q8_0,
    };
    let tensor = Tensor::from_vec(numbers(rows * columns, seed), (rows, columns), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, dtype).unwrap();
    let decoded = tensor.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
    let input = numbers(tokens * columns, seed.wrapping_add(1));
    let packed = Packed::pack(format, &tensor.data().unwrap(), rows, columns)?;
    for (number, expect) in decoded.iter().enumerate() {
        let mut row = Vec::new();
        packed.row(number, &mut row);
        assert!(
            row.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-3),
            "{format:?}, row {number}"
        );
    }
    let expect = input
        .chunks(columns)
        .flat_map(|input| {
            decoded
                .iter()
                .map(move |row| row.iter().zip(input).map(|(a, b)| a * b).sum())
        })
        .collect();
    // Half a step of the activations' rounding in each column at worst; far less in practice.
    Some((
        packed.multiply(&input),
        expect,
        columns as f32 * 0.5 / 127.0 * 0.25,
    ))
}

#[test]
fn the_product_is_that_of_the_decoded_weights() {
    for format in [Format::Q4_0, Format::Q4_1, Format::Q5_0, Format::Q8_0] {
        for (rows, columns, tokens) in [
            (8, 32, 1),
            (64, 96, 3),
            (48, 576, 9),
            (1536, 576, 5),
            (512, 2048, 1),
        ] {
            let Some((found, expect, tolerance)) = products(format, rows, columns, tokens, 42) else {
                assert!(!is_supported(), "{format:?} must be packed on this processor");
                continue;
            };
            assert_eq!(found.len(), expect.len());
            let worst = found
                .iter()
                .zip(&expect)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(
                worst < tolerance,
                "{format:?} {rows}×{columns}×{tokens}: off by {worst}, {tolerance} allowed"
            );
        }
    }
}

#[test]
fn shapes_that_do_not_suit_are_left_alone() {
    assert!(Packed::pack(Format::Q8_0, &[0; 7 * 34], 7, 32).is_none());
    assert!(Packed::pack(Format::Q8_0, &[0; 8 * 34], 8, 33).is_none());
    assert!(Packed::pack(Format::Q4_1, &[0; 8 * 20 - 1], 8, 32).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn tiles_do_not_matter(groups in 1_usize..6, blocks in 1_usize..4, tokens in 1_usize..11, seed in any::<u64>()) {
        for format in [Format::Q4_0, Format::Q4_1, Format::Q5_0, Format::Q8_0] {
            if let Some((found, expect, tolerance)) = products(format, groups * 8, blocks * 32, tokens, seed) {
                prop_assert!(found.iter().zip(&expect).all(|(a, b)| (a - b).abs() < tolerance));
            }
        }
    }
}
