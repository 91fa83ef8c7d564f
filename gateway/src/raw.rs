//! `google.api.HttpBody`: octets of any media type instead of JSON, in the body of a request and of an answer. A stream of
//! them is one long body: its first message says the type.

use crate::api::{Binding, Body};
use crate::error;
use crate::problem::Problem;
use crate::reply::BrokenOff;
use crate::server_stream::stopped;
use crate::streams::Place;
use crate::upstream::measured;
use bytes::Bytes;
use futures::{Stream, stream};
use http::HeaderValue;
use prost::{DecodeError, Message as _};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use tokio::sync::watch;
use tonic::Streaming;

/// What octets without a type are (RFC 9110 section 8.3).
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The message as a whole, as far as it is of use here: its other fields are extensions that nobody can tell in HTTP.
#[derive(Clone, PartialEq, prost::Message)]
struct HttpBody {
    #[prost(string, tag = "1")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

/// Octets and what they are.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) media_type: HeaderValue,
    pub(crate) octets: Bytes,
}

/// Whether this is the message of octets.
pub(crate) fn is_raw(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

fn is_raw_field(field: &FieldDescriptor) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(inner) if is_raw(&inner))
}

/// Whether the body of a request is taken as it is.
pub(crate) fn is_taken(binding: &Binding) -> bool {
    !binding.method.takes_stream
        && match &binding.body {
            Body::None => false,
            Body::Whole => is_raw(&binding.method.input),
            Body::Field(field) => is_raw_field(field),
        }
}

/// Whether what is answered goes out as it is.
pub(crate) fn is_given(binding: &Binding) -> bool {
    match &binding.response_body {
        None => is_raw(&binding.method.output),
        Some(field) => is_raw_field(field),
    }
}

/// The body of a request as a message of this type, which is a `google.api.HttpBody`.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    media_type: &str,
    octets: &[u8],
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("content_type", Value::String(media_type.to_owned()));
    message.set_field_by_name("data", Value::Bytes(Bytes::copy_from_slice(octets)));
    message
}

/// What an answer says, where [`is_given`].
pub(crate) fn of_answer(
    answer: &DynamicMessage,
    part: Option<&FieldDescriptor>,
) -> Result<Raw, DecodeError> {
    let inner = part.map(|field| answer.get_field(field));
    let told = match &inner {
        None => Some(answer),
        Some(value) => value.as_message(),
    };
    let encoded = told.map(|message| message.encode_to_vec());
    let body = HttpBody::decode(Bytes::from(encoded.unwrap_or_default()))?;
    let media_type = match body.content_type.as_str() {
        "" => OCTETS,
        text => HeaderValue::from_str(text).unwrap_or(OCTETS),
    };
    Ok(Raw {
        media_type,
        octets: body.data,
    })
}

/// A stream of answers, while it is told.
pub(crate) struct Telling {
    output: MessageDescriptor,
    part: Option<FieldDescriptor>,
    messages: Streaming<Bytes>,
    stopping: watch::Receiver<bool>,
    /// Counted as open until this is dropped.
    _place: Place,
}

impl Telling {
    pub(crate) fn new(
        binding: &Binding,
        messages: Streaming<Bytes>,
        stopping: watch::Receiver<bool>,
        place: Place,
    ) -> Self {
        Self {
            output: binding.method.output.clone(),
            part: binding.response_body.clone(),
            messages,
            stopping,
            _place: place,
        }
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Raw>, Problem> {
        let next = tokio::select! {
            next = self.messages.message() => next.map_err(|status| Problem::from_status(&measured(status)))?,
            _ = self.stopping.wait_for(|stop| *stop) => return Err(stopped()),
        };
        let Some(message) = next else {
            return Ok(None);
        };
        let answer = DynamicMessage::decode(self.output.clone(), message);
        let raw = answer.and_then(|answer| of_answer(&answer, self.part.as_ref()));
        raw.map(Some).map_err(|error| {
            tracing::error!(%error, "a message of a stream cannot be told");
            error::internal()
        })
    }

    /// The octets of all messages that are left. Where the stream breaks off, so does the body: nothing that could be
    /// said in it would be known from what belongs to it.
    pub(crate) fn octets(self) -> impl Stream<Item = Result<Bytes, BrokenOff>> + Send {
        stream::unfold(Some(self), |telling| async move {
            let mut telling = telling?;
            match telling.next().await {
                Ok(Some(raw)) => Some((Ok(raw.octets), Some(telling))),
                Ok(None) => None,
                Err(problem) => {
                    tracing::info!(reason = %problem.reason, "a stream broke off, and its answer with it");
                    Some((Err(BrokenOff), None))
                }
            }
        })
    }
}
