//! The body of a method that takes a stream: NDJSON, a message a line, each sent on as soon as it is there.

use crate::problem::{Problem, reason};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Code;

/// What a stream of messages is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The longest line, in bytes. There may be any number of lines.
    pub(crate) most: usize,
    /// How long may pass between two pieces of the body.
    pub(crate) longest: Duration,
}

/// CONTENT_TYPE unless the body says that it is NDJSON, not compressed.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let text = values
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let known = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
    ];
    if known.contains(&kind.as_str())
        && values.next().is_none()
        && !headers.contains_key(CONTENT_ENCODING)
    {
        return Ok(());
    }
    let message = "the body must be application/x-ndjson, a message a line, not compressed";
    Err(Problem::new(
        Code::InvalidArgument,
        reason::CONTENT_TYPE,
        message,
    ))
}

/// Reads the lines, makes each a message, and hands it on. Ends when the body does, or when nobody wants more. A fault
/// tells its line.
pub(crate) async fn pump<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    bounds: Bounds,
    bind: impl Fn(&[u8]) -> Result<Bytes, Problem>,
    messages: &mpsc::Sender<Bytes>,
) -> Result<(), Problem> {
    let mut rest = BytesMut::new();
    // How far there is no end of a line: nothing is looked at twice.
    let mut seen = 0;
    let mut number = 0;
    loop {
        let frame = tokio::time::timeout(bounds.longest, body.frame())
            .await
            .map_err(|_| {
                let message = "the body did not go on in time";
                Problem::new(Code::DeadlineExceeded, reason::BODY_TIMEOUT, message)
            })?;
        let is_over = frame.is_none();
        match frame {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    rest.extend_from_slice(&data);
                }
            }
            Some(Err(_)) => {
                let message = "the body was cut off";
                return Err(Problem::new(
                    Code::InvalidArgument,
                    reason::JSON_MALFORMED,
                    message,
                ));
            }
            // The last line may do without its end.
            None => rest.extend_from_slice(b"\n"),
        }
        while let Some(end) = rest[seen..].iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(seen + end + 1);
            seen = 0;
            number += 1;
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if line.len() > bounds.most {
                return Err(too_long(number, bounds.most));
            }
            let message = bind(line).map_err(|problem| in_line(number, problem))?;
            if messages.send(message).await.is_err() {
                return Ok(());
            }
        }
        seen = rest.len();
        if rest.len() > bounds.most {
            return Err(too_long(number + 1, bounds.most));
        }
        if is_over {
            return Ok(());
        }
    }
}

fn too_long(number: u64, most: usize) -> Problem {
    let message = format!("line {number} has more than {most} bytes");
    Problem::new(Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE, message)
}

fn in_line(number: u64, problem: Problem) -> Problem {
    Problem {
        message: format!("line {number}: {}", problem.message).into(),
        ..problem
    }
}
