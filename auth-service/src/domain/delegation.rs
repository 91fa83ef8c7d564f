//! A service acts for a person: which rights it gets (RFC 8693).

use std::time::Duration;

use millgate_guard::{Claims, MOST_ACTORS, Scopes};
use millgate_platform::{Fault, Reason};

/// The scope that lets a service exchange tokens. It is never handed on: a token that a service got for a person must not
/// be good for getting others.
const EXCHANGE: &str = "tokens.exchange";

/// How long a token lives by which a service acts for a person: long enough for the work of one call.
pub(crate) const DELEGATED_LIFE: Duration = Duration::from_secs(5 * 60);

/// What a service gets when it acts for a person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delegation {
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Who acts: the service, and behind it those through whom it got the person's token.
    pub(crate) actors: Vec<String>,
}

impl Delegation {
    /// Decides what the service `client_id`, whose token has the scopes `held`, gets for the person of `subject`. The role
    /// stays the person's, so the rights are those that role and scopes share.
    ///
    /// # Errors
    /// DELEGATION_DENIED when the subject is no person, too many act for each other, or no scope is left.
    pub(crate) fn decide(
        subject: &Claims,
        client_id: &str,
        held: &Scopes,
        asked: Option<&Scopes>,
    ) -> Result<Self, Fault> {
        if subject.role.is_none() {
            return Err(denied("subject_is_a_service"));
        }
        if subject.actors.len() >= MOST_ACTORS {
            return Err(denied("too_many_actors"));
        }
        let of_subject = |scope: &&str| {
            let limits = [subject.scope.as_ref(), asked];
            limits.iter().flatten().all(|limit| limit.contains(scope))
        };
        let shared: Vec<&str> = held
            .iter()
            .filter(|scope| *scope != EXCHANGE)
            .filter(of_subject)
            .collect();
        let scopes = Scopes::parse(&shared.join(" ")).map_err(|_| denied("no_scope_is_shared"))?;
        let mut actors = vec![client_id.to_owned()];
        actors.extend(subject.actors.iter().cloned());
        Ok(Self { scopes, actors })
    }
}

/// The answer when a token cannot be exchanged; `cause` is one of few, for a program to branch on.
pub(crate) fn denied(cause: &'static str) -> Fault {
    Fault::new(
        Reason::DelegationDenied,
        "the service cannot act for the subject of this token",
    )
    .with_metadata("cause", cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_guard::testing::{Issuer, ManualClock};
    use proptest::prelude::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).expect("scopes")
    }

    fn decide(subject: &Claims, held: &str, asked: Option<&str>) -> Result<Delegation, Fault> {
        let asked = asked.map(scopes);
        Delegation::decide(subject, "shop", &scopes(held), asked.as_ref())
    }

    fn issuer() -> Issuer {
        Issuer::new(ManualClock::shared(1_800_000_000_000_000))
    }

    #[test]
    fn the_scopes_are_those_that_all_share() {
        let issuer = issuer();
        let person = issuer.user(7, "admin");
        let scoped = issuer.user(7, "admin").scope("b c");
        for (subject, held, asked, expected) in [
            (person.claims(), "a b tokens.exchange", None, Some("a b")),
            (
                person.claims(),
                "a b tokens.exchange",
                Some("b z"),
                Some("b"),
            ),
            (
                person.claims(),
                "a tokens.exchange",
                Some("tokens.exchange"),
                None,
            ),
            (person.claims(), "tokens.exchange", None, None),
            (scoped.claims(), "a b tokens.exchange", None, Some("b")),
            (scoped.claims(), "a tokens.exchange", None, None),
            (scoped.claims(), "a b c tokens.exchange", Some("a"), None),
        ] {
            match (decide(subject, held, asked), expected) {
                (Ok(got), Some(expected)) => assert_eq!(got.scopes, scopes(expected)),
                (Err(fault), None) => assert_eq!(fault.reason(), Reason::DelegationDenied),
                (got, expected) => panic!("{held} {asked:?}: {got:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn nobody_acts_for_a_service_and_no_more_than_three_through_each_other() {
        let issuer = issuer();
        let service = issuer.service("other", "a");
        assert!(decide(service.claims(), "a", None).is_err());
        let mut person = issuer.user(7, "user");
        for (earlier, expected) in [
            (None, Some(vec!["shop"])),
            (Some("one"), Some(vec!["shop", "one"])),
            (Some("two"), Some(vec!["shop", "two", "one"])),
            (Some("three"), None),
        ] {
            if let Some(earlier) = earlier {
                person = person.acting(earlier);
            }
            let actors = decide(person.claims(), "a", None)
                .ok()
                .map(|got| got.actors);
            assert_eq!(
                actors,
                expected.map(|all| all.iter().map(ToString::to_string).collect())
            );
        }
    }

    proptest! {
        #[test]
        fn nobody_gains_a_scope(
            subject in proptest::option::of("[a-d]( [a-d]){0,3}"),
            held in "[a-d]( [a-d]){0,3}",
            asked in proptest::option::of("[a-d]( [a-d]){0,3}"),
        ) {
            let issuer = issuer();
            let mut person = issuer.user(7, "user");
            if let Some(subject) = &subject {
                person = person.scope(subject);
            }
            let held_with = format!("{held} tokens.exchange");
            if let Ok(got) = decide(person.claims(), &held_with, asked.as_deref()) {
                prop_assert!(got.scopes.is_subset(&scopes(&held)));
                for limit in [subject, asked].iter().flatten() {
                    prop_assert!(got.scopes.is_subset(&scopes(limit)));
                }
            }
        }
    }
}
