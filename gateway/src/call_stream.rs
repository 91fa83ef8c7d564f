//! A call to a method that streams, one way or the other.

use crate::api::Binding;
use crate::binder::{self, Parts};
use crate::body;
use crate::call::{Call, GRACE};
use crate::client_stream::{self, Bounds, Form};
use crate::compression;
use crate::csv::{Frame, Shape, Table};
use crate::error;
use crate::headers;
use crate::pipe::pipe;
use crate::preconditions::Preconditions;
use crate::problem::{Problem, reason};
use crate::raw;
use crate::reply::AnswerBody;
use crate::server_stream;
use crate::stream_gzip;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::Body;
use prost::Message as _;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};
use tonic::Code;

/// How long a stream may go on that the client sets no end to. Its token ends sooner.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages that wait for a service that is slower than the client; together they are no larger than one may be.
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
        let form = match raw::is_given(binding) {
            true => None,
            false => {
                let form = server_stream::Form::accepted(&self.head.headers);
                Some(self.unless_refused(binding, form).await?)
            }
        };
        let read = self.body(binding, body).await;
        let (body, _memory) = self.unless_refused(binding, read).await?;
        let message = self
            .message(binding, values, &body)
            .and_then(|mut message| {
                let sequence = &method.sequence;
                sequence.resume(&mut message, &self.head.headers)?;
                Ok(message)
            });
        let message = match message {
            Ok(message) => Bytes::from(message.encode_to_vec()),
            Err(invalid) => return Err(self.refusal_before(binding, invalid).await),
        };
        let timeout = headers::timeout(&self.head.headers, LONGEST);
        let timeout = self.unless_refused(binding, timeout).await?;
        let upstream = &self.gateway.upstreams[method.upstream];
        let place = self.gateway.rules.streams.admit(self.client, upstream)?;
        let metadata = self.metadata(timeout);
        let call = place
            .upstream
            .call_for_stream(method.path.clone(), metadata, message);
        let messages = match tokio::time::timeout(self.gateway.rules.deadline + GRACE, call).await {
            Ok(answer) => answer.map_err(|status| Problem::from_status(&status))?,
            Err(_) => return Err(error::deadline()),
        };
        let stopping = self.gateway.stopping.subscribe();
        let Some(form) = form else {
            let telling = raw::Telling::new(binding, messages, stopping, place);
            return self.give_octets(telling).await;
        };
        let stream = server_stream::body(form, binding, messages, stopping, place);
        // Events are few and small, and each waits for nobody: what is compressed are the long ones, the exports.
        let may_zip = form == server_stream::Form::Lines && !method.answers_secret;
        let zips = may_zip && compression::is_accepted(&self.head.headers);
        let mut response = Response::new(match zips {
            true => AnswerBody::stream(stream_gzip::gzip(stream)),
            false => AnswerBody::stream(stream),
        });
        if may_zip {
            compression::tell(response.headers_mut(), zips);
        }
        Ok(as_it_comes(
            response,
            HeaderValue::from_static(form.media_type()),
        ))
    }

    /// Octets, as they come. The first message says what they are; until it is there, the answer may be a refusal.
    async fn give_octets(
        &self,
        mut telling: raw::Telling,
    ) -> Result<Response<AnswerBody>, Problem> {
        let first = tokio::time::timeout(self.gateway.rules.deadline + GRACE, telling.next());
        let first = first.await.map_err(|_| error::deadline())??;
        let Some(first) = first else {
            return Ok(as_it_comes(Response::default(), raw::OCTETS));
        };
        let octets = stream::once(async { Ok(first.octets) }).chain(telling.octets());
        let response = Response::new(AnswerBody::octets(octets));
        Ok(as_it_comes(response, first.media_type))
    }

    /// Takes a stream, each message sent on as it comes. A fault in one ends the call as cancelled, never as complete.
    pub(crate) async fn take_stream<B: Body<Data = Bytes>>(
        &self,
        binding: &Binding,
        values: &[String],
        body: Pin<&mut B>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let method = &binding.method;
        if Shape::of(binding).is_none() {
            let message = "the messages of this stream are no bodies: it is served over gRPC only";
            return Err(Problem::new(
                Code::Unimplemented,
                reason::STREAM_NOT_SERVED,
                message,
            ));
        }
        let sent = &self.head.headers;
        let told = body::check_accept(sent).and_then(|()| {
            let form = client_stream::Form::sent(sent)?;
            let preconditions = Preconditions::from_headers(sent)?;
            Ok((form, preconditions, headers::asked_timeout(sent)?))
        });
        let (form, preconditions, asked) = self.unless_refused(binding, told).await?;
        let timeout = asked.unwrap_or(LONGEST).min(LONGEST);
        let nothing = Preconditions::default();
        let rules = &self.gateway.rules;
        let upstream = &self.gateway.upstreams[method.upstream];
        let place = rules.streams.admit(self.client, upstream)?;
        let metadata = self.metadata(timeout);
        let started = Instant::now();
        let (sender, messages) = pipe(WAITING, rules.max_body_bytes);
        let call = place
            .upstream
            .call_with_stream(method.path.clone(), metadata, messages);
        let mut call = Box::pin(call);
        let bounds = Bounds {
            most: rules.max_body_bytes,
            longest: rules.body_timeout,
            stalled: rules.deadline,
            is_gzip: body::is_gzip(&self.head.headers),
        };
        let frame = Frame {
            binding,
            method: &self.head.method,
            path_values: values,
            query: self.head.uri.query().unwrap_or_default(),
            preconditions: &preconditions,
        };
        let mut table = None;
        let mut is_first = true;
        let bind = |number: u64, piece: &[u8]| {
            let message = match (form, &mut table) {
                (Form::Lines, _) => {
                    // The query and the headers tell something of the first message only, the path of all.
                    let (query, told) = match std::mem::take(&mut is_first) {
                        true => (frame.query, frame.preconditions),
                        false => ("", &nothing),
                    };
                    let parts = Parts {
                        method: frame.method,
                        path_values: values,
                        query,
                        body: piece.trim_ascii(),
                        media_type: "",
                        preconditions: told,
                    };
                    Some(binder::bind(binding, &parts)?)
                }
                (Form::Rows, Some(table)) => Some(Table::message(table, number, piece)?),
                (Form::Rows, none) => {
                    let (read, first) = Table::new(frame, piece)?;
                    *none = Some(read);
                    first
                }
            };
            Ok(message.map(|message| Bytes::from(message.encode_to_vec())))
        };
        let pumped = {
            let take = |octets| rules.memory.take(self.client, octets);
            let pump = client_stream::pump(form, body, bounds, bind, take, &sender);
            let pump = pin!(pump);
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
                // Who set an end to the call means its answer, too.
                let left = match asked {
                    Some(_) => timeout.saturating_sub(started.elapsed()),
                    None => rules.deadline,
                };
                let answered = tokio::time::timeout(left + GRACE, call).await;
                answered.map_err(|_| error::deadline())?
            }
            Ok(Err(fault)) => {
                // The service must see the call cancelled: the end of the messages would say that these were all.
                drop(call);
                tokio::spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    drop(sender);
                });
                return Err(self.refusal_before(binding, fault).await);
            }
        };
        let answer = answer.map_err(|status| Problem::from_status(&status))?;
        self.told(binding, answer)
    }
}

/// A proxy that collects an answer before it sends it on would hold up what must not wait.
fn as_it_comes(
    mut response: Response<AnswerBody>,
    media_type: HeaderValue,
) -> Response<AnswerBody> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
