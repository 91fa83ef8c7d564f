//! One request's way through the gateway: route, token, body, message, call, answer.

use crate::answer;
use crate::api::{Api, ApiError, Binding, Body as BodyRule};
use crate::binder::{self, Parts};
use crate::body;
use crate::cors::Cors;
use crate::error::{self, Circumstances};
use crate::headers::{self, Forwarded};
use crate::health;
use crate::location::{Location, locations};
use crate::preconditions::Preconditions;
use crate::problem::{Problem, reason, shortened};
use crate::router::Found;
use crate::transport;
use crate::upstream::{Upstream, serving};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, EXPECT, HeaderName, IF_MATCH};
use http::request::Parts as Head;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use millgate_platform::context::REQUEST_ID;
use millgate_platform::{ClientInfo, RequestContext, SharedEntropy, TrustedProxies};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use secrecy::SecretString;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};
use tonic::Code;
use tracing::Instrument as _;

/// What an answer's body is. Streams will need another one.
pub type AnswerBody = Full<Bytes>;

/// How long past a call's deadline its service's own answer is waited for.
const GRACE: Duration = Duration::from_millis(250);

/// No message of any type: refused by whoever decodes it, so that only what stands before can answer otherwise.
const NO_MESSAGE: &[u8] = &[0xff];

/// What the gateway holds a request to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The longest that a call may take.
    pub deadline: Duration,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Whose word on a client's address is believed.
    pub proxies: TrustedProxies,
    /// What proves the client's address to services in the same process.
    pub proxy_secret: Option<SecretString>,
    /// Which web pages may call.
    pub cors: Cors,
    /// Whether clients come by TLS.
    pub tls: bool,
}

/// The gateway: routes, upstreams and rules.
#[derive(Debug)]
pub struct Gateway {
    api: Api,
    locations: HashMap<String, Location>,
    upstreams: Vec<Upstream>,
    rules: Rules,
    entropy: EntropySource,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The address at the other end of the connection.
    pub address: IpAddr,
    /// Whether the other end proved by its certificate to be a proxy of ours.
    pub is_proxy: bool,
}

impl Gateway {
    /// Reads the routes of every service that one of the upstreams serves.
    ///
    /// # Errors
    /// Names the method whose annotation cannot be served, or both that claim the same route.
    pub fn new(
        descriptors: &[u8],
        upstreams: Vec<Upstream>,
        rules: Rules,
        entropy: SharedEntropy,
    ) -> Result<Self, ApiError> {
        let api = Api::new(descriptors, |service| serving(&upstreams, service))?;
        Ok(Self {
            locations: locations(&api),
            api,
            upstreams,
            rules,
            entropy: EntropySource(entropy),
        })
    }

    /// The routes.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Answers one request. Whatever is sent, there is an answer.
    pub async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes>,
    {
        let started = Instant::now();
        let (mut head, body) = request.into_parts();
        let context = RequestContext::of(&head.headers, self.entropy.0.as_ref());
        let client = self
            .rules
            .proxies
            .client(&mut head.headers, peer.address, peer.is_proxy);
        let span = tracing::info_span!(
            "http",
            request_id = context.request_id,
            trace_id = context.trace_id,
            method = %head.method,
            path = %shortened(head.uri.path()),
        );
        let call = Call {
            gateway: self,
            head: &head,
            context: &context,
            client: &client,
        };
        let mut response = call.run(pin!(body)).instrument(span.clone()).await;
        self.finish(&head, &context, &mut response);
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| {
            tracing::info!(status = response.status().as_u16(), millis, "answered");
        });
        response
    }

    /// What every answer carries.
    fn finish(&self, head: &Head, context: &RequestContext, response: &mut Response<AnswerBody>) {
        let headers = response.headers_mut();
        for (name, value) in [
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        if self.rules.tls {
            headers.insert(
                http::header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        self.rules.cors.mark(&head.headers, headers);
    }
}

/// One request, while it is answered.
struct Call<'g> {
    gateway: &'g Gateway,
    head: &'g Head,
    context: &'g RequestContext,
    client: &'g ClientInfo,
}

impl Call<'_> {
    async fn run<B: Body<Data = Bytes>>(&self, mut body: Pin<&mut B>) -> Response<AnswerBody> {
        let response = match transport::check(self.head) {
            Ok(()) => self.answer(body.as_mut()).await,
            Err(problem) => {
                let mut response = problem.into_response(&Circumstances::default());
                // What follows on this connection may be a request, or a part of this one.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                response
            }
        };
        let waits_for_leave = self.head.headers.contains_key(EXPECT);
        if !body.is_end_stream() && !waits_for_leave {
            body::discard(body, self.gateway.rules.max_body_bytes).await;
        }
        response
    }

    async fn answer<B: Body<Data = Bytes>>(&self, body: Pin<&mut B>) -> Response<AnswerBody> {
        if let Some(response) = self.gateway.rules.cors.preflight(self.head) {
            return response;
        }
        if let Some(response) = health::answer(self.head, &self.gateway.upstreams).await {
            return response;
        }
        let path = self.head.uri.path();
        match self.gateway.api.router.find(&self.head.method, path) {
            Found::Route { target, values, .. } => {
                let answered = self.route(target, &values, body).await;
                answered.unwrap_or_else(|problem| {
                    problem.into_response(&Circumstances {
                        if_match: self.head.headers.contains_key(IF_MATCH),
                        token_sent: target.method.token_required
                            && headers::has_token(&self.head.headers),
                        scope: &target.method.scope,
                        allowed: &[],
                    })
                })
            }
            Found::WrongMethod(allowed) => wrong_method(&self.head.method, &allowed),
            Found::Nothing => Problem::new(
                Code::NotFound,
                reason::ROUTE_NOT_FOUND,
                "there is nothing at this path",
            )
            .into_response(&Circumstances::default()),
            Found::Undecodable => Problem::field("path", "is not percent-encoded UTF-8")
                .into_response(&Circumstances::default()),
        }
    }

    /// In the order that is pinned: authentication before the body is read, the right to the method before the message.
    async fn route<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        values: &[String],
        body: Pin<&mut B>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let method = &binding.method;
        let sent = &self.head.headers;
        if method.token_required && !headers::has_token(sent) {
            let message = "this method needs a token: send `authorization: Bearer ...`";
            return Err(Problem::new(
                Code::Unauthenticated,
                reason::TOKEN_MISSING,
                message,
            ));
        }
        if method.streams {
            let message = "this method streams: it is served over gRPC only";
            return Err(Problem::new(
                Code::Unimplemented,
                reason::STREAM_NOT_SERVED,
                message,
            ));
        }
        body::check_accept(sent)?;
        let body = self.body(binding, body).await?;
        let message = match self.message(binding, values, &body) {
            Ok(message) => message,
            Err(invalid) => return Err(self.refusal_before(binding, invalid).await),
        };

        let encoded = Bytes::from(message.encode_to_vec());
        let timeout = headers::timeout(sent, self.gateway.rules.deadline)?;
        let answer = self.call(binding, encoded, timeout).await?;
        let answer = DynamicMessage::decode(method.output.clone(), answer).map_err(|error| {
            tracing::error!(method = method.name, %error, "an answer is not of its type");
            error::internal()
        })?;
        let location = self.gateway.locations.get(&method.name);
        answer::success(binding, &answer, location).map_err(|error| {
            tracing::error!(method = method.name, %error, "an answer has no JSON");
            error::internal()
        })
    }

    async fn body<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        body: Pin<&mut B>,
    ) -> Result<Bytes, Problem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let rules = &self.gateway.rules;
        if binding.body == BodyRule::None {
            let read = body::read(body, 0, rules.body_timeout).await;
            return read.map_err(|problem| match problem.reason.as_ref() {
                reason::MESSAGE_TOO_LARGE => Problem::field("body", "this method takes no body"),
                _ => problem,
            });
        }
        body::check_content_type(&self.head.headers)?;
        body::read(body, rules.max_body_bytes, rules.body_timeout).await
    }

    fn message(
        &self,
        binding: &Binding,
        values: &[String],
        body: &[u8],
    ) -> Result<DynamicMessage, Problem> {
        let preconditions = Preconditions::from_headers(&self.head.headers)?;
        binder::bind(
            binding,
            &Parts {
                method: &self.head.method,
                path_values: values,
                query: self.head.uri.query().unwrap_or_default(),
                body,
                preconditions: &preconditions,
            },
        )
    }

    /// Who may not call a method is told that, whatever they sent to it. The service alone knows, so it is asked with
    /// bytes that are no message: its guard answers, or else its decoder, and never its handler.
    async fn refusal_before(&self, binding: &Binding, invalid: Problem) -> Problem {
        if !binding.method.token_required {
            return invalid;
        }
        let asked = self.call(
            binding,
            Bytes::from_static(NO_MESSAGE),
            self.gateway.rules.deadline,
        );
        match asked.await {
            Err(refusal)
                if matches!(refusal.code, Code::Unauthenticated | Code::PermissionDenied) =>
            {
                refusal
            }
            _ => invalid,
        }
    }

    async fn call(
        &self,
        binding: &Binding,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Problem> {
        if timeout.is_zero() {
            return Err(error::deadline());
        }
        let forwarded = Forwarded {
            sent: &self.head.headers,
            context: self.context,
            client: self.client,
            timeout,
            proxy_secret: self.gateway.rules.proxy_secret.as_ref(),
        };
        let metadata = forwarded.metadata(self.gateway.entropy.0.as_ref());
        let upstream = &self.gateway.upstreams[binding.method.upstream];
        let call = upstream.call(binding.method.path.clone(), metadata, message);
        match tokio::time::timeout(timeout + GRACE, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(Problem::from_status(&status)),
            Err(_) => Err(error::deadline()),
        }
    }
}

fn wrong_method(method: &Method, allowed: &[String]) -> Response<AnswerBody> {
    if method == Method::OPTIONS {
        let mut response = Response::new(AnswerBody::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Ok(allow) = HeaderValue::from_str(&allowed.join(", ")) {
            response.headers_mut().insert(ALLOW, allow);
        }
        return response;
    }
    let message = format!("this path takes {}", allowed.join(", "));
    Problem::new(Code::Unimplemented, reason::METHOD_NOT_ALLOWED, message).into_response(
        &Circumstances {
            allowed,
            ..Circumstances::default()
        },
    )
}

struct EntropySource(SharedEntropy);

impl std::fmt::Debug for EntropySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntropySource")
    }
}
