//! Keeps the key ring: rotates keys when every guard is ready, by command or by age.
//!
//! The file is the truth: what an operator puts there counts, whoever wrote it. Each change reads it anew under the
//! lock of the database, so that replicas that share it take turns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millgate_guard::{
    FilePermissions, KeyAlgorithm, KeyInfo, KeyRing, KeyRingError, KeyStatus, SharedRing,
};
use millgate_platform::{Clock, Entropy, Fault, Reason, SharedClock, SharedEntropy, Tx};

use super::{EXPECTED_FOR, LEFT_AFTER};
use crate::app::App;
use crate::audit;
use crate::domain::micros;
use crate::domain::trust::{Connected, Kind, NEVER};
use crate::origin::Origin;
use crate::store;

/// The name under which the replicas of this service stand among the guards.
pub(crate) const OWN_CLIENT: &str = "auth-service";
/// How often the ring is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure the file is left alone for this long.
const PAUSE: Duration = Duration::from_secs(30);
/// How long the news of a key stay.
const NEWS: Duration = Duration::from_secs(60 * 60);

/// The key ring and where it is kept.
pub(crate) struct Keeper {
    /// What everybody in the process signs and verifies with.
    pub(crate) ring: SharedRing,
    /// The ring's file; without one keys are not rotated here.
    pub(crate) file: Option<PathBuf>,
    /// Whether the file's mode is looked at.
    pub(crate) permissions: FilePermissions,
    /// The file for those who only verify.
    pub(crate) verifiers: Option<PathBuf>,
    /// The age at which a key is replaced by itself.
    pub(crate) longest_age: Option<Duration>,
    /// How long a key is announced at least: guards without a feed look at the file now and then.
    pub(crate) announced_for: Duration,
    /// How long a token lives that was just signed.
    pub(crate) token_life: Duration,
    /// The time.
    pub(crate) clock: SharedClock,
    /// Randomness for keys.
    pub(crate) entropy: SharedEntropy,
}

/// A change of the ring.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A new key beside the others, of this algorithm or of that of the key that signs. While one is announced already,
    /// it is that one.
    Announce(Option<KeyAlgorithm>),
    /// A new key in place of this one, which has signed for long enough, unless another replica has seen to it.
    Succeed(KeyInfo),
    /// An announced key signs.
    Activate(String),
    /// A key is gone.
    Remove(String),
    /// A stolen key is gone, also when it signs and another one is announced.
    Banish(String),
}

/// What a change makes of the ring in the file.
enum Changed {
    /// Nothing: it is as it should be, with this key.
    Already(KeyRing, String),
    /// Another ring, by this key.
    Into {
        old: KeyRing,
        new: KeyRing,
        kid: String,
    },
}

/// Who did it, for the audit log.
pub(crate) struct By<'a> {
    /// The caller's key; empty for the service itself.
    pub(crate) actor: &'a str,
    /// From where.
    pub(crate) origin: &'a Origin,
}

/// Changes the ring, its file, and tells everybody. Gives the key that it was about.
///
/// # Errors
/// STATE_CONFLICT when the ring does not allow it or its file cannot be written.
pub(crate) async fn change(app: &App, change: Change, by: By<'_>) -> Result<String, Fault> {
    let mut tx = app.db.begin().await?;
    // One after the other, from the reading of the file to its writing.
    store::trust::lock(&mut tx).await?;
    let keeper = &app.trust.keeper;
    let (old, new, kid) = match keeper.changed(change.clone()).await? {
        Changed::Already(ring, kid) => {
            // Another replica may have written it: no need to wait for the next look at the file.
            keeper.ring.replace(ring).map_err(conflict)?;
            return Ok(kid);
        }
        Changed::Into { old, new, kid } => (old, new, kid),
    };
    if let Change::Succeed(key) = &change
        && is_at_odds(app, &mut tx, &old).await?
    {
        return Ok(key.kid.clone());
    }
    if let Change::Banish(kid) = &change {
        store::trust::insert(&mut tx, Kind::Key, kid, 0, NEVER).await?;
    }
    let news = app.now().saturating_add(micros(NEWS));
    for (kind, kid) in differences(&old, &new) {
        store::trust::insert(&mut tx, kind, &kid, 0, news).await?;
    }
    let event = audit::Event {
        what: change.name(),
        actor: by.actor,
        ..audit::Event::default()
    };
    event.done(&mut tx, app, by.origin).await?;
    let keys: Vec<KeyInfo> = new.infos().collect();
    store::trust::seen_in_tx(&mut tx, &own(app, &keys)).await?;
    keeper.write(&new).await?;
    tx.commit().await?;
    tracing::info!(change = change.name(), kid, ring = ?new, "the key ring was changed");
    keeper.ring.replace(new).map_err(conflict)?;
    Ok(kid)
}

/// Whether another replica knows a key that is not in this file. It has then a file of its own, and has begun a rotation
/// there: two at once would wait for each other.
async fn is_at_odds(app: &App, tx: &mut Tx, ring: &KeyRing) -> Result<bool, Fault> {
    let since = app.now().saturating_sub(micros(LEFT_AFTER));
    let others = store::trust::others(tx, &own(app, &[]), since).await?;
    let mut known = others.iter().flat_map(|other| &other.key_ids);
    Ok(known.any(|kid| ring.status(kid).is_none()))
}

/// Looks after the ring until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    let keeper = &app.trust.keeper;
    let started = app.clock.now_seconds();
    let mut ring = keeper.ring.changes();
    let mut failed = false;
    loop {
        let pause = if failed { PAUSE } else { LOOK_EVERY };
        let looked = look_after(&app, started).await;
        failed = looked.is_err();
        if let Err(fault) = looked {
            tracing::warn!(%fault, "the key ring cannot be looked after; trying again in a while");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = ring.changed() => {
                if let Err(fault) = keeper.write_verifiers(&keeper.ring.current()).await {
                    tracing::error!(%fault, "the verifiers' key file cannot be written");
                }
            }
        }
    }
}

async fn look_after(app: &App, started: i64) -> Result<(), Fault> {
    let keeper = &app.trust.keeper;
    let keys: Vec<KeyInfo> = keeper.ring.current().infos().collect();
    store::trust::seen(&app.db, &own(app, &keys)).await?;
    if keeper.file.is_none() {
        return Ok(());
    }
    let now = app.clock.now_seconds();
    let for_long = |since: Option<i64>, long: Duration| {
        let since = since.unwrap_or(started);
        now.saturating_sub(since) >= i64::try_from(long.as_secs()).unwrap_or(i64::MAX)
    };
    let by_itself = |what| {
        let origin = Origin::default();
        async move {
            let by = By {
                actor: "",
                origin: &origin,
            };
            change(app, what, by).await.map(drop)
        }
    };
    let announced = keys.iter().find(|key| key.status == KeyStatus::Announced);
    if let Some(key) = announced
        && for_long(key.since, keeper.announced_for)
        && unknown_to(&guards(app).await?, &key.kid).next().is_none()
    {
        by_itself(Change::Activate(key.kid.clone())).await?;
    }
    // A second more: what was signed in the last moment lives as long as the rest.
    let life = keeper.token_life + Duration::from_secs(1);
    for key in &keys {
        if key.status == KeyStatus::Retiring && key.since.is_some() && for_long(key.since, life) {
            by_itself(Change::Remove(key.kid.clone())).await?;
        }
    }
    let active = keys.iter().find(|key| key.status == KeyStatus::Active);
    if let (Some(limit), Some(key), None) = (keeper.longest_age, active, announced)
        && for_long(key.since, limit)
    {
        by_itself(Change::Succeed(key.clone())).await?;
    }
    Ok(())
}

/// This replica among the guards: it verifies, too.
fn own(app: &App, keys: &[KeyInfo]) -> Connected {
    Connected {
        connection: app.trust.replica.clone(),
        client_id: OWN_CLIENT.to_owned(),
        instance: app.trust.replica.clone(),
        key_ids: keys.iter().map(|key| key.kid.clone()).collect(),
        seen_time: app.now(),
        left: false,
    }
}

/// The guards that a rotation waits for, where they lack the key: those that are connected now, at any replica, and
/// those that have left a moment ago and are expected back, because they may serve on with the keys that they had.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn guards(app: &App) -> Result<Vec<Connected>, Fault> {
    let now = app.now();
    let mut guards =
        store::trust::guards(&app.db, now.saturating_sub(micros(EXPECTED_FOR))).await?;
    let since = now.saturating_sub(micros(LEFT_AFTER));
    for guard in &mut guards {
        guard.left |= guard.seen_time <= since;
    }
    let (away, mut here): (Vec<_>, Vec<_>) = guards.into_iter().partition(|guard| guard.left);
    // A replica of this service that has lost the database lets nobody in. One process that has come back is here.
    let expected: Vec<Connected> = away
        .into_iter()
        .filter(|guard| guard.client_id != OWN_CLIENT)
        .filter(|guard| !here.iter().any(|it| it.is_same_process(guard)))
        .collect();
    here.extend(expected);
    Ok(here)
}

/// Those of them that do not know a key.
pub(crate) fn unknown_to<'a>(
    guards: &'a [Connected],
    kid: &'a str,
) -> impl Iterator<Item = &'a Connected> {
    guards.iter().filter(move |guard| !guard.knows(kid))
}

impl Keeper {
    /// What the change makes of the file's ring.
    async fn changed(&self, change: Change) -> Result<Changed, Fault> {
        let Some(file) = self.file.clone() else {
            return Err(Fault::new(
                Reason::StateConflict,
                "the key ring is not kept in a file here (MILLGATE_KEYS), so it is changed where it comes from",
            ));
        };
        let (permissions, clock, entropy) =
            (self.permissions, self.clock.clone(), self.entropy.clone());
        let load = move || KeyRing::load(&file, permissions);
        let old = blocking(load).await?;
        change.of(old, clock.as_ref(), entropy.as_ref())
    }

    async fn write(&self, ring: &KeyRing) -> Result<(), Fault> {
        self.write_verifiers(ring).await?;
        let (jwks, entropy, file) = (ring.to_jwks(), self.entropy.clone(), self.file.clone());
        blocking(move || match file {
            Some(file) => KeyRing::replace_file(&file, &jwks, entropy.as_ref()),
            None => Ok(()),
        })
        .await
    }

    /// Writes the file of those who only verify, where one is configured.
    pub(crate) async fn write_verifiers(&self, ring: &KeyRing) -> Result<(), Fault> {
        let Some(file) = self.verifiers.clone() else {
            return Ok(());
        };
        let (jwks, entropy) = (ring.verifying_jwks(), self.entropy.clone());
        blocking(move || KeyRing::replace_file(&file, &jwks, entropy.as_ref())).await
    }
}

/// The ring without a stolen key. One that is not there (any more) is no fault: it shall be refused all the same.
fn banish(ring: &KeyRing, kid: &str, clock: &dyn Clock) -> Result<KeyRing, KeyRingError> {
    match ring.status(kid) {
        None => KeyRing::from_jwks(secrecy::ExposeSecret::expose_secret(&ring.to_jwks())),
        Some(KeyStatus::Active) => {
            let next = ring.infos().find(|key| key.status == KeyStatus::Announced);
            let next = next.ok_or_else(|| KeyRingError::NoSuchKey("announced".to_owned()))?;
            ring.activate(&next.kid, clock)?.remove(kid)
        }
        Some(_) => ring.remove(kid),
    }
}

impl Change {
    /// What it makes of a ring. What another replica has done already is no fault.
    fn of(self, old: KeyRing, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Changed, Fault> {
        let made = match self {
            Self::Announce(wanted) => {
                if let Some(key) = key_that_is(&old, KeyStatus::Announced) {
                    return match wanted.is_none_or(|wanted| wanted == key.algorithm) {
                        true => Ok(Changed::Already(old, key.kid)),
                        false => Err(Fault::new(
                            Reason::StateConflict,
                            format!(
                                "the key {} of another algorithm is announced already: retire it first",
                                key.kid
                            ),
                        )),
                    };
                }
                let like_now = key_that_is(&old, KeyStatus::Active).map(|key| key.algorithm);
                let algorithm = wanted.or(like_now).unwrap_or(KeyAlgorithm::Hs256);
                old.announce(algorithm, entropy, clock)
            }
            Self::Succeed(key) => {
                let next = key_that_is(&old, KeyStatus::Announced);
                if next.is_some() || old.active_kid() != key.kid {
                    return Ok(Changed::Already(old, key.kid));
                }
                old.announce(key.algorithm, entropy, clock)
            }
            Self::Activate(kid) if old.status(&kid) == Some(KeyStatus::Active) => {
                return Ok(Changed::Already(old, kid));
            }
            Self::Activate(kid) => old.activate(&kid, clock).map(|new| (new, kid)),
            Self::Remove(kid) if old.status(&kid).is_none() => {
                return Ok(Changed::Already(old, kid));
            }
            Self::Remove(kid) => old.remove(&kid).map(|new| (new, kid)),
            Self::Banish(kid) => banish(&old, &kid, clock).map(|new| (new, kid)),
        };
        let (new, kid) = made.map_err(conflict)?;
        Ok(Changed::Into { old, new, kid })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Announce(_) | Self::Succeed(_) => "key_announced",
            Self::Activate(_) => "key_activated",
            Self::Remove(_) => "key_removed",
            Self::Banish(_) => "key_banished",
        }
    }
}

fn key_that_is(ring: &KeyRing, status: KeyStatus) -> Option<KeyInfo> {
    ring.infos().find(|key| key.status == status)
}

/// What became of each key.
fn differences(old: &KeyRing, new: &KeyRing) -> Vec<(Kind, String)> {
    let changed = new
        .infos()
        .filter(|key| old.status(&key.kid) != Some(key.status))
        .map(|key| (Kind::of(key.status), key.kid));
    let gone = old
        .kids()
        .filter(|kid| new.status(kid).is_none())
        .map(|kid| (Kind::KeyRemoved, kid.to_owned()));
    changed.chain(gone).collect()
}

/// Files are read and written aside: a disk that hangs must not hang the calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyRingError> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::internal("work on the key file was cut").with_source(error))?
        .map_err(conflict)
}

fn conflict(error: KeyRingError) -> Fault {
    Fault::new(Reason::StateConflict, error.to_string())
}
