//! A client that sends whatever it likes.

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Desk, Note};

/// One call as bytes: what a client is free to send.
pub(crate) struct Call<'a> {
    pub(crate) verb: &'a str,
    path: &'a str,
    pub(crate) content_type: &'a str,
    authorization: Vec<String>,
    headers: Vec<(&'a str, String)>,
    trailers: http::HeaderMap,
}

pub(crate) fn call(path: &str) -> Call<'_> {
    Call {
        verb: "POST",
        path,
        content_type: "application/grpc",
        authorization: Vec::new(),
        headers: Vec::new(),
        trailers: http::HeaderMap::new(),
    }
}

impl<'a> Call<'a> {
    pub(crate) fn with(mut self, authorization: impl Into<String>) -> Self {
        self.authorization.push(authorization.into());
        self
    }

    pub(crate) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn trailer(mut self, name: &'static str, value: &str) -> Self {
        self.trailers.append(name, value.parse().unwrap());
        self
    }

    /// The answer's text, or its status.
    pub(crate) async fn to(&self, desk: &Desk) -> Result<String, Status> {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let mut request = http::Request::builder()
            .method(self.verb)
            .uri(format!("http://{}{}", desk.address, self.path))
            .header("content-type", self.content_type)
            .header("te", "trailers");
        for authorization in &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let note = Note {
            text: "hello".to_owned(),
        };
        let message = prost::Message::encode_to_vec(&note);
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        frame.extend(message);
        let trailers = (!self.trailers.is_empty()).then(|| Ok(self.trailers.clone()));
        let body = Full::new(bytes(frame)).with_trailers(std::future::ready(trailers));
        let request = request.body(body).unwrap();
        let response = client.request(request).await.unwrap();
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            return Err(status);
        }
        let body = response.into_body().collect().await.unwrap();
        let status = Status::from_header_map(body.trailers().unwrap()).unwrap();
        assert_eq!(status.code(), Code::Ok);
        let body = body.to_bytes();
        let note: Note = prost::Message::decode(&body[5..]).unwrap();
        Ok(note.text)
    }

    /// Code and reason of the refusal; and no handler was reached.
    pub(crate) async fn refused_by(&self, desk: &Desk) -> (Code, String) {
        let before = desk.reached();
        let status = self.to(desk).await.expect_err("a refusal");
        assert_eq!(
            desk.reached(),
            before,
            "a refused request reached a handler"
        );
        let info = status.get_details_error_info().expect("an ErrorInfo");
        assert_eq!(info.domain, "millgate");
        (status.code(), info.reason)
    }
}

fn bytes(bytes: Vec<u8>) -> prost::bytes::Bytes {
    bytes.into()
}
