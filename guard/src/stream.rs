//! A long stream ends when its token does: at `exp`, when the token is revoked, or when its key leaves the ring.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use futures::future::{BoxFuture, Either, select};
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;

use crate::audit;
use crate::caller::Caller;
use crate::interceptor::{authorize, identify};
use crate::refusal::Refusal;
use crate::revocations::Revocations;
use crate::rules::Rule;
use crate::verify::Verifier;

/// A stream looks at the clock at least this often: the clock that was passed in need not run like
/// the timer that waits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The token that a stream lives by, in the extensions of a request to a streaming method (behind a
/// plain interceptor, of every request). Where the method's messages can carry a new token, the
/// handler renews the stream with it.
#[derive(Clone)]
pub struct StreamToken(Arc<Inner>);

struct Inner {
    current: watch::Sender<Caller>,
    verifier: Arc<Verifier>,
    revocations: Arc<dyn Revocations>,
    rule: Arc<Rule>,
}

impl StreamToken {
    pub(crate) fn new(
        caller: Caller,
        verifier: Arc<Verifier>,
        revocations: Arc<dyn Revocations>,
        rule: Arc<Rule>,
    ) -> Self {
        Self(Arc::new(Inner {
            current: watch::Sender::new(caller),
            verifier,
            revocations,
            rule,
        }))
    }

    /// Lets the stream live by this token from now on (without the word `Bearer`). It must be one
    /// that could begin the stream, and of the same person or service.
    ///
    /// # Errors
    /// What a call with the token would be refused with; TOKEN_INVALID when it is somebody else's.
    /// The stream then goes on with the token that it had.
    pub fn renew(&self, token: &str) -> Result<(), Status> {
        let inner = &self.0;
        let caller = identify(&inner.verifier, inner.revocations.as_ref(), token)?;
        if caller.key() != inner.current.borrow().key() {
            audit::refused(Refusal::TokenInvalid, "another_subject", "", Some(&caller));
            return Err(Refusal::TokenInvalid.into());
        }
        authorize(&inner.rule, &caller, inner.verifier.clock().now_seconds())?;
        inner.current.send_replace(caller);
        Ok(())
    }

    /// Whose stream it is, by the token that it lives by now.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.0.current.borrow().clone()
    }

    /// Ends this stream of answers with the token, with UNAUTHENTICATED and the reason. Behind a
    /// [`crate::Guard`] every stream is cut without it; behind a plain interceptor, which sees no
    /// method, the handler does.
    pub fn cut<T, S>(&self, answers: S) -> impl Stream<Item = Result<T, Status>> + Send + use<T, S>
    where
        S: Stream<Item = Result<T, Status>> + Send,
    {
        let mut answers = Box::pin(answers);
        let mut ended = Some(Box::pin(self.clone().ended()));
        futures::stream::poll_fn(move |context| {
            let Some(ending) = &mut ended else {
                return Poll::Ready(None);
            };
            if let Poll::Ready(refusal) = ending.as_mut().poll(context) {
                ended = None;
                return Poll::Ready(Some(Err(refusal.into())));
            }
            answers.as_mut().poll_next(context)
        })
    }

    /// Waits until the stream has to end, and says why.
    async fn ended(self) -> Refusal {
        let inner = &self.0;
        let mut renewed = inner.current.subscribe();
        let mut changes = inner.revocations.changes();
        loop {
            // Marked as seen before it is looked at: what comes in between wakes us again.
            if let Some(changes) = &mut changes {
                changes.mark_unchanged();
            }
            let caller = renewed.borrow_and_update().clone();
            if let Some(refusal) = inner.refuses(&caller) {
                audit::refused(refusal, "stream", "", Some(&caller));
                return refusal;
            }
            let left = inner.verifier.life_left(caller.claims());
            if left.is_zero() {
                audit::refused(Refusal::TokenExpired, "stream", "", Some(&caller));
                return Refusal::TokenExpired;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LONGEST_WAIT)) => {}
                _ = renewed.changed() => {}
                () = changed(&mut changes) => {}
            }
        }
    }
}

impl Inner {
    fn refuses(&self, caller: &Caller) -> Option<Refusal> {
        let by_claims = self.revocations.refuses(caller.claims());
        let by_key = || self.revocations.refuses_key(caller.key_id());
        // A key that was taken out of the ring alone is refused to new calls at once, and no revocation tells of it.
        let without_key =
            || (!self.verifier.has_key(caller.key_id())).then_some(Refusal::TokenRevoked);
        by_claims.or_else(by_key).or_else(without_key)
    }
}

impl fmt::Debug for StreamToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamToken").finish_non_exhaustive()
    }
}

/// Waits for a change; for ever where there is none to come.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    let lives = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !lives {
        *changes = None;
        std::future::pending().await
    }
}

/// Where the interceptor leaves the token of an admitted stream for the layer before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamSlot(Arc<OnceLock<StreamToken>>);

impl StreamSlot {
    pub(crate) fn fill(&self, token: StreamToken) {
        // The layer makes a slot for each request, and the interceptor runs once.
        let _first = self.0.set(token);
    }

    /// Ends the answer with the stream's token: also while the handler has not answered yet.
    pub(crate) async fn end<E>(
        self,
        answer: impl Future<Output = Result<Response<Body>, E>> + Send,
    ) -> Result<Response<Body>, E> {
        let Some(token) = self.0.get().cloned() else {
            return answer.await;
        };
        let ended: BoxFuture<'static, Refusal> = Box::pin(token.ended());
        match select(std::pin::pin!(answer), ended).await {
            Either::Left((answer, ended)) => Ok(answer?.map(|body| {
                Body::new(Cut {
                    body: Some(body),
                    ended,
                })
            })),
            Either::Right((refusal, _)) => Ok(Status::from(refusal).into_http()),
        }
    }
}

/// A body that is cut when its stream's token has ended.
struct Cut {
    /// None once the end was sent.
    body: Option<Body>,
    ended: BoxFuture<'static, Refusal>,
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(refusal) = this.ended.as_mut().poll(context) {
            // The handler's stream is dropped with its body.
            this.body = None;
            let mut trailers = HeaderMap::new();
            Status::from(refusal).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(Pin::new(body).poll_frame(context));
        if frame
            .as_ref()
            .is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers))
        {
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
