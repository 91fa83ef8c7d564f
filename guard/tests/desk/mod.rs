//! A real tonic server on a free port, with the guard before a small annotated service.

pub(crate) mod call;
mod streams;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use millgate_guard::testing::{Issuer, ManualClock};
use millgate_guard::{Admitted, Anyone, Guard, HEALTH_SERVICE, Rules};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use tower::Service;

use streams::Streams;

pub(crate) const NOW: i64 = 1_790_000_000;

/// `test.desk.v1.Note`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Note {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

/// A running server, its clock and an issuer of its tokens.
pub(crate) struct Desk {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) issuer: Issuer,
    reached: Arc<AtomicUsize>,
}

impl Desk {
    /// Starts a server whose guard may be changed before.
    pub(crate) async fn start_with(change: impl FnOnce(Guard) -> Guard) -> Self {
        let clock = ManualClock::shared(NOW * 1_000_000);
        let issuer = Issuer::new(clock.clone());
        let guard = change(Guard::new(issuer.verifier(), rules()));
        let reached = Arc::new(AtomicUsize::new(0));
        let routes = Routes::new(DeskServer::<0>(reached.clone()))
            .add_service(DeskServer::<1>(reached.clone()))
            .add_service(DeskServer::<2>(reached.clone()))
            .add_service(tonic_health::server::health_reporter().1);
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = incoming.local_addr().expect("an address");
        let server = Server::builder().layer(guard.layer()).add_routes(routes);
        tokio::spawn(server.serve_with_incoming(incoming));
        Self {
            address,
            clock,
            issuer,
            reached,
        }
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(|guard| guard).await
    }

    /// How many requests have reached a handler.
    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

/// The rules of `desk.proto`, compiled as the contract is.
fn rules() -> Rules {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/desk");
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let descriptors = protox::Compiler::new([here, protos])
        .expect("folders of protos")
        .include_imports(true)
        .open_file("desk.proto")
        .expect("a good proto")
        .encode_file_descriptor_set();
    Rules::from_descriptors(&descriptors)
        .expect("sound rules")
        .serving(&["test.desk.v1.DeskService"])
        .allow_public(&[HEALTH_SERVICE])
}

/// Serves any method, by a service's name: 0 the served one, 1 one that is described and mounted
/// but not said to be served, 2 one that nothing describes.
#[derive(Clone)]
struct DeskServer<const NAME: usize>(Arc<AtomicUsize>);

impl NamedService for DeskServer<0> {
    const NAME: &'static str = "test.desk.v1.DeskService";
}

impl NamedService for DeskServer<1> {
    const NAME: &'static str = "test.desk.v1.CellarService";
}

impl NamedService for DeskServer<2> {
    const NAME: &'static str = "test.desk.v1.AtticService";
}

impl<const NAME: usize> Service<http::Request<Body>> for DeskServer<NAME> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let public = method == "Read";
        if let Some(streams) = Streams::of(method, &self.0) {
            return Box::pin(async move {
                let codec = ProstCodec::<Note, Note>::default();
                let mut grpc = tonic::server::Grpc::new(codec);
                Ok(grpc.streaming(streams, request).await)
            });
        }
        let handler = Handler {
            reached: self.0.clone(),
            public,
        };
        Box::pin(async move {
            let codec = ProstCodec::<Note, Note>::default();
            Ok(tonic::server::Grpc::new(codec)
                .unary(handler, request)
                .await)
        })
    }
}

struct Handler {
    reached: Arc<AtomicUsize>,
    public: bool,
}

impl tonic::server::UnaryService<Note> for Handler {
    type Response = Note;
    type Future = Ready<Result<Response<Note>, Status>>;

    fn call(&mut self, request: Request<Note>) -> Self::Future {
        self.reached.fetch_add(1, Ordering::SeqCst);
        let text = if self.public {
            Anyone::of(request).map(|request| request.message.text)
        } else {
            Admitted::of(request).map(|request| request.caller.key())
        };
        ready(text.map(|text| Response::new(Note { text })))
    }
}
