//! Named arrays of numbers.

use std::{collections::BTreeMap, path::Path};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, serialize_to_file, tensor::TensorView};

/// All tensors of a checkpoint, as f32.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors(pub BTreeMap<String, Tensor>);

/// Numbers, the slowest dimension first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub numbers: Vec<f32>,
}

impl Tensors {
    #[must_use]
    pub fn read_safetensors(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the file can be read");
        let file = SafeTensors::deserialize(&bytes).expect("the file is in order");
        let tensors = file.iter().map(|(name, view)| {
            let data = view.data();
            let numbers = match view.dtype() {
                Dtype::F32 => numbers(data, f32::from_le_bytes),
                Dtype::F16 => numbers(data, |it| f16::from_le_bytes(it).to_f32()),
                Dtype::BF16 => numbers(data, |it| bf16::from_le_bytes(it).to_f32()),
                Dtype::I64 => numbers(data, |it| i64::from_le_bytes(it) as f32),
                other => panic!("{name}: {other:?}"),
            };
            let shape = view.shape().to_vec();
            (name.to_owned(), Tensor { shape, numbers })
        });
        Self(tensors.collect())
    }

    /// # Panics
    /// If the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) {
        let bytes = |it: &Tensor| -> Vec<u8> { it.numbers.iter().flat_map(|it| it.to_le_bytes()).collect() };
        let data: Vec<_> = self.0.iter().map(|(name, it)| (name, it, bytes(it))).collect();
        let views = data.iter().map(|(name, it, bytes)| {
            let view = TensorView::new(Dtype::F32, it.shape.clone(), bytes);
            (name.as_str(), view.expect("as many bytes as numbers"))
        });
        serialize_to_file(views, None, path).expect("the file can be written");
    }

    #[must_use]
    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    pub fn put(&mut self, name: impl Into<String>, shape: &[usize], numbers: Vec<f32>) {
        let (name, shape) = (name.into(), shape.to_vec());
        assert_eq!(shape.iter().product::<usize>(), numbers.len(), "{name}");
        self.0.insert(name, Tensor { shape, numbers });
    }
}

impl Tensor {
    /// Row `row` of a matrix.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.numbers.len() / self.shape[0];
        &self.numbers[row * width..(row + 1) * width]
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape[0]
    }
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks::<N>().0.iter().map(|it| number(*it)).collect()
}
