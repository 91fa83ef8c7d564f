//! The layer before the interceptor, which alone sees the path, the verb and the content type.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::TryFutureExt as _;
use futures::future::{BoxFuture, Either, MapOk};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use prost::bytes::Bytes;
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Layer, Service};

use crate::audit;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::stream::StreamSlot;

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
    S::Future: Send + 'static,
    S::Error: 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<
        Either<
            MapOk<S::Future, fn(Response<R>) -> Response<Body>>,
            BoxFuture<'static, Result<Response<Body>, S::Error>>,
        >,
        Ready<Result<Response<Body>, S::Error>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(not_a_call) = NotACall::look_at(&request) {
            return Either::Right(ready(Ok(not_a_call.response())));
        }
        let path = request.uri().path();
        let slot = self.rules.is_stream(path).then(StreamSlot::default);
        let route = self.rules.route(path);
        request.extensions_mut().insert(route);
        // One that an earlier request left here is not this one's.
        request.extensions_mut().remove::<StreamSlot>();
        if let Some(slot) = &slot {
            request.extensions_mut().insert(slot.clone());
        }
        let into_body: fn(Response<R>) -> Response<Body> = |response| response.map(Body::new);
        let answer = self.inner.call(request).map_ok(into_body);
        Either::Left(match slot {
            Some(slot) => Either::Right(Box::pin(slot.end(answer))),
            None => Either::Left(answer),
        })
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
    fn response(self) -> Response<Body> {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::rules::Route;

    /// What the layer answers, and whether it let the request pass.
    async fn call(request: Request<()>) -> Result<Route, Response<Body>> {
        let passed = Arc::new(std::sync::Mutex::new(None));
        let seen = passed.clone();
        let inner = service_fn(move |request: Request<()>| {
            *seen.lock().unwrap() = request.extensions().get::<Route>().cloned();
            ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let layer = RuleLayer::new(Arc::new(Rules::default()));
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        passed.lock().unwrap().take().ok_or(response)
    }

    fn request(verb: &str, uri: &str, content_types: &[&str]) -> Request<()> {
        let mut request = Request::builder().method(verb).uri(uri).body(()).unwrap();
        for content_type in content_types {
            let value = HeaderValue::from_str(content_type).unwrap();
            request.headers_mut().append(CONTENT_TYPE, value);
        }
        request
    }

    fn told(response: &Response<Body>) -> (StatusCode, Code) {
        let status = Status::from_header_map(response.headers()).unwrap();
        (response.status(), status.code())
    }

    #[tokio::test]
    async fn a_grpc_call_passes_with_its_route() {
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC",
        ] {
            let passed = call(request("POST", "/a.B/C", &[content_type])).await;
            assert!(matches!(passed, Ok(Route::Unserved)), "{content_type}");
        }
    }

    #[tokio::test]
    async fn another_verb_is_refused() {
        for verb in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "post", "PATCH"] {
            let refused = call(request(verb, "/a.B/C", &["application/grpc"]))
                .await
                .unwrap_err();
            assert_eq!(
                told(&refused),
                (StatusCode::METHOD_NOT_ALLOWED, Code::InvalidArgument),
                "{verb}"
            );
            assert_eq!(refused.headers()[ALLOW], "POST");
        }
    }

    #[tokio::test]
    async fn a_query_is_refused_even_an_empty_one() {
        for uri in ["/a.B/C?x=1", "/a.B/C?", "http://h/a.B/C?access_token=t"] {
            let refused = call(request("POST", uri, &["application/grpc"]))
                .await
                .unwrap_err();
            assert_eq!(
                told(&refused),
                (StatusCode::BAD_REQUEST, Code::InvalidArgument),
                "{uri}"
            );
        }
    }

    #[tokio::test]
    async fn another_content_type_none_or_two_are_refused() {
        for content_types in [
            &[][..],
            &[""],
            &["application/json"],
            &["application/grpc-web"],
            &["application/grpc-web+proto"],
            &["application/grpc+json"],
            &["application/grpc; charset=utf-8"],
            &["application/grpc, application/grpc"],
            &[" application/grpc"],
            &["text/plain"],
            &["application/grpc", "application/grpc"],
            &["application/grpc", "application/json"],
        ] {
            let refused = call(request("POST", "/a.B/C", content_types))
                .await
                .unwrap_err();
            assert_eq!(
                told(&refused),
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
                "{content_types:?}"
            );
        }
    }
}
