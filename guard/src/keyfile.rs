//! The key ring's file: read only when nobody else can, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::ambient::{Clock, Entropy};
use crate::keys::{self, KeyRing, KeyRingError};

/// A key ring is far smaller than this.
const LARGEST_FILE: u64 = 64 * 1024;

/// Whether a key file that others can read is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilePermissions {
    /// Refuse a file that group or others can read, write or execute.
    #[default]
    Private,
    /// Take it as it is: for secrets mounted by a container engine, which keeps the host's owner
    /// and mode.
    Unchecked,
}

impl KeyRing {
    /// Reads the ring from a file.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it, or the ring in it is not good.
    pub fn load(path: &Path, permissions: FilePermissions) -> Result<Self, KeyRingError> {
        let text = read(path, permissions)?;
        Self::from_jwks(&text)
    }

    /// Writes a new ring with one generated key, with mode 0600. Of several processes that start
    /// together one creates the file, and nobody ever reads half of it.
    ///
    /// # Errors
    /// [`KeyRingError::AlreadyExists`] when there is a file, which stays as it is;
    /// [`KeyRingError::File`] when it cannot be written, and then nothing is left behind.
    pub fn create_file(
        path: &Path,
        entropy: &dyn Entropy,
        clock: &dyn Clock,
    ) -> Result<(), KeyRingError> {
        let bytes = keys::generated_bytes(entropy, clock);
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.new", entropy.uuid_v4().simple()));
        let draft = Path::new(&draft);
        let written = write_private(draft, &bytes).and_then(|()| {
            // A link, unlike a rename, never replaces a file that is already there.
            fs::hard_link(draft, path)
        });
        let _draft_gone = fs::remove_file(draft);
        written.and_then(|()| sync_folder(path)).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                KeyRingError::AlreadyExists(path.display().to_string())
            } else {
                file_error(path, source)
            }
        })
    }
}

/// The text of a key file, after its mode was checked on the very file that is read.
pub(crate) fn read(
    path: &Path,
    permissions: FilePermissions,
) -> Result<Zeroizing<String>, KeyRingError> {
    let failed = |source| file_error(path, source);
    // Opening a pipe would wait for its writer: look before.
    let known = fs::metadata(path).map_err(failed)?;
    if !known.is_file() || known.len() > LARGEST_FILE {
        return Err(KeyRingError::NotAKeyFile(path.display().to_string()));
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if permissions == FilePermissions::Private && mode & 0o077 != 0 {
        return Err(KeyRingError::Permissions {
            path: path.display().to_string(),
            mode,
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST_FILE)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the new name itself survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn file_error(path: &Path, source: io::Error) -> KeyRingError {
    KeyRingError::File {
        path: path.display().to_string(),
        source,
    }
}
