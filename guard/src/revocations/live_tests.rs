use super::*;
use crate::testing::{Issuer, ManualClock};
use crate::verify::{Expectations, TokenFault, Verifier};

const NOW: i64 = 1_790_000_000;

struct Desk {
    clock: Arc<ManualClock>,
    issuer: Issuer,
    known: LiveRevocations,
}

fn desk() -> Desk {
    let clock = ManualClock::shared(NOW * 1_000_000);
    Desk {
        issuer: Issuer::new(clock.clone()),
        known: LiveRevocations::new(clock.clone()),
        clock,
    }
}

fn until(target: Target, expires_at: i64) -> Revocation {
    Revocation { target, expires_at }
}

fn revoked(target: Target) -> Revocation {
    until(target, NOW + 900)
}

#[test]
fn a_token_and_a_session_are_refused_by_their_names_and_no_others() {
    let Desk { issuer, known, .. } = desk();
    let (one, two) = (issuer.user(7, "user"), issuer.user(8, "user"));
    assert_eq!(known.refuses(one.claims()), None);
    known.add(&revoked(Target::Token(one.claims().token_id.clone())));
    assert_eq!(known.refuses(one.claims()), Some(Refusal::TokenRevoked));
    assert_eq!(known.refuses(two.claims()), None);
    // A session that is called like a token is not that token.
    known.add(&revoked(Target::Token("session-of-8".to_owned())));
    assert_eq!(known.refuses(two.claims()), None);
    known.add(&revoked(Target::Session("session-of-8".to_owned())));
    assert_eq!(known.refuses(two.claims()), Some(Refusal::SessionEnded));
}

#[test]
fn a_generation_refuses_those_below_it_whatever_comes_later() {
    let Desk { issuer, known, .. } = desk();
    let of = |generation| {
        issuer
            .user(7, "user")
            .with(|it| it.generation = Some(generation))
    };
    let below = |generation| {
        let subject = "7".to_owned();
        revoked(Target::User {
            subject,
            generation,
        })
    };
    known.add(&below(3));
    // An older event that arrives late takes nothing back.
    known.add(&below(2));
    assert_eq!(known.refuses(of(2).claims()), Some(Refusal::TokenRevoked));
    assert_eq!(known.refuses(of(3).claims()), None);
    assert_eq!(known.refuses(issuer.user(77, "user").claims()), None);
    known.add(&below(i64::MAX));
    let last = of(i64::MAX - 1);
    assert_eq!(known.refuses(last.claims()), Some(Refusal::TokenRevoked));
}

#[test]
fn a_service_is_refused_with_what_it_was_given_and_comes_back_with_new_tokens() {
    let Desk {
        issuer,
        known,
        clock,
    } = desk();
    known.add(&revoked(Target::Service {
        client_id: "factory".to_owned(),
        issued_until: NOW,
    }));
    let delegated = issuer.user(7, "user").acting("factory");
    for refused in [&issuer.service("factory", "a"), &delegated] {
        assert_eq!(known.refuses(refused.claims()), Some(Refusal::TokenRevoked));
    }
    assert_eq!(known.refuses(issuer.service("shop", "a").claims()), None);
    assert_eq!(known.refuses(issuer.user(7, "user").claims()), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(known.refuses(issuer.service("factory", "a").claims()), None);
}

#[test]
fn a_removed_key_stays_removed() {
    let Desk { known, clock, .. } = desk();
    known.add(&revoked(Target::Key("k1".to_owned())));
    known.add(&revoked(Target::Key("k1".to_owned())));
    clock.advance(Duration::from_secs(1_000_000));
    known.sweep();
    assert_eq!(known.refuses_key("k1"), Some(Refusal::TokenRevoked));
    assert_eq!(known.refuses_key("k2"), None);
    assert_eq!(known.stats().entries, 1);
}

#[test]
fn entries_live_as_long_as_what_they_refuse() {
    let Desk { known, clock, .. } = desk();
    known.add(&until(Target::Token("a".to_owned()), NOW + 10));
    known.add(&until(Target::Session("b".to_owned()), NOW + 20));
    let subject = "7".to_owned();
    known.add(&until(
        Target::User {
            subject,
            generation: 1,
        },
        i64::MAX,
    ));
    // A verifier with a leeway takes what has expired for so much longer.
    clock.advance(Duration::from_secs(10) + LONGEST_LEEWAY - Duration::from_micros(1));
    known.sweep();
    assert_eq!(known.stats().entries, 3);
    clock.advance(Duration::from_micros(1));
    known.sweep();
    assert_eq!(known.stats().entries, 2);
    clock.advance(Duration::from_secs(10));
    known.sweep();
    assert_eq!(known.stats().entries, 1);
}

#[test]
fn no_leeway_brings_a_revoked_token_back() {
    let Desk {
        issuer,
        known,
        clock,
    } = desk();
    let expect = Expectations {
        leeway: Duration::from_secs(1_000_000),
        ..Expectations::default()
    };
    let lenient = Verifier::new(issuer.ring(), expect, clock.clone());
    let draft = issuer.user(7, "user");
    let (token, claims) = (draft.token(), draft.claims());
    known.add(&until(
        Target::Token(claims.token_id.clone()),
        claims.expires_at,
    ));
    clock.advance(Duration::from_secs(900) + LONGEST_LEEWAY - Duration::from_secs(1));
    known.sweep();
    assert!(lenient.verify(&token).is_ok());
    assert_eq!(known.refuses(claims), Some(Refusal::TokenRevoked));
    clock.advance(Duration::from_secs(1));
    known.sweep();
    assert_eq!(known.refuses(claims), None);
    assert_eq!(lenient.verify(&token), Err(TokenFault::Expired));
}

#[test]
fn what_is_too_old_is_refused_only_where_that_is_asked_for() {
    let Desk {
        issuer,
        known,
        clock,
    } = desk();
    let strict = LiveRevocations::new(clock.clone()).with_max_staleness(Duration::from_secs(30));
    let token = issuer.user(7, "user");
    let unavailable = Some(Refusal::RevocationUnavailable);
    assert_eq!(strict.refuses(token.claims()), unavailable, "never heard");
    strict.heard();
    assert_eq!(strict.refuses(token.claims()), None);
    clock.advance(Duration::from_secs(30));
    assert_eq!(strict.refuses(token.claims()), None);
    assert_eq!(strict.stats().staleness, Some(Duration::from_secs(30)));
    clock.advance(Duration::from_micros(1));
    assert_eq!(strict.refuses(token.claims()), unavailable);
    strict.heard();
    assert_eq!(strict.refuses(token.claims()), None);
    clock.advance(Duration::from_secs(100_000));
    assert_eq!(known.refuses(token.claims()), None);
}

#[test]
fn a_gap_is_noticed_and_its_event_counts_all_the_same() {
    let Desk { known, clock, .. } = desk();
    let token = |id: &str| revoked(Target::Token(id.to_owned()));
    assert!(!known.follow(1, None), "an event before any snapshot");
    let feed = Progress {
        feed: "f".to_owned(),
        sequence: 5,
    };
    known.begin(feed, &[token("a")]);
    assert!(known.follow(6, Some(&token("b"))));
    assert!(known.follow(6, Some(&token("b"))), "a duplicate");
    assert!(known.follow(3, None), "an older one");
    assert_eq!(known.progress().sequence, 6);
    clock.advance(Duration::from_secs(1));
    assert!(!known.follow(8, Some(&token("c"))));
    assert_eq!(known.stats().entries, 3);
    assert_eq!(known.progress().sequence, 0);
    assert!(known.stats().staleness > Some(Duration::ZERO), "not heard");
    assert!(!known.follow(9, None), "begun anew only by a snapshot");
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_everything_and_completes() {
    let Desk { known, .. } = desk();
    known.add(&revoked(Target::Token("a".to_owned())));
    known.add(&revoked(Target::Key("k".to_owned())));
    let mut changes = known.changes().unwrap();
    assert!(!known.stats().complete);
    let both = [
        revoked(Target::Token("b".to_owned())),
        revoked(Target::Token("b".to_owned())),
    ];
    known.begin(
        Progress {
            feed: "f".to_owned(),
            sequence: 9,
        },
        &both,
    );
    known.completed().await;
    changes.changed().await.unwrap();
    assert_eq!(known.stats().entries, 1);
    assert_eq!(known.refuses_key("k"), None);
    assert_eq!(known.stats().sequence, 9);
}
