//! The handlers.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::BoxFuture, stream};
use millgate_platform::{ClientInfo, Fault, Reason, RequestContext};
use tokio::time::sleep;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{ClientStreamingService, Grpc, NamedService, ServerStreamingService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::Note;

#[derive(Clone)]
pub(super) struct Workbench(pub(super) Arc<AtomicUsize>);

impl NamedService for Workbench {
    const NAME: &'static str = "test.workshop.v1.WorkshopService";
}

impl Service<http::Request<Body>> for Workbench {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bench = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Note, Note>::default());
            let method = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            Ok(match method.as_str() {
                "Watch" => grpc.server_streaming(bench, request).await,
                "Gather" => grpc.client_streaming(bench, request).await,
                "Ask" | "Enter" | "Work" => grpc.unary(bench, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

impl UnaryService<Note> for Workbench {
    type Response = Note;
    type Future = BoxFuture<'static, Result<Response<Note>, Status>>;

    fn call(&mut self, request: Request<Note>) -> Self::Future {
        let finished = self.0.clone();
        Box::pin(async move {
            let text = act(&request).await?;
            finished.fetch_add(1, Ordering::SeqCst);
            Ok(Response::new(Note { text }))
        })
    }
}

async fn act(request: &Request<Note>) -> Result<String, Status> {
    let order = request.get_ref().text.as_str();
    Ok(match order.split_once(' ').unwrap_or((order, "")) {
        ("sleep", millis) => {
            sleep(Duration::from_millis(millis.parse().expect("a number"))).await;
            "slept".to_owned()
        }
        ("panic", secret) => panic!("{secret}"),
        ("unknown", text) => return Err(Status::unknown(text)),
        ("fault", text) => return Err(Fault::internal(text).into()),
        ("taken", text) => return Err(Fault::new(Reason::SkuTaken, text).into()),
        ("large", bytes) => "x".repeat(bytes.parse().expect("a number")),
        ("where", _) => {
            let client = request.extensions().get::<ClientInfo>().expect("a client");
            let peer = request.remote_addr().expect("a peer");
            format!(
                "{} by {} via {}",
                client.address,
                client.user_agent,
                peer.ip()
            )
        }
        ("headers", _) => format!("{:?}", request.metadata()),
        ("trace", _) => {
            let context = RequestContext::current().expect("a context");
            format!("{} {}", context.request_id, context.trace_id)
        }
        _ => order.to_owned(),
    })
}

/// Counts an endless stream as finished when it is dropped.
struct Poured(Arc<AtomicUsize>);

impl Drop for Poured {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

impl ServerStreamingService<Note> for Workbench {
    type Response = Note;
    type ResponseStream = Notes;
    type Future = BoxFuture<'static, Result<Response<Notes>, Status>>;

    fn call(&mut self, request: Request<Note>) -> Self::Future {
        let order = request.into_inner().text;
        let finished = self.0.clone();
        Box::pin(async move {
            let first = stream::once(async {
                Ok(Note {
                    text: "first".to_owned(),
                })
            });
            let notes: Notes = match order.as_str() {
                "wait" => Box::pin(first.chain(stream::pending())),
                "pour" => {
                    let poured = Poured(finished);
                    Box::pin(stream::repeat_with(move || {
                        let _held = &poured;
                        Ok(Note {
                            text: "x".repeat(1000),
                        })
                    }))
                }
                "panic" => Box::pin(first.chain(stream::once(async { panic!("a secret") }))),
                _ => Box::pin(first),
            };
            Ok(Response::new(notes))
        })
    }
}

impl ClientStreamingService<Note> for Workbench {
    type Response = Note;
    type Future = BoxFuture<'static, Result<Response<Note>, Status>>;

    fn call(&mut self, request: Request<Streaming<Note>>) -> Self::Future {
        Box::pin(async move {
            let mut notes = request.into_inner();
            let mut count = 0;
            while let Some(note) = notes.message().await? {
                if note.text == "hold" {
                    std::future::pending::<()>().await;
                }
                count += 1;
            }
            Ok(Response::new(Note {
                text: count.to_string(),
            }))
        })
    }
}
