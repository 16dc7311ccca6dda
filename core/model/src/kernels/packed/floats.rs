//! F32, F16 and BF16: a column of eight rows at a time.

use std::sync::Arc;

use super::{Arena, Block, PanelsOf, ROWS, half, half_at};

/// One column of eight rows.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Full([f32; ROWS]);

/// The same in IEEE 754 halves.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Half([u16; ROWS]);

/// The same in the upper halves of f32.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Brain([u16; ROWS]);

/// What the kinds of numbers differ in.
trait Column: Block<Activation = f32> {
    fn from_rows(rows: &[&[u8]; ROWS]) -> Self;

    fn number(&self, row: usize) -> f32;

    /// # Safety
    /// The processor must have AVX2 and F16C.
    #[cfg(target_arch = "x86_64")]
    unsafe fn numbers(&self) -> std::arch::x86_64::__m256;
}

impl Column for Full {
    fn from_rows(rows: &[&[u8]; ROWS]) -> Self {
        Self(rows.map(|it| it.try_into().map_or(0.0, f32::from_le_bytes)))
    }

    fn number(&self, row: usize) -> f32 {
        self.0[row]
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn numbers(&self) -> std::arch::x86_64::__m256 {
        // SAFETY: eight aligned floats.
        unsafe { std::arch::x86_64::_mm256_load_ps(self.0.as_ptr()) }
    }
}

impl Column for Half {
    fn from_rows(rows: &[&[u8]; ROWS]) -> Self {
        Self(rows.map(|it| half_at(it, 0)))
    }

    fn number(&self, row: usize) -> f32 {
        half(self.0[row])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn numbers(&self) -> std::arch::x86_64::__m256 {
        super::avx2::halves(&self.0)
    }
}

impl Column for Brain {
    fn from_rows(rows: &[&[u8]; ROWS]) -> Self {
        Self(rows.map(|it| half_at(it, 0)))
    }

    fn number(&self, row: usize) -> f32 {
        f32::from_bits(u32::from(self.0[row]) << 16)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn numbers(&self) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::{
            _mm_load_si128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_slli_epi32,
        };
        // SAFETY: eight aligned numbers of 16 bits.
        let halves = unsafe { _mm_load_si128(self.0.as_ptr().cast()) };
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
    }
}

macro_rules! column {
    ($name:ident, $bytes:literal) => {
        impl Block for $name {
            type Activation = f32;
            const FILE_BYTES: usize = $bytes;

            fn interleave(rows: &[&[u8]; ROWS]) -> Self {
                Self::from_rows(rows)
            }

            fn decode(&self, row: usize, output: &mut [f32]) {
                output.fill(self.number(row));
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn tile_avx2<const T: usize>(
                blocks: &[Self],
                tokens: [&[f32]; T],
                output: &mut [[f32; ROWS]; T],
            ) {
                // SAFETY: as of the caller.
                unsafe { tile(blocks, tokens, output) };
            }
        }
    };
}

column!(Full, 4);
column!(Half, 2);
column!(Brain, 2);

/// # Safety
/// Each of `tokens` must be as long as `blocks`.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<C: Column, const T: usize>(blocks: &[C], tokens: [&[f32]; T], output: &mut [[f32; ROWS]; T]) {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps};

    // Two sums of each token, so that an addition need not wait for the one before.
    let mut sums = [[_mm256_setzero_ps(); 2]; T];
    let (pairs, rest) = blocks.as_chunks::<2>();
    for (at, pair) in pairs.iter().enumerate() {
        for (turn, column) in pair.iter().enumerate() {
            // SAFETY: the processor has what it takes.
            let weights = unsafe { column.numbers() };
            for (sums, token) in sums.iter_mut().zip(&tokens) {
                // SAFETY: each token is as long as `blocks`.
                let number = unsafe { *token.get_unchecked(2 * at + turn) };
                sums[turn] = _mm256_fmadd_ps(weights, _mm256_set1_ps(number), sums[turn]);
            }
        }
    }
    for column in rest {
        // SAFETY: the processor has what it takes.
        let weights = unsafe { column.numbers() };
        for (sums, token) in sums.iter_mut().zip(&tokens) {
            // SAFETY: each token is as long as `blocks`.
            let number = unsafe { *token.get_unchecked(blocks.len() - 1) };
            sums[0] = _mm256_fmadd_ps(weights, _mm256_set1_ps(number), sums[0]);
        }
    }
    super::avx2::store(sums.map(|[even, odd]| _mm256_add_ps(even, odd)), output);
}

impl PanelsOf<Full> {
    pub(super) fn from_rows(
        rows: usize,
        columns: usize,
        arena: &Arc<Arena>,
        number: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let groups = 0..rows.div_ceil(ROWS);
        let blocks = groups.flat_map(|group| {
            let number = &number;
            (0..columns).map(move |column| {
                Full(std::array::from_fn(|it| {
                    let row = group * ROWS + it;
                    if row < rows { number(row, column) } else { 0.0 }
                }))
            })
        });
        Self {
            blocks: arena.fill(rows.div_ceil(ROWS) * columns, blocks),
            width: columns,
        }
    }
}
