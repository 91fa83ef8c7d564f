use std::sync::Arc;

use super::*;
use crate::testing::{Defect, Draft, Issuer, ManualClock};

const NOW: i64 = 1_790_000_000;
pub(super) const HEADER: &str = r#"{"alg":"HS256","kid":"KID","typ":"at+jwt"}"#;

pub(super) struct Desk {
    clock: Arc<ManualClock>,
    pub(super) issuer: Issuer,
    pub(super) verifier: Arc<Verifier>,
}

pub(super) fn desk() -> Desk {
    let clock = ManualClock::shared(NOW * 1_000_000);
    let issuer = Issuer::new(clock.clone());
    let verifier = issuer.verifier();
    Desk {
        clock,
        issuer,
        verifier,
    }
}

impl Desk {
    pub(super) fn admin(&self) -> Draft<'_> {
        self.issuer.user(7, "admin")
    }

    fn fault(&self, draft: &Draft<'_>) -> Option<TokenFault> {
        self.verifier.verify(&draft.token()).err()
    }

    /// The fault of a good payload under this header, well signed.
    fn fault_of_header(&self, header: &str) -> Option<TokenFault> {
        let header = header.replace("KID", self.issuer.ring().current().active_kid());
        let payload = self.admin().claims().to_json();
        self.verifier
            .verify(&self.issuer.sign_raw(&header, &payload))
            .err()
    }
}

fn malformed(fault: Option<TokenFault>) -> bool {
    matches!(fault, Some(TokenFault::Malformed(_)))
}

#[test]
fn a_good_token_tells_its_claims() {
    let desk = desk();
    let draft = desk.admin().scope("a b");
    assert_eq!(
        desk.verifier.verify(&draft.token()).as_ref(),
        Ok(draft.claims())
    );
    let draft = desk.issuer.service("factory", "a");
    assert_eq!(
        desk.verifier.verify(&draft.token()).as_ref(),
        Ok(draft.claims())
    );
}

#[test]
fn every_defect_is_refused_and_only_a_wrong_type_is_told() {
    let desk = desk();
    for defect in Defect::ALL {
        let fault = desk.fault(&desk.admin().defect(defect)).unwrap();
        let told = match defect {
            Defect::WrongType => Refusal::TokenWrongType,
            _ => Refusal::TokenInvalid,
        };
        assert_eq!(fault.reason(), told, "{defect:?}: {fault:?}");
    }
}

#[test]
fn each_defect_is_refused_for_its_own_cause() {
    let desk = desk();
    for (defect, cause) in [
        (Defect::AlgNoneButSigned, TokenFault::WrongAlgorithm),
        (Defect::OtherAlgorithm, TokenFault::WrongAlgorithm),
        (Defect::ForeignKey, TokenFault::BadSignature),
        (Defect::UnknownKey, TokenFault::UnknownKey),
        (Defect::TamperedPayload, TokenFault::BadSignature),
        (Defect::TamperedSignature, TokenFault::BadSignature),
        (Defect::WrongType, TokenFault::WrongType),
    ] {
        assert_eq!(
            desk.fault(&desk.admin().defect(defect)),
            Some(cause),
            "{defect:?}"
        );
    }
}

/// Whoever cannot sign learns nothing of time, type or audience.
#[test]
fn a_forged_token_is_invalid_before_it_is_anything_else() {
    let desk = desk();
    for defect in [
        Defect::ForeignKey,
        Defect::TamperedSignature,
        Defect::UnknownKey,
    ] {
        let drafts = [
            desk.admin().expired(),
            desk.admin()
                .with(|claims| claims.not_before = Some(NOW + 100)),
            desk.admin().with(|claims| claims.issued_at = NOW + 100),
            desk.admin()
                .with(|claims| claims.audience = "other".to_owned()),
            desk.admin().with(|claims| claims.role = None),
        ];
        for draft in drafts {
            let fault = desk.fault(&draft.defect(defect)).unwrap();
            assert_eq!(fault.reason(), Refusal::TokenInvalid, "{fault:?}");
        }
    }
}

#[test]
fn a_token_ends_in_the_second_of_its_exp() {
    let desk = desk();
    let token = desk.admin().lives(Duration::from_secs(10)).token();
    desk.clock.advance(Duration::from_micros(9_999_999));
    assert!(desk.verifier.verify(&token).is_ok());
    desk.clock.advance(Duration::from_micros(1));
    assert_eq!(desk.verifier.verify(&token), Err(TokenFault::Expired));
    assert_eq!(TokenFault::Expired.reason(), Refusal::TokenExpired);
}

#[test]
fn an_issuer_may_be_five_seconds_ahead_and_not_six() {
    let desk = desk();
    let issued_in = |seconds: i64| {
        desk.fault(&desk.admin().with(|claims| {
            claims.issued_at = NOW + seconds;
            claims.expires_at = NOW + seconds + 900;
        }))
    };
    assert_eq!(issued_in(5), None);
    assert_eq!(issued_in(6), Some(TokenFault::NotYetValid));
    assert_eq!(
        issued_in(i64::MAX - NOW - 900),
        Some(TokenFault::NotYetValid)
    );
}

#[test]
fn nbf_is_kept_where_it_is_there() {
    let desk = desk();
    let begins = |at: i64| desk.fault(&desk.admin().with(|claims| claims.not_before = Some(at)));
    assert_eq!(begins(NOW), None);
    assert_eq!(begins(NOW + 1), Some(TokenFault::NotYetValid));
    assert_eq!(begins(i64::MAX), Some(TokenFault::NotYetValid));
    assert_eq!(TokenFault::NotYetValid.reason(), Refusal::TokenNotYetValid);
}

#[test]
fn no_token_lives_longer_than_the_longest_life() {
    let desk = desk();
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(desk.fault(&desk.admin().lives(day)), None);
    let longer = day + Duration::from_secs(1);
    assert_eq!(
        desk.fault(&desk.admin().lives(longer)),
        Some(TokenFault::LivesTooLong)
    );
    let eternal = desk.admin().with(|claims| claims.expires_at = i64::MAX);
    assert_eq!(desk.fault(&eternal), Some(TokenFault::LivesTooLong));
    let ancient = desk.admin().with(|claims| claims.issued_at = i64::MIN);
    assert_eq!(desk.fault(&ancient), Some(TokenFault::LivesTooLong));
    let backwards = desk
        .admin()
        .with(|claims| claims.expires_at = claims.issued_at);
    assert!(malformed(desk.fault(&backwards)));
}

#[test]
fn issuer_and_audience_are_compared_exactly() {
    let desk = desk();
    for other in ["", "Millgate", "millgate ", "millgate2", "mill"] {
        let issuer = desk.admin().with(|claims| claims.issuer = other.to_owned());
        assert_eq!(desk.fault(&issuer), Some(TokenFault::WrongIssuer));
        let audience = desk
            .admin()
            .with(|claims| claims.audience = other.to_owned());
        assert_eq!(desk.fault(&audience), Some(TokenFault::WrongAudience));
    }
    // An expired token of somebody else's is not "expired".
    let theirs = desk
        .admin()
        .expired()
        .with(|claims| claims.audience = "other".to_owned());
    assert_eq!(
        desk.fault(&theirs).map(TokenFault::reason),
        Some(Refusal::TokenInvalid)
    );
}

#[test]
fn the_leeway_is_none_unless_set() {
    let desk = desk();
    let expect = Expectations {
        leeway: Duration::from_secs(2),
        ..Expectations::default()
    };
    let lenient = Verifier::new(desk.issuer.ring(), expect, desk.clock.clone());
    let ended = desk.admin().expired().token();
    assert_eq!(desk.verifier.verify(&ended), Err(TokenFault::Expired));
    assert!(lenient.verify(&ended).is_ok());
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(lenient.verify(&ended), Err(TokenFault::Expired));
}

#[test]
fn the_header_has_exactly_its_three_members() {
    let desk = desk();
    assert_eq!(desk.fault_of_header(HEADER), None);
    // Another order, whitespace and case of `typ` say the same.
    let loose = r#" {"typ": "AT+JWT", "kid":"KID", "alg":"HS256"} "#;
    assert_eq!(desk.fault_of_header(loose), None);
    for (from, to) in [
        (r#""alg":"HS256","#, ""),
        (r#""kid":"KID","#, ""),
        (r#","typ":"at+jwt""#, ""),
        (r#""alg":"HS256""#, r#""alg":"HS256","alg":"HS256""#),
        (r#""alg":"HS256""#, r#""alg":"none","\u0061lg":"HS256""#),
        (r#""alg":"HS256""#, r#""alg":"HS256","crit":[]"#),
        (r#""alg":"HS256""#, r#""alg":"HS256","b64":true"#),
        (
            r#""alg":"HS256""#,
            r#""alg":"HS256","jku":"https://example.test/keys""#,
        ),
        (r#""alg":"HS256""#, r#""alg":"HS256","ALG":"none""#),
        (r#""alg":"HS256""#, r#""alg":["HS256"]"#),
        (r#""kid":"KID""#, r#""kid":1"#),
        (r#""typ":"at+jwt""#, r#""typ":null"#),
        ("}", "}x"),
        ("{", "[{"),
    ] {
        let header = HEADER.replacen(from, to, 1);
        assert!(malformed(desk.fault_of_header(&header)), "{header}");
    }
}

#[test]
fn only_an_access_token_is_one() {
    let desk = desk();
    for typ in [
        "JWT",
        "rt+jwt",
        "",
        "at+jwt ",
        "application/at+jwt",
        "at+jwt2",
    ] {
        let header = HEADER.replace("at+jwt", typ);
        assert_eq!(
            desk.fault_of_header(&header),
            Some(TokenFault::WrongType),
            "{typ}"
        );
    }
}

#[test]
fn other_names_of_the_algorithm_are_other_algorithms() {
    let desk = desk();
    for alg in [
        "none", "None", "NONE", "", "hs256", "HS384", "HS512", "RS256", "EdDSA",
    ] {
        let header = HEADER.replace("HS256", alg);
        assert_eq!(
            desk.fault_of_header(&header),
            Some(TokenFault::WrongAlgorithm),
            "{alg}"
        );
    }
}

#[test]
fn a_token_has_three_parts_and_at_most_four_kibibytes() {
    let desk = desk();
    let good = desk.admin().token();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}, {good}"),
        good.repeat(20),
    ] {
        let fault = desk.verifier.verify(&token).unwrap_err();
        assert_eq!(fault.reason(), Refusal::TokenInvalid, "{token}: {fault:?}");
    }
    let filled = |extra: usize| {
        let draft = desk
            .admin()
            .with(|claims| claims.session = Some("s".repeat(extra)));
        draft.token()
    };
    let extra = (1..4096).find(|extra| filled(*extra).len() > 4096).unwrap();
    assert!(desk.verifier.verify(&filled(extra - 1)).is_ok());
    assert!(malformed(desk.verifier.verify(&filled(extra)).err()));
}

/// The last character of 32 bytes in base64url carries two bits that mean nothing.
#[test]
fn a_signature_has_one_spelling() {
    let desk = desk();
    let good = desk.admin().token();
    let (head, last) = good.split_at(good.len() - 1);
    let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=";
    for other in others.chars().filter(|other| !last.starts_with(*other)) {
        let fault = desk.verifier.verify(&format!("{head}{other}")).unwrap_err();
        assert_eq!(fault.reason(), Refusal::TokenInvalid, "{other}");
    }
}

#[test]
fn json_in_a_well_signed_token_is_strict() {
    let desk = desk();
    let good = desk.admin().claims().to_json();
    let kid = desk.issuer.ring().current().active_kid().to_owned();
    let header = HEADER.replace("KID", &kid);
    for payload in [
        good.replacen('{', r#"{"exp":9999999999,"#, 1),
        good.replacen('{', r#"{"x":{"y":1,"y":2},"#, 1),
        good.replacen(
            '{',
            &format!("{{\"x\":{}{},", "[".repeat(16), "]".repeat(16)),
            1,
        ),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        format!("[{good}]"),
        String::new(),
        " ".to_owned(),
    ] {
        let fault = desk
            .verifier
            .verify(&desk.issuer.sign_raw(&header, &payload))
            .err();
        assert!(malformed(fault), "{payload}: {fault:?}");
    }
}

#[test]
fn a_token_of_neither_person_nor_service_is_refused() {
    let desk = desk();
    for draft in [
        desk.admin().with(|claims| claims.role = None),
        desk.admin().with(|claims| claims.session = None),
        desk.admin().with(|claims| claims.generation = None),
        desk.admin().with(|claims| claims.subject = "07".to_owned()),
        desk.issuer.service("7", "a"),
    ] {
        assert!(malformed(desk.fault(&draft)), "{draft:?}");
    }
}

#[test]
fn an_unknown_role_is_verified_and_grants_nothing_by_itself() {
    let desk = desk();
    assert_eq!(desk.fault(&desk.issuer.user(7, "emperor")), None);
}

#[test]
fn a_token_that_is_refused_for_its_time_can_still_be_read_and_a_forged_one_cannot() {
    let desk = desk();
    let expired = desk.admin().expired();
    assert_eq!(desk.fault(&expired), Some(TokenFault::Expired));
    let read = desk.verifier.read_signed(&expired.token());
    assert_eq!(read.as_ref(), Ok(expired.claims()));
    for defect in Defect::ALL {
        let forged = desk.admin().expired().defect(defect).token();
        assert!(desk.verifier.read_signed(&forged).is_err(), "{defect:?}");
    }
}

fn rings(algorithm: crate::KeyAlgorithm) -> (Arc<ManualClock>, Issuer) {
    let clock = ManualClock::shared(1_790_000_000_000_000);
    let issuer = Issuer::with_algorithm(algorithm, clock.clone());
    (clock, issuer)
}

#[test]
fn ed25519_signs_and_every_defect_is_refused_as_with_hs256() {
    let (_, of_hmac) = rings(crate::KeyAlgorithm::Hs256);
    let (_, of_pair) = rings(crate::KeyAlgorithm::EdDsa);
    let (hmac, pair) = (of_hmac.verifier(), of_pair.verifier());
    assert!(pair.verify(&of_pair.user(7, "admin").token()).is_ok());
    for defect in crate::testing::Defect::ALL {
        let told = |issuer: &Issuer, verifier: &Verifier| {
            let token = issuer.user(7, "user").defect(defect).token();
            verifier
                .verify(&token)
                .map(drop)
                .map_err(TokenFault::reason)
        };
        assert_eq!(told(&of_pair, &pair), told(&of_hmac, &hmac), "{defect:?}");
        assert!(told(&of_pair, &pair).is_err(), "{defect:?}");
    }
}

/// The guards of other services verify with the public half, and cannot sign.
#[test]
fn a_public_half_verifies() {
    use secrecy::ExposeSecret as _;

    let (clock, issuer) = rings(crate::KeyAlgorithm::EdDsa);
    let public = issuer.ring().current().verifying_jwks();
    assert!(!public.expose_secret().contains("\"d\""));
    let ring = KeyRing::from_jwks(public.expose_secret()).unwrap();
    assert!(ring.signer().is_none());
    let verifier = Verifier::new(ring.into(), Expectations::default(), clock);
    assert!(verifier.verify(&issuer.user(7, "user").token()).is_ok());
    let forged = issuer
        .user(7, "user")
        .defect(crate::testing::Defect::ForeignKey);
    assert_eq!(
        verifier.verify(&forged.token()),
        Err(TokenFault::BadSignature)
    );
}

/// The old trick: a token whose header asks for HS256, under the public key as the secret.
#[test]
fn a_public_key_is_no_secret() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use ring::hmac;

    let (_, issuer) = rings(crate::KeyAlgorithm::EdDsa);
    let ring = issuer.ring().current();
    let kid = ring.active_kid();
    let public = ring.key(kid).unwrap().verifying.material();
    for secret in [public.to_vec(), BASE64.encode(public).into_bytes()] {
        for alg in ["HS256", "EdDSA"] {
            let header =
                BASE64.encode(format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#));
            let payload = BASE64.encode(issuer.user(1, "admin").claims().to_json());
            let signed = format!("{header}.{payload}");
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, &secret),
                signed.as_bytes(),
            );
            let forged = format!("{signed}.{}", BASE64.encode(tag));
            let refused = issuer.verifier().verify(&forged).unwrap_err();
            assert_eq!(refused.reason(), crate::Refusal::TokenInvalid, "{alg}");
        }
    }
}

#[test]
fn a_token_that_was_good_before_is_still_looked_at_for_its_time() {
    let (clock, issuer) = rings(crate::KeyAlgorithm::Hs256);
    let verifier = issuer.verifier();
    let token = issuer.user(7, "user").token();
    for _ in 0..3 {
        assert!(verifier.verify(&token).is_ok());
    }
    clock.advance(std::time::Duration::from_secs(899));
    assert!(verifier.verify(&token).is_ok());
    clock.advance(std::time::Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(verifier.verify(&token), Err(TokenFault::Expired));
    }
    clock.set(1_780_000_000_000_000);
    assert_eq!(verifier.verify(&token), Err(TokenFault::NotYetValid));
}

#[test]
fn what_shares_an_end_with_a_good_token_is_not_that_token() {
    let (_, issuer) = rings(crate::KeyAlgorithm::Hs256);
    let verifier = issuer.verifier();
    let (good, admin) = (
        issuer.user(7, "user").token(),
        issuer.user(7, "admin").token(),
    );
    assert!(verifier.verify(&good).is_ok());
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (signed, _) = admin.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{signature}");
    assert_eq!(verifier.verify(&forged), Err(TokenFault::BadSignature));
    for changed in [format!("{good} "), format!(" {good}"), good[1..].to_owned()] {
        assert!(verifier.verify(&changed).is_err());
    }
    assert!(verifier.verify(&good).is_ok());
}

#[test]
fn tokens_that_share_a_place_are_all_good() {
    let (_, issuer) = rings(crate::KeyAlgorithm::Hs256);
    let verifier = issuer.verifier();
    let tokens: Vec<String> = (1..9_000)
        .step_by(3)
        .map(|id| issuer.user(id, "user").token())
        .collect();
    for _ in 0..2 {
        for (id, token) in (1..).step_by(3).zip(&tokens) {
            assert_eq!(verifier.identify(token).unwrap().user_id(), Some(id));
        }
    }
}
