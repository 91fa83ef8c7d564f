//! Streams over HTTP: answered as lines or events while they happen, and taken as lines while they are sent.

use crate::sample::{API, DESCRIPTORS};
use crate::support::{Gate, Plain};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gateway::{Config, LimitArgs, UpstreamConfig};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::{Code, Request, Response, Status, Streaming};

type Events = BoxStream<'static, Result<Bytes, Status>>;
type Follow = dyn Fn(i64) -> Result<Events, Status> + Send + Sync;

/// A service that streams: answers Follow as it is told, and notes what Import is sent.
#[derive(Clone)]
pub(crate) struct Library {
    follow: Arc<Follow>,
    /// The names of the messages, then how they ended.
    imported: Arc<Mutex<Vec<String>>>,
    /// Whether nobody may import, and whether what is sent is never read.
    pub(crate) refuses: bool,
    pub(crate) stalls: bool,
}

impl Library {
    pub(crate) fn new(
        follow: impl Fn(i64) -> Result<Events, Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            follow: Arc::new(follow),
            imported: Arc::default(),
            refuses: false,
            stalls: false,
        }
    }

    async fn answer(
        self,
        request: http::Request<axum::body::Body>,
    ) -> http::Response<tonic::body::Body> {
        let mut grpc = tonic::server::Grpc::new(Plain);
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        if method.starts_with("Import") {
            let kind = match method.as_str() {
                "Import" => "sample.Inner".to_owned(),
                rows => format!("sample.{rows}Request"),
            };
            let import = tower::service_fn(move |request: Request<Streaming<Bytes>>| {
                self.clone().import(kind.clone(), request)
            });
            return grpc.client_streaming(import, request).await;
        }
        if method == "GetBook" {
            let echo = tower::service_fn(|request: Request<Bytes>| async {
                Ok::<_, Status>(Response::new(request.into_inner()))
            });
            return grpc.unary(echo, request).await;
        }
        if method == "Watch" {
            let watch = tower::service_fn(move |request: Request<Bytes>| {
                let from = field("sample.WatchRequest", request.into_inner(), "from_sequence");
                let answer = (self.follow)(from.as_i64().unwrap() - 1);
                async move { answer.map(|events| Response::new(events.map(|event| event.map(wrapped)))) }
            });
            return grpc.server_streaming(watch, request).await;
        }
        let follow = tower::service_fn(move |request: Request<Bytes>| {
            let after = field(
                "sample.FollowRequest",
                request.into_inner(),
                "after_sequence",
            );
            let answer = (self.follow)(after.as_i64().unwrap());
            async move { answer.map(Response::new) }
        });
        grpc.server_streaming(follow, request).await
    }

    /// Notes what it is sent, by its name or else as JSON.
    async fn import(
        self,
        kind: String,
        request: Request<Streaming<Bytes>>,
    ) -> Result<Response<Bytes>, Status> {
        if self.refuses {
            return Err(Status::permission_denied("not you"));
        }
        let note = |text: &str| self.imported.lock().unwrap().push(text.to_owned());
        if self.stalls {
            return std::future::pending().await;
        }
        let descriptor = API.pool.get_message_by_name(&kind).unwrap();
        let mut messages = request.into_inner();
        loop {
            match messages.message().await {
                Ok(Some(bytes)) => {
                    let message = DynamicMessage::decode(descriptor.clone(), bytes).unwrap();
                    let name = match kind.as_str() {
                        "sample.Inner" => message
                            .get_field_by_name("name")
                            .unwrap()
                            .as_str()
                            .unwrap()
                            .to_owned(),
                        _ => serde_json::to_string(&message).unwrap(),
                    };
                    note(&name);
                    if name == "slow" {
                        tokio::time::sleep(Duration::from_millis(1500)).await;
                    }
                    if name == "enough" {
                        return Err(Status::new(Code::FailedPrecondition, "no more"));
                    }
                }
                Ok(None) => {
                    note("<complete>");
                    let done = Value::String("done".to_owned());
                    return Ok(Response::new(message("sample.Inner", &[("name", done)])));
                }
                Err(status) => {
                    note("<broken>");
                    return Err(status);
                }
            }
        }
    }

    pub(crate) fn imported(&self) -> Vec<String> {
        self.imported.lock().unwrap().clone()
    }

    pub(crate) async fn gate(&self, limits: LimitArgs) -> (Gate, tempfile::NamedTempFile) {
        let library = self.clone();
        let service = tower::service_fn(move |request| {
            let answer = library.clone().answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let routes = axum::Router::new().fallback_service(service).into();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let routes: tonic::service::Routes = routes;
        tokio::spawn(
            tonic::transport::Server::builder()
                // As the services of ours.
                .max_concurrent_streams(100)
                .add_routes(routes)
                .serve_with_incoming(incoming),
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), DESCRIPTORS.as_slice()).unwrap();
        let gate = Gate::with(Config {
            descriptors: Some(file.path().to_owned()),
            more_upstreams: vec![UpstreamConfig {
                prefix: "sample".to_owned(),
                endpoint: format!("http://{address}"),
                setting: "GATEWAY_UPSTREAMS".to_owned(),
            }],
            limits,
            ..Config::default()
        });
        (gate.await, file)
    }
}

fn field(kind: &str, bytes: Bytes, name: &str) -> Value {
    let descriptor = API.pool.get_message_by_name(kind).unwrap();
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    message.get_field_by_name(name).unwrap().into_owned()
}

/// An event inside of what Watch answers with.
fn wrapped(event: Bytes) -> Bytes {
    let descriptor = API.pool.get_message_by_name("sample.Event").unwrap();
    let event = DynamicMessage::decode(descriptor, event).unwrap();
    message("sample.WatchResponse", &[("event", Value::Message(event))])
}

fn message(kind: &str, fields: &[(&str, Value)]) -> Bytes {
    let descriptor = API.pool.get_message_by_name(kind).unwrap();
    let mut message = DynamicMessage::new(descriptor);
    for (name, value) in fields {
        message.set_field_by_name(name, value.clone());
    }
    message.encode_to_vec().into()
}

pub(crate) fn event(sequence: i64) -> Result<Bytes, Status> {
    let text = Value::String(format!("line\n{sequence}"));
    Ok(message(
        "sample.Event",
        &[("sequence", Value::I64(sequence)), ("text", text)],
    ))
}

/// Three events after the one that was asked for, then what is given.
pub(crate) fn three_then(end: Option<Status>) -> Library {
    Library::new(move |after| {
        let events = (after + 1..after + 4).map(event);
        Ok(futures::stream::iter(events.chain(end.clone().map(Err))).boxed())
    })
}

#[tokio::test]
async fn a_stream_is_answered_line_by_line_as_it_happens() {
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let library = Library::new(move |_| {
        let receive = receive.lock().unwrap().take().unwrap();
        Ok(tokio_stream::wrappers::ReceiverStream::new(receive).boxed())
    });
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    send.send(event(1)).await.unwrap();
    let mut answered = gate.signed("GET", "/v1/follow").open().await;
    assert_eq!(answered.headers()["content-type"], "application/x-ndjson");
    // The second is not there before the first has arrived.
    for sequence in [1, 2] {
        let line = answered.chunk().await.unwrap().unwrap();
        let expected = format!(
            "{{\"result\":{{\"sequence\":\"{sequence}\",\"text\":\"line\\n{sequence}\"}}}}\n"
        );
        assert_eq!(line, expected);
        send.send(event(sequence + 1)).await.unwrap();
    }
    drop(answered);
    // A client that goes away ends the call to the service.
    tokio::time::timeout(Duration::from_secs(5), send.closed())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so_in_its_own_form() {
    let library = three_then(Some(Status::unavailable("the service stops")));
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let lines = gate.signed("GET", "/v1/follow").send().await;
    assert_eq!(lines.status, 200);
    let text = String::from_utf8(lines.body.to_vec()).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().nth(3).unwrap()).unwrap();
    assert_eq!(last["error"]["status"], "UNAVAILABLE");
    assert_eq!(last["error"]["code"], 503);

    let events = gate
        .signed("GET", "/v1/follow")
        .header("accept", "text/event-stream")
        .send()
        .await;
    let text = String::from_utf8(events.body.to_vec()).unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(
        last.starts_with("event: error\ndata: {\"error\":{\"code\":503"),
        "{last}"
    );
}

#[tokio::test]
async fn events_have_ids_and_resume_after_the_last_one() {
    let (gate, _file) = three_then(None).gate(LimitArgs::default()).await;
    let ask = || {
        gate.signed("GET", "/v1/follow")
            .header("accept", "text/event-stream")
    };
    let first = ask().send().await;
    assert_eq!(first.header("content-type"), "text/event-stream");
    let data = |sequence: i64| {
        format!(
            "id: {sequence}\ndata: {{\"sequence\":\"{sequence}\",\"text\":\"line\\n{sequence}\"}}\n\n"
        )
    };
    let expected = data(1) + &data(2) + &data(3) + "event: end\ndata: {}\n\n";
    assert_eq!(first.body, expected);
    let resumed = ask().header("last-event-id", "41").send().await;
    assert!(resumed.body.starts_with(data(42).as_bytes()), "{resumed:?}");
    let refused = ask().header("last-event-id", "yesterday").send().await;
    refused.expect(400, "FIELD_INVALID");
    assert_eq!(refused.fields(), ["Last-Event-ID"]);
}

#[tokio::test]
async fn the_form_of_a_stream_is_the_one_that_is_wanted_most() {
    let (gate, _file) = three_then(None).gate(LimitArgs::default()).await;
    for (accept, kind) in [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        (
            "application/x-ndjson, text/event-stream;q=0.5",
            "application/x-ndjson",
        ),
        ("*/*, text/event-stream;q=0", "application/x-ndjson"),
        ("text/*, application/json", "application/x-ndjson"),
    ] {
        let answered = gate
            .signed("GET", "/v1/follow")
            .header("accept", accept)
            .send()
            .await;
        assert_eq!(answered.header("content-type"), kind, "{accept}");
    }
    for accept in ["text/event-stream;q=0", "application/json;q=0"] {
        let none = gate.signed("GET", "/v1/follow").header("accept", accept);
        none.send().await.expect(406, "NOT_ACCEPTABLE");
    }
}

#[tokio::test]
async fn a_stream_with_a_response_body_tells_that_field() {
    let (gate, _file) = three_then(None).gate(LimitArgs::default()).await;
    let lines = gate.signed("GET", "/v1/watched").send().await;
    assert!(
        lines.body.starts_with(b"{\"result\":{\"sequence\":\"0\""),
        "{lines:?}"
    );
    let events = gate
        .signed("GET", "/v1/watched?from_sequence=1")
        .header("accept", "text/event-stream")
        .send()
        .await;
    assert!(
        events.body.starts_with(b"id: 1\ndata: {\"sequence\":\"1\""),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_is_refused_before_the_first_message_is_a_plain_refusal() {
    let library = Library::new(|_| Err(Status::permission_denied("not you")));
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let answered = gate.signed("GET", "/v1/follow").send().await;
    assert_eq!(answered.status, 403);
    gate.request("GET", "/v1/follow")
        .send()
        .await
        .expect(401, "TOKEN_MISSING");
    let image = gate
        .signed("GET", "/v1/follow")
        .header("accept", "image/png");
    image.send().await.expect(406, "NOT_ACCEPTABLE");
}

#[tokio::test]
async fn a_gateway_that_stops_ends_its_streams_and_says_so() {
    let library = Library::new(|_| {
        Ok(futures::stream::iter([event(1)])
            .chain(futures::stream::pending())
            .boxed())
    });
    let (mut gate, _file) = library.gate(LimitArgs::default()).await;
    let mut answered = gate.signed("GET", "/v1/follow").open().await;
    answered.chunk().await.unwrap().unwrap();
    gate.stop.take().unwrap().send(()).unwrap();
    let last = answered.chunk().await.unwrap().unwrap();
    assert!(
        last.starts_with(b"{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\""),
        "{last:?}"
    );
    assert!(answered.chunk().await.unwrap().is_none());
    tokio::time::timeout(Duration::from_secs(5), gate.running)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stream_outlives_the_time_that_a_connection_may_be_idle() {
    let limits = LimitArgs {
        idle_timeout: Duration::from_millis(200),
        deadline: Duration::from_millis(300),
        ..LimitArgs::default()
    };
    let library = Library::new(|_| {
        let late = futures::stream::once(async {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            event(2)
        });
        Ok(futures::stream::iter([event(1)]).chain(late).boxed())
    });
    let (gate, _file) = library.gate(limits).await;
    let answered = gate.signed("GET", "/v1/follow").send().await;
    assert_eq!(
        answered.body.iter().filter(|byte| **byte == b'\n').count(),
        2,
        "{answered:?}"
    );
}

fn import_of<B: Into<reqwest::Body>>(
    gate: &Gate,
    body: B,
) -> impl Future<Output = crate::support::Answered> + use<B> {
    let request = gate
        .signed("POST", "/v1/import")
        .header("content-type", "application/x-ndjson");
    request.body(body).send()
}

/// What was noted, as soon as there is as much of it.
pub(crate) async fn noted(library: &Library, number: usize) -> Vec<String> {
    for _ in 0..200 {
        if library.imported().len() >= number {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    library.imported()
}

#[tokio::test]
async fn lines_are_sent_on_while_the_body_is_still_coming() {
    let library = three_then(None);
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
    let running = tokio::spawn(import_of(&gate, body));
    // Cut where it hurts: in a line, and in a character.
    send.send(Ok(Bytes::from_static(
        b"{\"name\":\"one\"}\n{\"name\":\"z\xc3",
    )))
    .await
    .unwrap();
    assert_eq!(noted(&library, 1).await, ["one"]);
    send.send(Ok(Bytes::from_static(b"\xbc\"}\r\n\n{\"name\":\"three\"}")))
        .await
        .unwrap();
    assert_eq!(noted(&library, 2).await, ["one", "zü"]);
    drop(send);
    let answered = running.await.unwrap();
    assert_eq!(
        (answered.status.as_u16(), &answered.json()["name"]),
        (200, &"done".into())
    );
    assert_eq!(library.imported(), ["one", "zü", "three", "<complete>"]);
}

#[tokio::test]
async fn a_bad_line_is_told_by_its_number_and_never_completes_the_stream() {
    let library = three_then(None);
    let limits = LimitArgs {
        max_body_bytes: 1024,
        ..LimitArgs::default()
    };
    let (gate, _file) = library.gate(limits).await;
    let refused = import_of(
        &gate,
        "{\"name\":\"one\"}\n\n{\"nam\":\"two\"}\n{\"name\":\"three\"}\n",
    )
    .await;
    refused.expect(400, "UNKNOWN_FIELD");
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("line 3: ")
    );
    let long = format!("{{\"name\":\"{}\"}}", "a".repeat(2000));
    import_of(&gate, long)
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    // Many lines may be more than one may.
    let many = "{\"name\":\"one\"}\n".repeat(200);
    assert_eq!(import_of(&gate, many).await.status, 200);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let complete = library
        .imported()
        .iter()
        .filter(|note| *note == "<complete>")
        .count();
    assert_eq!(complete, 1, "only the good one");
    gate.signed("POST", "/v1/import")
        .json("{}")
        .send()
        .await
        .expect(415, "CONTENT_TYPE");
    gate.request("POST", "/v1/import")
        .body("{}")
        .send()
        .await
        .expect(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn a_service_that_has_seen_enough_is_heard_before_the_body_ends() {
    let library = three_then(None);
    let (gate, _file) = library.gate(LimitArgs::default()).await;
    let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
    let running = tokio::spawn(import_of(&gate, body));
    send.send(Ok(Bytes::from_static(b"{\"name\":\"enough\"}\n")))
        .await
        .unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(5), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answered.status, 400);
    drop(send);
}
