//! The grid as a picture: one field of colours for each figure.

use std::path::Path;

use plotters::{
    prelude::{Color, IntoDrawingArea, RGBColor, Rectangle, SVGBackend, Text, WHITE},
    style::{BLACK, IntoFont, TextStyle},
};

use super::{Cell, measure::Figures};

type Pick = fn(&Figures) -> f64;

const FIGURES: [(&str, Pick); 4] = [
    ("distinct-1", |it| it.distinct_1),
    ("distinct-2", |it| it.distinct_2),
    ("repeated fours", |it| it.repeated),
    ("length in words", |it| it.length),
];
const BOX: (i32, i32) = (86, 46);
const MARGIN: (i32, i32) = (110, 60);

/// Writes an SVG file.
pub(super) fn draw(path: &Path, model: &str, cells: &[Cell]) -> anyhow::Result<()> {
    let mut across: Vec<f32> = cells.iter().map(|it| it.top_p).collect();
    let mut down: Vec<f32> = cells.iter().map(|it| it.temperature).collect();
    for values in [&mut across, &mut down] {
        values.sort_by(f32::total_cmp);
        values.dedup();
    }
    let field = (
        MARGIN.0 + BOX.0 * i32::try_from(across.len())? + 20,
        MARGIN.1 + BOX.1 * i32::try_from(down.len())? + 40,
    );
    let size = (u32::try_from(2 * field.0)?, u32::try_from(2 * field.1 + 30)?);
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, size);
        let root = backend.into_drawing_area();
        root.fill(&WHITE)?;
        let plain = |size: i32| TextStyle::from(("sans-serif", size).into_font());
        root.draw(&Text::new(model.to_owned(), (20, 12), plain(18)))?;
        for (number, (title, pick)) in (0..).zip(FIGURES) {
            let corner = (number % 2 * field.0, number / 2 * field.1 + 30);
            let at = |x: i32, y: i32| (corner.0 + x, corner.1 + y);
            root.draw(&Text::new(title, at(MARGIN.0, 8), plain(16)))?;
            root.draw(&Text::new("top-p", at(MARGIN.0, 26), plain(13)))?;
            root.draw(&Text::new("temperature", at(20, 42), plain(13)))?;
            let values = cells.iter().map(|it| pick(&it.figures));
            let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), it| {
                (least.min(it), most.max(it))
            });
            for (column, top_p) in (0..).zip(&across) {
                root.draw(&Text::new(
                    top_p.to_string(),
                    at(MARGIN.0 + column * BOX.0 + 30, 42),
                    plain(13),
                ))?;
            }
            for (row, temperature) in (0..).zip(&down) {
                let y = MARGIN.1 + row * BOX.1;
                root.draw(&Text::new(
                    temperature.to_string(),
                    at(MARGIN.0 - 34, y + 16),
                    plain(13),
                ))?;
                for (column, top_p) in (0..).zip(&across) {
                    let own = |it: &&Cell| (it.top_p, it.temperature) == (*top_p, *temperature);
                    let Some(cell) = cells.iter().find(own) else {
                        continue;
                    };
                    let value = pick(&cell.figures);
                    let x = MARGIN.0 + column * BOX.0;
                    let place = [at(x, y), at(x + BOX.0 - 2, y + BOX.1 - 2)];
                    let share = (value - least) / (most - least).max(1e-12);
                    root.draw(&Rectangle::new(place, shade(share).filled()))?;
                    let text = if value < 10.0 {
                        format!("{value:.3}")
                    } else {
                        format!("{value:.0}")
                    };
                    let color = if share > 0.6 { &WHITE } else { &BLACK };
                    root.draw(&Text::new(text, at(x + 22, y + 15), plain(14).color(color)))?;
                }
            }
        }
        root.present()?;
    }
    std::fs::write(path, svg)?;
    Ok(())
}

/// From light to dark, so that it reads in grey, too.
fn shade(share: f64) -> RGBColor {
    let between = |light: f64, dark: f64| (light + (dark - light) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(between(240.0, 8.0), between(246.0, 64.0), between(252.0, 129.0))
}
