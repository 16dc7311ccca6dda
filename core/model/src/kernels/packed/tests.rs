use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::{Arena, Block, Packed, ROWS, Sums, TILE, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Registers, vnni};
use crate::kernels::activations::{Activation, Input, Rounded32, Rounded256, round32, round256};

/// Every kind of weights that has a kernel.
const KINDS: [GgmlDType; 13] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q2K,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

/// Numbers in ±1 that depend on the seed alone.
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

/// An input in all forms.
struct Forms {
    columns: usize,
    floats: Vec<f32>,
    rounded32: Vec<Rounded32>,
    rounded256: Vec<Rounded256>,
}

impl Forms {
    fn new(floats: Vec<f32>, columns: usize) -> Self {
        let mut rounded32 = vec![Rounded32::ZERO; floats.len() / 32];
        round32(&floats, &mut rounded32);
        let mut rounded256 = vec![Rounded256::ZERO; floats.len() / 256];
        round256(&floats, &mut rounded256);
        Self {
            columns,
            floats,
            rounded32,
            rounded256,
        }
    }

    fn input(&self) -> Input<'_> {
        Input {
            columns: self.columns,
            floats: &self.floats,
            rounded32: &self.rounded32,
            rounded256: &self.rounded256,
        }
    }

    /// The numbers that a kernel of this form works with.
    fn decoded(&self, packed: &Packed) -> Vec<f32> {
        fn all<A: Activation>(blocks: &[A]) -> Vec<f32> {
            let mut output = vec![0.0; blocks.len() * A::COLUMNS];
            for (block, output) in blocks.iter().zip(output.chunks_mut(A::COLUMNS)) {
                block.decode(output);
            }
            output
        }
        match packed.forms() {
            it if it.rounded256 => all(&self.rounded256),
            it if it.rounded32 => all(&self.rounded32),
            _ => self.floats.clone(),
        }
    }
}

/// The weights as a file holds them, and as candle reads them.
fn weights(kind: GgmlDType, rows: usize, columns: usize, seed: u64) -> (Vec<u8>, Vec<f32>) {
    let tensor = Tensor::from_vec(numbers(rows * columns, seed), (rows, columns), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, kind).unwrap();
    let decoded = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
    (tensor.data().unwrap().into_owned(), decoded.to_vec1().unwrap())
}

/// tokens × rows.
fn product(packed: &Packed, input: &Input<'_>, tokens: usize, tile: usize) -> Vec<f32> {
    let mut output = vec![0.0; tokens * packed.rows()];
    for group in 0..packed.groups() {
        for token in (0..tokens).step_by(tile) {
            let count = tile.min(tokens - token);
            let mut sums: Sums = [[f32::NAN; ROWS]; TILE];
            packed.tile(group, input, token, count, &mut sums);
            for (number, sums) in sums.iter().take(count).enumerate() {
                for (row, sum) in (group * ROWS..packed.rows()).zip(sums) {
                    output[(token + number) * packed.rows() + row] = *sum;
                }
            }
        }
    }
    output
}

fn check(kind: GgmlDType, rows: usize, blocks: usize, tokens: usize, seed: u64) {
    let columns = blocks * 256;
    let (data, decoded) = weights(kind, rows, columns, seed);
    let packed = Packed::pack(kind, &data, rows, columns, &Arena::new(0)).unwrap();
    let mut row = vec![0.0; columns];
    for (number, expect) in decoded.chunks(columns).enumerate() {
        packed.decode_row(number, &mut row);
        let near = row.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{kind:?}: row {number} of {rows} × {columns}");
    }
    let forms = Forms::new(numbers(tokens * columns, seed ^ 77), columns);
    let input = forms.decoded(&packed);
    let found = product(&packed, &forms.input(), tokens, TILE);
    let expect = input.chunks(columns).flat_map(|token| {
        decoded.chunks(columns).map(move |row| {
            let terms = row.iter().zip(token).map(|(a, b)| f64::from(*a) * f64::from(*b));
            terms.sum::<f64>()
        })
    });
    // The integers are exact: what differs is the order in which f32 are added up.
    let worst = found
        .iter()
        .zip(expect)
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max);
    let tolerance = 2e-6 * columns as f64;
    assert!(
        worst < tolerance,
        "{kind:?} {rows}×{columns}×{tokens}: off by {worst}, {tolerance} allowed"
    );
    assert_eq!(
        found,
        product(&packed, &forms.input(), tokens, 1),
        "{kind:?}: one token alone and four together"
    );
}

#[test]
fn the_product_is_that_of_candles_weights_and_the_rounded_input() {
    for kind in KINDS {
        for (rows, blocks, tokens) in [(8, 1, 1), (64, 3, 3), (20, 2, 9), (3, 1, 4)] {
            check(kind, rows, blocks, tokens, 42);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_shape_and_any_tile(rows in 1_usize..40, blocks in 1_usize..4, tokens in 1_usize..11, seed in any::<u64>()) {
        for kind in KINDS {
            check(kind, rows, blocks, tokens, seed);
        }
    }

    #[test]
    fn the_portable_path_gives_the_same(rows in 1_usize..20, seed in any::<u64>()) {
        prop_assert!(compare::<super::floats::Full>(GgmlDType::F32, rows, seed));
        prop_assert!(compare::<super::floats::Half>(GgmlDType::F16, rows, seed));
        prop_assert!(compare::<super::floats::Brain>(GgmlDType::BF16, rows, seed));
        prop_assert!(compare::<super::nibbles::Centred>(GgmlDType::Q4_0, rows, seed));
        prop_assert!(compare::<super::nibbles::WithMinimum>(GgmlDType::Q4_1, rows, seed));
        prop_assert!(compare::<super::fives::Centred>(GgmlDType::Q5_0, rows, seed));
        prop_assert!(compare::<super::fives::WithMinimum>(GgmlDType::Q5_1, rows, seed));
        prop_assert!(compare::<super::bytes::Bytes>(GgmlDType::Q8_0, rows, seed));
        prop_assert!(compare::<super::k_quants::Q2K>(GgmlDType::Q2K, rows, seed));
        prop_assert!(compare::<super::k_quants::Q3K>(GgmlDType::Q3K, rows, seed));
        prop_assert!(compare::<super::k_quants::Q4K>(GgmlDType::Q4K, rows, seed));
        prop_assert!(compare::<super::k_quants::Q5K>(GgmlDType::Q5K, rows, seed));
        prop_assert!(compare::<super::k_quants::Q6K>(GgmlDType::Q6K, rows, seed));
    }
}

/// The first eight rows of a file's, filled up with zeros.
fn interleaved<B: Block>(data: &[u8], columns: usize) -> Vec<B> {
    let nothing = vec![0; B::FILE_BYTES];
    let width = columns / B::Activation::COLUMNS;
    let block = |number: usize| {
        B::interleave(&std::array::from_fn(|row| {
            let row = data.chunks(width * B::FILE_BYTES).nth(row);
            row.map_or(nothing.as_slice(), |it| {
                &it[number * B::FILE_BYTES..(number + 1) * B::FILE_BYTES]
            })
        }))
    };
    (0..width).map(block).collect()
}

fn near<const T: usize>(found: &[[f32; ROWS]; T], expect: &[[f32; ROWS]; T]) -> bool {
    let pairs = found.as_flattened().iter().zip(expect.as_flattened());
    pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-3)
}

/// Three tokens of 512 columns.
fn compare<B: Block>(kind: GgmlDType, rows: usize, seed: u64) -> bool {
    let (data, _) = weights(kind, rows, 512, seed);
    let packed = Packed::pack(kind, &data, rows, 512, &Arena::new(0)).unwrap();
    let forms = Forms::new(numbers(3 * 512, seed ^ 5), 512);
    let input = forms.input();
    let mut sums: Sums = [[0.0; ROWS]; TILE];
    packed.tile(0, &input, 0, 3, &mut sums);
    let tokens = std::array::from_fn(|token| B::Activation::row(&input, token));
    let mut expect = [[0.0; ROWS]; 3];
    portable::<B, 3>(&interleaved(&data, 512), tokens, &mut expect);
    near(sums.first_chunk().unwrap(), &expect)
}

/// On a processor without those instructions this checks all but them, see [`super::vnni::emulated`].
#[cfg(target_arch = "x86_64")]
#[test]
fn four_pairs_at_once_give_the_same() {
    #[expect(unsafe_code, reason = "calls of kernels, after checking what they need")]
    fn compare<B: Block<Activation = Rounded32> + Registers>(kind: GgmlDType) {
        let (data, _) = weights(kind, 8, 512, 3);
        let blocks = interleaved::<B>(&data, 512);
        let forms = Forms::new(numbers(3 * 512, 4), 512);
        let input = forms.input();
        let tokens = std::array::from_fn(|token| Rounded32::row(&input, token));
        let (mut expect, mut found) = ([[0.0; ROWS]; 3], [[0.0; ROWS]; 3]);
        portable(&blocks, tokens, &mut expect);
        // SAFETY: the processor has what it takes; the lengths are those of the matrix.
        unsafe { vnni::emulated::tile_32(&blocks, tokens, &mut found) };
        assert!(near(&found, &expect), "{kind:?} emulated");
        if vnni::is_there() {
            // SAFETY: as above.
            unsafe { vnni::tile_32(&blocks, tokens, &mut found) };
            assert!(near(&found, &expect), "{kind:?}");
        }
    }

    if !crate::kernels::has_avx2() {
        println!("skipped: the processor has no AVX2");
        return;
    }
    if !vnni::is_there() {
        println!("the instruction itself is not tested: the processor has neither AVX-512 VNNI nor AVX-VNNI");
    }
    compare::<super::nibbles::Centred>(GgmlDType::Q4_0);
    compare::<super::nibbles::WithMinimum>(GgmlDType::Q4_1);
    compare::<super::fives::Centred>(GgmlDType::Q5_0);
    compare::<super::fives::WithMinimum>(GgmlDType::Q5_1);
    compare::<super::bytes::Bytes>(GgmlDType::Q8_0);
}

#[test]
fn extremes_do_not_overflow() {
    // Each kind with the bytes of a block and where it has halves; everything else may be anything.
    for (kind, size, halves) in [
        (GgmlDType::Q4_0, 18, [0].as_slice()),
        (GgmlDType::Q4_1, 20, &[0, 2]),
        (GgmlDType::Q5_0, 22, &[0]),
        (GgmlDType::Q5_1, 24, &[0, 2]),
        (GgmlDType::Q8_0, 34, &[0]),
        (GgmlDType::Q2K, 84, &[80, 82]),
        (GgmlDType::Q3K, 110, &[108]),
        (GgmlDType::Q4K, 144, &[0, 2]),
        (GgmlDType::Q5K, 176, &[0, 2]),
        (GgmlDType::Q6K, 210, &[208]),
    ] {
        let random: Vec<u8> = numbers(size, 9)
            .iter()
            .map(|it| (it * 128.0) as i8 as u8)
            .collect();
        let fills = [0_u8, 0x55, 0x7f, 0x80, 0xaa, 0xff].map(|it| vec![it; size]);
        for mut block in fills.into_iter().chain([random]) {
            for at in halves {
                block[*at..at + 2].copy_from_slice(&half::f16::from_f32(0.01).to_le_bytes());
            }
            let columns = if kind.block_size() == 32 { 32 } else { 256 };
            let packed = Packed::pack(kind, &block.repeat(8), 8, columns, &Arena::new(0)).unwrap();
            let mut row = vec![0.0; columns];
            packed.decode_row(0, &mut row);
            for pattern in [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]] {
                let input: Vec<f32> = pattern.into_iter().cycle().take(columns).collect();
                let terms = row.iter().zip(&input).map(|(a, b)| f64::from(*a) * f64::from(*b));
                let expect: f64 = terms.clone().sum();
                let tolerance = 1e-6 * terms.map(f64::abs).sum::<f64>() + 1e-4;
                let forms = Forms::new([input, vec![0.0; 256 - columns]].concat(), columns);
                for found in product(&packed, &forms.input(), 1, 1) {
                    let off = (f64::from(found) - expect).abs();
                    assert!(
                        off <= tolerance,
                        "{kind:?} of {:x}: {found} {expect}",
                        block[20 % size]
                    );
                }
            }
        }
    }
}

#[test]
fn shapes_that_do_not_suit_are_left_alone() {
    assert!(Packed::pack(GgmlDType::Q8_0, &[0; 8 * 34], 8, 33, &Arena::new(0)).is_none());
    assert!(Packed::pack(GgmlDType::Q4_1, &[0; 8 * 20 - 1], 8, 32, &Arena::new(0)).is_none());
    assert!(Packed::pack(GgmlDType::Q8_1, &[0; 8 * 36], 8, 32, &Arena::new(0)).is_none());
}

#[test]
fn floats_are_packed_as_they_are() {
    let numbers: Vec<f32> = numbers(5 * 7, 3);
    let packed = Packed::from_floats(&numbers, 5, 7, &Arena::new(0));
    assert_eq!((packed.rows(), packed.columns(), packed.groups()), (5, 7, 1));
    let mut row = [0.0; 7];
    for (number, expect) in numbers.chunks(7).enumerate() {
        packed.decode_row(number, &mut row);
        assert_eq!(row, expect);
    }
}
