//! A client that sends whatever bytes it likes, and reads what really comes back.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Note;

/// Longest that any test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

type Pieces = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// One call.
pub(crate) struct Call {
    path: String,
    headers: Vec<(String, String)>,
    body: Pieces,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) status: Status,
    body: Bytes,
}

/// A call of a method of the workshop with one good message.
pub(crate) fn call(method: &str, text: &str) -> Call {
    Call::of(method, vec![message(text)])
}

/// A message in its frame.
pub(crate) fn message(text: &str) -> Vec<u8> {
    framed(
        &Note {
            text: text.to_owned(),
        }
        .encode_to_vec(),
    )
}

/// Bytes in a frame, whether they are a message or not.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

impl Call {
    /// A call with these pieces of bytes as its body.
    pub(crate) fn of(method: &str, pieces: Vec<Vec<u8>>) -> Self {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(Bytes::from(piece))));
        Self::streaming(method, stream::iter(frames).boxed())
    }

    /// A call whose body comes bit by bit.
    pub(crate) fn streaming(method: &str, body: Pieces) -> Self {
        let path = if method.starts_with('/') {
            method.to_owned()
        } else {
            format!("/test.workshop.v1.WorkshopService/{method}")
        };
        Self {
            path,
            headers: Vec::new(),
            body,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn to(self, address: SocketAddr) -> Answer {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .build_http();
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("http://{address}{}", self.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(StreamBody::new(self.body)).expect("a request");
        let exchange = async {
            let response = client.request(request).await.expect("an answer");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a whole answer");
            let status = body
                .trailers()
                .and_then(Status::from_header_map)
                .or_else(|| Status::from_header_map(&head.headers))
                .expect("a gRPC status");
            Answer {
                headers: head.headers,
                status,
                body: body.to_bytes(),
            }
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an answer in time")
    }
}

fn notes_in(mut bytes: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<5>() {
        let [_, length @ ..] = *header;
        let (note, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        notes.push(Note::decode(note).expect("a note"));
        bytes = rest;
    }
    notes
}

impl Answer {
    /// The text of a success.
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.status.code(), Code::Ok, "{:?}", self.status);
        self.notes().remove(0).text
    }

    /// The messages that came, whatever the status.
    pub(crate) fn notes(&self) -> Vec<Note> {
        notes_in(&self.body)
    }

    /// Code and reason of a refusal; its domain is ours.
    pub(crate) fn refusal(&self) -> (Code, String) {
        let info = self.status.get_details_error_info();
        let info = info.unwrap_or_else(|| panic!("an ErrorInfo in {:?}", self.status));
        assert_eq!(info.domain, "millgate");
        (self.status.code(), info.reason)
    }

    pub(crate) fn request_id(&self) -> &str {
        self.headers["x-request-id"].to_str().expect("text")
    }
}
