//! The answer of a method that streams: lines of JSON (NDJSON), or server-sent events where the client asks for them.
//!
//! A line is `{"result": ...}` (of a `response_body`, that field), and `{"error": ...}` when the stream breaks off. An event carries the message itself; its
//! id is the message's place in the stream (`sequence`). A stream that breaks off ends with an event `error`, one that is
//! complete with an event `end`, so that a browser knows that it need not come again.

use crate::accept::Accepted;
use crate::api::{Binding, Method};
use crate::error::{self, Circumstances};
use crate::json;
use crate::problem::{Problem, reason};
use crate::streams::Place;
use crate::upstream::measured;
use bytes::Bytes;
use futures::{Stream, stream};
use http::HeaderMap;
use prost_reflect::{DynamicMessage, FieldDescriptor};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Streaming};

/// How often a stream of events says that it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How a stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/x-ndjson`.
    Lines,
    /// `text/event-stream`.
    Events,
}

impl Form {
    /// What the client accepts: events where it names them and wants nothing else more, and lines else.
    pub(crate) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let accepted = Accepted::of(headers);
        let events = accepted.named("text/event-stream").unwrap_or_default();
        let lines = [
            "application/x-ndjson",
            "application/ndjson",
            "application/json",
        ]
        .map(|kind| accepted.weight(kind))
        .into_iter()
        .fold(0.0, f32::max);
        if events > 0.0 && events >= lines {
            return Ok(Self::Events);
        }
        if lines > 0.0 {
            return Ok(Self::Lines);
        }
        let message = "the answers are application/x-ndjson or text/event-stream, which the request does not accept";
        Err(Problem::new(
            Code::InvalidArgument,
            reason::NOT_ACCEPTABLE,
            message,
        ))
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// A stream, while it is told.
struct Telling {
    form: Form,
    method: Arc<Method>,
    /// The field of each message that is told, where it is not the whole of it.
    part: Option<FieldDescriptor>,
    messages: Streaming<Bytes>,
    stopping: watch::Receiver<bool>,
    ended: bool,
    /// Counted as open until this is dropped.
    _place: Place,
}

/// The body of the answer: what the service sends, as it comes.
pub(crate) fn body(
    form: Form,
    binding: &Binding,
    messages: Streaming<Bytes>,
    stopping: watch::Receiver<bool>,
    place: Place,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let telling = Telling {
        form,
        method: Arc::clone(&binding.method),
        part: binding.response_body.clone(),
        messages,
        stopping,
        ended: false,
        _place: place,
    };
    stream::unfold(telling, |mut telling| async move {
        let bytes = telling.next().await?;
        Some((bytes, telling))
    })
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let next = tokio::select! {
            next = self.messages.message() => next.map_err(|status| Problem::from_status(&measured(status))),
            _ = self.stopping.wait_for(|stop| *stop) => Err(stopped()),
            () = tokio::time::sleep(KEEPALIVE), if self.form == Form::Events => {
                return Some(Bytes::from_static(b": keep-alive\n\n"));
            }
        };
        let told = match next {
            Ok(Some(message)) => self.message(message),
            Ok(None) => {
                self.ended = true;
                return match self.form {
                    Form::Lines => None,
                    Form::Events => Some(Bytes::from_static(b"event: end\ndata: {}\n\n")),
                };
            }
            Err(problem) => Err(problem),
        };
        Some(told.unwrap_or_else(|problem| {
            self.ended = true;
            self.problem(&problem)
        }))
    }

    fn message(&self, message: Bytes) -> Result<Bytes, Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a message of a stream cannot be told");
            error::internal()
        };
        let message = DynamicMessage::decode(self.method.output.clone(), message)
            .map_err(|error| failed(&error))?;
        let json = match &self.part {
            None => json::encode(&message),
            Some(field) => json::encode_field(&message, field),
        };
        let json = json.map_err(|error| failed(&error))?;
        let (before, after) = match self.form {
            Form::Lines => ("{\"result\":".to_owned(), "}\n"),
            Form::Events => match self.method.sequence.of_message(&message) {
                Some(id) => (format!("id: {id}\ndata: "), "\n\n"),
                None => ("data: ".to_owned(), "\n\n"),
            },
        };
        Ok([before.as_bytes(), &json, after.as_bytes()].concat().into())
    }

    fn problem(&self, problem: &Problem) -> Bytes {
        let json = problem.to_json(problem.http_status(&Circumstances::default()));
        let (before, after) = match self.form {
            Form::Lines => ("", "\n"),
            Form::Events => ("event: error\ndata: ", "\n\n"),
        };
        [before.as_bytes(), &json, after.as_bytes()].concat().into()
    }
}

/// UNAVAILABLE: the gateway stops.
pub(crate) fn stopped() -> Problem {
    Problem {
        retry: Some(Duration::from_secs(1)),
        ..Problem::new(
            Code::Unavailable,
            reason::UPSTREAM_UNAVAILABLE,
            "the gateway stops: come again",
        )
    }
}
