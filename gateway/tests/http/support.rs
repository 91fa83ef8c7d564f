//! A gateway on a port of its own, and the services behind it as doubles: a tonic server that answers as it is told.

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::future::BoxFuture;
use gateway::{Config, LimitArgs, prepare};
use http::{Method, StatusCode};
use millgate_contract::DESCRIPTORS;
use millgate_platform::{SharedEntropy, SystemEntropy};
use prost::Message;
use prost_reflect::DescriptorPool;
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// A call as the service behind the gateway saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) metadata: MetadataMap,
    pub(crate) bytes: Bytes,
}

impl Seen {
    /// The message, as the type that the method takes.
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        M::decode(self.bytes.clone()).expect("a message of this type")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().unwrap())
    }
}

type Answer = Result<Vec<u8>, Status>;
type Script = Arc<dyn Fn(&Seen) -> BoxFuture<'static, Answer> + Send + Sync>;

/// The double: every path is served, and every call is remembered.
#[derive(Clone)]
pub(crate) struct Double {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    pub(crate) fn answering(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::slowly(move |seen| {
            let answer = script(seen);
            Box::pin(async { answer })
        })
    }

    pub(crate) fn slowly(
        script: impl Fn(&Seen) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            seen: Arc::default(),
        }
    }

    /// Answers every call with the empty message of its method.
    pub(crate) fn empty() -> Self {
        Self::answering(|_| Ok(Vec::new()))
    }

    pub(crate) fn refusing(status: impl Fn() -> Status + Send + Sync + 'static) -> Self {
        Self::answering(move |_| Err(status()))
    }

    pub(crate) fn routes(&self) -> tonic::service::Routes {
        axum::Router::new().fallback_service(self.clone()).into()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The one call that there was.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Serves on a port of its own.
    pub(crate) async fn listen(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_routes(self.routes());
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }
}

impl tower::Service<http::Request<axum::body::Body>> for Double {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<axum::body::Body>) -> Self::Future {
        let handler = Handler {
            double: self.clone(),
            path: request.uri().path().to_owned(),
        };
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(Plain)
                .unary(handler, request)
                .await)
        })
    }
}

struct Handler {
    double: Double,
    path: String,
}

impl tower::Service<Request<Bytes>> for Handler {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, bytes) = request.into_parts();
        let seen = Seen {
            path: self.path.clone(),
            metadata,
            bytes,
        };
        let answer = (self.double.script)(&seen);
        self.double.seen.lock().unwrap().push(seen);
        Box::pin(async move { Ok(Response::new(answer.await?.into())) })
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plain;

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

/// A gateway in front of one server that serves both packages.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) running: tokio::task::JoinHandle<()>,
    client: reqwest::Client,
}

impl Gate {
    pub(crate) async fn before(double: &Double) -> Self {
        let upstream = double.clone().listen().await;
        Self::with(config(upstream)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::drawing(config, Arc::new(SystemEntropy)).await
    }

    pub(crate) async fn drawing(config: Config, entropy: SharedEntropy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let prepared = prepare(config, entropy).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            prepared.serve(listener, shutdown).await.unwrap();
        });
        Self {
            address,
            stop: Some(stop),
            running,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Sending {
        let url = format!("http://{}{path}", self.address);
        Sending(self.client.request(method.parse().unwrap(), url))
    }

    /// With a token, as most methods want one.
    pub(crate) fn signed(&self, method: &str, path: &str) -> Sending {
        self.request(method, path)
            .header("authorization", "Bearer good")
    }
}

/// A gateway's settings with both packages behind one address.
pub(crate) fn config(upstream: SocketAddr) -> Config {
    Config {
        auth_endpoint: format!("http://{upstream}"),
        factory_endpoint: format!("http://{upstream}"),
        limits: LimitArgs {
            requests_per_second: 0,
            drain: std::time::Duration::from_secs(2),
            ..LimitArgs::default()
        },
        ..Config::default()
    }
}

/// An address that nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

pub(crate) struct Sending(reqwest::RequestBuilder);

impl Sending {
    pub(crate) fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = http::HeaderValue::from_bytes(value.as_ref()).unwrap();
        Self(self.0.header(name, value))
    }

    pub(crate) fn json(self, body: impl Into<String>) -> Self {
        self.header("content-type", "application/json")
            .body(body.into())
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// The answer's head; its body is read by the caller.
    pub(crate) async fn open(self) -> reqwest::Response {
        self.0.send().await.unwrap()
    }

    pub(crate) async fn send(self) -> Answered {
        let response = self.0.send().await.unwrap();
        Answered {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["details"][0]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The fields of the BadRequest.
    pub(crate) fn fields(&self) -> Vec<String> {
        let json = self.json();
        let details = json["error"]["details"].as_array().unwrap();
        let bad = details
            .iter()
            .find(|detail| detail["@type"].as_str().unwrap().ends_with("BadRequest"));
        let violations = bad.map(|bad| bad["field_violations"].as_array().unwrap().clone());
        violations
            .unwrap_or_default()
            .iter()
            .map(|violation| violation["field"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16, reason: &str) {
        assert_eq!(
            (self.status.as_u16(), self.reason().as_str()),
            (status, reason),
            "{self:?}"
        );
    }
}

pub(crate) fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).unwrap()
}

pub(crate) fn method(text: &str) -> Method {
    text.parse().unwrap()
}
