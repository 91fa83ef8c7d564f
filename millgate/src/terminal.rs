//! What a command answers on standard output.

use std::io::Write as _;

/// Prints a text and ends its line. A reader who has seen enough and gone away (`| head`) is no fault.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
