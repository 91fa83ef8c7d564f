//! A key ring that can change while the program runs.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::digest;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::keyfile::{self, FilePermissions};
use crate::keys::{KeyRing, KeyRingError, Signer};

/// The ring that everybody in the process verifies and signs with. Clones share it.
#[derive(Clone)]
pub struct SharedRing {
    inner: Arc<Inner>,
}

struct Inner {
    ring: ArcSwap<KeyRing>,
    /// Whether somebody signs with the ring: then one that cannot sign is not taken.
    signs: AtomicBool,
    changes: watch::Sender<u64>,
}

/// A [`SharedRing`] that is known to sign. Clones share the ring.
#[derive(Clone, Debug)]
pub struct SigningRing {
    ring: SharedRing,
    first: Signer,
}

impl SigningRing {
    /// What signs with the key that is active now.
    #[must_use]
    pub fn signer(&self) -> Signer {
        // A ring that cannot sign is not taken, so there is always a newer one than the first.
        let current = self.ring.load().signer().cloned();
        current.unwrap_or_else(|| self.first.clone())
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &SharedRing {
        &self.ring
    }
}

impl SharedRing {
    /// A ring that only [`SharedRing::replace`] changes.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self {
            inner: Arc::new(Inner {
                ring: ArcSwap::from_pointee(ring),
                signs: AtomicBool::new(false),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// The same ring, for whoever signs with it. From now on it is changed only to rings that can
    /// sign.
    ///
    /// # Errors
    /// [`KeyRingError::CannotSign`] when the active key has no private half.
    pub fn signing(&self) -> Result<SigningRing, KeyRingError> {
        self.inner.signs.store(true, Ordering::Relaxed);
        let ring = self.load();
        match ring.signer() {
            Some(signer) => Ok(SigningRing {
                ring: self.clone(),
                first: signer.clone(),
            }),
            None => Err(KeyRingError::CannotSign(ring.active_kid().to_owned())),
        }
    }

    /// Reads the ring from a file, and again every `interval` and at a SIGHUP while the returned
    /// future runs (spawn it; it never ends). A changed file that is not a good ring is logged, once, and the
    /// last good ring stays.
    ///
    /// # Errors
    /// When the file is not good now, as [`KeyRing::load`].
    pub fn watch(
        path: &Path,
        permissions: FilePermissions,
        interval: Duration,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), KeyRingError> {
        let (source, ring) = Source::open(path, permissions)?;
        let shared = Self::new(ring);
        let watched = shared.clone();
        let source = Arc::new(source);
        let task = async move {
            let mut hangups = hangups();
            loop {
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = hangup(&mut hangups) => {}
                }
                let (source, watched) = (source.clone(), watched.clone());
                // A file system that hangs must not hang the requests.
                let look = tokio::task::spawn_blocking(move || source.refresh(&watched));
                let _stopping = look.await;
            }
        };
        Ok((shared, task))
    }

    /// The ring as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        self.inner.ring.load_full()
    }

    /// Takes another ring from now on.
    ///
    /// # Errors
    /// [`KeyRingError::CannotSign`] when somebody signs with the ring, and this one cannot.
    pub fn replace(&self, ring: KeyRing) -> Result<(), KeyRingError> {
        if self.inner.signs.load(Ordering::Relaxed) && ring.signer().is_none() {
            return Err(KeyRingError::CannotSign(ring.active_kid().to_owned()));
        }
        self.inner.ring.store(Arc::new(ring));
        let changes = &self.inner.changes;
        changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// What changes whenever the ring does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<KeyRing>> {
        self.inner.ring.load()
    }
}

impl From<KeyRing> for SharedRing {
    fn from(ring: KeyRing) -> Self {
        Self::new(ring)
    }
}

impl fmt::Debug for SharedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

/// A hangup asks for the file to be read at once, as it asks many a daemon for its settings.
fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}

async fn hangup(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

/// The file behind a ring, and what was last seen in it.
struct Source {
    path: PathBuf,
    permissions: FilePermissions,
    /// A digest of the content, or the text of the error. Modification times are no help: two
    /// writes can share one.
    seen: Mutex<Seen>,
}

#[derive(PartialEq)]
enum Seen {
    Content(Vec<u8>),
    Unreadable(String),
}

impl Source {
    fn open(path: &Path, permissions: FilePermissions) -> Result<(Self, KeyRing), KeyRingError> {
        let text = keyfile::read(path, permissions)?;
        let ring = KeyRing::from_jwks(&text)?;
        let source = Self {
            path: path.to_owned(),
            permissions,
            seen: Mutex::new(Seen::content(&text)),
        };
        Ok((source, ring))
    }

    /// Looks at the file and takes its ring if it changed and is good. Tells whether it changed,
    /// and only then the log.
    fn refresh(&self, shared: &SharedRing) -> bool {
        let read = keyfile::read(&self.path, self.permissions);
        let now = match &read {
            Ok(text) => Seen::content(text),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return false;
        }
        *seen = now;
        let taken = read
            .and_then(|text| KeyRing::from_jwks(&text))
            .and_then(|ring| shared.replace(ring));
        match taken {
            Ok(()) => {
                tracing::info!(path = %self.path.display(), ring = ?shared, "the key ring changed");
            }
            Err(error) => tracing::error!(
                path = %self.path.display(),
                %error,
                "the changed key file was refused; the last good key ring stays"
            ),
        }
        true
    }
}

impl Seen {
    fn content(text: &str) -> Self {
        Self::Content(
            digest::digest(&digest::SHA256, text.as_bytes())
                .as_ref()
                .to_vec(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ambient::{SystemClock, SystemEntropy};
    use crate::keys::KeyAlgorithm;
    use crate::testing::{Issuer, ManualClock};

    /// Replaces the file by another whole one, as an operator's tool does.
    fn put(path: &Path, write: impl FnOnce(&Path)) {
        let draft = path.with_extension("draft");
        write(&draft);
        fs::rename(&draft, path).unwrap();
    }

    fn new_ring(path: &Path) {
        KeyRing::create_file(path, &SystemEntropy, &SystemClock).unwrap();
    }

    fn kid(shared: &SharedRing) -> String {
        shared.current().active_kid().to_owned()
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen within 5 s");
    }

    #[test]
    fn a_replaced_ring_refuses_what_the_old_one_signed() {
        let issuer = Issuer::new(ManualClock::shared(1_790_000_000_000_000));
        let (token, verifier) = (issuer.user(7, "admin").token(), issuer.verifier());
        assert!(verifier.verify(&token).is_ok());
        let jwks = KeyRing::generate(&SystemEntropy, &SystemClock);
        issuer
            .ring()
            .replace(KeyRing::from_jwks(secrecy::ExposeSecret::expose_secret(&jwks)).unwrap())
            .unwrap();
        assert_eq!(verifier.verify(&token), Err(crate::TokenFault::UnknownKey));
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        new_ring(&path);
        let interval = Duration::from_millis(5);
        let (shared, task) = SharedRing::watch(&path, FilePermissions::Private, interval).unwrap();
        let task = tokio::spawn(task);
        let first = kid(&shared);

        put(&path, new_ring);
        until("the second ring", || kid(&shared) != first).await;
        let second = kid(&shared);

        // Not a ring, then readable by others, then gone: the last good ring stays.
        put(&path, |draft| fs::write(draft, "{}").unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(kid(&shared), second);
        put(&path, |draft| {
            new_ring(draft);
            let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(draft, readable).unwrap();
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(kid(&shared), second);
        fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(kid(&shared), second);

        new_ring(&path);
        until("the third ring", || kid(&shared) != second).await;
        task.abort();
    }

    #[test]
    fn a_bad_file_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "{}").unwrap();
        assert!(SharedRing::watch(&path, FilePermissions::Unchecked, Duration::ZERO).is_err());
    }

    #[test]
    fn a_bad_file_is_logged_once_however_often_it_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        new_ring(&path);
        let (source, ring) = Source::open(&path, FilePermissions::Private).unwrap();
        let shared = SharedRing::new(ring);
        put(&path, |draft| fs::write(draft, "{}").unwrap());
        let changes = (0..5).filter(|_| source.refresh(&shared)).count();
        assert_eq!(changes, 1);
    }

    #[test]
    fn whoever_signs_is_never_left_without_a_key_to_sign_with() {
        let exposed = secrecy::ExposeSecret::expose_secret;
        let pair = KeyRing::generate_with(KeyAlgorithm::EdDsa, &SystemEntropy, &SystemClock);
        let pair = KeyRing::from_jwks(exposed(&pair)).unwrap();
        let public = || KeyRing::from_jwks(exposed(&pair.verifying_jwks())).unwrap();
        assert!(SharedRing::new(public()).signing().is_err());
        let verifying = SharedRing::new(public());
        verifying.replace(public()).unwrap();

        let shared = SharedRing::new(KeyRing::from_jwks(exposed(&pair.to_jwks())).unwrap());
        let signing = shared.signing().unwrap();
        let refused = shared.replace(public());
        assert!(matches!(refused, Err(KeyRingError::CannotSign(_))));
        assert_eq!(signing.signer().kid(), pair.active_kid());
    }
}
