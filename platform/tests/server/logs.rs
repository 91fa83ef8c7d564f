//! What stands in the log, and what does not; and the numbers.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use millgate_platform::{
    LogArgs, Metrics,
    telemetry::{self, LogFormat},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::workshop::{Workshop, call::call};

/// A log that can be read back.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().expect("not poisoned"), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects the lines of this thread until the guard is dropped. A test's runtime has one
    /// thread, so that is everything.
    fn start(filter: &str) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let args = LogArgs {
            log: filter.to_owned(),
            log_format: LogFormat::Json,
        };
        let subscriber =
            telemetry::subscriber(&args, false, move || writer.clone()).expect("a good filter");
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }

    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

#[tokio::test]
async fn every_line_of_a_request_says_whose_it_is() {
    let (log, _guard) = Log::start("info");
    let workshop = Workshop::open().await;
    let token = workshop.issuer.user(7, "customer").bearer();
    let secret = token.rsplit('.').next().expect("a signature").to_owned();
    let answer = call("Work", "fault inside-text")
        .with("authorization", token)
        .with("x-request-id", "order-7")
        .with(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .with("x-millgate-proxy", "proxy-secret")
        .to(workshop.address)
        .await;
    assert_eq!(answer.refusal().1, "INTERNAL");
    let lines: Vec<_> = log
        .lines()
        .into_iter()
        .filter(|line| {
            line["spans"]
                .as_array()
                .is_some_and(|spans| !spans.is_empty())
        })
        .collect();
    assert!(lines.len() >= 2, "the error and the call: {}", log.text());
    for line in &lines {
        let span = &line["spans"][0];
        assert_eq!(span["request_id"], "order-7", "{line}");
        assert_eq!(
            span["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736",
            "{line}"
        );
        assert_eq!(
            span["method"], "/test.workshop.v1.WorkshopService/Work",
            "{line}"
        );
        assert_eq!(span["principal"], "user:7", "{line}");
    }
    let call = lines
        .iter()
        .find(|line| line["target"] == "millgate.access")
        .expect("a call");
    assert_eq!(
        (&call["code"], &call["reason"]),
        (&"Internal".into(), &"INTERNAL".into())
    );
    assert!(
        log.text().contains("inside-text"),
        "the operator reads what the caller does not"
    );
    assert!(!log.text().contains(&secret) && !log.text().contains("proxy-secret"));
}

#[tokio::test]
async fn a_filter_that_hides_calls_does_not_take_the_id_off_an_error() {
    let (log, _guard) = Log::start("error");
    let workshop = Workshop::open().await;
    call("Ask", "fault x")
        .with("x-request-id", "order-8")
        .to(workshop.address)
        .await;
    call("Ask", "fine").to(workshop.address).await;
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{}", log.text());
    assert_eq!(lines[0]["spans"][0]["request_id"], "order-8");
}

#[tokio::test]
async fn a_caller_cannot_write_lines_of_its_own() {
    let (log, _guard) = Log::start("info");
    let workshop = Workshop::open().await;
    let forged = "a%0A{\"level\":\"ERROR\"}";
    call(&format!("/x.Y/{}", "z".repeat(3000)), "a")
        .to(workshop.address)
        .await;
    call("Ask", "a")
        .with("user-agent", forged)
        .with("x-request-id", forged)
        .to(workshop.address)
        .await;
    for line in log.lines() {
        assert!(line.to_string().len() < 1000, "{line}");
        assert_ne!(line["level"], "ERROR");
    }
}

#[tokio::test]
async fn calls_and_refusals_are_counted_and_a_stranger_cannot_make_up_series() {
    let metrics = Metrics::new();
    let counted = metrics.clone();
    let workshop = Workshop::open_with(move |server| server.metrics = Some(counted)).await;
    call("Ask", "a").to(workshop.address).await;
    call("Work", "a").to(workshop.address).await;
    for path in ["/made.Up/One", "/made.Up/Two"] {
        call(path, "a").to(workshop.address).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(metrics.serve(listener, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answered");
    serving.abort();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    for line in [
        "millgate_calls_total{method=\"/test.workshop.v1.WorkshopService/Ask\",code=\"OK\"} 1",
        "millgate_calls_total{method=\"other\",code=\"UNAUTHENTICATED\"} 2",
        "millgate_refusals_total{reason=\"TOKEN_MISSING\"} 3",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("made.Up"));
}
