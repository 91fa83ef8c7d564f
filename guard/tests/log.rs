//! What is logged. This test stands alone in its process: a log statement that another thread meets
//! first is taken for disabled, whatever subscriber this thread has.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use millgate_guard::testing::{Defect, Issuer, ManualClock};
use millgate_guard::{Admitted, role_required};
use tonic::Request;
use tonic::service::Interceptor;

fn request(bearer: &str) -> Request<()> {
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("authorization", bearer.parse().unwrap());
    request
}

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn refusals_are_logged_with_their_cause_and_never_with_the_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let issuer = Issuer::new(ManualClock::shared(1_790_000_000_000_000));
    let mut interceptor = role_required(issuer.verifier(), ["admin"]);
    let tokens = [
        issuer.user(7, "customer").token(),
        issuer.user(7, "admin").expired().token(),
        issuer
            .user(7, "admin")
            .defect(Defect::TamperedSignature)
            .token(),
        issuer.user(7, "admin").defect(Defect::Padded).token(),
    ];
    tracing::subscriber::with_default(subscriber, || {
        for token in &tokens {
            assert!(
                interceptor
                    .call(request(&format!("Bearer {token}")))
                    .is_err()
            );
        }
        let admitted = interceptor
            .call(request(&issuer.user(7, "admin").bearer()))
            .unwrap();
        tracing::info!(request = ?Admitted::of(admitted).unwrap());
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "millgate.audit",
        "ROLE_DENIED",
        "user:7",
        "bad_signature",
        "canonical base64url",
    ] {
        assert!(log.contains(told), "{told} is missing in {log}");
    }
    for token in &tokens {
        for part in token.split('.').map(|part| part.trim_end_matches('=')) {
            assert!(!log.contains(part), "a part of a token stands in {log}");
        }
    }
    assert!(log.contains("Sensitive"), "{log}");
}
