//! What ProductService tells of a product's past.

use millgate_contract::factory::v1 as pb;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields};
use tonic::{Request, Response};

use super::convert::{id, money, time};
use super::paging::fitting;
use super::{Answer, Factory};
use crate::domain::access::Sight;
use crate::domain::ledger::{Movement, MovementKind, Price};
use crate::domain::product;
use crate::store::{ledger, product as products};

pub(super) async fn list_prices(
    factory: &Factory,
    request: Request<pb::ListProductPricesRequest>,
) -> Answer<pb::ListProductPricesResponse> {
    let Admitted {
        caller,
        mut message,
        ..
    } = Admitted::of(request)?;
    let (size, token) = (
        std::mem::take(&mut message.page_size),
        std::mem::take(&mut message.page_token),
    );
    let page = factory.page(&caller, (size, &token), "ListProductPrices", &message)?;
    let product_id = asked(message.product_id)?;
    let rows = ledger::prices(&factory.db, product_id, &page).await?;
    if rows.is_empty() {
        is_there(factory, product_id).await?;
    }
    let (prices, next_page_token) =
        fitting(&page, &rows, |price| Cursor::id(price.id), price_message);
    Ok(Response::new(pb::ListProductPricesResponse {
        prices,
        next_page_token,
    }))
}

pub(super) async fn list_movements(
    factory: &Factory,
    request: Request<pb::ListStockMovementsRequest>,
) -> Answer<pb::ListStockMovementsResponse> {
    let Admitted {
        caller,
        mut message,
        ..
    } = Admitted::of(request)?;
    let (size, token) = (
        std::mem::take(&mut message.page_size),
        std::mem::take(&mut message.page_token),
    );
    let page = factory.page(&caller, (size, &token), "ListStockMovements", &message)?;
    let product_id = asked(message.product_id)?;
    let rows = ledger::movements(&factory.db, product_id, &page).await?;
    if rows.is_empty() {
        is_there(factory, product_id).await?;
    }
    let (movements, next_page_token) = fitting(
        &page,
        &rows,
        |movement| Cursor::id(movement.id),
        movement_message,
    );
    Ok(Response::new(pb::ListStockMovementsResponse {
        movements,
        next_page_token,
    }))
}

fn asked(product_id: i64) -> Result<i64, Fault> {
    let mut fields = Fields::new();
    let id = fields.parse("product_id", id(product_id));
    let (id,) = fields.all((id,))?;
    Ok(id)
}

/// Asked where nothing was found: whether there is such a product, deleted or not.
async fn is_there(factory: &Factory, id: i64) -> Result<(), Fault> {
    let found = products::get(&factory.db, id, Sight::All).await?;
    found.map(drop).ok_or_else(|| product::not_found(id))
}

fn price_message(price: &Price) -> pb::ProductPrice {
    pb::ProductPrice {
        unit_price: money(price.unit_price),
        actor: price.actor.clone(),
        time: time(price.time),
    }
}

fn movement_message(movement: &Movement) -> pb::StockMovement {
    let kind = match movement.kind {
        MovementKind::Created => pb::StockMovementKind::Created,
        MovementKind::Adjusted => pb::StockMovementKind::Adjusted,
        MovementKind::Imported => pb::StockMovementKind::Imported,
        MovementKind::Reserved => pb::StockMovementKind::Reserved,
        MovementKind::Released => pb::StockMovementKind::Released,
        MovementKind::Shipped => pb::StockMovementKind::Shipped,
        MovementKind::Produced => pb::StockMovementKind::Produced,
        MovementKind::Part => pb::StockMovementKind::Part,
    };
    pb::StockMovement {
        kind: kind.into(),
        delta: movement.delta,
        reserved_delta: movement.reserved_delta,
        reason: movement.reason.clone(),
        order_id: movement.order_id.unwrap_or_default(),
        run_id: movement.run_id.unwrap_or_default(),
        actor: movement.actor.clone(),
        time: time(movement.time),
    }
}
