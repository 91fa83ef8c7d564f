//! What the guards of all services must learn.

use millgate_guard::{KeyStatus, Revocation, Target};

use super::Micros;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A token, by its id, is refused.
    Token,
    /// A session's tokens are.
    Session,
    /// A person's tokens below a generation are.
    User,
    /// A service account's tokens issued up to a second are.
    Service,
    /// What was signed with a key is.
    Key,
    /// A key was announced.
    KeyAnnounced,
    /// A key signs.
    KeyActive,
    /// A key no longer signs.
    KeyRetiring,
    /// A key is gone.
    KeyRemoved,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Token,
        Self::Session,
        Self::User,
        Self::Service,
        Self::Key,
        Self::KeyAnnounced,
        Self::KeyActive,
        Self::KeyRetiring,
        Self::KeyRemoved,
    ];

    /// As the database has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::User => "user",
            Self::Service => "service",
            Self::Key => "key",
            Self::KeyAnnounced => "key_announced",
            Self::KeyActive => "key_active",
            Self::KeyRetiring => "key_retiring",
            Self::KeyRemoved => "key_removed",
        }
    }

    /// The kind of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The event of a key that gets this status.
    pub(crate) fn of(status: KeyStatus) -> Self {
        match status {
            KeyStatus::Active => Self::KeyActive,
            KeyStatus::Announced => Self::KeyAnnounced,
            KeyStatus::Retiring => Self::KeyRetiring,
        }
    }
}

/// An event with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number.
    pub(crate) sequence: i64,
    /// What it is about.
    pub(crate) kind: Kind,
    /// The name of what it is about.
    pub(crate) name: String,
    /// The generation of a person, or the last second of issue of a service.
    pub(crate) value: i64,
    /// When everything that it refuses has expired. [`NEVER`] for a key.
    pub(crate) expire_time: Micros,
}

/// Whoever stole a key makes new tokens with it.
pub(crate) const NEVER: Micros = Micros::MAX;

impl Event {
    /// What a guard refuses by it; nothing where it only tells of a key's state.
    pub(crate) fn revocation(&self) -> Option<Revocation> {
        let name = self.name.clone();
        let target = match self.kind {
            Kind::Token => Target::Token(name),
            Kind::Session => Target::Session(name),
            Kind::User => Target::User {
                subject: name,
                generation: self.value,
            },
            Kind::Service => Target::Service {
                client_id: name,
                issued_until: self.value,
            },
            Kind::Key => Target::Key(name),
            Kind::KeyAnnounced | Kind::KeyActive | Kind::KeyRetiring | Kind::KeyRemoved => {
                return None;
            }
        };
        Some(Revocation {
            target,
            // Rather too long than too short.
            expires_at: self.expire_time / 1_000_000 + 1,
        })
    }
}

/// A guard that follows the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connected {
    /// Which connection: one process may have an old one and a new one.
    pub(crate) connection: String,
    /// Its service account.
    pub(crate) client_id: String,
    /// Which of its processes.
    pub(crate) instance: String,
    /// The keys that it knows.
    pub(crate) key_ids: Vec<String>,
    /// When it was last heard.
    pub(crate) seen_time: Micros,
    /// Whether the connection has ended, or was not heard for so long that it must have.
    pub(crate) left: bool,
}

impl Connected {
    /// Whether both are connections of one process.
    pub(crate) fn is_same_process(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.instance == other.instance
    }

    /// Whether it knows this key.
    pub(crate) fn knows(&self, key_id: &str) -> bool {
        self.key_ids.iter().any(|known| known == key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_names() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("tokens"), None);
    }

    #[test]
    fn a_revocation_outlives_what_it_refuses() {
        let event = |expire_time| Event {
            sequence: 1,
            kind: Kind::Session,
            name: "s".to_owned(),
            value: 0,
            expire_time,
        };
        let end = |expire_time| event(expire_time).revocation().map(|it| it.expires_at);
        assert_eq!(end(1_999_999), Some(2));
        assert_eq!(end(2_000_000), Some(3));
        assert_eq!(end(NEVER), Some(i64::MAX / 1_000_000 + 1));
    }
}
