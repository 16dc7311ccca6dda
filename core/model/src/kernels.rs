//! The arithmetic of the forward pass. Where the processor has AVX2 and FMA they are used, found out at
//! run time; the portable code beside them is what they are tested against.
#![expect(unsafe_code, reason = "calls of functions that need a processor feature, after checking for it")]

pub(crate) mod packed;

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
    /// Of two vectors of one length, a multiple of 8 fastest.
    dot, dot_avx2, (a: &[f32], b: &[f32]) -> f32, {
        let mut sums = [0.0_f32; 16];
        let (a_chunks, a_rest) = a.as_chunks::<16>();
        let (b_chunks, b_rest) = b.as_chunks::<16>();
        for (a, b) in a_chunks.iter().zip(b_chunks) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums.iter().sum::<f32>() + rest
    }
}

widened! {
    /// `target += factor · source`.
    add_scaled, add_scaled_avx2, (target: &mut [f32], factor: f32, source: &[f32]), {
        for (target, source) in target.iter_mut().zip(source) {
            *target += factor * source;
        }
    }
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

pub(crate) fn softmax(scores: &mut [f32]) {
    let maximum = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - maximum).exp();
        sum += *score;
    }
    let scale = 1.0 / sum;
    scores.iter_mut().for_each(|it| *it *= scale);
}

/// `gate = silu(gate) · up`.
pub(crate) fn silu_times(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + (-*gate).exp()) * up;
    }
}

/// `gate = gelu(gate) · up`, by tanh (Hendrycks and Gimpel, 2016).
pub(crate) fn gelu_times(gate: &mut [f32], up: &[f32]) {
    const SCALE: f32 = 0.797_884_6;
    for (gate, up) in gate.iter_mut().zip(up) {
        let inner = SCALE * (*gate + 0.044_715 * *gate * *gate * *gate);
        *gate = 0.5 * *gate * (1.0 + inner.tanh()) * up;
    }
}

#[cfg(test)]
mod tests {
    use super::{add_scaled, dot, gelu_times, rms_norm_in_place, silu_times, softmax};

    fn close(found: &[f32], expect: &[f32]) {
        assert_eq!(found.len(), expect.len());
        assert!(found.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6 * (100.0 + b.abs())), "{found:?} {expect:?}");
    }

    #[test]
    fn vectors_of_any_length() {
        for length in [0_usize, 1, 7, 16, 33, 64] {
            let a: Vec<f32> = (0..length).map(|it| it as f32 * 0.1).collect();
            let expect: f32 = a.iter().map(|it| it * 2.0 * it).sum();
            let b: Vec<f32> = a.iter().map(|it| it * 2.0).collect();
            close(&[dot(&a, &b)], &[expect]);
            let mut c = a.clone();
            add_scaled(&mut c, 0.5, &b);
            close(&c, &b);
        }
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
