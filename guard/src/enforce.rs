//! The decision: may this caller call the method of this rule?

use std::time::Duration;

use crate::caller::{Caller, Principal};
use crate::refusal::Refusal;
use crate::rules::{Access, PrincipalKind, Rule};

impl Rule {
    /// Whether the rule lets the caller pass, `now` being in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first of kind of principal, role, scope and freshness that does not.
    pub fn admits(&self, caller: &Caller, now: i64) -> Result<(), Refusal> {
        self.admits_kind(caller)?;
        self.admits_role(caller)?;
        self.admits_scope(caller)?;
        self.admits_freshness(caller, now)
    }

    fn admits_kind(&self, caller: &Caller) -> Result<(), Refusal> {
        match (self.principal, caller.principal()) {
            (None, _)
            | (Some(PrincipalKind::User), Principal::User { .. })
            | (Some(PrincipalKind::Service), Principal::Service { .. }) => Ok(()),
            _ => Err(Refusal::PrincipalKindDenied),
        }
    }

    /// A service has no role: its scope alone decides.
    fn admits_role(&self, caller: &Caller) -> Result<(), Refusal> {
        match (&self.access, caller.principal()) {
            (Access::Roles(roles), Principal::User { role, .. }) if !roles.contains(role) => {
                Err(Refusal::RoleDenied)
            }
            _ => Ok(()),
        }
    }

    fn admits_scope(&self, caller: &Caller) -> Result<(), Refusal> {
        let passes = match (&self.scope, caller.scope(), caller.principal()) {
            (Some(needed), Some(held), _) => held.contains(needed),
            (None, Some(_), _) => false,
            (_, None, Principal::User { .. }) => true,
            (_, None, Principal::Service { .. }) => false,
        };
        if passes {
            Ok(())
        } else {
            Err(Refusal::ScopeDenied)
        }
    }

    /// A service proves who it is with every token it fetches; freshness is about people.
    fn admits_freshness(&self, caller: &Caller, now: i64) -> Result<(), Refusal> {
        match (self.fresh_within, caller.principal()) {
            (Some(limit), Principal::User { .. }) if !is_fresh(caller.auth_time(), now, limit) => {
                Err(Refusal::FreshTokenRequired)
            }
            _ => Ok(()),
        }
    }
}

/// A time still to come proves nothing: it would be fresh for as long as somebody likes.
fn is_fresh(auth_time: Option<i64>, now: i64, limit: Duration) -> bool {
    const FARTHEST_FUTURE: i64 = 5;
    auth_time.is_some_and(|proved| {
        let age = now.saturating_sub(proved);
        age >= -FARTHEST_FUTURE && u64::try_from(age).unwrap_or(0) <= limit.as_secs()
    })
}
