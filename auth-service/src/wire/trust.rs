//! The trust feed and the keys between the contract and the domain.

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::revocation::Target;
use millgate_contract::auth::v1::watch_request::Said;
use millgate_contract::auth::v1::watch_response::Told;
use millgate_guard::{KeyAlgorithm, KeyInfo, KeyStatus};
use millgate_platform::{Fault, FieldFault, Fields, Reason};
use prost_types::Timestamp;

use super::timestamp;
use crate::domain::trust::{Connected, Event, Kind, NEVER};

/// As many keys as a ring holds, and as long a name as a key may have (guard/src/keys.rs).
const MOST_KEYS: usize = 64;
const LONGEST_KEY_ID: usize = 64;
/// A UUID, or a host's name with a port.
const LONGEST_INSTANCE: usize = 128;

/// A guard's hello.
pub(crate) struct Greeting {
    /// Which process.
    pub(crate) instance: String,
    /// The feed that it followed before.
    pub(crate) feed: String,
    /// How far.
    pub(crate) sequence: i64,
    /// The keys that it knows.
    pub(crate) key_ids: Vec<String>,
}

/// Reads the first message of a guard.
///
/// # Errors
/// FIELD_INVALID.
pub(crate) fn greeting(first: Option<pb::WatchRequest>) -> Result<Greeting, Fault> {
    let mut fields = Fields::new();
    let Some(Said::Hello(hello)) = first.and_then(|first| first.said) else {
        fields.refuse("hello", invalid("the first message must be a hello"));
        return Err(fields
            .finish()
            .err()
            .unwrap_or_else(|| Fault::internal("a fault was lost")));
    };
    let instance = &hello.instance;
    let named = (1..=LONGEST_INSTANCE).contains(&instance.len())
        && instance.bytes().all(|byte| byte.is_ascii_graphic());
    fields.check(
        "hello.instance",
        named,
        invalid("must be 1 to 128 printable ASCII characters without spaces"),
    );
    fields.check(
        "hello.sequence",
        hello.sequence >= 0,
        invalid("must not be negative"),
    );
    fields.check(
        "hello.key_ids",
        are_key_ids(&hello.key_ids),
        invalid(KEY_IDS),
    );
    fields.finish()?;
    Ok(Greeting {
        instance: hello.instance,
        feed: hello.feed,
        sequence: hello.sequence,
        key_ids: hello.key_ids,
    })
}

const KEY_IDS: &str = "must be at most 64 names of at most 64 letters, digits, '-', '_' or '.'";

/// Reads the keys that a guard knows.
///
/// # Errors
/// FIELD_INVALID.
pub(crate) fn key_ids(ids: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut fields = Fields::new();
    fields.check("keys.key_ids", are_key_ids(&ids), invalid(KEY_IDS));
    fields.finish()?;
    Ok(ids)
}

/// The answer to a guard that says hello twice, or nothing.
pub(crate) fn no_second_hello() -> Fault {
    let message = "after its hello a guard says which keys it knows, or sends a new token";
    Fault::new(Reason::FieldInvalid, message)
}

fn are_key_ids(ids: &[String]) -> bool {
    ids.len() <= MOST_KEYS && ids.iter().all(|id| is_key_id(id))
}

fn is_key_id(id: &str) -> bool {
    (1..=LONGEST_KEY_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn invalid(description: &str) -> FieldFault {
    FieldFault::new(Reason::FieldInvalid, description)
}

/// What a guard is told of an event.
pub(crate) fn event(event: &Event) -> Told {
    match (revocation(event), event.kind) {
        (Some(revocation), _) => Told::Revoked(revocation),
        (None, kind) => Told::Key(pb::KeyChange {
            key_id: event.name.clone(),
            state: match kind {
                Kind::KeyAnnounced => pb::KeyState::Announced,
                Kind::KeyActive => pb::KeyState::Active,
                Kind::KeyRetiring => pb::KeyState::Retiring,
                _ => pb::KeyState::Removed,
            }
            .into(),
        }),
    }
}

/// What a guard refuses by an event.
pub(crate) fn revocation(event: &Event) -> Option<pb::Revocation> {
    let name = event.name.clone();
    let target = match event.kind {
        Kind::Token => Target::TokenId(name),
        Kind::Session => Target::SessionId(name),
        Kind::User => Target::User(pb::UserLimit {
            // A trigger wrote it from a number.
            user_id: name.parse().ok()?,
            generation: event.value,
        }),
        Kind::Service => Target::Service(pb::ServiceLimit {
            client_id: name,
            issued_until: Some(at_second(event.value)),
        }),
        Kind::Key => Target::KeyId(name),
        _ => return None,
    };
    Some(pb::Revocation {
        target: Some(target),
        expire_time: (event.expire_time != NEVER).then(|| timestamp(event.expire_time)),
    })
}

fn at_second(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// A key as it goes out.
pub(crate) fn key<'a>(key: &KeyInfo, unknown_to: impl Iterator<Item = &'a Connected>) -> pb::Key {
    pb::Key {
        key_id: key.kid.clone(),
        algorithm: match key.algorithm {
            KeyAlgorithm::Hs256 => pb::KeyAlgorithm::Hs256,
            KeyAlgorithm::EdDsa => pb::KeyAlgorithm::Eddsa,
        }
        .into(),
        state: match key.status {
            KeyStatus::Announced => pb::KeyState::Announced,
            KeyStatus::Active => pb::KeyState::Active,
            KeyStatus::Retiring => pb::KeyState::Retiring,
        }
        .into(),
        state_time: key.since.map(at_second),
        unknown_to: unknown_to.map(guard).collect(),
    }
}

/// A guard as it goes out.
pub(crate) fn guard(guard: &Connected) -> pb::ConnectedGuard {
    pb::ConnectedGuard {
        client_id: guard.client_id.clone(),
        instance: guard.instance.clone(),
        seen_time: Some(timestamp(guard.seen_time)),
        away: guard.left,
    }
}

/// The algorithm that is asked for; none for that of the key that signs.
pub(crate) fn algorithm(number: i32) -> Result<Option<KeyAlgorithm>, FieldFault> {
    match pb::KeyAlgorithm::try_from(number) {
        Ok(pb::KeyAlgorithm::Unspecified) => Ok(None),
        Ok(pb::KeyAlgorithm::Hs256) => Ok(Some(KeyAlgorithm::Hs256)),
        Ok(pb::KeyAlgorithm::Eddsa) => Ok(Some(KeyAlgorithm::EdDsa)),
        Err(_) => Err(invalid(
            "must be KEY_ALGORITHM_HS256 or KEY_ALGORITHM_EDDSA",
        )),
    }
}

/// The name of a key that is asked for.
pub(crate) fn key_id(id: &str) -> Result<&str, FieldFault> {
    if is_key_id(id) {
        Ok(id)
    } else {
        Err(invalid("must be 1 to 64 letters, digits, '-', '_' or '.'"))
    }
}
