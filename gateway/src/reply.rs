//! The body of an answer: bytes that are there, or a stream of them.

use crate::activity::Busy;
use crate::memory::Held;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An answer that ends too early, and cannot say so: its connection breaks off, or its stream over HTTP/2.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokenOff;

/// What an answer's body is. A stream of messages that breaks off says so in its own form, and ends; only one of octets
/// fails.
#[derive(Default)]
pub struct AnswerBody {
    content: Content,
    /// Told how the client takes it, and dropped with the body.
    busy: Option<Arc<Busy>>,
    /// Given back with the body.
    held: Option<Held>,
}

/// So much is handed to the connection at once: a client that is slow is known by the time that it takes for a piece.
const PIECE: usize = 64 * 1024;

#[derive(Default)]
enum Content {
    #[default]
    Nothing,
    Whole(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>),
}

impl AnswerBody {
    /// A body that comes bit by bit.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::octets(stream.map(Ok))
    }

    /// The same of octets, which may break off.
    pub fn octets(stream: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self {
            content: Content::Stream(Box::pin(stream)),
            busy: None,
            held: None,
        }
    }

    /// The bytes, unless they are still to come.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Nothing | Content::Stream(_) => None,
        }
    }

    /// Says the same in other bytes.
    pub(crate) fn replace(&mut self, bytes: Bytes) {
        self.content = Content::Whole(bytes);
    }

    /// Holds memory until it is out.
    #[must_use]
    pub(crate) fn holding(mut self, memory: Option<Held>) -> Self {
        self.held = memory;
        self
    }

    /// Counts as being answered until the last of it is handed over.
    #[must_use]
    pub(crate) fn watched(mut self, busy: Arc<Busy>) -> Self {
        busy.given();
        self.busy = Some(busy);
        self
    }
}

impl<T: Into<Bytes>> From<T> for AnswerBody {
    fn from(bytes: T) -> Self {
        Self {
            content: Content::Whole(bytes.into()),
            busy: None,
            held: None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let next = match &mut self.content {
            Content::Nothing => None,
            Content::Whole(bytes) => Some(bytes.split_to(bytes.len().min(PIECE)))
                .filter(|piece| !piece.is_empty())
                .map(Ok),
            Content::Stream(stream) => match stream.as_mut().poll_next(context) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    if let Some(busy) = &self.busy {
                        busy.awaited();
                    }
                    return Poll::Pending;
                }
            },
        };
        if let Some(busy) = self.busy.as_ref().filter(|_| next.is_some()) {
            busy.given();
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Nothing => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Nothing => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}
