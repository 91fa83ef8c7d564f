//! `millgate keys`: the key ring's file.

use std::path::PathBuf;

use millgate_platform::{StartError, SystemClock, SystemEntropy};

/// The commands on the ring.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes a ring with one new HS256 key, in a new file that only its owner can read. Never overwrites one.
    Init {
        /// The file to make.
        #[arg(
            long,
            env = "MILLGATE_KEYS",
            value_name = "PATH",
            default_value = "keys.json"
        )]
        out: PathBuf,
    },
}

/// Runs one.
///
/// # Errors
/// When the file exists already or cannot be made.
pub(crate) fn run(command: &Command) -> Result<(), StartError> {
    let Command::Init { out } = command;
    millgate_guard::KeyRing::create_file(out, &SystemEntropy, &SystemClock)
        .map_err(|error| StartError::new("--out (MILLGATE_KEYS)", error.to_string()))?;
    crate::terminal::say(&format!(
        "made {} with one HS256 key; every service reads this file, auth signs with it",
        out.display()
    ));
    Ok(())
}
