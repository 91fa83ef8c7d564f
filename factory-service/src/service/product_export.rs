//! ExportProducts: every product, some at a time.

use std::pin::Pin;

use millgate_contract::factory::v1 as pb;
use millgate_guard::Admitted;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert::product as message_of;
use super::{Answer, Shared};
use crate::store::product as store;

/// Products that are read at once: what an export holds of them, however slow its reader is.
const BATCH: i64 = 200;

/// The stream of them.
pub(super) type Products =
    Pin<Box<dyn Stream<Item = Result<pb::ExportProductsResponse, Status>> + Send>>;

pub(super) fn export(
    factory: &Shared,
    request: Request<pb::ExportProductsRequest>,
) -> Answer<Products> {
    let Admitted { caller, .. } = Admitted::of(request)?;
    let seat = factory.feed.seat(&caller.key())?;
    let (sender, receiver) = mpsc::channel(1);
    let factory = factory.clone();
    tokio::spawn(async move {
        let _seat = seat;
        let ended = tokio::select! {
            ended = send(&factory, &sender) => ended,
            () = sender.closed() => return,
        };
        if let Err(status) = ended {
            // Nobody may be there to hear it.
            let _ = sender.send(Err(status)).await;
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

async fn send(
    factory: &Shared,
    sender: &mpsc::Sender<Result<pb::ExportProductsResponse, Status>>,
) -> Result<(), Status> {
    let mut last = 0;
    loop {
        let products = store::after(&factory.db, last, BATCH).await?;
        for product in &products {
            let response = pb::ExportProductsResponse {
                product: Some(message_of(product)),
            };
            if sender.send(Ok(response)).await.is_err() {
                return Ok(());
            }
            last = product.id;
        }
        if products.is_empty() {
            return Ok(());
        }
    }
}
