//! Revocations that a test makes, without an auth service.

use std::sync::Arc;

use crate::ambient::SharedClock;
use crate::claims::Claims;
use crate::revocations::{LiveRevocations, Revocation, Target};

/// An in-memory trust feed: what is revoked here is refused at once by the guard that was given
/// [`MemoryFeed::revocations`], and ends its streams.
#[derive(Clone, Debug)]
pub struct MemoryFeed {
    known: Arc<LiveRevocations>,
}

impl MemoryFeed {
    /// A feed that has told everything that there is: nothing.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let known = Arc::new(LiveRevocations::new(clock));
        known.complete();
        Self { known }
    }

    /// For [`crate::Guard::with_revocations`].
    #[must_use]
    pub fn revocations(&self) -> Arc<LiveRevocations> {
        self.known.clone()
    }

    /// Revokes a token.
    pub fn revoke(&self, claims: &Claims) {
        self.add(Target::Token(claims.token_id.clone()));
    }

    /// Ends a session.
    pub fn end_session(&self, id: &str) {
        self.add(Target::Session(id.to_owned()));
    }

    /// Refuses a person's tokens below a generation: `i64::MAX` for a person who is gone.
    pub fn raise_generation(&self, user_id: i64, generation: i64) {
        let subject = user_id.to_string();
        self.add(Target::User {
            subject,
            generation,
        });
    }

    /// Refuses what a service account was given until now.
    pub fn disable_service(&self, client_id: &str, now_seconds: i64) {
        self.add(Target::Service {
            client_id: client_id.to_owned(),
            issued_until: now_seconds,
        });
    }

    /// Refuses everything that was signed with a key.
    pub fn remove_key(&self, kid: &str) {
        self.add(Target::Key(kid.to_owned()));
    }

    fn add(&self, target: Target) {
        self.known.add(&Revocation {
            target,
            expires_at: i64::MAX,
        });
    }
}
