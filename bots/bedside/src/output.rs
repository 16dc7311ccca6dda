//! Words for the operator. A closed pipe (`bedside ask … | head`) is no error.

use std::io::Write;

/// One line on standard output.
pub(crate) fn say(line: &str) {
    let _closed_pipe = writeln!(std::io::stdout(), "{line}");
}

/// One line on standard error.
pub(crate) fn complain(line: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "{line}");
}
