//! What a command answers on standard output, and complains of on standard error.

use std::io::{self, Write as _};

use millgate_platform::StartError;

/// Prints a text and ends its line. A reader who has seen enough and gone away (`| head`) is no fault.
///
/// # Errors
/// When it cannot be written: a disk is full, say. It may be a secret that is told once, so nobody may take it for told.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(io::Error::new(
            error.kind(),
            format!("standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// What [`say`] could not write, as the end of a start.
pub(crate) fn unsaid(error: io::Error) -> StartError {
    StartError::new("terminal", error.to_string())
}

/// Tells what went wrong, on standard error. What a server or a file says must not move the cursor or colour the screen.
pub(crate) fn complain(text: &str) {
    let text = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    let mut err = io::stderr().lock();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(err, "millgate: {text}");
}
