//! What streams are held to: how many, how long, who may, and in what form.

use crate::raw::octets;
use crate::streams::{Library, event, three_then};
use crate::support::Gate;
use flate2::read::GzDecoder;
use futures::StreamExt as _;
use gateway::LimitArgs;
use prost::Message as _;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

fn endless() -> Library {
    Library::new(|_| {
        let first = futures::stream::iter([event(1)]);
        Ok(first.chain(futures::stream::pending()).boxed())
    })
}

fn lines(gate: &Gate, body: impl Into<reqwest::Body>) -> crate::support::Sending {
    let request = gate.signed("POST", "/v1/import");
    request
        .header("content-type", "application/x-ndjson")
        .body(body)
}

#[tokio::test]
async fn an_address_has_so_many_streams_open_and_gets_its_places_back() {
    let limits = LimitArgs {
        streams_per_address: 2,
        ..LimitArgs::default()
    };
    let (gate, _file) = endless().gate(limits).await;
    let open = || gate.signed("GET", "/v1/follow").open();
    let (first, second) = (open().await, open().await);
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    let refused = gate.signed("GET", "/v1/follow").send().await;
    refused.expect(429, "STREAM_LIMIT");
    assert_eq!(refused.header("retry-after"), "1");
    lines(&gate, "{}\n")
        .send()
        .await
        .expect(429, "STREAM_LIMIT");
    // Nobody gets round it by an address that they name, and what is no stream goes on.
    let posing = gate
        .signed("GET", "/v1/follow")
        .header("x-forwarded-for", "192.0.2.9");
    posing.send().await.expect(429, "STREAM_LIMIT");
    drop(first);
    let start = Instant::now();
    let again = loop {
        let again = open().await;
        if again.status() == 200 {
            break again;
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the place comes back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    drop((again, second));
}

#[tokio::test]
async fn more_streams_than_one_connection_takes_are_spread_over_all_of_them() {
    let limits = LimitArgs {
        streams_per_address: 0,
        deadline: Duration::from_secs(2),
        ..LimitArgs::default()
    };
    let (gate, _file) = endless().gate(limits).await;
    let mut open = Vec::new();
    for number in 0..101 {
        // Whatever else is called meanwhile, and however regularly.
        for _ in 0..3 {
            let book = gate.signed("GET", "/v1/shelves/a/books/b").send().await;
            assert_eq!(book.status, 200, "{book:?}");
        }
        let stream = gate.signed("GET", "/v1/follow").open().await;
        assert_eq!(stream.status(), 200, "stream {number}");
        open.push(stream);
    }
}

#[tokio::test]
async fn readers_that_take_nothing_hold_up_nobody_else() {
    const PIECE: &[u8] = &[b'a'; 1 << 20];
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    let library = Library::new(move |_| {
        let counted = Arc::clone(&counted);
        let pieces = futures::stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(octets("", PIECE).encode_to_vec().into())
        });
        Ok(pieces.boxed())
    });
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    // Four on each of the connections to the service.
    let mut unread = Vec::new();
    for _ in 0..16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(gate.address).await.unwrap();
        let request = b"GET /v1/download HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        unread.push(stream);
    }
    // Until they are given nothing more.
    let mut before = 0;
    while before < unread.len() || given.load(Ordering::Relaxed) > before {
        before = given.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for _ in 0..4 {
        let read = async {
            let mut reader = gate.signed("GET", "/v1/download").open().await;
            let mut left = 4 * PIECE.len();
            while left > 0 {
                let piece = reader.chunk().await.unwrap().unwrap();
                left = left.saturating_sub(piece.len());
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(5), read).await;
        read.expect("who reads is given all of it");
    }
}

#[tokio::test]
async fn who_may_not_call_is_told_so_whatever_they_stream() {
    let mut library = three_then(None);
    library.refuses = true;
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    for body in [
        "{\"name\":\"one\"}\n",
        "{\"nam\":\"one\"}\n",
        "no JSON\n",
        "",
    ] {
        let answered = lines(&gate, body).send().await;
        assert_eq!(answered.status, 403, "{body:?}: {answered:?}");
    }
    let other = gate.signed("POST", "/v1/import").body("{}");
    let answered = other.send().await;
    assert_eq!(answered.status, 403, "of no type: {answered:?}");
    assert!(library.imported().is_empty());
}

#[tokio::test]
async fn a_service_that_takes_nothing_more_is_waited_for_within_the_deadline() {
    let mut library = three_then(None);
    library.stalls = true;
    let limits = LimitArgs {
        deadline: Duration::from_millis(300),
        ..LimitArgs::default()
    };
    let (gate, _file) = library.gate(limits).await;
    let line = format!("{{\"name\":\"{}\"}}\n", "a".repeat(100_000));
    let started = Instant::now();
    let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(line.clone()));
    let answered = lines(&gate, reqwest::Body::wrap_stream(endless.take(500)))
        .send()
        .await;
    answered.expect(504, "DEADLINE");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_may_give_a_service_more_time_after_the_last_line() {
    let limits = LimitArgs {
        deadline: Duration::from_millis(300),
        ..LimitArgs::default()
    };
    let (gate, _file) = three_then(None).gate(limits).await;
    let slow = || lines(&gate, "{\"name\":\"slow\"}\n");
    slow().send().await.expect(504, "DEADLINE");
    let answered = slow().header("grpc-timeout", "30S").send().await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let started = Instant::now();
    let less = slow().header("grpc-timeout", "50m").send().await;
    less.expect(504, "DEADLINE");
    assert!(started.elapsed() < Duration::from_millis(1400));
}

#[tokio::test]
async fn lines_are_compressed_for_those_who_take_it_and_none_waits_for_the_next() {
    let (gate, _file) = endless().gate(LimitArgs::default()).await;
    let ask = |accept: &'static str| {
        let request = gate
            .signed("GET", "/v1/follow")
            .header("accept-encoding", "gzip");
        request.header("accept", accept).open()
    };
    let mut answered = ask("application/x-ndjson").await;
    assert_eq!(answered.headers()["content-encoding"], "gzip");
    assert_eq!(answered.headers()["vary"], "accept-encoding");
    let piece = answered.chunk().await.unwrap().unwrap();
    let mut text = vec![0; 100];
    let read = GzDecoder::new(&piece[..]).read(&mut text).unwrap();
    let line = "{\"result\":{\"sequence\":\"1\",\"text\":\"line\\n1\"}}\n";
    assert_eq!(String::from_utf8_lossy(&text[..read]), line);
    // Events are few and small.
    let events = ask("text/event-stream").await;
    assert!(!events.headers().contains_key("content-encoding"));

    let (gate, _file) = three_then(None).gate(LimitArgs::default()).await;
    let whole = gate
        .signed("GET", "/v1/follow")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    let mut text = String::new();
    GzDecoder::new(&whole.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[tokio::test]
async fn a_sequence_inside_of_what_is_answered_is_an_id_and_resumes_with_the_next() {
    let (gate, _file) = three_then(None).gate(LimitArgs::default()).await;
    let ask = |path: &str| {
        gate.signed("GET", path)
            .header("accept", "text/event-stream")
    };
    let first = ask("/v1/watch?from_sequence=1").send().await;
    let text = String::from_utf8_lossy(&first.body).into_owned();
    assert!(
        text.starts_with("id: 1\ndata: {\"event\":{\"sequence\":\"1\""),
        "{text}"
    );
    // A browser comes again to the same address: what it saw last says more.
    let resumed = ask("/v1/watch?from_sequence=1")
        .header("last-event-id", "41")
        .send()
        .await;
    assert!(resumed.body.starts_with(b"id: 42\n"), "{resumed:?}");
    for bad in ["9223372036854775807", "yesterday", ""] {
        let refused = ask("/v1/watch").header("last-event-id", bad).send().await;
        refused.expect(400, "FIELD_INVALID");
    }
}

#[tokio::test]
async fn a_packed_stream_is_unpacked_as_it_comes_and_a_bomb_is_not() {
    let packed = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, text).unwrap();
        encoder.finish().unwrap()
    };
    let library = three_then(None);
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let send = |body: Vec<u8>| lines(&gate, body).header("content-encoding", "gzip").send();
    let answered = send(packed(b"{\"name\":\"one\"}\n{\"name\":\"two\"}")).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(library.imported(), ["one", "two", "<complete>"]);

    let library = three_then(None);
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let send = |body: Vec<u8>| lines(&gate, body).header("content-encoding", "gzip").send();
    let mut cut = packed(b"{\"name\":\"one\"}\n");
    cut.pop();
    for (body, status, reason) in [
        (cut, 400, "MESSAGE_MALFORMED"),
        (b"{\"name\":\"one\"}\n".to_vec(), 400, "MESSAGE_MALFORMED"),
        (packed(&vec![b'\n'; 64 << 20]), 413, "MESSAGE_TOO_LARGE"),
        (packed(&vec![b'a'; 5 << 20]), 413, "MESSAGE_TOO_LARGE"),
    ] {
        send(body).await.expect(status, reason);
    }
    let imported = library.imported();
    assert!(!imported.contains(&"<complete>".to_owned()), "{imported:?}");
    let other = lines(&gate, "{}\n").header("content-encoding", "br");
    other.send().await.expect(415, "CONTENT_TYPE");
}
