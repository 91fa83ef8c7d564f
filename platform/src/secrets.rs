//! The secrets that one service keeps to itself, apart from the key ring.
//!
//! One random master of 32 bytes stands in a file; every use derives its own key from it
//! with HKDF-SHA256 (RFC 5869), so that no two uses ever share one.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use millgate_guard::Entropy;
use ring::hkdf;
use zeroize::Zeroizing;

use crate::config::{Permissions, StartError};

const LENGTH: usize = 32;

/// The master secret of one service.
pub struct ServiceSecrets {
    prk: hkdf::Prk,
}

impl ServiceSecrets {
    /// Secrets over a master that the caller has: for tests, and for a platform that hands it
    /// over in the environment.
    pub fn from_master(master: &[u8; LENGTH]) -> Self {
        Self {
            prk: hkdf::Salt::new(hkdf::HKDF_SHA256, b"millgate").extract(master),
        }
    }

    /// Parses a master as the file holds it: 32 bytes in unpadded base64url.
    ///
    /// # Errors
    /// When it is anything else, or plainly not random.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(text.trim())
                .map_err(|_| "is not unpadded base64url")?,
        );
        let master: &[u8; LENGTH] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| "does not hold exactly 32 bytes")?;
        if master.iter().all(|byte| *byte == master[0]) {
            return Err("is one byte repeated, not a random secret");
        }
        Ok(Self::from_master(master))
    }

    /// Loads the master from a file.
    ///
    /// # Errors
    /// When the file is missing, others can read it (unless `permissions` says that this is
    /// not checked), or it holds no master. Renamed by the service to its own setting.
    pub fn load(path: &Path, permissions: Permissions) -> Result<Self, StartError> {
        Self::read(path, permissions).map_err(|error| failed(path, &error))
    }

    /// Loads the master, or makes the file (mode 0600) with a new one. Replicas that start
    /// together on one folder agree on the same one.
    ///
    /// # Errors
    /// As [`ServiceSecrets::load`], and when the file cannot be made.
    pub fn load_or_create(
        path: &Path,
        permissions: Permissions,
        entropy: &dyn Entropy,
    ) -> Result<Self, StartError> {
        if !path.exists() {
            create(path, entropy).map_err(|error| failed(path, &error))?;
        }
        Self::load(path, permissions)
    }

    /// The key for one use. The same label gives the same key, another one an independent one.
    #[must_use]
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; LENGTH]> {
        let mut key = Zeroizing::new([0; LENGTH]);
        let info = [label.as_bytes()];
        let filled = self
            .prk
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key[..]));
        // RFC 5869 bounds the output at 255 hashes; one hash is asked for.
        debug_assert!(filled.is_ok(), "HKDF gives one hash of output");
        key
    }

    fn read(path: &Path, permissions: Permissions) -> Result<Self, io::Error> {
        let mode = fs::metadata(path)?.mode();
        if permissions == Permissions::Strict && mode & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "others can read it (mode {:03o}); it must be 0600",
                mode & 0o777
            )));
        }
        let text = Zeroizing::new(fs::read_to_string(path)?);
        Self::parse(&text).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for ServiceSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceSecrets")
    }
}

fn failed(path: &Path, error: &io::Error) -> StartError {
    StartError::new("secrets file", format!("{}: {error}", path.display()))
}

/// Writes beside the path and links into place: nobody ever reads half a secret, and where two
/// replicas race, the loser finds the winner's.
fn create(path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let mut master = Zeroizing::new([0; LENGTH]);
    entropy.fill(&mut master[..]);
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&master[..]));
    let draft = draft_path(path, entropy);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&draft)?;
    linked?;
    // The name itself must survive a power cut as well.
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn draft_path(path: &Path, entropy: &dyn Entropy) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", entropy.uuid_v4()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use millgate_guard::SystemEntropy;

    use super::*;

    #[test]
    fn the_same_file_gives_the_same_keys_and_each_label_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        let first = ServiceSecrets::load_or_create(&path, Permissions::Strict, &SystemEntropy)
            .expect("created");
        let again = ServiceSecrets::load_or_create(&path, Permissions::Strict, &SystemEntropy)
            .expect("loaded");
        assert_eq!(first.derive("pages"), again.derive("pages"));
        assert_ne!(first.derive("pages"), first.derive("idempotency"));
        assert_ne!(*first.derive("pages"), [0; 32]);
        let left: Vec<_> = fs::read_dir(folder.path()).expect("listed").collect();
        assert_eq!(left.len(), 1, "no draft is left behind");
    }

    #[test]
    fn replicas_that_start_together_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let load = || {
                ServiceSecrets::load_or_create(&path, Permissions::Strict, &SystemEntropy)
                    .expect("a secret")
                    .derive("x")
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("joined"))
                .collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_unless_told_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        ServiceSecrets::load_or_create(&path, Permissions::Strict, &SystemEntropy).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("widened");
        let error = ServiceSecrets::load(&path, Permissions::Strict).expect_err("refused");
        assert!(error.to_string().contains("others can read it"), "{error}");
        assert!(ServiceSecrets::load(&path, Permissions::Unchecked).is_ok());
    }

    #[test]
    fn a_short_repeated_or_garbled_master_is_refused() {
        let repeated = URL_SAFE_NO_PAD.encode([7; 32]);
        let short = URL_SAFE_NO_PAD.encode([1, 2, 3]);
        for bad in ["", "not base64!", &repeated, &short] {
            assert!(ServiceSecrets::parse(bad).is_err(), "{bad:?}");
        }
    }
}
