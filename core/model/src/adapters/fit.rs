//! An adapter's matrices cut and put in order as the decoder has its own.

use std::path::Path;

use bedside_formats::{RowOrder, SavedAdapter, SavedLinear, SavedPrefix, SavedUpdate};

use super::FitError;
use crate::{
    decoder::{Adapter, Description, LinearKind, LowRankUpdate, Positions, PrefixTensors},
    rows::Rows,
};

/// An adapter for one model, rows in the order of its GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub updates: Vec<LowRankUpdate>,
    pub prefix: Option<PrefixTensors>,
}

impl Fitted {
    /// Ready for the decoder.
    ///
    /// # Errors
    /// [`FitError::Adapter`], for one if a rank is too large.
    pub fn adapter(self, path: &Path, description: &Description) -> Result<Adapter, FitError> {
        Adapter::new(description, self.updates, self.prefix).map_err(|error| FitError::Adapter {
            path: path.to_owned(),
            error,
        })
    }
}

/// A part of a saved matrix.
struct Part {
    linear: LinearKind,
    rows: Rows,
    /// Where it begins, unless [`Rows::PartOfHeads`] tells.
    first: usize,
    count: usize,
}

/// # Errors
/// [`FitError::Architecture`], [`FitError::Shape`] or [`FitError::PrefixWidth`].
pub fn fit(saved: &SavedAdapter, description: &Description) -> Result<Fitted, FitError> {
    if let Some(found) = saved
        .base
        .architecture
        .as_ref()
        .filter(|it| **it != description.architecture)
    {
        return Err(FitError::Architecture {
            path: saved.path.clone(),
            found: found.clone(),
            wanted: description.architecture.clone(),
        });
    }
    let mut updates = Vec::new();
    for update in &saved.updates {
        let parts = parts(description, update.linear, saved.order);
        let (rows, columns) = shape(description, &parts);
        if (update.rows, update.columns) != (rows, columns) {
            return Err(FitError::Shape {
                path: saved.path.clone(),
                tensor: update.name.clone(),
                architecture: description.architecture.clone(),
                found_rows: update.rows,
                found_columns: update.columns,
                rows,
                columns,
            });
        }
        let cut = parts.iter().map(|it| it.cut(update));
        // What has not learned anything costs time all the same.
        updates.extend(cut.filter(|it| it.b.iter().any(|it| *it != 0.0)));
    }
    let prefix = saved.prefix.as_ref();
    let prefix = prefix.map(|it| fit_prefix(saved, it, description)).transpose()?;
    Ok(Fitted { updates, prefix })
}

impl Part {
    fn cut(&self, update: &SavedUpdate) -> LowRankUpdate {
        let rank = update.rank;
        let rows = (0..self.count).map(|row| match self.rows {
            Rows::PartOfHeads { .. } => self.rows.source(row),
            _ => self.first + self.rows.source(row),
        });
        let b = rows.flat_map(|row| {
            let row = update.b.get(row * rank..(row + 1) * rank).unwrap_or_default();
            row.iter().map(|it| it * update.scale)
        });
        LowRankUpdate {
            layer: update.layer,
            linear: self.linear,
            rank,
            a: update.a.clone(),
            b: b.collect(),
        }
    }
}

/// Rows and columns of the whole.
fn shape(description: &Description, parts: &[Part]) -> (usize, usize) {
    let rows = parts.iter().map(|it| it.count).sum();
    let columns = parts.first().map_or(0, |it| it.linear.shape(description).1);
    (rows, columns)
}

fn parts(description: &Description, linear: SavedLinear, order: RowOrder) -> Vec<Part> {
    let kinds: &[LinearKind] = match linear {
        SavedLinear::Query => &[LinearKind::Query],
        SavedLinear::Key => &[LinearKind::Key],
        SavedLinear::Value => &[LinearKind::Value],
        SavedLinear::QueryKeyValue => &[LinearKind::Query, LinearKind::Key, LinearKind::Value],
        SavedLinear::Output => &[LinearKind::Output],
        SavedLinear::Gate => &[LinearKind::Gate],
        SavedLinear::Up => &[LinearKind::Up],
        SavedLinear::GateUp => &[LinearKind::Gate, LinearKind::Up],
        SavedLinear::Down => &[LinearKind::Down],
    };
    let mut first = 0;
    let places = kinds.iter().enumerate();
    let parts = places.map(|(place, linear)| {
        let count = linear.shape(description).0;
        let part = Part {
            linear: *linear,
            rows: match order {
                RowOrder::Gguf => Rows::Same,
                RowOrder::Checkpoint => checkpoint_rows(description, kinds.len(), place, *linear),
            },
            first,
            count,
        };
        first += count;
        part
    });
    parts.collect()
}

/// Where rows lie in the checkpoint of a family; `place` is that in a matrix of `together` linears.
pub(super) fn checkpoint_rows(
    description: &Description,
    together: usize,
    place: usize,
    linear: LinearKind,
) -> Rows {
    let head_width = description.head_width;
    let rotated = matches!(linear, LinearKind::Query | LinearKind::Key);
    match description.positions {
        Positions::Blocks { .. } if together == 3 => Rows::PartOfHeads {
            head_width,
            part: place,
        },
        _ if rotated && description.architecture == "llama" => Rows::HalvesInTurn { head_width },
        _ => Rows::Same,
    }
}

fn fit_prefix(
    saved: &SavedAdapter,
    prefix: &SavedPrefix,
    description: &Description,
) -> Result<PrefixTensors, FitError> {
    let (layers, width) = (description.layers, description.kv_heads * description.head_width);
    let wanted = 2 * layers * width;
    if prefix.width != wanted {
        return Err(FitError::PrefixWidth {
            path: saved.path.clone(),
            architecture: description.architecture.clone(),
            found: prefix.width,
            wanted,
            layers,
            width,
        });
    }
    let key_rows = match saved.order {
        RowOrder::Gguf => Rows::Same,
        RowOrder::Checkpoint => checkpoint_rows(description, 1, 0, LinearKind::Key),
    };
    let slice = |token: usize, slice: usize| {
        let start = token * prefix.width + slice * width;
        prefix.numbers.get(start..start + width).unwrap_or_default()
    };
    let places = || (0..layers).flat_map(|layer| (0..prefix.tokens).map(move |token| (layer, token)));
    let keys = places().flat_map(|(layer, token)| {
        let key = slice(token, 2 * layer);
        (0..width).map(move |it| key.get(key_rows.source(it)).copied().unwrap_or_default())
    });
    let values = places().flat_map(|(layer, token)| slice(token, 2 * layer + 1).iter().copied());
    Ok(PrefixTensors {
        tokens: prefix.tokens,
        keys: keys.collect(),
        values: values.collect(),
        first_position: if prefix.takes_positions { prefix.tokens } else { 0 },
    })
}
