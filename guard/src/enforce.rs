//! The decision: may this caller call the method of this rule?

use std::time::Duration;

use crate::caller::Caller;
use crate::claims::Kind;
use crate::refusal::Refusal;
use crate::rules::{Access, PrincipalKind, Rule};
use crate::verify::FARTHEST_FUTURE;

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
        match (self.principal, caller.kind()) {
            (None, _)
            | (Some(PrincipalKind::User), Kind::User { .. })
            | (Some(PrincipalKind::Service), Kind::Service) => Ok(()),
            _ => Err(Refusal::PrincipalKindDenied),
        }
    }

    /// A service has no role: its scope alone decides.
    fn admits_role(&self, caller: &Caller) -> Result<(), Refusal> {
        match (&self.access, caller.role()) {
            (Access::Roles(roles), Some(role)) if !roles.iter().any(|listed| listed == role) => {
                Err(Refusal::RoleDenied)
            }
            _ => Ok(()),
        }
    }

    fn admits_scope(&self, caller: &Caller) -> Result<(), Refusal> {
        let passes = match (&self.scope, caller.scope(), caller.kind()) {
            (Some(needed), Some(held), _) => held.contains(needed),
            (None, Some(_), _) => false,
            (_, None, Kind::User { .. }) => true,
            (_, None, Kind::Service) => false,
        };
        if passes {
            Ok(())
        } else {
            Err(Refusal::ScopeDenied)
        }
    }

    /// A service proves who it is with every token it fetches; freshness is about people.
    fn admits_freshness(&self, caller: &Caller, now: i64) -> Result<(), Refusal> {
        match (self.fresh_within, caller.kind()) {
            (Some(limit), Kind::User { .. }) if !is_fresh(caller.auth_time(), now, limit) => {
                Err(Refusal::FreshTokenRequired)
            }
            _ => Ok(()),
        }
    }
}

/// A time still to come proves nothing: it would be fresh for as long as somebody likes.
fn is_fresh(auth_time: Option<i64>, now: i64, limit: Duration) -> bool {
    auth_time.is_some_and(|proved| {
        let age = now.saturating_sub(proved);
        age >= -FARTHEST_FUTURE && u64::try_from(age).unwrap_or(0) <= limit.as_secs()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draft, Issuer, ManualClock};

    const NOW: i64 = 1_790_000_000;

    fn issuer() -> Issuer {
        Issuer::new(ManualClock::shared(NOW * 1_000_000))
    }

    fn caller(draft: &Draft<'_>) -> Caller {
        Caller::new(draft.claims().clone(), "k".into()).unwrap()
    }

    fn token() -> Rule {
        Rule {
            access: Access::Token,
            scope: None,
            fresh_within: None,
            principal: None,
        }
    }

    fn staff() -> Rule {
        Rule {
            access: Access::Roles(vec!["admin".to_owned(), "user".to_owned()]),
            ..token()
        }
    }

    fn scoped(rule: Rule) -> Rule {
        Rule {
            scope: Some("desk.write".to_owned()),
            ..rule
        }
    }

    #[test]
    fn roles_are_compared_exactly() {
        let issuer = issuer();
        for (role, admitted) in [
            ("admin", Ok(())),
            ("user", Ok(())),
            ("customer", Err(Refusal::RoleDenied)),
            ("Admin", Err(Refusal::RoleDenied)),
            ("admin ", Err(Refusal::RoleDenied)),
            ("admin,user", Err(Refusal::RoleDenied)),
            ("emperor", Err(Refusal::RoleDenied)),
        ] {
            let caller = caller(&issuer.user(7, role));
            assert_eq!(staff().admits(&caller, NOW), admitted, "{role}");
            assert_eq!(token().admits(&caller, NOW), Ok(()), "{role}");
        }
    }

    #[test]
    fn a_rule_without_scope_is_never_passed_by_a_scoped_or_a_service_token() {
        let issuer = issuer();
        let callers = [
            caller(&issuer.user(7, "admin").scope("desk.write")),
            caller(&issuer.service("factory", "desk.write")),
            caller(&issuer.service("factory", "")),
        ];
        for caller in &callers {
            for rule in [token(), staff()] {
                assert_eq!(
                    rule.admits(caller, NOW),
                    Err(Refusal::ScopeDenied),
                    "{caller:?}"
                );
            }
        }
    }

    #[test]
    fn a_scoped_rule_is_passed_by_its_scope_and_by_unscoped_people() {
        let issuer = issuer();
        for rule in [scoped(token()), scoped(staff())] {
            for admitted in [
                issuer.user(7, "admin"),
                issuer.user(7, "admin").scope("desk.write"),
                issuer.user(7, "admin").scope("a desk.write z"),
                issuer.service("factory", "desk.write"),
            ] {
                assert_eq!(rule.admits(&caller(&admitted), NOW), Ok(()), "{admitted:?}");
            }
            for refused in [
                issuer.user(7, "admin").scope("desk.read"),
                issuer.user(7, "admin").scope("desk.writer desk"),
                issuer.service("factory", "desk.read"),
                issuer.service("factory", ""),
            ] {
                let refusal = rule.admits(&caller(&refused), NOW);
                assert_eq!(refusal, Err(Refusal::ScopeDenied), "{refused:?}");
            }
        }
        // A scope does not stand in for a person's role.
        let customer = caller(&issuer.user(7, "customer").scope("desk.write"));
        assert_eq!(
            scoped(staff()).admits(&customer, NOW),
            Err(Refusal::RoleDenied)
        );
    }

    #[test]
    fn kinds_of_principals_are_kept_apart() {
        let issuer = issuer();
        let (person, service) = (
            caller(&issuer.user(7, "admin")),
            caller(&issuer.service("factory", "desk.write")),
        );
        let only = |principal| Rule {
            principal: Some(principal),
            ..scoped(token())
        };
        assert_eq!(only(PrincipalKind::User).admits(&person, NOW), Ok(()));
        assert_eq!(only(PrincipalKind::Service).admits(&service, NOW), Ok(()));
        let denied = Err(Refusal::PrincipalKindDenied);
        assert_eq!(only(PrincipalKind::User).admits(&service, NOW), denied);
        assert_eq!(only(PrincipalKind::Service).admits(&person, NOW), denied);
    }

    #[test]
    fn freshness_is_counted_from_the_proof_and_not_from_the_token() {
        let issuer = issuer();
        let rule = Rule {
            fresh_within: Some(Duration::from_secs(300)),
            ..scoped(token())
        };
        let proved = |seconds| {
            issuer
                .user(7, "user")
                .proved_ago(Duration::from_secs(seconds))
        };
        assert_eq!(rule.admits(&caller(&proved(0)), NOW), Ok(()));
        assert_eq!(rule.admits(&caller(&proved(300)), NOW), Ok(()));
        let stale = Err(Refusal::FreshTokenRequired);
        assert_eq!(rule.admits(&caller(&proved(301)), NOW), stale);
        for auth_time in [
            None,
            Some(NOW + 6),
            Some(i64::MAX),
            Some(i64::MIN),
            Some(-1),
        ] {
            let odd = issuer
                .user(7, "user")
                .with(|claims| claims.auth_time = auth_time);
            assert_eq!(rule.admits(&caller(&odd), NOW), stale, "{auth_time:?}");
        }
        // A service cannot prove anew who it is; its scope decides.
        let service = caller(&issuer.service("factory", "desk.write"));
        assert_eq!(rule.admits(&service, NOW), Ok(()));
    }

    #[test]
    fn refusals_come_in_the_order_of_kind_role_scope_freshness() {
        let issuer = issuer();
        let mut rule = Rule {
            access: Access::Roles(vec!["admin".to_owned()]),
            scope: Some("desk.write".to_owned()),
            fresh_within: Some(Duration::from_secs(1)),
            principal: Some(PrincipalKind::Service),
        };
        let stale = Duration::from_secs(2);
        let worst = issuer.user(7, "customer").scope("x").proved_ago(stale);
        assert_eq!(
            rule.admits(&caller(&worst), NOW),
            Err(Refusal::PrincipalKindDenied)
        );
        rule.principal = None;
        assert_eq!(rule.admits(&caller(&worst), NOW), Err(Refusal::RoleDenied));
        let admin = issuer.user(7, "admin").scope("x").proved_ago(stale);
        assert_eq!(rule.admits(&caller(&admin), NOW), Err(Refusal::ScopeDenied));
        let scoped = issuer
            .user(7, "admin")
            .scope("desk.write")
            .proved_ago(stale);
        assert_eq!(
            rule.admits(&caller(&scoped), NOW),
            Err(Refusal::FreshTokenRequired)
        );
        let fresh = issuer.user(7, "admin").scope("desk.write");
        assert_eq!(rule.admits(&caller(&fresh), NOW), Ok(()));
    }
}
