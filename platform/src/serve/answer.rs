//! The body of an answer on its way out: bounded in time, ended at shutdown, proof against a
//! panic, its trailers in the pinned shape, and counted when it is done.

use std::{
    future::Future as _,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status, body::Body};
use tracing::Span;

use super::{connection::Running, deadline, ending::Ending, normalize, patience};
use crate::fault::{Fault, Reason};

/// Data goes out in pieces of at most this many bytes. HTTP/2 takes a piece as a whole, however
/// little room the client gives; an answer in pieces is over only when the client has nearly
/// all of it, and a client that stops reading is seen.
const PIECE: usize = 64 * 1024;

/// What cuts an answer short.
pub(super) struct Bounds {
    /// When the call's time is up.
    pub deadline: Option<Instant>,
    /// Completes when the server stops; only a stream listens to it.
    pub stopping: Option<BoxFuture<'static, ()>>,
    /// Whether it lasts as long as its reader takes it: a unary answer has its time.
    pub by_reader: bool,
}

/// The body that hyper sends.
pub(super) struct AnswerBody {
    inner: Body,
    /// What is left of a large frame.
    rest: Bytes,
    bounds: Bounds,
    /// Made when the body first has to wait: a unary answer never does.
    timer: Option<Pin<Box<Sleep>>>,
    span: Span,
    request_id: String,
    ending: Ending,
    ended: bool,
    running: Option<Running>,
}

impl AnswerBody {
    pub(super) fn new(
        inner: Body,
        bounds: Bounds,
        span: Span,
        request_id: String,
        ending: Ending,
    ) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            bounds,
            timer: None,
            span,
            request_id,
            ending,
            ended: false,
            running: None,
        }
    }

    /// Counts as a running call of its connection for as long as the answer is on its way.
    pub(super) fn holding(mut self, running: Running) -> Self {
        self.running = Some(running);
        self
    }

    /// Ends the answer here, with this fault in the trailers.
    fn cut(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut trailers = HeaderMap::new();
        let code = normalize::replace(&mut trailers, &fault.into());
        self.end(code, &trailers);
        self.inner = Body::empty();
        self.rest = Bytes::new();
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn end(&mut self, code: Code, trailers: &HeaderMap) {
        self.ended = true;
        self.ending.with(code, trailers);
    }

    /// The next frame of an answer that has not ended.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // A stream that always has something to say would never be seen waiting.
        if self.bounds.stopping.is_some() {
            if self.is_time_up(context) {
                return self.cut(deadline::exceeded());
            }
            if self.is_stopping(context) {
                return self.cut(stopping());
            }
        }
        if !self.rest.is_empty() {
            let piece = self.rest.split_to(PIECE.min(self.rest.len()));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| {
            http_body::Body::poll_frame(Pin::new(&mut self.inner), context)
        }));
        match polled {
            Err(_panic) => {
                let fault = Fault::internal("a handler panicked")
                    .with_metadata("request_id", &self.request_id);
                self.cut(fault)
            }
            Ok(Poll::Pending) if self.is_time_up(context) => self.cut(deadline::exceeded()),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(None)) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Err(status)))) => {
                let mut trailers = HeaderMap::new();
                normalize::replace(&mut trailers, &status);
                let code = normalize::normalize(&mut trailers, &self.request_id);
                self.end(code.unwrap_or(Code::Unknown), &trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                if let Some(data) = frame.data_mut()
                    && data.len() > PIECE
                {
                    self.rest = data.split_off(PIECE);
                }
                if let Some(trailers) = frame.trailers_mut() {
                    let code = normalize::normalize(trailers, &self.request_id);
                    self.end(code.unwrap_or(Code::Unknown), trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_time_up(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.bounds.deadline else {
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(context).is_ready()
    }

    fn is_stopping(&mut self, context: &mut Context<'_>) -> bool {
        self.bounds
            .stopping
            .as_mut()
            .is_some_and(|stopping| stopping.as_mut().poll(context).is_ready())
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let span = this.span.clone();
        let _entered = span.enter();
        let polled = this.next(context);
        if this.bounds.by_reader {
            match &polled {
                Poll::Ready(_) => patience::given(),
                Poll::Pending => patience::awaited(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.rest.is_empty() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // What is left of the inner body says nothing about what is left in pieces.
        SizeHint::default()
    }
}

/// The end of a stream on a server that goes down.
fn stopping() -> Fault {
    Fault::new(
        Reason::ShuttingDown,
        "the server is going down, connect again",
    )
}
