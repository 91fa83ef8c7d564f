//! A real server on a free port, over a small service whose handlers do what they are told.

pub(crate) mod call;
mod service;

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use millgate_guard::{
    Guard, Rules,
    testing::{Issuer, ManualClock},
};
use millgate_platform::{ServeError, Server};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::service::Routes;

const NOW: i64 = 1_790_000_000_000_000;
const SERVICES: &[&str] = &["test.workshop.v1.WorkshopService"];

/// `test.workshop.v1.Note`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Note {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

/// A running server.
pub(crate) struct Workshop {
    pub(crate) address: SocketAddr,
    pub(crate) issuer: Issuer,
    /// How many calls a handler has finished.
    pub(crate) finished: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Workshop {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// Starts a server that is changed before. No rate limits unless the change sets them.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Server)) -> Self {
        let issuer = Issuer::new(ManualClock::shared(NOW));
        let guard = Guard::new(issuer.verifier(), rules());
        let finished = Arc::new(AtomicUsize::new(0));
        let routes = Routes::new(service::Workbench(finished.clone()));
        let mut server = Server::new(guard, routes, SERVICES, descriptors());
        server.limits.calls_per_second = 0;
        server.limits.logins.paths = vec!["/test.workshop.v1.WorkshopService/Enter".to_owned()];
        change(&mut server);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            issuer,
            finished,
            stop: Some(stop),
            served,
        }
    }

    /// Gives the order to stop, as SIGTERM does.
    pub(crate) fn stop(&mut self) {
        self.stop
            .take()
            .expect("stopped once")
            .send(())
            .expect("still serving");
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(self) {
        self.served.await.expect("no panic").expect("no error");
    }

    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

fn descriptors() -> &'static [u8] {
    static DESCRIPTORS: OnceLock<Vec<u8>> = OnceLock::new();
    DESCRIPTORS.get_or_init(|| {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/workshop");
        let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
        protox::Compiler::new([here, protos])
            .expect("folders of protos")
            .include_imports(true)
            .open_file("workshop.proto")
            .expect("a good proto")
            .encode_file_descriptor_set()
    })
}

fn rules() -> Rules {
    Rules::from_descriptors(descriptors())
        .expect("sound rules")
        .serving(SERVICES)
        .allow_public(&Server::public_services(true, true))
}
