//! The services behind the gateway: which one serves what, and the call itself.

use crate::problem::{DOMAIN, reason};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures::Stream;
use http::uri::PathAndQuery;
use millgate_platform::{ClientTls, StartError, channel};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Extensions, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::{ErrorDetails, StatusExt as _};

/// Connections to one upstream. A server takes about a hundred calls at once on each.
const CHANNELS: usize = 4;
/// What a server of ours allows on one connection, and most others do.
const MOST_STREAMS_A_CHANNEL: u32 = 100;
/// The largest answer that is taken: a page of a thousand resources has room.
const MOST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// A service to call, and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// What it serves: a package or a service, by its full name (`millgate.auth.v1`).
    pub prefix: String,
    /// Where it listens: `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// The setting that says so, for messages.
    pub setting: String,
}

/// One upstream and its connections.
#[derive(Debug)]
pub struct Upstream {
    prefix: String,
    channels: Vec<Channel>,
    /// Streams have their own: a hundred open ones would hold up every other call.
    streams: Vec<StreamChannel>,
    next: AtomicUsize,
}

/// A connection for streams.
#[derive(Debug)]
struct StreamChannel {
    channel: Channel,
    /// One stream more than it takes would wait for another's end.
    room: Arc<Semaphore>,
}

/// A stream's place on one of the connections, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    channel: Channel,
    _room: OwnedSemaphorePermit,
}

impl Upstream {
    /// Connects at the first call, and again whenever a connection is lost.
    ///
    /// # Errors
    /// Names the setting with an endpoint that is none.
    pub fn new(config: &UpstreamConfig, tls: Option<&ClientTls>) -> Result<Self, StartError> {
        // The gateway has its own timer, which may be longer than the one of a usual channel.
        let open = |_| channel::stream_channel(&config.setting, &config.endpoint, tls);
        let open_streams = |_| {
            let (setting, endpoint) = (&config.setting, &config.endpoint);
            let most = MOST_STREAMS_A_CHANNEL;
            let channel = channel::crowded_stream_channel(setting, endpoint, tls, most);
            channel.map(|channel| StreamChannel {
                channel,
                room: Arc::new(Semaphore::new(most as usize)),
            })
        };
        Ok(Self {
            prefix: config.prefix.clone(),
            channels: (0..CHANNELS).map(open).collect::<Result<_, _>>()?,
            streams: (0..CHANNELS).map(open_streams).collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// What it serves.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn channel(&self) -> Channel {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.channels[next % self.channels.len()].clone()
    }

    /// Makes one unary call with an encoded message, and gives the encoded answer.
    pub async fn call(
        &self,
        path: PathAndQuery,
        metadata: MetadataMap,
        message: Bytes,
    ) -> Result<Response<Bytes>, Status> {
        let mut client = Grpc::new(self.channel()).max_decoding_message_size(MOST_ANSWER_BYTES);
        client
            .ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let request = Request::from_parts(metadata, Extensions::default(), message);
        client.unary(request, path, Plain).await.map_err(measured)
    }

    /// A place on the connection that has the most room for a stream; `None` when none has any.
    pub(crate) fn stream_place(&self) -> Option<StreamPlace> {
        let mut streams: Vec<&StreamChannel> = self.streams.iter().collect();
        streams.sort_by_cached_key(|stream| Reverse(stream.room.available_permits()));
        streams.into_iter().find_map(|stream| {
            let room = Arc::clone(&stream.room).try_acquire_owned().ok()?;
            Some(StreamPlace {
                channel: stream.channel.clone(),
                _room: room,
            })
        })
    }

    /// Whether it says that it serves (grpc.health.v1).
    pub async fn is_ready(&self) -> bool {
        let asked = HealthCheckRequest {
            service: String::new(),
        };
        let answer = HealthClient::new(self.channel()).check(asked).await;
        answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    }
}

impl StreamPlace {
    async fn client(&self) -> Result<Grpc<Channel>, Status> {
        let channel = self.channel.clone();
        let mut client = Grpc::new(channel).max_decoding_message_size(MOST_ANSWER_BYTES);
        let ready = client.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))?;
        Ok(client)
    }

    /// Calls a method that answers with a stream.
    pub(crate) async fn call_for_stream(
        &self,
        path: PathAndQuery,
        metadata: MetadataMap,
        message: Bytes,
    ) -> Result<Streaming<Bytes>, Status> {
        let request = Request::from_parts(metadata, Extensions::default(), message);
        let mut client = self.client().await?;
        let answer = client.server_streaming(request, path, Plain).await?;
        Ok(answer.into_inner())
    }

    /// Calls a method that takes a stream.
    pub(crate) async fn call_with_stream(
        &self,
        path: PathAndQuery,
        metadata: MetadataMap,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Bytes, Status> {
        let request = Request::from_parts(metadata, Extensions::default(), messages);
        let mut client = self.client().await?;
        let answer = client.client_streaming(request, path, Plain).await;
        Ok(answer.map_err(measured)?.into_inner())
    }
}

/// An answer over the limit is tonic's to notice, in words of its own: the service did not say OUT_OF_RANGE.
pub(crate) fn measured(status: Status) -> Status {
    let begins = "Error, decoded message length too large";
    if status.code() != Code::OutOfRange || !status.message().starts_with(begins) {
        return status;
    }
    let message = format!(
        "the answer has more than {MOST_ANSWER_BYTES} bytes: ask for less, such as a smaller page"
    );
    let details = ErrorDetails::with_error_info(reason::MESSAGE_TOO_LARGE, DOMAIN, []);
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The upstream that serves a service: the one with the longest prefix that fits.
pub fn serving(upstreams: &[Upstream], service: &str) -> Option<usize> {
    upstreams
        .iter()
        .enumerate()
        .filter(|(_, upstream)| covers(&upstream.prefix, service))
        .max_by_key(|(_, upstream)| upstream.prefix.len())
        .map(|(index, _)| index)
}

/// Whole parts of the name only: `a.b` covers `a.b.C`, not `a.bc.C`.
fn covers(prefix: &str, service: &str) -> bool {
    service
        .strip_prefix(prefix)
        .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

/// Messages as the bytes that they are: they are encoded and decoded by their descriptors, elsewhere.
#[derive(Debug, Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_parts_of_a_name() {
        let cases = [
            ("millgate.auth.v1", "millgate.auth.v1.AuthService", true),
            (
                "millgate.auth.v1.AuthService",
                "millgate.auth.v1.AuthService",
                true,
            ),
            ("millgate.auth.v1", "millgate.auth.v10.AuthService", false),
            (
                "millgate.auth.v1.Auth",
                "millgate.auth.v1.AuthService",
                false,
            ),
            ("", "anything.Service", true),
            ("x", "anything.Service", false),
        ];
        for (prefix, service, expected) in cases {
            assert_eq!(covers(prefix, service), expected, "{prefix} {service}");
        }
    }

    fn upstream(prefix: &str) -> Upstream {
        let config = UpstreamConfig {
            prefix: prefix.to_owned(),
            endpoint: "http://127.0.0.1:1".to_owned(),
            setting: "test".to_owned(),
        };
        Upstream::new(&config, None).unwrap()
    }

    #[tokio::test]
    async fn every_connection_takes_its_hundred_streams_and_none_more() {
        let upstream = upstream("a");
        let mut places: Vec<_> = (0..400).map(|_| upstream.stream_place()).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(upstream.stream_place().is_none());
        places.pop();
        assert!(upstream.stream_place().is_some(), "it was given back");
    }

    #[tokio::test]
    async fn the_longest_prefix_wins() {
        let upstreams = ["a", "a.b", ""].map(upstream);
        assert_eq!(serving(&upstreams, "a.b.C"), Some(1));
        assert_eq!(serving(&upstreams, "a.c.C"), Some(0));
        assert_eq!(serving(&upstreams, "z.C"), Some(2));
        assert_eq!(serving(&upstreams[..2], "z.C"), None);
    }
}
