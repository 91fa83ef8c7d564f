//! `google.api.HttpBody`: octets of any type go through as they are, both ways and in streams.

use crate::sample::DESCRIPTORS;
use crate::streams::Library;
use crate::support::{Double, Gate};
use bytes::Bytes;
use futures::StreamExt as _;
use gateway::{Config, LimitArgs, UpstreamConfig};
use prost::Message as _;
use tonic::Status;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpBody {
    #[prost(string, tag = "1")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, tag = "2")]
    file: Option<HttpBody>,
}

pub(crate) fn octets(content_type: &str, data: &'static [u8]) -> HttpBody {
    HttpBody {
        content_type: content_type.to_owned(),
        data: Bytes::from_static(data),
    }
}

async fn before(double: &Double) -> (Gate, tempfile::NamedTempFile) {
    let address = double.clone().listen().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), DESCRIPTORS.as_slice()).unwrap();
    let gate = Gate::with(Config {
        descriptors: Some(file.path().to_owned()),
        more_upstreams: vec![UpstreamConfig {
            prefix: "sample".to_owned(),
            endpoint: format!("http://{address}"),
            setting: "GATEWAY_UPSTREAMS".to_owned(),
        }],
        ..Config::default()
    });
    (gate.await, file)
}

#[tokio::test]
async fn octets_go_through_as_they_are() {
    let double = Double::answering(|seen| Ok(seen.bytes.to_vec()));
    let (gate, _file) = before(&double).await;
    for (kind, told) in [
        ("image/png", "image/png"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
        ("", "application/octet-stream"),
    ] {
        let answered = gate
            .signed("POST", "/v1/raw")
            .header("content-type", kind)
            .header("accept", "image/*")
            .body(&b"\x89PNG\xff{not json"[..])
            .send()
            .await;
        assert_eq!(answered.status, 200, "{answered:?}");
        assert_eq!(answered.header("content-type"), told);
        assert_eq!(answered.body, &b"\x89PNG\xff{not json"[..]);
        // Whatever a service answers with, a browser runs nothing of it.
        assert_eq!(answered.header("x-content-type-options"), "nosniff");
        let policy = answered.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
    let sent = gate
        .signed("PUT", "/v1/raw/a%2Fb")
        .header("content-type", "text/csv")
        .body("a,b\n")
        .send()
        .await;
    assert_eq!(
        (sent.header("content-type"), &sent.body[..]),
        ("text/csv", &b"a,b\n"[..])
    );
    let seen: File = double.seen().pop().unwrap().message();
    let expected = File {
        name: "a/b".to_owned(),
        file: Some(octets("text/csv", b"a,b\n")),
    };
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn octets_are_held_to_the_same_size_and_the_same_right() {
    let double = Double::answering(|seen| Ok(seen.bytes.to_vec()));
    let (gate, _file) = before(&double).await;
    let large = vec![0; (4 << 20) + 1];
    let refused = gate.signed("POST", "/v1/raw").body(large).send().await;
    refused.expect(413, "MESSAGE_TOO_LARGE");
    let unsigned = gate.request("POST", "/v1/raw").body("a").send().await;
    unsigned.expect(401, "TOKEN_MISSING");
    let packed = gate
        .signed("POST", "/v1/raw")
        .header("content-encoding", "br");
    packed.body("a").send().await.expect(415, "CONTENT_TYPE");
    // The service was asked for the right to call, and for nothing else.
    assert!(double.seen().iter().all(|seen| seen.bytes == vec![0xff]));
}

fn pieces(end: Option<Status>) -> Library {
    Library::new(move |_| {
        let pieces = [octets("text/csv", b"a,b\n"), octets("", b"1,2\n")];
        let pieces = pieces.map(|piece| Ok(piece.encode_to_vec().into()));
        let end = end.clone();
        let late = futures::stream::once(async move {
            // When what came before is on its way.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            end.map(Err)
        });
        let late = late.filter_map(|end| async { end });
        Ok(futures::stream::iter(pieces).chain(late).boxed())
    })
}

#[tokio::test]
async fn a_stream_of_octets_is_one_body_of_the_first_ones_type() {
    let (gate, _file) = pieces(None).gate(LimitArgs::default()).await;
    let answered = gate.signed("GET", "/v1/download").send().await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-type"), "text/csv");
    assert_eq!(answered.body, "a,b\n1,2\n");
    let empty = Library::new(|_| Ok(futures::stream::empty().boxed()));
    let (gate, _file) = empty.gate(LimitArgs::default()).await;
    let answered = gate.signed("GET", "/v1/download").send().await;
    assert_eq!((answered.status.as_u16(), answered.body.len()), (200, 0));
}

#[tokio::test]
async fn a_stream_of_octets_that_breaks_off_is_no_complete_body() {
    let broken = || Some(Status::unavailable("the service stops"));
    let (gate, _file) = pieces(broken()).gate(LimitArgs::default()).await;
    let mut answered = gate.signed("GET", "/v1/download").open().await;
    assert_eq!(answered.status(), 200);
    let mut read = Vec::new();
    let ended = loop {
        match answered.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            other => break other,
        }
    };
    assert!(ended.is_err(), "cut off, and known to be");
    assert!(b"a,b\n1,2\n".starts_with(&read[..]));
    // What goes wrong before the first octet is a plain refusal.
    let refusing = Library::new(move |_| Ok(futures::stream::iter(broken().map(Err)).boxed()));
    let (gate, _file) = refusing.gate(LimitArgs::default()).await;
    let answered = gate.signed("GET", "/v1/download").send().await;
    answered.expect(503, "UNAVAILABLE");
}
