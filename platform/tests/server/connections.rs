//! Connections that do nothing, or too much.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::workshop::{Workshop, call::call};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long it takes until the server closes this connection.
async fn closed_after(mut stream: TcpStream) -> Duration {
    let since = Instant::now();
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read);
    // A reset counts as closed too.
    let _ = tokio::time::timeout(Duration::from_secs(10), end)
        .await
        .expect("closed in time");
    since.elapsed()
}

async fn short_tempered() -> Workshop {
    Workshop::open_with(|server| {
        server.limits.first_byte_timeout = Some(Duration::from_millis(200));
        server.limits.idle_timeout = Some(Duration::from_millis(900));
    })
    .await
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_cut() {
    let workshop = short_tempered().await;
    for sent in [&b""[..], b"P", &PREFACE[..23]] {
        let mut stream = TcpStream::connect(workshop.address)
            .await
            .expect("connected");
        stream.write_all(sent).await.expect("written");
        let after = closed_after(stream).await;
        assert!(
            after < Duration::from_secs(8),
            "{after:?} after {} bytes",
            sent.len()
        );
        assert!(after >= Duration::from_millis(150), "{after:?}");
    }
}

#[tokio::test]
async fn a_connection_without_calls_is_cut_when_it_was_idle_long_enough() {
    let workshop = short_tempered().await;
    let mut stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    stream.write_all(PREFACE).await.expect("written");
    let after = closed_after(stream).await;
    assert!(
        after >= Duration::from_millis(800) && after < Duration::from_secs(8),
        "{after:?}"
    );
}

#[tokio::test]
async fn a_connection_with_a_running_call_is_not_idle() {
    let workshop = Workshop::open_with(|server| {
        server.limits.first_byte_timeout = Some(Duration::from_millis(500));
        server.limits.idle_timeout = Some(Duration::from_millis(500));
    })
    .await;
    assert_eq!(
        call("Ask", "sleep 2500").to(workshop.address).await.text(),
        "slept"
    );
}

#[tokio::test]
async fn an_http1_client_is_sent_away_without_harm() {
    let workshop = short_tempered().await;
    let mut stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("written");
    closed_after(stream).await;
    assert_eq!(call("Ask", "a").to(workshop.address).await.text(), "a");
}

#[tokio::test]
async fn the_number_of_streams_is_announced_and_connections_are_counted() {
    let workshop = Workshop::open_with(|server| server.limits.max_connections = 2).await;
    let mut stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    stream.write_all(PREFACE).await.expect("written");
    let mut settings = [0; 128];
    let read = stream.read(&mut settings).await.expect("read");
    // SETTINGS_MAX_CONCURRENT_STREAMS (3) = 100, RFC 9113 section 6.5.2.
    let announced = [0, 3, 0, 0, 0, 100];
    assert!(
        settings[..read]
            .windows(6)
            .any(|window| window == announced)
    );
    // The health monitor and this connection are the two.
    let refused = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    let after = closed_after(refused).await;
    assert!(after < Duration::from_secs(1), "{after:?}");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_loses_the_connection() {
    let workshop = Workshop::open_with(|server| {
        server.limits.deadline = Some(Duration::from_millis(200));
    })
    .await;
    let stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake::<_, http_body_util::Full<bytes::Bytes>>(TokioIo::new(stream))
        .await
        .expect("a handshake");
    let connection = tokio::spawn(connection);
    let body = crate::workshop::call::message("large 3000000");
    let request = http::Request::builder()
        .method("POST")
        .uri(format!(
            "http://{}/test.workshop.v1.WorkshopService/Ask",
            workshop.address
        ))
        .header("content-type", "application/grpc")
        .body(http_body_util::Full::new(bytes::Bytes::from(body)))
        .expect("a request");
    let answer = sender
        .send_request(request)
        .await
        .expect("an answer begins");
    // Never read: the window stays shut. The server gives up on us, not on itself.
    let ended = tokio::time::timeout(Duration::from_secs(12), connection).await;
    assert!(ended.is_ok(), "the connection was closed");
    assert!(answer.into_body().collect().await.is_err());
}
