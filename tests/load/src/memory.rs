//! What a process holds in memory, second by second.

use std::{fs, io};

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryReport {
    /// All pages in memory, those of the mapped model file as well.
    pub resident: Trend,
    /// Without pages that are backed by a file.
    pub anonymous: Trend,
}

/// In MB (a million bytes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trend {
    pub start: f64,
    pub max: f64,
    pub end: f64,
    /// Straight line through the second half of the run: a leak shows, the warm-up does not.
    pub slope_per_minute: f64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    seconds: f64,
    resident: f64,
    anonymous: f64,
}

impl Sample {
    /// # Errors
    /// If there is no such process (any more).
    pub(crate) fn of(pid: u32, seconds: f64) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let megabytes = |field: &str| {
            let line = status.lines().find_map(|it| it.strip_prefix(field));
            let kib = line.and_then(|it| it.split_ascii_whitespace().next()?.parse::<f64>().ok());
            kib.map(|it| it * 1024.0 / 1e6)
                .ok_or_else(|| io::Error::other(format!("process {pid} has no {field}")))
        };
        Ok(Self {
            seconds,
            resident: megabytes("VmRSS:")?,
            anonymous: megabytes("RssAnon:")?,
        })
    }
}

impl MemoryReport {
    /// None without samples.
    pub(crate) fn new(samples: &[Sample]) -> Option<Self> {
        let points = |value: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            samples.iter().map(|it| (it.seconds, value(it))).collect()
        };
        Some(Self {
            resident: trend(&points(|it| it.resident))?,
            anonymous: trend(&points(|it| it.anonymous))?,
        })
    }
}

/// Of (seconds, MB).
fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    Some(Trend {
        start: points.first()?.1,
        max: points.iter().map(|it| it.1).fold(0.0, f64::max),
        end: points.last()?.1,
        slope_per_minute: 60.0 * slope(points.get(points.len() / 2..).unwrap_or_default()),
    })
}

/// Least squares; 0 where a line is not determined.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean_x = points.iter().map(|it| it.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|it| it.1).sum::<f64>() / count;
    let over: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{Sample, slope, trend};

    #[test]
    fn the_trend_passes_over_the_warm_up() {
        let warm_up = (0..10).map(|it| (f64::from(it), 100.0 * f64::from(it)));
        let leak = (10..30).map(|it| (f64::from(it), 1000.0 + f64::from(it)));
        let trend = trend(&warm_up.chain(leak).collect::<Vec<_>>()).unwrap();
        assert_eq!((trend.start, trend.max, trend.end), (0.0, 1029.0, 1029.0));
        assert!((trend.slope_per_minute - 60.0).abs() < 1e-6);
    }

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(slope(&[]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0), (2.0, 7.0)]), 2.0);
    }

    #[test]
    fn this_process_has_memory_and_no_process_has_none() {
        let sample = Sample::of(std::process::id(), 0.0).unwrap();
        assert!(sample.resident > 0.0 && sample.anonymous <= sample.resident);
        assert!(Sample::of(u32::MAX, 0.0).is_err());
    }
}
