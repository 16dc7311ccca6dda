//! The arithmetic of the forward pass. Where the processor has AVX2 and FMA they are used, found out at
//! run time; the portable code beside them is what they are tested against.
#![expect(
    unsafe_code,
    reason = "calls of functions that need a processor feature, after checking for it"
)]

pub(crate) mod packed;
mod vectors;

pub(crate) use vectors::{add_rows, dots};
use vectors::{dot, maximum, sum};

/// Whether the fast paths may be taken.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Runs a portable function compiled for AVX2 where possible: the compiler vectorizes the same code wider.
macro_rules! widened {
    ($(#[$meta:meta])* $name:ident, $wide:ident, ($($argument:ident: $type:ty),*) $(-> $return:ty)?, $body:block) => {
        $(#[$meta])*
        pub(crate) fn $name($($argument: $type),*) $(-> $return)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn $wide($($argument: $type),*) $(-> $return)? $body
                if has_avx2() {
                    // SAFETY: the processor has AVX2 and FMA.
                    return unsafe { $wide($($argument),*) };
                }
            }
            $body
        }
    };
}

widened! {
    softmax, softmax_avx2, (scores: &mut [f32]), {
        let maximum = maximum(scores);
        for score in scores.iter_mut() {
            *score = exp(*score - maximum);
        }
        let scale = 1.0 / sum(scores);
        scores.iter_mut().for_each(|it| *it *= scale);
    }
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
    /// `gate = gelu(gate) · up`, by tanh (Hendrycks and Gimpel, 2016).
    gelu_times, gelu_times_avx2, (gate: &mut [f32], up: &[f32]), {
        const SCALE: f32 = 0.797_884_6;
        for (gate, up) in gate.iter_mut().zip(up) {
            let inner = SCALE * (*gate + 0.044_715 * *gate * *gate * *gate);
            // 1 + tanh x = 2 / (1 + e^-2x)
            *gate = *gate / (1.0 + exp(-2.0 * inner)) * up;
        }
    }
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

/// `target += source`.
pub(crate) fn add(target: &mut [f32], source: &[f32]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target += source;
    }
}

/// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019; row by row.
pub(crate) fn rms_norm(rows: &[f32], weight: &[f32], epsilon: f32, output: &mut Vec<f32>) {
    output.clear();
    output.extend_from_slice(rows);
    rms_norm_in_place(output, weight, epsilon);
}

pub(crate) fn rms_norm_in_place(rows: &mut [f32], weight: &[f32], epsilon: f32) {
    for row in rows.chunks_exact_mut(weight.len().max(1)) {
        let mean = dot(row, row) / weight.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for (value, weight) in row.iter_mut().zip(weight) {
            *value *= scale * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{exp, gelu_times, rms_norm_in_place, silu_times, softmax};

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
        let mut scores = [1000.0, 1000.0];
        softmax(&mut scores);
        close(&scores, &[0.5, 0.5]);
        let mut gate = [0.0, 1.0, -1.0];
        silu_times(&mut gate, &[1.0, 2.0, 1.0]);
        close(&gate, &[0.0, 1.462_117, -0.268_941]);
        let mut gate = [0.0, 1.0, -1.0];
        gelu_times(&mut gate, &[1.0, 1.0, 1.0]);
        close(&gate, &[0.0, 0.841_192, -0.158_808]);
    }
}
