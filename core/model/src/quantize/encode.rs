//! Rows of one kind of numbers in another.

use std::thread;

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QStorage, QTensor},
};

/// Rows that lie in `from`, in `to`; several threads share them.
pub(super) fn recode(data: &[u8], columns: usize, from: GgmlDType, to: GgmlDType) -> Result<Vec<u8>, String> {
    let row = (columns / from.block_size() * from.type_size()).max(1);
    in_parts(data, row, |part| {
        let rows = part.len() / row;
        let storage = QStorage::from_data(part.into(), &Device::Cpu, from)?;
        let numbers = QTensor::new(storage, (rows, columns))?.dequantize(&Device::Cpu)?;
        Ok(QTensor::quantize(&numbers, to)?.data()?.into_owned())
    })
}

/// Rows of numbers, in `to`; several threads share them.
pub(crate) fn encode(numbers: &[f32], columns: usize, to: GgmlDType) -> Result<Vec<u8>, String> {
    in_parts(numbers, columns, |part| {
        let rows = part.len() / columns.max(1);
        let numbers = Tensor::from_slice(part, (rows, columns), &Device::Cpu)?;
        Ok(QTensor::quantize(&numbers, to)?.data()?.into_owned())
    })
}

fn in_parts<T: Sync>(
    data: &[T],
    row: usize,
    work: impl Fn(&[T]) -> candle_core::Result<Vec<u8>> + Sync,
) -> Result<Vec<u8>, String> {
    let row = row.max(1);
    let rows = data.len() / row;
    let part = rows.div_ceil(crate::physical_cores()).max(1) * row;
    let work = &work;
    let parts = thread::scope(|scope| {
        let running: Vec<_> = data
            .chunks(part)
            .map(|part| scope.spawn(move || work(part).map_err(|error| error.to_string())))
            .collect();
        let ended = running.into_iter().map(|it| it.join());
        ended
            .map(|it| it.unwrap_or_else(|_| Err("encoding stopped in the middle".to_owned())))
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(parts.concat())
}
