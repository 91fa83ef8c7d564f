//! The outermost service: what every call gets, whether anybody serves it or not.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use millgate_guard::SharedEntropy;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _};
use tracing::{Instrument as _, Span, field};

use super::{
    answer::{AnswerBody, Bounds},
    connection::Peer,
    deadline,
    ending::Ending,
    frames::CheckedBody,
    kinds::{Kind, Kinds},
    normalize,
    witness::Witness,
};
use crate::{
    client_address::TrustedProxies,
    config::Limits,
    context::{REQUEST_ID, RequestContext},
    fault::Fault,
    metrics::Metrics,
};

/// Longest path that a log line repeats.
const LONGEST_PATH: usize = 128;

/// How long a client may take to receive an answer after the call's time is up.
const TAKE_ANSWER: Duration = Duration::from_secs(5);

/// What all calls of a server share.
pub(super) struct Shared {
    pub kinds: Kinds,
    pub limits: Limits,
    pub proxies: TrustedProxies,
    pub entropy: SharedEntropy,
    pub metrics: Option<Metrics>,
    pub witness: Option<Witness>,
    pub stopping: watch::Receiver<bool>,
}

/// The edge around a stack of layers and services.
pub(super) struct Edge<S> {
    stack: S,
    shared: Arc<Shared>,
}

impl<S: Clone> Clone for Edge<S> {
    fn clone(&self) -> Self {
        Self {
            stack: self.stack.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<S> Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    pub(super) fn new(stack: S, shared: Shared) -> Self {
        Self {
            stack,
            shared: Arc::new(shared),
        }
    }

    /// Whose word this server believes.
    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.shared.proxies
    }

    /// How long a call at this path keeps its connection at most: a unary one its deadline
    /// and a little, a stream as long as somebody reads it.
    pub(super) fn overdue_after(&self, path: &str) -> Option<Duration> {
        let kind = self.shared.kinds.get(path).unwrap_or(Kind::UNARY);
        let limit = self.shared.limits.deadline.filter(|_| kind.is_unary());
        limit.map(|limit| limit.saturating_add(TAKE_ANSWER))
    }

    /// Serves one call.
    pub(super) async fn serve(
        self,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> Response<AnswerBody> {
        let shared = &self.shared;
        let kind = shared
            .kinds
            .get(request.uri().path())
            .unwrap_or(Kind::UNARY);
        let client = shared
            .proxies
            .client(request.headers_mut(), peer.address, peer.is_proxy);
        let mut context = RequestContext::of(request.headers(), shared.entropy.as_ref());
        context.client = Some(client.clone());
        let span = span_of(request.uri().path(), &context);
        let mut ending = Ending::new(span.clone(), client.clone(), request.uri().path(), shared);
        if shared.witness.is_some() {
            ending.may_be_witnessed(&context.request_id, request.headers());
        }
        let deadline = deadline::of_call(
            request.headers(),
            kind,
            shared.limits.deadline,
            Instant::now(),
        );
        let answered = match deadline {
            Err(fault) => Status::from(fault).into_http(),
            Ok(deadline) => {
                context.deadline = deadline;
                peer.describe(request.extensions_mut());
                request.extensions_mut().insert(client);
                request.extensions_mut().insert(context.clone());
                let largest = shared.limits.max_message_bytes;
                let request = request
                    .map(|body| Body::new(CheckedBody::new(body, kind.client_streams, largest)));
                let call = self
                    .stack
                    .clone()
                    .oneshot(request)
                    .map(|answer| match answer {
                        Ok(answer) => answer,
                    });
                context
                    .clone()
                    .scope(bounded(call, deadline, &context.request_id))
                    .instrument(span.clone())
                    .await
            }
        };
        let bounds = Bounds {
            deadline: context.deadline,
            stopping: kind
                .server_streams
                .then(|| stopped(shared.stopping.clone())),
            by_reader: !kind.is_unary(),
        };
        finish(answered, bounds, span, context.request_id, ending)
    }
}

/// Runs a call within its time, and answers for a handler that panics.
async fn bounded(
    call: impl Future<Output = Response<Body>>,
    deadline: Option<Instant>,
    request_id: &str,
) -> Response<Body> {
    let call = AssertUnwindSafe(call).catch_unwind();
    let caught = match deadline {
        None => Ok(call.await),
        // A timer lets the call have its first try, however late it is.
        Some(deadline) if deadline <= Instant::now() => {
            return Status::from(deadline::exceeded()).into_http();
        }
        Some(deadline) => timeout_at(deadline, call).await,
    };
    match caught {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => {
            let fault =
                Fault::internal("a handler panicked").with_metadata("request_id", request_id);
            Status::from(fault).into_http()
        }
        Err(_elapsed) => Status::from(deadline::exceeded()).into_http(),
    }
}

fn finish(
    answer: Response<Body>,
    bounds: Bounds,
    span: Span,
    request_id: String,
    mut ending: Ending,
) -> Response<AnswerBody> {
    let (mut head, body) = answer.into_parts();
    if let Some(code) = span.in_scope(|| normalize::normalize(&mut head.headers, &request_id)) {
        ending.with(code, &head.headers);
    }
    name_request(&mut head.headers, &request_id);
    Response::from_parts(
        head,
        AnswerBody::new(body, bounds, span, request_id, ending),
    )
}

fn name_request(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
}

fn span_of(path: &str, context: &RequestContext) -> Span {
    // A path is ASCII without control characters; only its length is the caller's to choose.
    // The span is of the highest level, so that no filter takes the id off a line it lets pass.
    let method = path.get(..LONGEST_PATH).unwrap_or(path);
    tracing::error_span!(
        "rpc",
        request_id = context.request_id,
        trace_id = context.trace_id,
        method,
        principal = field::Empty,
    )
}

fn stopped(mut stopping: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        // An error means that the server itself is gone.
        let _ = stopping.wait_for(|stop| *stop).await;
    })
}
