//! The signing keys, as administrators see and change them.

use millgate_contract::auth::v1 as pb;
use millgate_guard::{Caller, KeyAlgorithm, KeyInfo, KeyStatus};
use millgate_platform::{Fault, Reason};

use crate::app::App;
use crate::origin::Origin;
use crate::trust::keeper::{self, By, Change};
use crate::wire::trust as wire;

/// The keys, with the guards that do not know them, and all guards that are connected.
pub(crate) async fn list(app: &App) -> Result<pb::ListKeysResponse, Fault> {
    let guards = keeper::guards(app).await?;
    let keys = infos(app)
        .iter()
        .map(|key| wire::key(key, keeper::unknown_to(&guards, &key.kid)))
        .collect();
    Ok(pb::ListKeysResponse {
        keys,
        guards: guards
            .iter()
            .filter(|guard| !guard.left)
            .map(wire::guard)
            .collect(),
    })
}

/// Announces a new key, unless one is announced already; gives the announced one.
///
/// # Errors
/// STATE_CONFLICT when one of another algorithm is announced, or the ring's file cannot be changed here.
pub(crate) async fn rotate(
    app: &App,
    caller: &Caller,
    algorithm: Option<KeyAlgorithm>,
    origin: &Origin,
) -> Result<pb::Key, Fault> {
    let actor = caller.key();
    let by = By {
        actor: &actor,
        origin,
    };
    let kid = keeper::change(app, Change::Announce(algorithm), by).await?;
    let guards = keeper::guards(app).await?;
    let key = infos(app).into_iter().find(|key| key.kid == kid);
    key.map(|key| wire::key(&key, keeper::unknown_to(&guards, &kid)))
        .ok_or_else(|| Fault::internal("an announced key is gone at once"))
}

/// Removes a key, by force when it was stolen.
///
/// # Errors
/// KEY_NOT_FOUND; STATE_CONFLICT when it signs, when its tokens still live, or when the ring's file cannot be changed
/// here.
pub(crate) async fn retire(
    app: &App,
    caller: &Caller,
    kid: &str,
    force: bool,
    origin: &Origin,
) -> Result<(), Fault> {
    let keys = infos(app);
    let status = keys.iter().find(|key| key.kid == kid).map(|key| key.status);
    let conflict = |message: &str| Err(Fault::new(Reason::StateConflict, message));
    let what = match (status, force) {
        (Some(KeyStatus::Active), true) if !announced(&keys) => {
            return conflict(
                "this key signs, and no other one is announced: rotate first, then remove it",
            );
        }
        // One that is not in the ring any more may still be in somebody's: it is refused all the same.
        (_, true) => Change::Banish(kid.to_owned()),
        (None, false) => {
            return Err(Fault::new(Reason::KeyNotFound, "there is no such key"));
        }
        (Some(KeyStatus::Announced), false) => Change::Remove(kid.to_owned()),
        (Some(KeyStatus::Active), false) => {
            return conflict("this key signs: rotate, and it retires by itself");
        }
        (Some(KeyStatus::Retiring), false) => {
            return conflict(
                "tokens of this key may still live; it is removed when they have expired, or by force",
            );
        }
    };
    let actor = caller.key();
    let by = By {
        actor: &actor,
        origin,
    };
    keeper::change(app, what, by).await.map(drop)
}

/// The public keys.
///
/// # Errors
/// INTERNAL, if the ring wrote what it cannot read.
pub(crate) fn public(app: &App) -> Result<pb::JwkSet, Fault> {
    let jwks = app.trust.keeper.ring.current().public_jwks();
    let set: serde_json::Value = serde_json::from_str(&jwks)
        .map_err(|error| Fault::internal("the public keys cannot be read").with_source(error))?;
    let text =
        |key: &serde_json::Value, member: &str| key[member].as_str().unwrap_or_default().to_owned();
    let key = |key: &serde_json::Value| pb::Jwk {
        kty: text(key, "kty"),
        crv: text(key, "crv"),
        kid: text(key, "kid"),
        alg: text(key, "alg"),
        r#use: text(key, "use"),
        x: text(key, "x"),
    };
    let keys = set["keys"].as_array();
    Ok(pb::JwkSet {
        keys: keys.into_iter().flatten().map(key).collect(),
    })
}

fn infos(app: &App) -> Vec<KeyInfo> {
    app.trust.keeper.ring.current().infos().collect()
}

fn announced(keys: &[KeyInfo]) -> bool {
    keys.iter().any(|key| key.status == KeyStatus::Announced)
}
