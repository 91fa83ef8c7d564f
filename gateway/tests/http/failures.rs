//! A service that is down, slow, silent or of another make: the gateway tells what is so, and nothing of the inside.

use crate::support::{Double, Gate, config, nobody};
use gateway::LimitArgs;
use millgate_platform::Entropy;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

/// Draws once, for the id of the request, and breaks at the next draw.
struct Broken(std::sync::atomic::AtomicBool);

impl Entropy for Broken {
    fn fill(&self, bytes: &mut [u8]) {
        assert!(
            bytes.is_empty() || !self.0.load(std::sync::atomic::Ordering::SeqCst),
            "as it was told"
        );
        bytes.fill(7);
    }
}

#[tokio::test]
async fn a_panic_is_answered_like_any_other_fault_and_the_next_request_is_served() {
    let broken = Arc::new(Broken(false.into()));
    let upstream = Double::empty().listen().await;
    let gate = Gate::drawing(config(upstream), broken.clone()).await;
    let ask = || {
        let request = gate
            .signed("GET", "/v1/me")
            .header("x-request-id", "mine-1");
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        request.header("traceparent", trace).send()
    };
    assert_eq!(ask().await.status, 200);
    broken.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let answered = ask().await;
    answered.expect(500, "INTERNAL");
    assert!(!String::from_utf8_lossy(&answered.body).contains("as it was told"));
    assert_eq!(answered.header("x-request-id"), "mine-1");
    assert_eq!(answered.header("cache-control"), "no-store");
    assert_eq!(answered.header("x-content-type-options"), "nosniff");
    broken.0.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_the_requests_fault_to_mend_by_its_fields() {
    let double = Double::answering(|seen| {
        if seen.path.ends_with("GetOrder") {
            return Err(Status::out_of_range("behind the end"));
        }
        Ok(vec![0; 33 << 20])
    });
    let gate = Gate::before(&double).await;
    let answered = gate.signed("GET", "/v1/products").send().await;
    answered.expect(413, "MESSAGE_TOO_LARGE");
    assert!(String::from_utf8_lossy(&answered.body).contains("smaller page"));
    // What a service itself says stays what it says.
    gate.signed("GET", "/v1/orders/7")
        .send()
        .await
        .expect(400, "OUT_OF_RANGE");
}

#[tokio::test]
async fn every_answer_ends_its_line() {
    let gate = Gate::before(&Double::empty()).await;
    for path in ["/v1/me", "/nowhere", "/healthz", "/readyz", "/openapi.json"] {
        let answered = gate.signed("GET", path).send().await;
        assert!(
            answered.body.ends_with(b"}\n") && !answered.body.ends_with(b"\n\n"),
            "{path}"
        );
    }
}

/// A gate before a service that always refuses so.
async fn refusing(status: impl Fn() -> Status + Send + Sync + 'static) -> Gate {
    Gate::before(&Double::refusing(status)).await
}

#[tokio::test]
async fn a_service_that_is_down_is_503_and_told_as_such() {
    let gate = Gate::with(config(nobody().await)).await;
    let answered = gate.signed("GET", "/v1/me").send().await;
    answered.expect(503, "UPSTREAM_UNAVAILABLE");
    assert_eq!(answered.header("retry-after"), "1");
    assert!(
        !answered.json().to_string().contains("127.0.0.1"),
        "nothing of the inside is told"
    );
    let answered = gate.request("GET", "/readyz").send().await;
    assert_eq!(answered.status.as_u16(), 503);
    assert_eq!(
        answered.json()["services"]["millgate.auth.v1"],
        "NOT_SERVING"
    );
    assert_eq!(
        gate.request("GET", "/healthz").send().await.status.as_u16(),
        200
    );
}

#[tokio::test]
async fn a_service_that_is_slow_is_504_in_time() {
    let double = Double::slowly(|_| Box::pin(futures::future::pending()));
    let gate = Gate::before(&double).await;
    let started = std::time::Instant::now();
    let answered = gate
        .signed("GET", "/v1/me")
        .header("grpc-timeout", "200m")
        .send()
        .await;
    answered.expect(504, "DEADLINE");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(double.only().header("grpc-timeout"), Some("200m"));
    gate.signed("GET", "/v1/me")
        .header("grpc-timeout", "0m")
        .send()
        .await
        .expect(504, "DEADLINE");
    gate.signed("GET", "/v1/me")
        .header("grpc-timeout", "soon")
        .send()
        .await
        .expect(400, "FIELD_INVALID");
}

#[tokio::test]
async fn a_service_that_goes_away_or_never_speaks_is_told_as_such() {
    use tokio::io::AsyncReadExt as _;
    // One closes every connection as soon as a call is on it, one takes connections and is silent.
    for (closes, status, reason) in [
        (true, 503, "UPSTREAM_UNAVAILABLE"),
        (false, 504, "DEADLINE"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if closes {
                    let _ = stream.read(&mut [0; 1024]).await;
                } else {
                    held.push(stream);
                }
            }
        });
        let gate = Gate::with(config(address)).await;
        let request = gate.signed("GET", "/v1/me").header("grpc-timeout", "500m");
        request.send().await.expect(status, reason);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_in_the_middle_is_told_as_none_and_asked_for_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let cut = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        // A message of 100 octets is announced, and three of them come.
        let begun = bytes::Bytes::from_static(&[0, 0, 0, 0, 100, 8, 7, 8]);
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(std::io::Error::other("the service goes away"))
        };
        let pieces = futures::stream::once(async { Ok(begun) });
        let pieces = futures::StreamExt::chain(pieces, futures::stream::once(late));
        http::Response::builder()
            .header("content-type", "application/grpc")
            .body(axum::body::Body::from_stream(pieces))
            .unwrap()
    };
    let routes: tonic::service::Routes = axum::Router::new().fallback(cut).into();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_routes(routes);
    tokio::spawn(server.serve_with_incoming(incoming));

    let gate = Gate::with(config(address)).await;
    for (number, method, path) in [(1, "GET", "/v1/products/7"), (2, "POST", "/v1/products")] {
        let request = gate.signed(method, path);
        let request = if method == "POST" {
            request.json("{}")
        } else {
            request
        };
        request.send().await.expect(503, "UPSTREAM_UNAVAILABLE");
        assert_eq!(calls.load(Ordering::SeqCst), number, "{method} {path}");
    }
    // A stream has begun: it says so itself.
    let lines = gate.signed("GET", "/v1/orders:watch").send().await;
    assert_eq!(lines.status, 200);
    assert_eq!(lines.json()["error"]["status"], "UNAVAILABLE", "{lines:?}");
}

#[tokio::test]
async fn a_deadline_of_a_client_cannot_be_longer_than_the_gateways() {
    let double = Double::empty();
    let upstream = Gate::before(&double).await;
    upstream
        .signed("GET", "/v1/me")
        .header("grpc-timeout", "1H")
        .send()
        .await;
    assert_eq!(double.only().header("grpc-timeout"), Some("10000m"));
    let limits = LimitArgs {
        deadline: Duration::from_millis(100),
        ..LimitArgs::default()
    };
    let config = gateway::Config {
        limits,
        ..config(nobody().await)
    };
    let gate = Gate::with(config).await;
    let answered = gate.signed("GET", "/v1/me").send().await;
    assert!(
        matches!(answered.status.as_u16(), 503 | 504),
        "{answered:?}"
    );
}

#[tokio::test]
async fn a_service_that_fails_without_saying_how_tells_nothing() {
    for status in [Code::Internal, Code::Unknown, Code::DataLoss] {
        let gate = refusing(move || Status::new(status, "password of the database: x")).await;
        let answered = gate.signed("GET", "/v1/me").send().await;
        answered.expect(500, "INTERNAL");
        assert!(!answered.json().to_string().contains("database"));
    }
    let gate = Gate::before(&Double::answering(|_| Ok(vec![0xff, 0xff]))).await;
    gate.signed("GET", "/v1/me")
        .send()
        .await
        .expect(500, "INTERNAL");
}

#[tokio::test]
async fn a_service_of_another_make_is_told_by_its_code() {
    let cases = [
        (Code::NotFound, 404, "NOT_FOUND"),
        (Code::Unimplemented, 501, "UNIMPLEMENTED"),
        (Code::OutOfRange, 400, "OUT_OF_RANGE"),
        (Code::Unavailable, 503, "UNAVAILABLE"),
        (Code::Cancelled, 504, "DEADLINE"),
        (Code::DeadlineExceeded, 504, "DEADLINE"),
    ];
    for (code, status, reason) in cases {
        let gate = refusing(move || Status::new(code, "so")).await;
        gate.signed("GET", "/v1/me")
            .send()
            .await
            .expect(status, reason);
    }
}
