//! Who works on a SQLite file: services together, or one recovery command alone. PostgreSQL has no file to tell by.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use millgate_platform::StartError;
use secrecy::ExposeSecret as _;

use crate::config::Config;
use crate::start::DEFAULT_DATABASE;

const SETTING: &str = "AUTH_DATABASE_URL";

/// The word of a service that it runs, until it is dropped. The kernel takes it back from one that dies.
#[derive(Debug)]
pub(crate) struct Running(#[expect(dead_code, reason = "held for its lock")] File);

impl Running {
    /// Gives the word, where the database is a file.
    ///
    /// # Errors
    /// When a recovery command is at work on it.
    pub(crate) fn on(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(path) = sqlite(config)? else {
            return Ok(None);
        };
        let file = open(&path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => {
                let message =
                    "a recovery command is at work on the database; start when it has ended";
                Err(StartError::new(SETTING, message))
            }
            Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
        }
    }
}

/// The certainty that no service runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone(#[expect(dead_code, reason = "held for its lock")] File);

impl Alone {
    /// Makes sure, where the database is a file.
    ///
    /// # Errors
    /// When a service runs on it, or it is not there.
    pub(crate) fn with(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(path) = sqlite(config)? else {
            return Ok(None);
        };
        if !path.exists() {
            let message = format!("there is no database at {}", path.display());
            return Err(StartError::new(SETTING, message));
        }
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => {
                let message = "a service runs on the database: stop it first, or give the command without --local";
                Err(StartError::new(SETTING, message))
            }
            Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
        }
    }
}

/// The file of a SQLite database.
fn sqlite(config: &Config) -> Result<Option<PathBuf>, StartError> {
    let url = config.database_url.resolve()?;
    let url = url
        .as_ref()
        .map_or(DEFAULT_DATABASE, |url| url.expose_secret());
    let path = url.strip_prefix("sqlite:");
    Ok(path.map(|path| PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
}

fn open(path: &std::path::Path) -> Result<File, StartError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".running");
    let lock = PathBuf::from(name);
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock)
        .map_err(|error| failed(&lock, &error))
}

fn failed(path: &std::path::Path, error: &std::io::Error) -> StartError {
    StartError::new(SETTING, format!("{}: {error}", path.display()))
}
