//! Slow, broken and hostile connections, and an orderly stop.

use crate::support::{Double, Gate, config};
use gateway::{Config, LimitArgs};
use http_body_util::BodyExt as _;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn hasty(double: &Double) -> Gate {
    let limits = LimitArgs {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        drain: Duration::from_secs(1),
        ..LimitArgs::default()
    };
    Gate::with(Config {
        limits,
        ..config(double.clone().listen().await)
    })
    .await
}

/// Sends octets, and reads until the gateway closes the connection.
async fn raw(gate: &Gate, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A reset instead of an orderly end is an end, too.
    let _ = tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_and_silent_clients_are_cut() {
    let gate = hasty(&Double::empty()).await;
    for sent in [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: ",
    ] {
        let started = Instant::now();
        raw(&gate, sent.as_bytes()).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{sent:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_open_is_closed_when_idle() {
    let gate = hasty(&Double::empty()).await;
    let answer = raw(&gate, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_may_wait_longer_for_its_next_request_than_for_the_rest_of_one() {
    let limits = LimitArgs {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(20),
        ..LimitArgs::default()
    };
    let gate = Gate::with(Config {
        limits,
        ..config(Double::empty().listen().await)
    })
    .await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    for pause in [0, 700] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let request = b"HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer[9..], b"200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            rest.push(stream.read_u8().await.unwrap());
        }
    }
    // The next one begins, and does not end.
    let started = Instant::now();
    stream.write_all(b"GET /hea").await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A gate before a service whose answer is larger than what the sockets between take.
async fn wordy() -> (Gate, usize) {
    let size = 24 << 20;
    let user = millgate_contract::auth::v1::User {
        username: "a".repeat(size),
        ..Default::default()
    };
    let answer = prost::Message::encode_to_vec(&user);
    (
        hasty(&Double::answering(move |_| Ok(answer.clone()))).await,
        size,
    )
}

async fn ask_for_words(gate: &Gate) -> TcpStream {
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    let request = b"GET /v1/users/7 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let (gate, size) = wordy().await;
    let mut stream = ask_for_words(&gate).await;
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning[9..], b"200");
    // What the sockets hold is still there, and nothing came after it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < size, "{} of {size}", rest.len());
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_its_answer() {
    let (gate, size) = wordy().await;
    let mut stream = ask_for_words(&gate).await;
    let started = Instant::now();
    let mut read = 0;
    let mut piece = vec![0; size / 12];
    while read < size {
        // Less than a connection may be idle, and together more.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let here = stream
            .read_exact(&mut piece[..(size / 12).min(size - read)])
            .await;
        read += here.expect("it goes on");
    }
    assert!(started.elapsed() > Duration::from_millis(1000));
}

#[tokio::test]
async fn an_address_has_so_many_connections_open_and_gets_its_places_back() {
    let limits = LimitArgs {
        connections_per_address: 2,
        ..LimitArgs::default()
    };
    let settings = Config {
        limits,
        ..config(Double::empty().listen().await)
    };
    let gate = Gate::with(settings.clone()).await;
    let is_served = async |gate: &Gate| {
        let mut stream = TcpStream::connect(gate.address).await.ok()?;
        let request = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(request).await.ok()?;
        stream.read_u8().await.ok().map(|_| stream)
    };
    let held = (is_served(&gate).await, is_served(&gate).await);
    assert!(held.0.is_some() && held.1.is_some());
    assert!(is_served(&gate).await.is_none(), "the third is closed");
    drop(held.0);
    let started = Instant::now();
    while is_served(&gate).await.is_none() {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the place comes back"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Behind a proxy of ours all come from one address.
    let mut settings = settings;
    settings.proxies.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gate = Gate::with(settings).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(is_served(&gate).await.expect("served"));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let gate = hasty(&Double::empty()).await;
    let head = "POST /login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    let answer = raw(&gate, head.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("BODY_TIMEOUT"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_its_answer() {
    let gate = Gate::before(&Double::empty()).await;
    for (path, size, status) in [("/v1/products", 3 << 20, "401"), ("/login", 6 << 20, "413")] {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
            .write_all(&vec![b' '; size])
            .await
            .expect("nobody hangs up");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer[9..]), status);
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_without_its_body() {
    let gate = Gate::before(&Double::empty()).await;
    let started = Instant::now();
    let head = "POST /v1/products HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4000000\r\n\r\n";
    let answer = raw(&gate, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "nobody waits for it"
    );
}

#[tokio::test]
async fn requests_that_are_read_in_two_ways_are_refused() {
    let double = Double::empty();
    let gate = hasty(&double).await;
    let head = "POST /login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let ambiguous = [
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        "content-length: 2, 3\r\n\r\n{}x",
        "content-length: +2\r\n\r\n{}",
        "content-length: -1\r\n\r\n{}",
        "content-length: 0x2\r\n\r\n{}",
        "transfer-encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: gzip\r\n\r\n{}",
        "transfer-encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/me HTTP/1.1\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\nGET /v1/me HTTP/1.1\r\n",
        " folded: x\r\n\r\n",
        "a\0b: c\r\n\r\n",
    ];
    for rest in ambiguous {
        let answer = raw(&gate, format!("{head}{rest}").as_bytes()).await;
        let statuses: Vec<&str> = answer
            .lines()
            .filter(|line| line.starts_with("HTTP/1.1 "))
            .collect();
        assert!(statuses.len() <= 1, "{rest:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 5"), "{rest:?}: {answer}");
        // Both a length and a coding: read by the coding alone, and nothing after it on this connection.
        if rest.contains("content-length: 2") && rest.contains("transfer-encoding: chunked") {
            assert!(answer.contains("connection: close"), "{rest:?}: {answer}");
        } else {
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{rest:?}: {answer}"
            );
        }
    }
    for head in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ] {
        assert!(
            raw(&gate, head.as_bytes())
                .await
                .starts_with("HTTP/1.1 400"),
            "{head:?}"
        );
    }
}

#[tokio::test]
async fn a_head_of_any_size_is_answered_or_cut() {
    let gate = hasty(&Double::empty()).await;
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(100_000));
    let long_header = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    let many_headers = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(1000)
    );
    for head in [long_path, long_header, many_headers] {
        let answer = raw(&gate, head.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    assert_eq!(
        gate.request("GET", "/healthz").send().await.status.as_u16(),
        200
    );
}

#[tokio::test]
async fn what_runs_is_finished_before_the_gateway_stops() {
    let double = Double::slowly(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(Vec::new())
        })
    });
    let mut gate = hasty(&double).await;
    let running = tokio::spawn(gate.signed("GET", "/v1/me").send());
    // An idle connection must not hold the stop up.
    let _idle = TcpStream::connect(gate.address).await.unwrap();
    while double.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gate.stop.take().unwrap().send(()).unwrap();
    assert_eq!(running.await.unwrap().status.as_u16(), 200);
    tokio::time::timeout(Duration::from_secs(3), &mut gate.running)
        .await
        .expect("it stops")
        .unwrap();
    assert!(TcpStream::connect(gate.address).await.is_err());
}

/// A gate that speaks TLS, its certificate, and the folder that it lies in.
async fn over_tls(mut settings: Config) -> (Gate, rcgen::Certificate, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    settings.tls.tls_cert = Some(cert);
    settings.tls.tls_key = Some(key);
    (Gate::with(settings).await, certified.cert, folder)
}

/// A connection that speaks this protocol.
async fn speaking(
    protocol: &[u8],
    gate: &Gate,
    certificate: &rcgen::Certificate,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut client = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let tcp = TcpStream::connect(gate.address).await.unwrap();
    let stream = connector
        .connect("localhost".try_into().unwrap(), tcp)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

type Http2 = hyper::client::conn::http2::SendRequest<http_body_util::Empty<bytes::Bytes>>;

async fn http_2(gate: &Gate, certificate: &rcgen::Certificate) -> Http2 {
    let stream = speaking(b"h2", gate, certificate).await;
    let (sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    sender
}

/// The answer of HTTP/2 to such a request.
async fn asked(
    sender: &mut Http2,
    method: &str,
    path: &str,
) -> http::Response<hyper::body::Incoming> {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("authorization", "Bearer x")
        .body(http_body_util::Empty::new());
    sender.send_request(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn over_tls_http_1_and_2_are_spoken() {
    let settings = config(Double::empty().listen().await);
    let (gate, certificate, folder) = over_tls(settings).await;
    let authority = folder.path().join("cert.pem");

    let endpoint = format!("https://localhost:{}", gate.address.port());
    let second = Duration::from_secs(1);
    let checked = gateway::healthcheck(&endpoint, Some(&authority), second).await;
    let answer = checked.unwrap_err().to_string();
    assert!(
        answer.contains("503"),
        "asked, and told that nobody is ready: {answer}"
    );
    assert!(gateway::healthcheck(&endpoint, None, second).await.is_err());

    let mut sender = http_2(&gate, &certificate).await;
    let answer = asked(&mut sender, "GET", "/healthz").await;
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));
    let whole = answer.into_body().collect().await.unwrap().to_bytes();
    let length = whole.len().to_string();

    let answer = asked(&mut sender, "HEAD", "/healthz").await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-length"], length);
    let none = answer.into_body().collect().await.expect("it ends well");
    assert!(none.to_bytes().is_empty());
    let answer = asked(&mut sender, "HEAD", "/nowhere").await;
    assert_eq!(answer.status().as_u16(), 404);
    let none = answer.into_body().collect().await.expect("it ends well");
    assert!(none.to_bytes().is_empty());

    for method in ["GET", "HEAD"] {
        let mut stream = speaking(b"http/1.1", &gate, &certificate).await;
        let request =
            format!("{method} /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.contains(&format!("content-length: {length}\r\n")),
            "{answer}"
        );
        assert_eq!(answer.ends_with("\r\n\r\n"), method == "HEAD", "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_alone_on_its_connection() {
    let user = millgate_contract::auth::v1::User {
        username: "a".repeat(24 << 20),
        ..Default::default()
    };
    let large = prost::Message::encode_to_vec(&user);
    let double = Double::slowly(move |seen| {
        let is_read = seen.path.ends_with("GetUser");
        let answer = if is_read { large.clone() } else { Vec::new() };
        Box::pin(async move {
            if !is_read {
                tokio::time::sleep(Duration::from_millis(1500)).await;
            }
            Ok(answer)
        })
    });
    let limits = LimitArgs {
        idle_timeout: Duration::from_millis(400),
        ..LimitArgs::default()
    };
    let (gate, certificate, _folder) = over_tls(Config {
        limits,
        ..config(double.listen().await)
    })
    .await;
    let mut sender = http_2(&gate, &certificate).await;
    let unread = asked(&mut sender, "GET", "/v1/users/7").await;
    assert_eq!(unread.status().as_u16(), 200);
    let other = asked(&mut sender, "GET", "/v1/me").await;
    assert_eq!(other.status().as_u16(), 200);
    other.into_body().collect().await.expect("all of it");
    let cut = unread.into_body().collect().await;
    assert!(cut.is_err(), "what was not read is cut, and known to be");
}

#[tokio::test]
async fn a_thousand_large_bodies_cannot_be_held_at_once() {
    let double = Double::empty();
    let limits = LimitArgs {
        // A quarter of it, the share of one address, is two of the largest bodies.
        body_memory_bytes: 8 << 20,
        max_body_bytes: 1 << 20,
        ..LimitArgs::default()
    };
    let gate = Gate::with(Config {
        limits,
        ..config(double.clone().listen().await)
    })
    .await;
    let head = "POST /login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1048576\r\n\r\n";
    let large = || {
        let body = format!("{{\"username\":\"{}\"}}", "a".repeat(200_000));
        gate.request("POST", "/login").json(body).send()
    };
    let started = Instant::now();
    let (slow, refused) = loop {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "there is room for all"
        );
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(gate.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let most = vec![b' '; (1 << 20) - 1];
            stream.write_all(&most).await.unwrap();
            slow.push(stream);
        }
        // Once they are read; one that comes sooner may be let in, and a slow one refused in its stead.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answered = large().await;
        if answered.status != 200 {
            break (slow, answered);
        }
    };
    refused.expect(429, "OVERLOADED");
    assert_eq!(refused.header("retry-after"), "1");
    // Small ones go on, and the room comes back.
    let small = gate.request("POST", "/login").json("{}").send().await;
    assert_eq!(small.status, 200, "{small:?}");
    drop(slow);
    let started = Instant::now();
    while large().await.status != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the room comes back"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
