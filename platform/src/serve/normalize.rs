//! Statuses that come from tonic itself, in the shape that the design pins.
//!
//! Every status of ours carries `ErrorInfo`. One without it was made by tonic or by a library
//! on the way; what it says to the caller is replaced by the pinned answer.

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};

use crate::fault::{Fault, Reason};

const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The code of the answer, where these headers or trailers decide it.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|value| Code::from_bytes(value.as_bytes()))
}

/// Replaces a status without `ErrorInfo` by ours; gives the code that stands now.
pub(super) fn normalize(headers: &mut HeaderMap, request_id: &str) -> Option<Code> {
    let code = code(headers)?;
    if code == Code::Ok || headers.contains_key(DETAILS) {
        return Some(code);
    }
    let message = Status::from_header_map(headers)
        .map(|status| status.message().to_owned())
        .unwrap_or_default();
    let status = Status::from(pinned(code, &message, request_id));
    Some(replace(headers, &status))
}

/// Puts a status into headers or trailers, in the place of the one that is there.
pub(super) fn replace(headers: &mut HeaderMap, status: &Status) -> Code {
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE, DETAILS] {
        headers.remove(name);
    }
    if status.add_header(headers).is_err() {
        // A message that no header can hold; the code is what matters.
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
    status.code()
}

/// tonic's own statuses, each of them seen (FACTS.md) and pinned by a test in `tests/`.
fn pinned(code: Code, message: &str, request_id: &str) -> Fault {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => Fault::new(
            Reason::MessageTooLarge,
            "the message is larger than the server takes",
        ),
        Code::Unimplemented if message.contains("compress") => Fault::new(
            Reason::EncodingUnsupported,
            "the message's compression is not supported",
        ),
        Code::Unimplemented => Fault::new(Reason::MethodUnknown, "there is no such method here"),
        Code::Internal | Code::Unknown | Code::InvalidArgument if is_decoding(message) => {
            Fault::new(
                Reason::MessageMalformed,
                "the request is not the message that the method takes",
            )
        }
        Code::DeadlineExceeded => super::deadline::exceeded(),
        Code::Cancelled => Fault::new(Reason::Cancelled, "the call was given up"),
        Code::Unauthenticated => Fault::new(Reason::TokenInvalid, "the token is not valid"),
        Code::Unavailable => Fault::new(Reason::StoreUnavailable, "try again"),
        _ => Fault::internal(format!("a status without a reason: {code:?} {message}"))
            .with_metadata("request_id", request_id),
    }
}

/// What tonic 0.14 says to bytes that it cannot read.
fn is_decoding(message: &str) -> bool {
    [
        "failed to decode Protobuf message",
        "Missing request message",
        "protocol error:",
        "Unexpected EOF decoding stream",
        "Error decompressing",
        "invalid compression flag",
    ]
    .iter()
    .any(|known| message.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(status: Status) -> (Code, bool, String) {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).expect("headers");
        let code = normalize(&mut headers, "id-1").expect("a status");
        let now = Status::from_header_map(&headers).expect("a status");
        assert_eq!(now.code(), code);
        (code, !now.details().is_empty(), now.message().to_owned())
    }

    #[test]
    fn a_status_of_ours_passes_untouched() {
        let ours = Status::from(Fault::new(Reason::OutOfStock, "three are left"));
        let (code, details, message) = normalized(ours);
        assert_eq!(
            (code, details, message.as_str()),
            (Code::FailedPrecondition, true, "three are left")
        );
    }

    #[test]
    fn the_decoders_text_never_reaches_the_caller() {
        let tonic =
            Status::internal("failed to decode Protobuf message: User.name: invalid string");
        let (code, details, message) = normalized(tonic);
        assert_eq!((code, details), (Code::InvalidArgument, true));
        assert!(!message.contains("User.name"));
    }

    #[test]
    fn an_unknown_text_is_internal_and_stays_inside() {
        let (code, details, message) = normalized(Status::unknown("stack trace"));
        assert_eq!(
            (code, details, message.as_str()),
            (Code::Internal, true, "internal error")
        );
    }

    #[test]
    fn success_is_left_alone() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(normalize(&mut headers, ""), Some(Code::Ok));
        assert_eq!(normalize(&mut HeaderMap::new(), ""), None);
    }
}
