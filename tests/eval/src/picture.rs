//! The confusion matrix as a picture.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

const NAMES: [&str; 4] = ["emergency", "same day", "out-patient", "self-care"];
const CELL: i32 = 120;
const MARGIN: i32 = 110;

/// Rows are right levels, columns what was said.
pub(crate) fn draw(path: &Path, confusion: &[[u32; 4]; 4]) -> anyhow::Result<()> {
    let size = u32::try_from(MARGIN + 4 * CELL + 20)?;
    let root = SVGBackend::new(path, (size, size)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("{} cannot be drawn: {error}", path.display());
    root.fill(&WHITE).map_err(|it| failed(&it))?;
    let text = |words: &str, at: (i32, i32), size: i32| {
        root.draw(&Text::new(words.to_owned(), at, ("sans-serif", size)))
            .map_err(|it| failed(&it))
    };
    for ((row, counts), name) in (0i32..).zip(confusion).zip(NAMES) {
        let total: u32 = counts.iter().sum();
        text(name, (10, MARGIN + row * CELL + CELL / 2), 15)?;
        text(name, (MARGIN + row * CELL + 14, MARGIN - 24), 15)?;
        for (column, count) in (0i32..).zip(counts) {
            let share = f64::from(*count) / f64::from(total.max(1));
            let corner = (MARGIN + column * CELL, MARGIN + row * CELL);
            let base = if row == column { BLUE } else { RED };
            let cell = Rectangle::new(
                [corner, (corner.0 + CELL - 2, corner.1 + CELL - 2)],
                base.mix(share.max(0.04)).filled(),
            );
            root.draw(&cell).map_err(|it| failed(&it))?;
            text(
                &count.to_string(),
                (corner.0 + CELL / 2 - 14, corner.1 + CELL / 2 - 8),
                22,
            )?;
        }
    }
    text(
        "right level (row) and what triage said (column), by rules and second reader",
        (10, 20),
        15,
    )?;
    root.present().map_err(|it| failed(&it))
}
