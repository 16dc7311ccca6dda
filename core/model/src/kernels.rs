//! The arithmetic of the forward pass. Where the processor has AVX2 and FMA they are used, found out at
//! run time; the portable code beside them is what they are tested against.
#![expect(
    unsafe_code,
    reason = "calls of functions that need a processor feature, after checking for it"
)]

/// Whether the fast paths may be taken.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Runs a portable function compiled for AVX2 where possible: the compiler vectorizes the same code wider.
macro_rules! widened {
    ($(#[$meta:meta])* $name:ident, $wide:ident, ($($argument:ident: $type:ty),*) $(-> $return:ty)?, $body:block) => {
        $(#[$meta])*
        pub(crate) fn $name($($argument: $type),*) $(-> $return)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn $wide($($argument: $type),*) $(-> $return)? $body
                if $crate::kernels::has_avx2() {
                    // SAFETY: the processor has AVX2, FMA and F16C.
                    return unsafe { $wide($($argument),*) };
                }
            }
            $body
        }
    };
}

pub(crate) mod activations;
pub(crate) mod arena;
pub(crate) mod attention;
pub(crate) mod both_ways;
pub(crate) mod low_rank;
pub(crate) mod packed;

widened! {
    /// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019; of one row.
    rms_norm, rms_norm_avx2, (row: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]), {
        let scale = rms_scale(row, epsilon);
        for ((output, value), weight) in output.iter_mut().zip(row).zip(weight) {
            *output = value * scale * weight;
        }
    }
}

widened! {
    /// Ba et al., "Layer Normalization", 2016; of one row.
    layer_norm, layer_norm_avx2, (row: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, output: &mut [f32]), {
        let mean = sum(row) / row.len() as f32;
        for (output, value) in output.iter_mut().zip(row) {
            *output = value - mean;
        }
        let scale = rms_scale(output, epsilon);
        for ((output, weight), bias) in output.iter_mut().zip(weight).zip(bias) {
            *output = *output * scale * weight + bias;
        }
    }
}

widened! {
    /// As [`rms_norm`], for as many rows as there are.
    rms_norm_in_place, rms_norm_in_place_avx2, (rows: &mut [f32], weight: &[f32], epsilon: f32), {
        for row in rows.chunks_exact_mut(weight.len().max(1)) {
            let scale = rms_scale(row, epsilon);
            for (value, weight) in row.iter_mut().zip(weight) {
                *value *= scale * weight;
            }
        }
    }
}

#[inline(always)]
fn rms_scale(row: &[f32], epsilon: f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<8>();
    let mut squares = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, value) in squares.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let rest: f32 = rest.iter().map(|it| it * it).sum();
    let mean = (squares.iter().sum::<f32>() + rest) / row.len() as f32;
    1.0 / (mean + epsilon).sqrt()
}

widened! {
    /// `gate = silu(gate) · up`.
    silu_times, silu_times_avx2, (gate: &mut [f32], up: &[f32]), {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

widened! {
    /// `gate = gelu(gate) · up`.
    gelu_times, gelu_times_avx2, (gate: &mut [f32], up: &[f32]), {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = gelu_of(*gate) * up;
        }
    }
}

widened! {
    /// Each number's [`gelu_of`].
    gelu, gelu_avx2, (values: &mut [f32]), {
        for value in values {
            *value = gelu_of(*value);
        }
    }
}

widened! {
    /// Each number's x / (1 + e^-x) (Hendrycks and Gimpel, 2016).
    silu, silu_avx2, (values: &mut [f32]), {
        for value in values {
            *value /= 1.0 + exp(-*value);
        }
    }
}

widened! {
    /// Each number's x · Φ(x), as BERT has it (Hendrycks and Gimpel, 2016).
    gelu_exact, gelu_exact_avx2, (values: &mut [f32]), {
        for value in values {
            *value *= 0.5 + 0.5 * erf(*value * std::f32::consts::FRAC_1_SQRT_2);
        }
    }
}

/// The error function, to 5 parts in 10⁷ (Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let mut sum = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = sum * t + coefficient;
    }
    (1.0 - sum * t * exp(-x * x)).copysign(x)
}

/// By tanh (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016).
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    const SCALE: f32 = 0.797_884_6;
    let inner = SCALE * (x + 0.044_715 * x * x * x);
    // 1 + tanh x = 2 / (1 + e^-2x)
    x / (1.0 + exp(-2.0 * inner))
}

/// e to the power of `x`, to 2 parts in 10⁷, in a form that compilers vectorize: 2^n for the nearest whole n,
/// times a polynomial for the rest (coefficients of Moshier, Cephes, `expf`).
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    // Adding 1.5 · 2²³ leaves the nearest whole number in the lowest bits.
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let rest = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    (sum * rest * rest + rest + 1.0) * power
}

widened! {
    /// The largest number; minus infinity of none. What is no number is passed over.
    largest, largest_avx2, (values: &[f32]) -> f32, {
        maximum(values)
    }
}

/// The largest; minus infinity of none.
#[inline(always)]
fn maximum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut best = [f32::NEG_INFINITY; 8];
    for chunk in chunks {
        for (best, value) in best.iter_mut().zip(chunk) {
            *best = if *value > *best { *value } else { *best };
        }
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::{
        exp, gelu, gelu_exact, gelu_times, layer_norm, maximum, rms_norm, rms_norm_in_place, silu,
        silu_times, sum,
    };

    fn close(found: &[f32], expect: &[f32]) {
        assert_eq!(found.len(), expect.len());
        assert!(
            found
                .iter()
                .zip(expect)
                .all(|(a, b)| (a - b).abs() < 1e-6 * (100.0 + b.abs())),
            "{found:?} {expect:?}"
        );
    }

    #[test]
    fn powers_of_e() {
        for number in -8000..=8000 {
            let x = number as f32 * 0.01;
            assert!(
                (exp(x) / x.exp() - 1.0).abs() < 5e-7,
                "{x}: {} {}",
                exp(x),
                x.exp()
            );
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY).is_finite());
    }

    #[test]
    fn functions_of_rows() {
        let mut rows = [3.0, 4.0, 0.0, 0.0];
        rms_norm_in_place(&mut rows, &[1.0, 2.0], 0.0);
        close(&rows[..2], &[0.848_528, 2.262_742]);
        let mut output = [0.0; 2];
        rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, &mut output);
        close(&rows[..2], &output);
        for length in [0_usize, 1, 7, 16, 33] {
            let values: Vec<f32> = (0..length).map(|it| it as f32 * 0.5 - 3.0).collect();
            close(&[sum(&values)], &[values.iter().sum()]);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(maximum(&values) == largest);
        }
        let mut gate = [0.0, 1.0, -1.0];
        silu_times(&mut gate, &[1.0, 2.0, 1.0]);
        close(&gate, &[0.0, 1.462_117, -0.268_941]);
        let mut gate = [0.0, 1.0, -1.0];
        gelu_times(&mut gate, &[1.0, 1.0, 1.0]);
        close(&gate, &[0.0, 0.841_192, -0.158_808]);
        let mut values = [0.0, 1.0, -1.0];
        gelu(&mut values);
        close(&values, &gate);
        let mut values = [0.0, 1.0, -1.0, 3.0, -40.0];
        gelu_exact(&mut values);
        close(&values, &[0.0, 0.841_345, -0.158_655, 2.995_95, 0.0]);
        let mut values = [0.0, 1.0, -1.0];
        silu(&mut values);
        close(&values, &[0.0, 0.731_059, -0.268_941]);
        let mut output = [0.0; 4];
        layer_norm(
            &[1.0, 2.0, 3.0, 6.0],
            &[1.0, 1.0, 1.0, 2.0],
            &[0.0, 0.5, 0.0, 1.0],
            0.0,
            &mut output,
        );
        close(&output, &[-1.069_045, -0.034_522, 0.0, 4.207_135]);
    }
}
