//! (a) The guard's verification of a token against an HMAC-SHA256 of the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

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
    let verifier = keys.verifier();
    let guard = Load::computations(move |number| {
        verifier
            .verify(&tokens[slot(number, tokens.len())])
            .map(drop)
            .map_err(|fault| format!("{fault:?}"))
    });
    let subjects = vec![
        Subject::new("(a) HMAC-SHA256 of a token's bytes", raw),
        Subject::new("(a) the guard's verification of the token", guard),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = Compared {
        name: "(a) time of the verification / of the HMAC".to_owned(),
        ratio: Ratio::of_rates(&measured[0], &measured[1]),
        aim: Aim::AtMost(4.0),
    };
    Ok((measured, vec![compared]))
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
