//! Bytes as a token, as a header and as claims: nothing panics, and nothing unsigned passes.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use millgate_guard::Verifier;
use millgate_guard::testing::{Issuer, ManualClock};

static ISSUER: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::new(ManualClock::shared(1_790_000_000_000_000)));
static VERIFIER: LazyLock<Arc<Verifier>> = LazyLock::new(|| ISSUER.verifier());

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    assert!(VERIFIER.verify(text).is_err(), "an unsigned token passed");

    let ring = ISSUER.ring().current();
    let header = format!(
        r#"{{"alg":"HS256","kid":"{}","typ":"at+jwt"}}"#,
        ring.signer().kid()
    );
    // A payload that passes means the same when it is written and read again.
    if let Ok(claims) = VERIFIER.verify(&ISSUER.sign_raw(&header, text)) {
        let again = VERIFIER.verify(&ring.signer().sign(&claims));
        assert_eq!(again, Ok(claims));
    }
    let (header, payload) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let _ = VERIFIER.verify(&ISSUER.sign_raw(header, payload));
});
