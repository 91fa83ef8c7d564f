//! Handlers that answer with streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};
use millgate_guard::{Admitted, StreamToken};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use super::Note;

/// What a streaming method of the desk does.
#[derive(Clone)]
pub(crate) struct Streams {
    kind: Kind,
    reached: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Follow,
    Ponder,
    Renew,
    Listen,
}

impl Streams {
    pub(crate) fn of(method: &str, reached: &Arc<AtomicUsize>) -> Option<Self> {
        let kind = match method {
            "Follow" => Kind::Follow,
            "Ponder" | "Collect" => Kind::Ponder,
            "Renew" => Kind::Renew,
            "Listen" => Kind::Listen,
            _ => return None,
        };
        let reached = reached.clone();
        Some(Self { kind, reached })
    }
}

/// Counts the stream as left when it is dropped.
struct Left(Arc<AtomicUsize>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl tonic::server::StreamingService<Note> for Streams {
    type Response = Note;
    type ResponseStream = BoxStream<'static, Result<Note, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Note>>) -> Self::Future {
        self.reached.fetch_add(1, Ordering::SeqCst);
        let (kind, left) = (self.kind, Left(self.reached.clone()));
        Box::pin(async move {
            let once_and_wait = |left: Left| {
                let hello = Note {
                    text: "hello".to_owned(),
                };
                let waiting = futures::stream::pending::<Result<Note, Status>>();
                let held = futures::stream::iter([Ok(hello)]).chain(waiting);
                held.map(move |note| {
                    let _held = &left;
                    note
                })
                .boxed()
            };
            if let Kind::Listen = kind {
                return Ok(Response::new(once_and_wait(left)));
            }
            let admitted = Admitted::of(request)?;
            let token = admitted.extensions.get::<StreamToken>().cloned();
            let token = token.ok_or_else(|| Status::internal("no stream token"))?;
            let answers = match kind {
                Kind::Follow | Kind::Listen => once_and_wait(left),
                Kind::Ponder => {
                    let _left = left;
                    std::future::pending().await
                }
                Kind::Renew => admitted
                    .message
                    .map(move |note| {
                        let _left = &left;
                        let text = match token.renew(&note?.text) {
                            Ok(()) => token.caller().token_id().to_owned(),
                            Err(status) => status.get_details_error_info().unwrap().reason,
                        };
                        Ok(Note { text })
                    })
                    .boxed(),
            };
            Ok(Response::new(answers))
        })
    }
}
