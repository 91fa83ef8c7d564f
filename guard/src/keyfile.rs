//! The key ring's file: read only when nobody else can, written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::ambient::{Clock, Entropy};
use crate::keys::{KeyAlgorithm, KeyRing, KeyRingError};

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
        Self::create_file_with(path, KeyAlgorithm::Hs256, entropy, clock)
    }

    /// The same, with a key for this algorithm.
    ///
    /// # Errors
    /// As [`KeyRing::create_file`].
    pub fn create_file_with(
        path: &Path,
        algorithm: KeyAlgorithm,
        entropy: &dyn Entropy,
        clock: &dyn Clock,
    ) -> Result<(), KeyRingError> {
        let jwks = Self::generate_with(algorithm, entropy, clock);
        let bytes = jwks.expose_secret().as_bytes();
        let draft = draft_of(path, entropy);
        let draft = Path::new(&draft);
        let written = write_private(draft, bytes).and_then(|()| {
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

    /// Puts this text, a ring's [`KeyRing::to_jwks`] or [`KeyRing::verifying_jwks`], in place of
    /// the file's content, with mode 0600. Whoever reads meanwhile reads the old file or the new
    /// one, never a part.
    ///
    /// # Errors
    /// [`KeyRingError::File`] when it cannot be written, and then the old file stays.
    pub fn replace_file(
        path: &Path,
        jwks: &SecretString,
        entropy: &dyn Entropy,
    ) -> Result<(), KeyRingError> {
        let draft = draft_of(path, entropy);
        let draft = Path::new(&draft);
        let replaced = write_private(draft, jwks.expose_secret().as_bytes())
            .and_then(|()| fs::rename(draft, path))
            .and_then(|()| sync_folder(path));
        replaced.map_err(|source| {
            let _draft_gone = fs::remove_file(draft);
            file_error(path, source)
        })
    }
}

/// A name beside the file, which nobody else uses.
fn draft_of(path: &Path, entropy: &dyn Entropy) -> OsString {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", entropy.uuid_v4().simple()));
    draft
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::{SystemClock, SystemEntropy};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn create(path: &Path) -> Result<(), KeyRingError> {
        KeyRing::create_file(path, &SystemEntropy, &SystemClock)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_created_file_is_private_and_loads() {
        let folder = folder();
        let path = folder.path().join("keys.json");
        create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        assert_eq!(
            KeyRing::load(&path, FilePermissions::Private)
                .unwrap()
                .kids()
                .count(),
            1
        );
        // No draft is left.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("keys.json");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(create(&path), Err(KeyRingError::AlreadyExists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_that_start_together_one_creates_the_file() {
        let folder = folder();
        let path = folder.path().join("keys.json");
        let created: usize = std::thread::scope(|scope| {
            let starters: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| create(&path).is_ok()))
                .collect();
            starters
                .into_iter()
                .filter_map(|starter| starter.join().ok())
                .map(usize::from)
                .sum()
        });
        assert_eq!(created, 1);
        assert!(KeyRing::load(&path, FilePermissions::Private).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = folder();
        let path = folder.path().join("keys.json");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644, 0o620, 0o610] {
            set_mode(&path, mode);
            let refused = KeyRing::load(&path, FilePermissions::Private);
            assert!(
                matches!(refused, Err(KeyRingError::Permissions { mode: told, .. }) if told == mode),
                "{mode:o}"
            );
            assert!(KeyRing::load(&path, FilePermissions::Unchecked).is_ok());
        }
        set_mode(&path, 0o400);
        assert!(KeyRing::load(&path, FilePermissions::Private).is_ok());
    }

    #[test]
    fn a_link_to_a_readable_file_is_refused_too() {
        let folder = folder();
        let (path, link) = (folder.path().join("keys.json"), folder.path().join("link"));
        create(&path).unwrap();
        set_mode(&path, 0o644);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let refused = KeyRing::load(&link, FilePermissions::Private);
        assert!(matches!(refused, Err(KeyRingError::Permissions { .. })));
    }

    #[test]
    fn what_is_no_small_regular_file_is_refused() {
        let folder = folder();
        let refused = KeyRing::load(folder.path(), FilePermissions::Private);
        assert!(matches!(refused, Err(KeyRingError::NotAKeyFile(_))));
        let large = folder.path().join("large");
        fs::write(&large, vec![b' '; 64 * 1024 + 1]).unwrap();
        set_mode(&large, 0o600);
        let refused = KeyRing::load(&large, FilePermissions::Private);
        assert!(matches!(refused, Err(KeyRingError::NotAKeyFile(_))));
        let absent = KeyRing::load(&folder.path().join("absent"), FilePermissions::Private);
        assert!(matches!(absent, Err(KeyRingError::File { .. })));
        let nowhere = create(&folder.path().join("no/such/folder"));
        assert!(matches!(nowhere, Err(KeyRingError::File { .. })));
    }

    #[test]
    fn a_replaced_file_is_whole_and_private_and_a_failed_one_leaves_the_old() {
        let folder = folder();
        let path = folder.path().join("keys.json");
        create(&path).unwrap();
        let old = fs::read_to_string(&path).unwrap();
        let jwks = KeyRing::generate(&SystemEntropy, &SystemClock);
        KeyRing::replace_file(&path, &jwks, &SystemEntropy).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), jwks.expose_secret());
        assert_ne!(fs::read_to_string(&path).unwrap(), old);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        let nowhere = folder.path().join("no/such/folder");
        assert!(KeyRing::replace_file(&nowhere, &jwks, &SystemEntropy).is_err());
        // A folder cannot be replaced by a file.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(KeyRing::replace_file(&taken, &jwks, &SystemEntropy).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
