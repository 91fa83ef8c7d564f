//! What is verified a second time costs no allocation.

use millgate_guard::testing::{Issuer, ManualClock};
use millgate_guard::{KeyAlgorithm, LiveRevocations, Revocation, Revocations as _, Target};

#[test]
fn a_token_that_was_good_before_is_verified_and_asked_about_without_an_allocation() {
    for algorithm in [KeyAlgorithm::Hs256, KeyAlgorithm::EdDsa] {
        let clock = ManualClock::shared(1_790_000_000_000_000);
        let issuer = Issuer::with_algorithm(algorithm, clock.clone());
        let (verifier, known) = (issuer.verifier(), LiveRevocations::new(clock));
        for other in 0..10_000 {
            known.add(&Revocation {
                target: Target::Session(format!("another {other}")),
                expires_at: i64::MAX,
            });
        }
        known.add(&Revocation {
            target: Target::User {
                subject: "8".to_owned(),
                generation: 1,
            },
            expires_at: i64::MAX,
        });
        let token = issuer.user(7, "user").token();
        let asked = || {
            let caller = verifier.identify(&token).unwrap();
            assert!(known.refuses(caller.claims()).is_none());
            assert!(known.refuses_key(caller.key_id()).is_none());
        };
        let first = allocation_counter::measure(asked);
        assert!(first.count_total > 0, "the counter counts");
        let again = allocation_counter::measure(|| (0..100).for_each(|_| asked()));
        assert_eq!(again.count_total, 0, "{algorithm:?}");
    }
}
