//! Connections that do nothing, or too much.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use crate::workshop::{
    Workshop,
    call::{call, message},
};

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
    let (mut sender, connection) = miser(&workshop).await;
    let answer = ask(&mut sender, &workshop, "Ask", "large 3000000").await;
    // Never read: the window stays shut. The server gives up on us, not on itself.
    let ended = tokio::time::timeout(Duration::from_secs(12), connection).await;
    assert!(ended.is_ok(), "the connection was closed");
    assert!(answer.collect().await.is_err());
}

/// Nothing within a stream could end it: no part of its answer is asked for what is next.
#[tokio::test]
async fn a_stream_whose_reader_takes_nothing_is_reset_and_leaves_the_others_alone() {
    let workshop = Workshop::open_with(|server| {
        server.limits.idle_timeout = Some(Duration::from_millis(500));
    })
    .await;
    let (mut sender, _connection) = miser(&workshop).await;
    let mut quiet = ask(&mut sender, &workshop, "Watch", "wait").await;
    let first = quiet.frame().await.expect("a frame").expect("no error");
    assert!(first.is_data());
    let unread = ask(&mut sender, &workshop, "Watch", "pour").await;
    let since = Instant::now();
    while workshop.finished() == 0 {
        assert!(since.elapsed() < Duration::from_secs(15), "still held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(since.elapsed() >= Duration::from_millis(400), "too early");
    assert!(unread.collect().await.is_err(), "reset");
    // The same connection serves on, and a reader for whom there is nothing has all the time.
    let answer = ask(&mut sender, &workshop, "Ask", "a").await;
    assert!(answer.collect().await.is_ok());
    let waits = tokio::time::timeout(Duration::from_millis(1500), quiet.frame()).await;
    assert!(waits.is_err(), "the quiet stream ended: {waits:?}");
}

/// As imports whose rows wait for a database do.
#[tokio::test]
async fn streams_that_nobody_reads_hold_up_no_other_call_of_their_connection() {
    let workshop = Workshop::open_with(|server| {
        server.limits.deadline = Some(Duration::from_secs(5));
        server.limits.max_streams = 12;
    })
    .await;
    let (sender, _connection) = miser(&workshop).await;
    let mut unread = message("hold");
    unread.extend(std::iter::repeat_n(message(&"x".repeat(60_000)), 20).flatten());
    let held: Vec<_> = (0..11)
        .map(|_| {
            let (mut sender, request) = (sender.clone(), post(&workshop, "Gather", &unread));
            tokio::spawn(async move { sender.send_request(request).await.map(drop) })
        })
        .collect();
    let mut sender = sender;
    for size in [10, 2_000_000] {
        let answer = ask(&mut sender, &workshop, "Ask", &"y".repeat(size)).await;
        let answer = answer.collect().await.expect("an answer");
        let status = answer.trailers().and_then(|all| all.get("grpc-status"));
        assert_eq!(status.expect("a status"), "0", "{size} bytes");
    }
    assert!(held.iter().all(|held| !held.is_finished()), "still unread");
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// A client that gives an answer next to no room, and answers the server's pings.
async fn miser(workshop: &Workshop) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake(TokioIo::new(stream))
        .await
        .expect("a handshake");
    (sender, tokio::spawn(connection))
}

/// Calls a method, and reads no more than the head of the answer.
async fn ask(sender: &mut Sender, workshop: &Workshop, method: &str, text: &str) -> Incoming {
    let request = post(workshop, method, &message(text));
    let answer = sender.send_request(request).await;
    answer.expect("an answer begins").into_body()
}

fn post(workshop: &Workshop, method: &str, body: &[u8]) -> http::Request<Full<Bytes>> {
    http::Request::builder()
        .method("POST")
        .uri(format!(
            "http://{}/test.workshop.v1.WorkshopService/{method}",
            workshop.address
        ))
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("a request")
}
