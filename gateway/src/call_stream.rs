//! A call to a method that streams, one way or the other.

use crate::api::{Binding, Body as BodyRule};
use crate::body;
use crate::call::{Call, GRACE};
use crate::client_stream::{self, Bounds};
use crate::error;
use crate::headers;
use crate::problem::{Problem, reason};
use crate::reply::AnswerBody;
use crate::server_stream::{self, Form};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::Body;
use prost::Message as _;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Code;

/// How long a stream may go on that the client sets no end to. Its token ends sooner.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages that wait for a service that is slower than the client.
const WAITING: usize = 16;

impl Call<'_> {
    /// Answers with a stream. What is refused before its first message is told like any other refusal.
    pub(crate) async fn give_stream<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        values: &[String],
        body: Pin<&mut B>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let method = &binding.method;
        let form = Form::accepted(&self.head.headers)?;
        let body = self.body(binding, body).await?;
        let message = self
            .message(binding, values, &body)
            .and_then(|mut message| {
                server_stream::resume(&mut message, &self.head.headers)?;
                Ok(message)
            });
        let message = match message {
            Ok(message) => Bytes::from(message.encode_to_vec()),
            Err(invalid) => return Err(self.refusal_before(binding, invalid).await),
        };
        let metadata = self.metadata(headers::timeout(&self.head.headers, LONGEST)?);
        let upstream = &self.gateway.upstreams[method.upstream];
        let call = upstream.call_for_stream(method.path.clone(), metadata, message);
        let messages = match tokio::time::timeout(self.gateway.rules.deadline + GRACE, call).await {
            Ok(answer) => answer.map_err(|status| Problem::from_status(&status))?,
            Err(_) => return Err(error::deadline()),
        };
        let stopping = self.gateway.stopping.subscribe();
        let stream = server_stream::body(form, method.output.clone(), messages, stopping);
        let mut response = Response::new(AnswerBody::stream(stream));
        let kind = HeaderValue::from_static(form.media_type());
        response.headers_mut().insert(CONTENT_TYPE, kind);
        // A proxy that collects an answer before it sends it on would hold up what must not wait.
        let unbuffered = HeaderValue::from_static("no");
        response
            .headers_mut()
            .insert("x-accel-buffering", unbuffered);
        Ok(response)
    }

    /// Takes a stream, each message sent on as it comes. A fault in one ends the call as cancelled, never as complete.
    pub(crate) async fn take_stream<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        values: &[String],
        body: Pin<&mut B>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let method = &binding.method;
        if binding.body != BodyRule::Whole {
            let message = "the messages of this stream are no bodies: it is served over gRPC only";
            return Err(Problem::new(
                Code::Unimplemented,
                reason::STREAM_NOT_SERVED,
                message,
            ));
        }
        body::check_accept(&self.head.headers)?;
        client_stream::check_content_type(&self.head.headers)?;
        let rules = &self.gateway.rules;
        let metadata = self.metadata(headers::timeout(&self.head.headers, LONGEST)?);
        let (sender, receiver) = mpsc::channel(WAITING);
        let upstream = &self.gateway.upstreams[method.upstream];
        let mut call = Box::pin(upstream.call_with_stream(method.path.clone(), metadata, receiver));
        let bounds = Bounds {
            most: rules.max_body_bytes,
            longest: rules.body_timeout,
        };
        let bind = |line: &[u8]| {
            let message = self.message(binding, values, line)?;
            Ok(Bytes::from(message.encode_to_vec()))
        };
        let pumped = {
            let pump = pin!(client_stream::pump(body, bounds, bind, &sender));
            tokio::select! {
                // A service that has its answer early wants no more.
                answer = call.as_mut() => Err(answer),
                pumped = pump => Ok(pumped),
            }
        };
        let answer = match pumped {
            Err(answer) => answer,
            Ok(Ok(())) => {
                drop(sender);
                let answered = tokio::time::timeout(rules.deadline + GRACE, call).await;
                answered.map_err(|_| error::deadline())?
            }
            Ok(Err(fault)) => {
                // The service must see the call cancelled: the end of the messages would say that these were all.
                drop(call);
                tokio::spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    drop(sender);
                });
                return Err(fault);
            }
        };
        let answer = answer.map_err(|status| Problem::from_status(&status))?;
        self.told(binding, answer)
    }
}
