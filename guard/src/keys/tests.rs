use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;

use super::*;
use crate::ambient::Entropy as _;
use crate::testing::{ManualClock, SeededEntropy};

/// A good secret that differs by `seed`.
fn secret(seed: u64, length: usize) -> String {
    let mut bytes = vec![0; length];
    SeededEntropy::new(seed).fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key(kid: &str, status: &str, k: &str) -> String {
    format!(
        r#"{{"kty":"oct","kid":"{kid}","alg":"HS256","use":"sig","status":"{status}","k":"{k}"}}"#
    )
}

fn ring(keys: &[String]) -> Result<KeyRing, KeyRingError> {
    KeyRing::from_jwks(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

fn good() -> String {
    key("a", "active", &secret(1, 32))
}

#[test]
fn a_generated_ring_is_good_and_differs_each_time() {
    let clock = ManualClock::new(1_790_000_000_000_000);
    let entropy = SeededEntropy::new(1);
    let one = KeyRing::generate(&entropy, &clock);
    let two = KeyRing::generate(&entropy, &clock);
    assert_ne!(one.expose_secret(), two.expose_secret());
    let ring = KeyRing::from_jwks(one.expose_secret()).unwrap();
    assert_eq!(ring.kids().count(), 1);
    assert_eq!(ring.keys[0].material().len(), 32);
    assert_eq!(ring.status(ring.active_kid()), Some(KeyStatus::Active));
}

#[test]
fn the_active_key_signs_and_all_verify() {
    let ring = ring(&[
        key("old", "retiring", &secret(1, 32)),
        key("now", "active", &secret(2, 64)),
        key("next", "announced", &secret(3, 48)),
    ])
    .unwrap();
    assert_eq!(ring.signer().unwrap().kid(), "now");
    assert_eq!(ring.kids().collect::<Vec<_>>(), ["old", "now", "next"]);
    assert_eq!(ring.status("old"), Some(KeyStatus::Retiring));
    assert_eq!(ring.status("next"), Some(KeyStatus::Announced));
    assert_eq!(ring.status("other"), None);
}

#[test]
fn a_lone_key_needs_no_status_and_several_do() {
    let lone = good().replace(r#""status":"active","#, "");
    assert!(ring(std::slice::from_ref(&lone)).is_ok());
    let second = key("b", "active", &secret(2, 32));
    assert!(matches!(ring(&[lone, second]), Err(KeyRingError::BadStatus(kid)) if kid == "a"));
}

#[test]
fn weak_and_empty_keys_are_refused() {
    let weak = |k: &str| matches!(ring(&[key("a", "active", k)]), Err(KeyRingError::Weak(_)));
    assert!(weak(""));
    assert!(weak(&secret(1, 31)));
    assert!(weak(&URL_SAFE_NO_PAD.encode([0; 32])));
    assert!(weak(
        &URL_SAFE_NO_PAD.encode("secretsecretsecretsecretsecretsecret")
    ));
    assert!(weak(
        &URL_SAFE_NO_PAD.encode("aaaabbbbccccddddaaaabbbbccccdddd")
    ));
    let of_different = |count: u8| {
        let bytes: Vec<u8> = (0..32).map(|n| n % count).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    };
    assert!(weak(&of_different(9)));
    assert!(!weak(&of_different(10)));
    assert!(matches!(
        ring(&[key("a", "active", &secret(1, 1025))]),
        Err(KeyRingError::TooLong(_))
    ));
}

#[test]
fn a_secret_has_one_spelling() {
    let k = secret(1, 32);
    for bad in [
        format!("{k}="),
        format!("{k} "),
        k.replacen(&k[..1], "+", 1),
        format!("{k}\\n"),
    ] {
        let refused = ring(&[key("a", "active", &bad)]);
        assert!(
            matches!(refused, Err(KeyRingError::BadEncoding(_))),
            "{bad}"
        );
    }
    let missing = good().replace(&format!(r#","k":"{k}""#), "");
    assert!(matches!(
        ring(&[missing]),
        Err(KeyRingError::BadEncoding(_))
    ));
}

#[test]
fn other_kinds_of_keys_are_refused() {
    for (from, to) in [
        (r#""kty":"oct""#, r#""kty":"RSA""#),
        (r#""kty":"oct","#, ""),
        (r#""alg":"HS256""#, r#""alg":"none""#),
        (r#""alg":"HS256""#, r#""alg":"hs256""#),
        (r#""alg":"HS256""#, r#""alg":"HS512""#),
        (r#""alg":"HS256","#, ""),
    ] {
        let refused = ring(&[good().replace(from, to)]);
        assert!(
            matches!(refused, Err(KeyRingError::UnknownAlgorithm(_))),
            "{to}"
        );
    }
    let for_encryption = good().replace(r#""use":"sig""#, r#""use":"enc""#);
    assert!(matches!(
        ring(&[for_encryption]),
        Err(KeyRingError::NotForSignatures(_))
    ));
}

#[test]
fn a_kid_stands_once_and_needs_no_escaping() {
    let twice = ring(&[good(), key("a", "retiring", &secret(2, 32))]);
    assert!(matches!(twice, Err(KeyRingError::DuplicateKid(kid)) if kid == "a"));
    for kid in ["", "a b", "a\\\"", "ä", "a/b", &"k".repeat(65)] {
        let refused = ring(&[key(kid, "active", &secret(1, 32))]);
        assert!(
            matches!(refused, Err(KeyRingError::BadKid { index: 0 })),
            "{kid}"
        );
    }
    let missing = good().replace(r#""kid":"a","#, "");
    assert!(matches!(
        ring(&[missing]),
        Err(KeyRingError::BadKid { index: 0 })
    ));
}

#[test]
fn a_secret_under_two_names_is_refused() {
    let twice = ring(&[good(), key("b", "retiring", &secret(1, 32))]);
    assert!(matches!(twice, Err(KeyRingError::DuplicateSecret(..))));
}

#[test]
fn exactly_one_key_signs() {
    let none = ring(&[key("a", "retiring", &secret(1, 32))]);
    assert!(matches!(none, Err(KeyRingError::NotOneActive(0))));
    let two = ring(&[good(), key("b", "active", &secret(2, 32))]);
    assert!(matches!(two, Err(KeyRingError::NotOneActive(2))));
    let odd = ring(&[key("a", "Active", &secret(1, 32))]);
    assert!(matches!(odd, Err(KeyRingError::BadStatus(_))));
}

#[test]
fn what_is_no_jwk_set_is_refused_without_quoting_it() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        "topsecret",
    ] {
        assert!(
            matches!(
                KeyRing::from_jwks(text),
                Err(KeyRingError::NotAJwkSet { .. })
            ),
            "{text}"
        );
    }
    assert!(matches!(ring(&[]), Err(KeyRingError::Empty)));
    let many: Vec<String> = (0..65)
        .map(|n| key(&format!("k{n}"), "retiring", &secret(n, 32)))
        .collect();
    assert!(matches!(ring(&many), Err(KeyRingError::TooManyKeys)));
    let error = ring(&[good().replace(r#""use":"sig""#, r#""use":["topsecret"]"#)]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("topsecret"));
}

#[test]
fn nothing_printed_shows_a_secret() {
    let ring = ring(&[good()]).unwrap();
    let printed = format!("{ring:?} {:?}", ring.signer());
    assert!(printed.contains("\"a\""));
    assert!(!printed.contains(&secret(1, 32)));
    assert!(printed.len() < 100, "{printed}");
}

fn pair() -> KeyRing {
    let clock = ManualClock::new(1_790_000_000_000_000);
    let jwks = KeyRing::generate_with(KeyAlgorithm::EdDsa, &SeededEntropy::new(7), &clock);
    KeyRing::from_jwks(jwks.expose_secret()).unwrap()
}

/// A key of Ed25519 with these members changed.
fn okp(change: impl Fn(&mut serde_json::Value)) -> Result<KeyRing, KeyRingError> {
    let mut set: serde_json::Value =
        serde_json::from_str(pair().to_jwks().expose_secret()).unwrap();
    change(&mut set["keys"][0]);
    KeyRing::from_jwks(&set.to_string())
}

#[test]
fn both_halves_of_a_pair_belong_together() {
    assert!(okp(|_| ()).unwrap().signer().is_some());
    let public = okp(|key| drop(key.as_object_mut().unwrap().remove("d")));
    assert!(public.unwrap().signer().is_none());
    let other = okp(|key| key["d"] = secret(9, 32).into());
    assert!(matches!(other, Err(KeyRingError::NotAPair(_))));
    let short = okp(|key| key["d"] = secret(9, 31).into());
    assert!(matches!(short, Err(KeyRingError::NotAPair(_))));
    for x in [secret(1, 31), secret(1, 33), String::new()] {
        let refused = okp(|key| key["x"] = x.clone().into());
        assert!(matches!(refused, Err(KeyRingError::BadEncoding(_))), "{x}");
    }
}

#[test]
fn points_under_which_anybody_signs_are_refused() {
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        let bytes: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&point[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let refused = okp(|key| {
            key.as_object_mut().unwrap().remove("d");
            key["x"] = URL_SAFE_NO_PAD.encode(&bytes).into();
        });
        assert!(matches!(refused, Err(KeyRingError::Weak(_))), "{point}");
    }
}

#[test]
fn one_key_has_one_algorithm() {
    for (member, value) in [
        ("alg", "HS256"),
        ("alg", "Ed25519"),
        ("crv", "Ed448"),
        ("crv", "X25519"),
        ("kty", "oct"),
        ("kty", "EC"),
    ] {
        let refused = okp(|key| key[member] = value.into());
        assert!(
            matches!(refused, Err(KeyRingError::UnknownAlgorithm(_))),
            "{member} {value}"
        );
    }
    let as_secret = key("a", "active", &secret(1, 32)).replace("HS256", "EdDSA");
    assert!(matches!(
        ring(&[as_secret]),
        Err(KeyRingError::UnknownAlgorithm(_))
    ));
}

#[test]
fn a_rotation_goes_from_announced_to_active_to_removed() {
    let clock = ManualClock::new(1_790_000_000_000_000);
    let entropy = SeededEntropy::new(3);
    let lone = ring(&[good().replace(r#""status":"active","#, "")]).unwrap();
    let (announced, kid) = lone
        .announce(KeyAlgorithm::EdDsa, &entropy, &clock)
        .unwrap();
    assert_eq!(announced.active_kid(), "a");
    assert_eq!(announced.status(&kid), Some(KeyStatus::Announced));
    // Neither the one that signs nor one that is not there can be made active or removed.
    for wrong in ["a", "b"] {
        assert!(announced.activate(wrong, &clock).is_err());
        assert!(announced.remove(wrong).is_err());
    }
    clock.advance(std::time::Duration::from_secs(5));
    let active = announced.activate(&kid, &clock).unwrap();
    assert_eq!(active.active_kid(), kid);
    assert_eq!(active.status("a"), Some(KeyStatus::Retiring));
    let since: Vec<_> = active.infos().map(|key| key.since).collect();
    assert_eq!(since, [Some(1_790_000_005); 2]);
    let removed = active.remove("a").unwrap();
    assert_eq!(removed.kids().collect::<Vec<_>>(), [kid.as_str()]);
    // What is written is read again.
    let again = KeyRing::from_jwks(active.to_jwks().expose_secret()).unwrap();
    assert_eq!(
        again.infos().collect::<Vec<_>>(),
        active.infos().collect::<Vec<_>>()
    );
    assert!(again.signer().is_some());
}

#[test]
fn what_everybody_may_see_holds_no_secret() {
    let clock = ManualClock::new(1_790_000_000_000_000);
    let hmac = ring(&[good()]).unwrap();
    assert_eq!(hmac.public_jwks().trim(), r#"{"keys":[]}"#);
    let (both, kid) = hmac
        .announce(KeyAlgorithm::EdDsa, &SeededEntropy::new(3), &clock)
        .unwrap();
    let public = both.public_jwks();
    assert!(public.contains(&kid) && !public.contains("\"k\"") && !public.contains("\"d\""));
    let verifying = both.verifying_jwks();
    assert!(!verifying.expose_secret().contains("\"d\""));
    assert!(KeyRing::from_jwks(verifying.expose_secret()).is_ok());
}
