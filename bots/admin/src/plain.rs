//! Prometheus's older text format, which `promtool` and other tools read.

/// The same metrics as OpenMetrics tells them. There a counter's family is called without the `_total` of its samples.
pub(crate) fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else {
                continue;
            };
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, words)) = help.take().filter(|(described, _)| *described == name) {
                text.push_str(&format!("# HELP {name}{suffix} {words}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_are_called_as_their_samples_and_what_only_openmetrics_knows_is_left_out() {
        let open = "# HELP a_b Counts.\n# TYPE a_b counter\n# UNIT a_b seconds\na_b_total{x=\"y # z\"} 1\n\
                    # HELP c Shows.\n# TYPE c gauge\nc 2.5\n# EOF\n";
        let expect = "# HELP a_b_total Counts.\n# TYPE a_b_total counter\na_b_total{x=\"y # z\"} 1\n\
                      # HELP c Shows.\n# TYPE c gauge\nc 2.5\n";
        assert_eq!(plain(open), expect);
    }
}
