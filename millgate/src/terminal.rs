//! What a command answers on standard output, and complains of on standard error.

use std::io::Write as _;

/// Prints a text and ends its line. A reader who has seen enough and gone away (`| head`) is no fault.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Tells what went wrong, on standard error. What a server or a file says must not move the cursor or colour the screen.
pub(crate) fn complain(text: &str) {
    let text = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    let mut err = std::io::stderr().lock();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(err, "millgate: {text}");
}
