//! What a matrix is multiplied with: rows of f32, and the same rounded to 8 bits.
//!
//! A layer's input is rounded once and shared by all matrices that read it.

/// 32 numbers in 8 bits with a scale of their own: the partner of Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Rounded32 {
    pub(crate) quants: [i8; 32],
    pub(crate) scale: f32,
    /// Of the rounded numbers, scaled.
    pub(crate) sum: f32,
}

/// 256 numbers in 8 bits with one scale: the partner of the K-quants.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Rounded256 {
    pub(crate) quants: [i8; 256],
    pub(crate) scale: f32,
    /// Of each sixteen quants, unscaled.
    pub(crate) sums: [i16; 16],
    /// Of each 32 quants, unscaled.
    pub(crate) wide_sums: [i16; 8],
    /// Of each sixteen quants: -32 times the sum of columns 0, 1, 4, 5, 8, ..., and that of the others. A sum
    /// that starts here is one of weights 32 steps lower.
    pub(crate) starts: [[i16; 2]; 16],
}

/// The forms of one input that its matrices want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    pub(crate) rounded32: bool,
    pub(crate) rounded256: bool,
}

impl Forms {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            rounded32: self.rounded32 || other.rounded32,
            rounded256: self.rounded256 || other.rounded256,
        }
    }
}

/// Rows of numbers in those forms; forms that nobody wants are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) columns: usize,
    pub(crate) floats: &'a [f32],
    pub(crate) rounded32: &'a [Rounded32],
    pub(crate) rounded256: &'a [Rounded256],
}

/// A form that a kernel reads.
pub(crate) trait Activation: Copy + Send + Sync + 'static {
    /// Numbers in one of it.
    const COLUMNS: usize;
    const FORMS: Forms;

    /// The whole row of one token.
    fn row<'a>(input: &Input<'a>, token: usize) -> &'a [Self];

    /// As f32, `COLUMNS` of them.
    fn decode(&self, output: &mut [f32]);
}

impl Activation for f32 {
    const COLUMNS: usize = 1;
    const FORMS: Forms = Forms {
        rounded32: false,
        rounded256: false,
    };

    fn row<'a>(input: &Input<'a>, token: usize) -> &'a [Self] {
        part(input.floats, input.columns, token)
    }

    fn decode(&self, output: &mut [f32]) {
        output.fill(*self);
    }
}

impl Activation for Rounded32 {
    const COLUMNS: usize = 32;
    const FORMS: Forms = Forms {
        rounded32: true,
        rounded256: false,
    };

    fn row<'a>(input: &Input<'a>, token: usize) -> &'a [Self] {
        part(input.rounded32, input.columns / Self::COLUMNS, token)
    }

    fn decode(&self, output: &mut [f32]) {
        for (output, quant) in output.iter_mut().zip(self.quants) {
            *output = f32::from(quant) * self.scale;
        }
    }
}

impl Activation for Rounded256 {
    const COLUMNS: usize = 256;
    const FORMS: Forms = Forms {
        rounded32: false,
        rounded256: true,
    };

    fn row<'a>(input: &Input<'a>, token: usize) -> &'a [Self] {
        part(input.rounded256, input.columns / Self::COLUMNS, token)
    }

    fn decode(&self, output: &mut [f32]) {
        for (output, quant) in output.iter_mut().zip(self.quants) {
            *output = f32::from(quant) * self.scale;
        }
    }
}

fn part<T>(all: &[T], length: usize, number: usize) -> &[T] {
    all.get(number * length..(number + 1) * length)
        .unwrap_or_default()
}

impl Rounded32 {
    pub(crate) const ZERO: Self = Self {
        quants: [0; 32],
        scale: 0.0,
        sum: 0.0,
    };
}

impl Rounded256 {
    pub(crate) const ZERO: Self = Self {
        quants: [0; 256],
        scale: 0.0,
        sums: [0; 16],
        wide_sums: [0; 8],
        starts: [[0; 2]; 16],
    };
}

widened! {
    /// Rounds whole blocks to the nearest of 255 steps, ties to even.
    round32, round32_avx2, (row: &[f32], output: &mut [Rounded32]), {
        for (block, output) in row.as_chunks::<32>().0.iter().zip(output) {
            let (scale, inverse) = step(block);
            let mut sum = 0_i32;
            for (quant, number) in output.quants.iter_mut().zip(block) {
                let rounded = nearest(number * inverse);
                sum += rounded;
                *quant = rounded as i8;
            }
            output.scale = scale;
            output.sum = sum as f32 * scale;
        }
    }
}

widened! {
    /// As [`round32`] for blocks of 256.
    round256, round256_avx2, (row: &[f32], output: &mut [Rounded256]), {
        for (block, output) in row.as_chunks::<256>().0.iter().zip(output) {
            let (scale, inverse) = step(block);
            let parts = block.as_chunks::<16>().0.iter().zip(output.quants.as_chunks_mut::<16>().0);
            for ((block, quants), start) in parts.zip(&mut output.starts) {
                let mut sums = [0_i32; 16];
                for ((quant, number), sum) in quants.iter_mut().zip(block).zip(&mut sums) {
                    *sum = nearest(number * inverse);
                    *quant = *sum as i8;
                }
                let pairs = |at: usize| sums.chunks(4).map(|it| it[at] + it[at + 1]).sum::<i32>();
                *start = [(-32 * pairs(0)) as i16, (-32 * pairs(2)) as i16];
            }
            for (sum, [first, second]) in output.sums.iter_mut().zip(output.starts) {
                *sum = first / -32 + second / -32;
            }
            for (wide, sums) in output.wide_sums.iter_mut().zip(output.sums.as_chunks::<2>().0) {
                *wide = sums[0] + sums[1];
            }
            output.scale = scale;
        }
    }
}

/// The step, and what a number is multiplied with to count it in steps.
#[inline(always)]
fn step<const N: usize>(block: &[f32; N]) -> (f32, f32) {
    let mut largest = [0.0_f32; 8];
    for eight in block.as_chunks::<8>().0 {
        for (largest, number) in largest.iter_mut().zip(eight) {
            let size = number.abs();
            *largest = if size > *largest { size } else { *largest };
        }
    }
    let largest = largest.into_iter().fold(0.0, f32::max);
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    // Of numbers too small to divide by, nothing is left.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    (largest / 127.0, inverse)
}

/// The nearest whole number of one within ±2²², in a form that compilers vectorize.
#[inline(always)]
fn nearest(number: f32) -> i32 {
    const ROUND: f32 = 12_582_912.0;
    (number + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Activation, Rounded32, Rounded256, round32, round256};

    fn check(numbers: &[f32]) -> Result<(), proptest::test_runner::TestCaseError> {
        let mut short = vec![Rounded32::ZERO; numbers.len() / 32];
        round32(numbers, &mut short);
        for (block, numbers) in short.iter().zip(numbers.chunks(32)) {
            let mut decoded = [0.0; 32];
            block.decode(&mut decoded);
            let half = block.scale * 0.500_1;
            prop_assert!(decoded.iter().zip(numbers).all(|(a, b)| (a - b).abs() <= half));
            let sum: f32 = decoded.iter().sum();
            prop_assert!((sum - block.sum).abs() <= 1e-3 * block.scale * 127.0);
        }
        let mut long = vec![Rounded256::ZERO; numbers.len() / 256];
        round256(numbers, &mut long);
        for (block, numbers) in long.iter().zip(numbers.chunks(256)) {
            let mut decoded = [0.0; 256];
            block.decode(&mut decoded);
            let half = block.scale * 0.500_1;
            prop_assert!(decoded.iter().zip(numbers).all(|(a, b)| (a - b).abs() <= half));
            let sums = block
                .quants
                .chunks(16)
                .map(|it| it.iter().map(|it| i16::from(*it)).sum::<i16>());
            prop_assert!(sums.eq(block.sums));
            let wide = block.sums.chunks(2).map(|it| it[0] + it[1]);
            prop_assert!(wide.eq(block.wide_sums));
            let starts = block.starts.map(|[first, second]| first / -32 + second / -32);
            prop_assert!(starts == block.sums);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn rounding_is_to_the_nearest_step(numbers in proptest::collection::vec(-1e3_f32..1e3, 512)) {
            check(&numbers)?;
        }
    }

    #[test]
    fn nothing_and_next_to_nothing() {
        check(&[0.0; 256]).unwrap();
        let mut block = [Rounded32::ZERO];
        round32(&[1e-42; 32], &mut block);
        assert!(block[0].scale.is_finite() && block[0].sum.is_finite());
    }
}
