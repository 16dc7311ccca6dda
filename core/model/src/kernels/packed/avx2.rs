//! What the kernels for AVX2 share.
use std::arch::x86_64::{
    __m128i, __m256, __m256i, _MM_HINT_T0, _mm_cvtsi64_si128, _mm_loadu_si128, _mm_prefetch,
    _mm_unpacklo_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi8_epi16,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srli_epi16,
    _mm256_storeu_ps,
};

use super::{ROWS, TILE, vnni};
use crate::kernels::activations::Rounded32;

/// Far enough that it is there in time; further, and a thread asks for much of the next part of the weights,
/// which may be another's.
const AHEAD: usize = 1024;

/// Does something for each of up to [`TILE`] tokens, without a loop, since the compiler unrolls
/// only small ones.
macro_rules! each_token {
    ($count:ident, |$token:ident| $body:block) => {
        each_token!(@ $count, $token, $body, 0 1 2 3 4 5)
    };
    (@ $count:ident, $token:ident, $body:block, $($number:literal)*) => {
        $(if $number < $count {
            let $token = $number;
            $body
        })*
    };
}
pub(super) use each_token;
const _: () = assert!(TILE == 6, "each_token counts so far");

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) }
}

/// Register `at` of eight, of which the first four are the lower nibbles and the others the upper ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn nibble(quants: &[u8; 128], at: usize) -> __m256i {
    let bytes = load(&quants.as_chunks::<32>().0[at % 4]);
    let bytes = if at < 4 {
        bytes
    } else {
        _mm256_srli_epi16::<4>(bytes)
    };
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// Eight halves as f32.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn halves(halves: &[u16; ROWS]) -> __m256 {
    // SAFETY: 16 bytes are there; the load needs no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast::<__m128i>()) })
}

/// The same four numbers for all eight rows.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn broadcast(quants: &[i8; 4]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(quants.map(i8::cast_unsigned)))
}

/// The same two numbers for all eight rows.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn broadcast_pair([first, second]: [i16; 2]) -> __m256i {
    _mm256_set1_epi32(i32::from(first) & 0xffff | i32::from(second) << 16)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store<const T: usize>(sums: [__m256; T], output: &mut [[f32; ROWS]; T]) {
    for (sum, output) in sums.into_iter().zip(output) {
        // SAFETY: 8 floats are there; the store needs no alignment.
        unsafe { _mm256_storeu_ps(output.as_mut_ptr(), sum) };
    }
}

/// The tokens' numbers for one block.
///
/// # Safety
/// Each token must be longer than `at`.
#[inline(always)]
pub(super) unsafe fn activations<'a, A, const T: usize>(tokens: &[&'a [A]; T], at: usize) -> [&'a A; T] {
    // SAFETY: as of the caller.
    tokens.map(|token| unsafe { token.get_unchecked(at) })
}

/// Asks for the memory that comes [`AHEAD`] bytes after a block, or a part of it.
#[inline(always)]
pub(super) fn prefetch<B>(block: &B) {
    let ahead = std::ptr::from_ref(block).cast::<i8>().wrapping_add(AHEAD);
    for line in 0..size_of::<B>().div_ceil(64) {
        // SAFETY: a hint, which no address makes fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64 * line)) };
    }
}

/// Each of eight bytes as two 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn twice(bytes: &[u8; ROWS]) -> __m256i {
    zipped(bytes, bytes)
}

/// As [`twice`], for numbers with a sign.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn twice_signed(bytes: &[i8; ROWS]) -> __m256i {
    let eight = _mm_cvtsi64_si128(i64::from_le_bytes(bytes.map(i8::cast_unsigned)));
    _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(eight, eight))
}

/// Two lists of eight bytes, one of each in turn, as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn zipped(first: &[u8; ROWS], second: &[u8; ROWS]) -> __m256i {
    let first = _mm_cvtsi64_si128(i64::from_le_bytes(*first));
    let second = _mm_cvtsi64_si128(i64::from_le_bytes(*second));
    _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second))
}

/// Eight rows by 32 columns, as eight registers of four columns without sign, a scale and a minimum.
pub(super) trait Registers: Sized {
    /// Bits of a number.
    const BITS: u32;

    /// # Safety
    /// The processor must have AVX2.
    unsafe fn register(&self, at: usize) -> __m256i;

    /// # Safety
    /// The processor must have AVX2 and F16C.
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256);
}

/// The product of such blocks of up to five bits with tokens.
///
/// # Safety
/// Each of `tokens` must be as long as `blocks`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile_32<B: Registers, const T: usize>(
    blocks: &[B],
    tokens: [&[Rounded32]; T],
    output: &mut [[f32; ROWS]; T],
) {
    const { assert!(B::BITS <= 5) };
    if vnni::is_there() {
        // SAFETY: as of the caller.
        return unsafe { vnni::tile_32(blocks, tokens, output) };
    }
    let mut sums = [_mm256_setzero_ps(); T];
    let ones = _mm256_set1_epi16(1);
    for (at, block) in blocks.iter().enumerate() {
        prefetch(block);
        // SAFETY: each token is as long as `blocks`.
        let activations = unsafe { activations(&tokens, at) };
        // SAFETY: the processor has AVX2.
        let four: [_; 4] = std::array::from_fn(|it| unsafe { block.register(it) });
        let mut firsts = [_mm256_setzero_si256(); T];
        each_token!(T, |token| {
            let [quants, _] = activations[token].quants.as_chunks::<4>().0.as_chunks::<4>().0 else {
                return;
            };
            firsts[token] = sum_of_products(&four, quants);
        });
        // SAFETY: the processor has AVX2.
        let four: [_; 4] = std::array::from_fn(|it| unsafe { block.register(4 + it) });
        // SAFETY: the processor has AVX2 and F16C.
        let (scale, minimum) = unsafe { block.scale_and_minimum() };
        each_token!(T, |token| {
            let (activation, first, sum) = (activations[token], firsts[token], &mut sums[token]);
            let quants = activation.quants.as_chunks().0.as_chunks().0;
            let last = sum_of_products(&four, &quants[1]);
            // Four sums of two products, up to 2 · 31 · 127 each, stay below 2^15; eight do if the numbers have
            // four bits.
            let total = if B::BITS == 4 {
                _mm256_madd_epi16(_mm256_add_epi16(first, last), ones)
            } else {
                _mm256_add_epi32(_mm256_madd_epi16(first, ones), _mm256_madd_epi16(last, ones))
            };
            let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
            *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
            *sum = _mm256_fmadd_ps(minimum, _mm256_set1_ps(activation.sum), *sum);
        });
    }
    store(sums, output);
}

/// The sums of four columns for each of `weights`, an even number of them, in pairs.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_of_products<const N: usize>(weights: &[__m256i; N], quants: &[[i8; 4]; N]) -> __m256i {
    let product = |it: usize| _mm256_maddubs_epi16(weights[it], broadcast(&quants[it]));
    let (mut even, mut odd) = (product(0), product(1));
    for pair in 1..N / 2 {
        even = _mm256_add_epi16(even, product(2 * pair));
        odd = _mm256_add_epi16(odd, product(2 * pair + 1));
    }
    _mm256_add_epi16(even, odd)
}
