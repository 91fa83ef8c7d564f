//! The data folder of the one-command form: databases, key ring and secrets, for its owner only.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use millgate_guard::{KeyRing, KeyRingError};
use millgate_platform::{Entropy, Permissions, ServiceSecrets, StartError, SystemClock};
use secrecy::SecretString;

/// The setting that a fault of the folder is told under.
const SETTING: &str = "--data-dir (MILLGATE_DATA_DIR)";

/// A data folder that is there and can be written.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder (mode 0700) where there is none, and sees that it can be written.
    ///
    /// # Errors
    /// Names the folder when it cannot be made or written, or when others could read it.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |error: std::io::Error| {
            StartError::new(SETTING, format!("{}: {error}", path.display()))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let mode = std::fs::metadata(path)
            .map_err(failed)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            let message = format!(
                "{} can be used by others (mode {:04o}): chmod 700 it",
                path.display(),
                mode & 0o7777
            );
            return Err(StartError::new(SETTING, message));
        }
        let folder = Self {
            path: path.to_owned(),
        };
        folder.probe().map_err(failed)?;
        Ok(folder)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The URL of a SQLite database in the folder.
    pub(crate) fn sqlite(&self, name: &str) -> SecretString {
        SecretString::from(format!("sqlite:{}", self.path(name).display()))
    }

    /// The key ring's file, made at the first start.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn key_ring(&self, entropy: &dyn Entropy) -> Result<PathBuf, StartError> {
        let path = self.path("keys.json");
        match KeyRing::create_file(&path, entropy, &SystemClock) {
            Ok(()) | Err(KeyRingError::AlreadyExists(_)) => Ok(path),
            Err(error) => Err(StartError::new(SETTING, error.to_string())),
        }
    }

    /// What the services of this folder share with nobody else, made at the first start.
    ///
    /// # Errors
    /// When it can neither be made nor read.
    pub(crate) fn secrets(&self, entropy: &dyn Entropy) -> Result<ServiceSecrets, StartError> {
        ServiceSecrets::load_or_create(&self.path("millgate.secrets"), Permissions::Strict, entropy)
            .map_err(|error| error.named(SETTING))
    }

    /// Fails now, by name, rather than later inside a database.
    fn probe(&self) -> std::io::Result<()> {
        let path = self.path(".writable");
        std::fs::write(&path, b"")?;
        std::fs::remove_file(&path)
    }
}
