//! One request's way through the gateway: route, token, body, message, call, answer.

use crate::answer;
use crate::api::{Binding, Body as BodyRule};
use crate::binder::{self, Parts};
use crate::body;
use crate::compression;
use crate::error::{self, Circumstances};
use crate::gateway::Gateway;
use crate::headers::{self, Forwarded};
use crate::health;
use crate::memory::Held;
use crate::numbers::Routed;
use crate::own;
use crate::preconditions::Preconditions;
use crate::problem::{Problem, reason};
use crate::raw;
use crate::reply::AnswerBody;
use crate::router::Found;
use crate::transport;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, EXPECT, IF_MATCH};
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use millgate_platform::{ClientInfo, RequestContext};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use tonic::metadata::MetadataMap;

/// How long past a call's deadline its service's own answer is waited for.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// No message of any type: refused by whoever decodes it, so that only what stands before can answer otherwise.
const NO_MESSAGE: &[u8] = &[0xff];

/// One request, while it is answered.
pub(crate) struct Call<'g> {
    /// Who answers.
    pub(crate) gateway: &'g Gateway,
    /// Everything of the request but its body.
    pub(crate) head: &'g Head,
    /// Its id and its trace.
    pub(crate) context: &'g RequestContext,
    /// Who sent it, as far as it can be believed.
    pub(crate) client: &'g ClientInfo,
}

impl Call<'_> {
    /// Answers, and takes care of what is left of the body.
    pub(crate) async fn run<B: Body<Data = Bytes>>(
        &self,
        mut body: Pin<&mut B>,
    ) -> Response<AnswerBody> {
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
        // Whether the process lives may be asked at any rate; whether it is ready costs calls to the services.
        if self.head.uri.path() != "/healthz"
            && let Err(problem) = self.gateway.rules.rate.admit(self.client)
        {
            return problem.into_response(&Circumstances::default());
        }
        if let Some(response) = health::answer(self.head, &self.gateway.upstreams).await {
            return response;
        }
        if let Some(response) = self.gateway.rules.cors.preflight(self.head) {
            return response;
        }
        let path = self.head.uri.path();
        match self.gateway.own.answer(self.head) {
            Some(own::Found::Answer(response)) => return response,
            Some(own::Found::WrongMethod(allowed)) => {
                return wrong_method(&self.head.method, &allowed);
            }
            None => {}
        }
        match self.gateway.api.router.find(&self.head.method, path) {
            Found::Route { target, values, .. } => {
                let answered = self.route(target, &values, body).await;
                let mut response = answered.unwrap_or_else(|problem| {
                    problem.into_response(&Circumstances {
                        if_match: self.head.headers.contains_key(IF_MATCH),
                        token_sent: target.method.token_required
                            && headers::has_token(&self.head.headers),
                        scope: &target.method.scope,
                        allowed: &[],
                    })
                });
                let routed = Routed(Arc::clone(&target.method));
                response.extensions_mut().insert(routed);
                response
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
        match (method.takes_stream, method.gives_stream) {
            (false, false) => {}
            (true, false) => return self.take_stream(binding, values, body).await,
            (false, true) => return self.give_stream(binding, values, body).await,
            (true, true) => {
                let message = "this method streams both ways: it is served over gRPC only";
                return Err(Problem::new(
                    Code::Unimplemented,
                    reason::STREAM_NOT_SERVED,
                    message,
                ));
            }
        }
        // What kind of octets are answered is known to the service alone.
        if !raw::is_given(binding) {
            self.unless_refused(binding, body::check_accept(sent))
                .await?;
        }
        let read = self.body(binding, body).await;
        let (body, _memory) = self.unless_refused(binding, read).await?;
        let encoded = match self.message(binding, values, &body) {
            Ok(message) => encoded(&message),
            Err(invalid) => return Err(self.refusal_before(binding, invalid).await),
        };
        drop(body);

        let timeout = headers::timeout(sent, self.gateway.rules.deadline);
        let timeout = self.unless_refused(binding, timeout).await?;
        let answer = self.call(binding, encoded, timeout).await?;
        self.told(binding, answer)
    }

    /// The success that a service's answer is told as.
    pub(crate) fn told(
        &self,
        binding: &Binding,
        answer: Bytes,
    ) -> Result<Response<AnswerBody>, Problem> {
        let method = &binding.method;
        let answer = DynamicMessage::decode(method.output.clone(), answer).map_err(|error| {
            tracing::error!(method = method.name, %error, "an answer is not of its type");
            error::internal()
        })?;
        let location = self.gateway.locations.get(&method.name);
        let told = answer::success(binding, &answer, location).map_err(|error| {
            tracing::error!(method = method.name, %error, "an answer has no JSON");
            error::internal()
        })?;
        // What has been changed is told in any case.
        if !self.head.method.is_safe() {
            return Ok(told);
        }
        let size = told.body().whole().map_or(0, Bytes::len);
        let memory = self.gateway.rules.memory.take(self.client, size)?;
        Ok(told.map(|body| body.holding(memory)))
    }

    /// The body, decompressed, and the memory that it holds.
    pub(crate) async fn body<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        body: Pin<&mut B>,
    ) -> Result<(Bytes, Vec<Held>), Problem> {
        let mut held = Vec::new();
        if body.is_end_stream() {
            return Ok((Bytes::new(), held));
        }
        let rules = &self.gateway.rules;
        let mut take = |bytes| {
            held.extend(rules.memory.take(self.client, bytes)?);
            Ok(())
        };
        if binding.body == BodyRule::None {
            let read = body::read(body, 0, rules.body_timeout, take).await;
            let read = read.map_err(|problem| match problem.reason.as_ref() {
                reason::MESSAGE_TOO_LARGE => Problem::field("body", "this method takes no body"),
                _ => problem,
            })?;
            return Ok((read, held));
        }
        body::check_encoding(&self.head.headers)?;
        if !raw::is_taken(binding) {
            body::check_content_type(&self.head.headers)?;
        }
        let mut read =
            body::read(body, rules.max_body_bytes, rules.body_timeout, &mut take).await?;
        if body::is_gzip(&self.head.headers) {
            read = compression::gunzip(&read, rules.max_body_bytes)?;
            take(read.len())?;
        }
        Ok((read, held))
    }

    pub(crate) fn message(
        &self,
        binding: &Binding,
        values: &[String],
        body: &[u8],
    ) -> Result<DynamicMessage, Problem> {
        let preconditions = Preconditions::from_headers(&self.head.headers)?;
        let media_type = self.head.headers.get(CONTENT_TYPE);
        binder::bind(
            binding,
            &Parts {
                method: &self.head.method,
                path_values: values,
                query: self.head.uri.query().unwrap_or_default(),
                body,
                media_type: media_type
                    .and_then(|text| text.to_str().ok())
                    .unwrap_or_default(),
                preconditions: &preconditions,
            },
        )
    }

    /// Who may not call a method is told that, whatever they sent to it. The service alone knows, so it is asked with
    /// bytes that are no message: its guard answers, or else its decoder. Only the handler of a method that takes a stream
    /// runs, and meets the decoder's error where its first message would be.
    pub(crate) async fn refusal_before(&self, binding: &Binding, invalid: Problem) -> Problem {
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

    /// The same for what is wrong with the headers or the form of a request; what is merely too much is told at once.
    pub(crate) async fn unless_refused<T>(
        &self,
        binding: &Binding,
        read: Result<T, Problem>,
    ) -> Result<T, Problem> {
        match read {
            Err(invalid) if invalid.code == Code::InvalidArgument => {
                Err(self.refusal_before(binding, invalid).await)
            }
            read => read,
        }
    }

    /// What goes along with a call.
    pub(crate) fn metadata(&self, timeout: Duration) -> MetadataMap {
        let forwarded = Forwarded {
            sent: &self.head.headers,
            context: self.context,
            client: self.client,
            timeout,
            proxy_secret: self.gateway.rules.proxy_secret.as_ref(),
        };
        forwarded.metadata(self.gateway.entropy.as_ref())
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
        let metadata = self.metadata(timeout);
        let upstream = &self.gateway.upstreams[binding.method.upstream];
        let call = upstream.call(binding.method.path.clone(), metadata, message);
        match tokio::time::timeout(timeout + GRACE, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(Problem::from_status(&status)),
            Err(_) => Err(error::deadline()),
        }
    }
}

/// The message's bytes. Not by `encode_to_vec`, which measures it first: for a message in a message, that is as much work.
fn encoded(message: &DynamicMessage) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    message.encode_raw(&mut bytes);
    bytes.into()
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
