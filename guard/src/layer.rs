//! The layer before the interceptor, which alone sees the path, the verb and the content type.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tonic::Status;
use tower::{Layer, Service};

use crate::audit;
use crate::refusal::Refusal;
use crate::rules::Rules;

/// Puts the rule of the called method into the request's extensions, and refuses what is no gRPC
/// call. See [`crate::Guard::rule_layer`].
#[derive(Clone, Debug)]
pub struct RuleLayer {
    rules: Arc<Rules>,
}

/// A service behind the [`RuleLayer`].
#[derive(Clone, Debug)]
pub struct RuleService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl RuleLayer {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }
}

impl<S> Layer<S> for RuleLayer {
    type Service = RuleService<S>;

    fn layer(&self, inner: S) -> RuleService<S> {
        RuleService {
            inner,
            rules: self.rules.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for RuleService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(not_a_call) = NotACall::look_at(&request) {
            return Either::Right(ready(Ok(not_a_call.response())));
        }
        let route = self.rules.route(request.uri().path());
        request.extensions_mut().insert(route);
        Either::Left(self.inner.call(request))
    }
}

/// Why a request is not a gRPC call. tonic itself would serve each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotACall {
    Verb,
    Query,
    ContentType,
}

impl NotACall {
    fn look_at<B>(request: &Request<B>) -> Result<(), Self> {
        if request.method() != Method::POST {
            Err(Self::Verb)
        } else if request.uri().query().is_some() {
            Err(Self::Query)
        } else if !is_grpc(request.headers()) {
            Err(Self::ContentType)
        } else {
            Ok(())
        }
    }

    /// The refusal for a gRPC client, under an HTTP status that no other client takes for a
    /// success, as the gRPC protocol over HTTP/2 asks for a foreign content type.
    fn response<R: Default>(self) -> Response<R> {
        let (refusal, http_status, cause) = match self {
            Self::Verb => (
                Refusal::MessageMalformed,
                StatusCode::METHOD_NOT_ALLOWED,
                "verb",
            ),
            Self::Query => (Refusal::MessageMalformed, StatusCode::BAD_REQUEST, "query"),
            Self::ContentType => (
                Refusal::ContentType,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
            ),
        };
        audit::refused(refusal, cause, "", None);
        let mut response = Status::from(refusal).into_http();
        *response.status_mut() = http_status;
        if self == Self::Verb {
            let post = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, post);
        }
        response
    }
}

/// Exactly one content type, of protobuf over gRPC. Media types have no case (RFC 9110 section
/// 8.3.1); the gRPC protocol knows no parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    ["application/grpc", "application/grpc+proto"]
        .iter()
        .any(|known| media_type.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
}
