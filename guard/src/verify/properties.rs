//! Properties of the verifier that hold for any token.

use proptest::prelude::*;

use super::tests::{HEADER, desk};
use super::*;

proptest! {
    /// Whatever is changed in a good token, it is refused.
    #[test]
    fn any_mutation_of_a_good_token_is_refused(
        at in any::<prop::sample::Index>(),
        byte in 0x20u8..0x7f,
        kind in 0..4,
    ) {
        let desk = desk();
        let good = desk.admin().scope("a b").token();
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
        let mutated = String::from_utf8(bytes).unwrap();
        prop_assume!(mutated != good);
        let refused = desk.verifier.verify(&mutated);
        prop_assert_eq!(refused.map_err(TokenFault::reason), Err(Refusal::TokenInvalid));
    }

    /// Two good tokens do not combine to a third.
    #[test]
    fn parts_of_good_tokens_do_not_mix(choice in prop::array::uniform3(0usize..3)) {
        let desk = desk();
        let tokens = [
            desk.admin().token(),
            desk.issuer.user(8, "customer").token(),
            desk.issuer.service("factory", "a").token(),
        ];
        prop_assume!(choice[1] != choice[2]);
        let part = |n: usize| tokens[choice[n]].split('.').nth(n).unwrap();
        let mixed = format!("{}.{}.{}", part(0), part(1), part(2));
        prop_assert_eq!(desk.verifier.verify(&mixed), Err(TokenFault::BadSignature));
    }

    #[test]
    fn no_text_makes_the_verifier_panic(text in ".{0,300}") {
        prop_assert!(desk().verifier.verify(&text).is_err());
    }

    #[test]
    fn no_well_signed_bytes_make_the_verifier_panic(
        header in prop_oneof![Just(HEADER.to_owned()), ".{0,60}"],
        payload in ".{0,200}",
    ) {
        let desk = desk();
        let header = header.replace("KID", desk.issuer.ring().current().active_kid());
        let token = desk.issuer.sign_raw(&header, &payload);
        prop_assert!(desk.verifier.verify(&token).is_err());
    }
}
