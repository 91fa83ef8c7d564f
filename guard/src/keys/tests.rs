use super::*;
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
    assert_eq!(ring.keys[0].secret().len(), 32);
    assert_eq!(ring.status(ring.signer().kid()), Some(KeyStatus::Active));
}

#[test]
fn the_active_key_signs_and_all_verify() {
    let ring = ring(&[
        key("old", "retiring", &secret(1, 32)),
        key("now", "active", &secret(2, 64)),
        key("next", "announced", &secret(3, 48)),
    ])
    .unwrap();
    assert_eq!(ring.signer().kid(), "now");
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
