//! (a) The guard's verification of a token against an HMAC-SHA256 of the same bytes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_guard::{
    Expectations, KeyAlgorithm, KeyRing, SharedClock, SystemClock, SystemEntropy, Verifier,
};
use ring::hmac;
use secrecy::ExposeSecret as _;

use crate::Problem;
use crate::client::slot;
use crate::keys::Keys;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

/// Different tokens, so that neither side learns one by heart.
const TOKENS: i64 = 64;

/// Measures.
pub(crate) async fn measure(
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let tokens: Vec<String> = (1..=TOKENS).map(|user| keys.token(user)).collect();
    let raw = raw(keys, &tokens)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let pair = KeyRing::generate_with(KeyAlgorithm::EdDsa, &SystemEntropy, clock.as_ref());
    let pair = KeyRing::from_jwks(pair.expose_secret())?;
    let signer = pair.signer().ok_or("a pair signs")?.clone();
    let signed: Vec<String> = (1..=TOKENS)
        .map(|user| signer.sign(&keys.claims(user)))
        .collect();
    let of_pair =
        |ring: KeyRing| Verifier::new(ring.into(), Expectations::default(), clock.clone());
    let public = || KeyRing::from_jwks(pair.verifying_jwks().expose_secret());
    let subjects = vec![
        Subject::new("(a) HMAC-SHA256 of a token's bytes", raw),
        Subject::new(
            "(a) the guard's verification of the token",
            verifying(keys.uncached_verifier(), tokens.clone()),
        ),
        Subject::new(
            "(a) the same of a token that was good before",
            verifying(keys.verifier(), tokens),
        ),
        Subject::new(
            "(a) EdDSA, of the token",
            verifying(of_pair(public()?).without_cache().into(), signed.clone()),
        ),
        Subject::new(
            "(a) EdDSA, of a token that was good before",
            verifying(of_pair(public()?).into(), signed),
        ),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = |name: &str, of: usize, to: usize, most| Compared {
        name: name.to_owned(),
        ratio: Ratio::of_rates(&measured[to], &measured[of]),
        aim: Aim::AtMost(most),
    };
    let compared = vec![
        compared("(a) time of the verification / of the HMAC", 1, 0, 3.0),
        compared("(a) time, good before / of the HMAC", 2, 0, 1.0),
        compared("(a) time, good before, EdDSA / HS256", 4, 2, 2.0),
    ];
    Ok((measured, compared))
}

fn verifying(verifier: Arc<Verifier>, tokens: Vec<String>) -> Load {
    Load::computations(move |number| {
        verifier
            .identify(&tokens[slot(number, tokens.len())])
            .map(drop)
            .map_err(|fault| format!("{fault:?}"))
    })
}

/// The tag of the signed bytes, computed with a kept key and compared.
fn raw(keys: &Keys, tokens: &[String]) -> Result<Load, Problem> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &keys.secret);
    let mut parts = Vec::with_capacity(tokens.len());
    for token in tokens {
        let (signed, tag) = token
            .rsplit_once('.')
            .ok_or("a token without a signature")?;
        parts.push((signed.to_owned(), URL_SAFE_NO_PAD.decode(tag)?));
    }
    Ok(Load::computations(move |number| {
        let (signed, tag) = &parts[slot(number, parts.len())];
        hmac::verify(&key, signed.as_bytes(), tag).map_err(|error| error.to_string())
    }))
}
