//! The gateway: its routes, its upstreams, its rules, and what every answer of it carries.

use crate::api::{Api, ApiError, Unruled};
use crate::call::Call;
use crate::compression;
use crate::conditional;
use crate::cors::Cors;
use crate::error::{Circumstances, internal};
use crate::health;
use crate::location::{Location, locations};
use crate::memory::Memory;
use crate::numbers::{Numbers, Routed};
use crate::own::Own;
use crate::problem::shortened;
use crate::rate::Rate;
use crate::reply::AnswerBody;
use crate::streams::Streams;
use crate::upstream::{Upstream, serving};
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts as Head;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use millgate_platform::context::REQUEST_ID;
use millgate_platform::{RequestContext, SharedEntropy, TrustedProxies};
use secrecy::SecretString;
use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::Instrument as _;

const ID: HeaderName = HeaderName::from_static(REQUEST_ID);

/// What the gateway holds a request to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The longest that a call may take.
    pub deadline: Duration,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive; of a stream, its next piece.
    pub body_timeout: Duration,
    /// Whose word on a client's address is believed.
    pub proxies: TrustedProxies,
    /// What proves the client's address to services in the same process.
    pub proxy_secret: Option<SecretString>,
    /// Which web pages may call.
    pub cors: Cors,
    /// How often one address may ask.
    pub rate: Arc<Rate>,
    /// How many streams one address may have open.
    pub streams: Streams,
    /// How much memory bodies may hold.
    pub memory: Memory,
    /// Whether clients come by TLS.
    pub tls: bool,
    /// What a call without a token comes to, where no access rule says.
    pub unruled: Unruled,
}

/// The gateway: routes, upstreams and rules.
pub struct Gateway {
    pub(crate) api: Api,
    /// Where the resources that a method makes are found, by the method's full name.
    pub(crate) locations: HashMap<String, Location>,
    /// What is served beside the routes.
    pub(crate) own: Own,
    /// What is counted.
    pub(crate) numbers: Numbers,
    pub(crate) upstreams: Vec<Upstream>,
    /// Says when the streams have to end.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) rules: Rules,
    pub(crate) entropy: SharedEntropy,
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
    /// Names the method whose annotation cannot be served or claims a path of the gateway's own, or both that claim the
    /// same route.
    pub fn new(
        descriptors: &[u8],
        upstreams: Vec<Upstream>,
        rules: Rules,
        entropy: SharedEntropy,
    ) -> Result<Self, ApiError> {
        let upstream_of = |service: &str| serving(&upstreams, service);
        let api = Api::with(descriptors, upstream_of, rules.unruled)?;
        let own = Own::new(&api);
        let is_own = |path: &str| own.has(path) || health::PATHS.contains(&path);
        if let Some(binding) = api.bindings().find(|binding| is_own(&binding.text)) {
            return Err(ApiError::Own {
                method: binding.method.name.clone(),
                path: binding.text.clone(),
            });
        }
        Ok(Self {
            locations: locations(&api),
            own,
            numbers: Numbers::default(),
            stopping: watch::Sender::new(false),
            api,
            upstreams,
            rules,
            entropy,
        })
    }

    /// Ends every stream, each with UNAVAILABLE in its own form.
    pub fn end_streams(&self) {
        self.stopping.send_replace(true);
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
        let context = RequestContext::of(&head.headers, self.entropy.as_ref());
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
        let answered = async {
            let mut response = call.run(pin!(body)).await;
            conditional::apply(&head, &mut response);
            compression::apply(&head, &mut response);
            response
        };
        // A panic is answered like any other fault of ours, and the process lives on.
        let answered = AssertUnwindSafe(answered).catch_unwind();
        let mut response = answered
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| internal().into_response(&Circumstances::default()));
        if head.method == Method::HEAD {
            without_body(&mut response);
        }
        self.finish(&head, &context, &mut response);
        let routed = response.extensions().get::<Routed>();
        self.numbers
            .answered(routed, response.status(), started.elapsed());
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| {
            tracing::info!(status = response.status().as_u16(), millis, "answered");
        });
        response
    }

    /// What every answer carries, unless it says otherwise.
    fn finish(&self, head: &Head, context: &RequestContext, response: &mut Response<AnswerBody>) {
        let headers = response.headers_mut();
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; frame-ancestors 'none'",
            ),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            let said = headers.entry(name);
            said.or_insert(HeaderValue::from_static(value));
        }
        if self.rules.tls {
            headers.insert(
                STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(ID, id);
        }
        self.rules.cors.mark(&head.headers, headers);
    }
}

/// The head that GET would have, alone: over HTTP/2, hyper would send the body along.
fn without_body(response: &mut Response<AnswerBody>) {
    if let Some(length) = response.body().whole().map(Bytes::len) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = AnswerBody::default();
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("upstreams", &self.upstreams)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
