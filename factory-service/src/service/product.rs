//! ProductService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::product_service_server::ProductService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Reason};
use tonic::{Request, Response, Streaming};

use super::convert::{id, product as message_of};
use super::log::Seen;
use super::paging::{fitting, whole};
use super::product_fields::{Change, parse_filter, parse_ids, parse_new};
use super::product_past::{list_movements, list_prices};
use super::{Answer, Begun, Shared, Who};
use super::{product_export, product_import};
use crate::domain::access::{Actor, Sight};
use crate::domain::ledger::MovementKind;
use crate::domain::product::{self, Product};
use crate::domain::text;
use crate::store::{ledger, product as store, stock};

/// What the factory makes and sells.
pub(crate) struct Products(pub(crate) Shared);

#[tonic::async_trait]
impl ProductService for Products {
    type ExportProductsStream = product_export::Products;

    async fn import_products(
        &self,
        request: Request<Streaming<pb::ImportProductsRequest>>,
    ) -> Answer<pb::ImportProductsResponse> {
        product_import::import(&self.0, request).await
    }

    async fn export_products(
        &self,
        request: Request<pb::ExportProductsRequest>,
    ) -> Answer<Self::ExportProductsStream> {
        product_export::export(&self.0, request)
    }

    async fn create_product(
        &self,
        request: Request<pb::CreateProductRequest>,
    ) -> Answer<pb::Product> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let (fields, on_hand) = parse_new(&message)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "CreateProduct", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let product = store::insert(&mut work.tx, &fields, on_hand, work.now).await?;
        if on_hand > 0 {
            let kind = (MovementKind::Created, "");
            stock::note(
                &mut work.tx,
                product.id,
                on_hand,
                kind,
                &who.actor,
                work.now,
            )
            .await?;
        }
        let price = product.fields.unit_price;
        ledger::note_price(&mut work.tx, product.id, price, &who.actor, work.now).await?;
        work.created(Seen::Product(&product)).await?;
        Ok(Response::new(work.done(message_of(&product)).await?))
    }

    async fn get_product(&self, request: Request<pb::GetProductRequest>) -> Answer<pb::Product> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let product = store::get(&self.0.db, id, Sight::of(&caller)).await?;
        let product = product.ok_or_else(|| product::not_found(id))?;
        Ok(Response::new(message_of(&product)))
    }

    async fn batch_get_products(
        &self,
        request: Request<pb::BatchGetProductsRequest>,
    ) -> Answer<pb::BatchGetProductsResponse> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let ids = parse_ids(&message.ids)?;
        let found = store::get_many(&self.0.db, &ids, Sight::of(&caller)).await?;
        let products = whole(in_order(&message.ids, &found)?, "ids")?;
        Ok(Response::new(pb::BatchGetProductsResponse { products }))
    }

    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Answer<pb::ListProductsResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "ListProducts", &message)?;
        let (filter, by) = parse_filter(&message, Sight::of(&caller))?;
        let rows = store::list(&self.0.db, &filter, by, &page).await?;
        let cursor = |product: &Product| match by.column {
            "sku" => Cursor::text(product.fields.sku.canonical(), product.id),
            _ => Cursor::id(product.id),
        };
        let (products, next_page_token) = fitting(&page, &rows, cursor, message_of);
        Ok(Response::new(pb::ListProductsResponse {
            products,
            next_page_token,
        }))
    }

    async fn update_product(
        &self,
        request: Request<pb::UpdateProductRequest>,
    ) -> Answer<pb::Product> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let change = Change::parse(message)?;
        let mut work = self.0.open(&caller).await?;
        let before = locked(&mut work.tx, change.id).await?;
        let mut product = before.clone();
        change.apply(&mut product, work.now)?;
        store::save(&mut work.tx, &product).await?;
        let price = product.fields.unit_price;
        if price != before.fields.unit_price {
            let actor = Actor::of(&caller);
            ledger::note_price(&mut work.tx, product.id, price, &actor, work.now).await?;
        }
        let (before, after) = (Seen::Product(&before), Seen::Product(&product));
        work.changed("update", before, after).await?;
        Ok(Response::new(work.done(message_of(&product)).await?))
    }

    async fn delete_product(
        &self,
        request: Request<pb::DeleteProductRequest>,
    ) -> Answer<pb::Product> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let mut work = self.0.open(&caller).await?;
        let before = locked(&mut work.tx, id).await?;
        let mut product = before.clone();
        product.delete(&message.etag, work.now)?;
        store::save(&mut work.tx, &product).await?;
        let (before, after) = (Seen::Product(&before), Seen::Product(&product));
        work.changed("delete", before, after).await?;
        Ok(Response::new(work.done(message_of(&product)).await?))
    }

    async fn undelete_product(
        &self,
        request: Request<pb::UndeleteProductRequest>,
    ) -> Answer<pb::Product> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&caller, "UndeleteProduct", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = locked(&mut work.tx, id).await?;
        let mut product = before.clone();
        product.undelete(&message.etag, work.now)?;
        store::save(&mut work.tx, &product).await?;
        let (before, after) = (Seen::Product(&before), Seen::Product(&product));
        work.changed("undelete", before, after).await?;
        Ok(Response::new(work.done(message_of(&product)).await?))
    }

    async fn list_product_prices(
        &self,
        request: Request<pb::ListProductPricesRequest>,
    ) -> Answer<pb::ListProductPricesResponse> {
        list_prices(&self.0, request).await
    }

    async fn list_stock_movements(
        &self,
        request: Request<pb::ListStockMovementsRequest>,
    ) -> Answer<pb::ListStockMovementsResponse> {
        list_movements(&self.0, request).await
    }

    async fn adjust_stock(&self, request: Request<pb::AdjustStockRequest>) -> Answer<pb::Product> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", id(message.id));
        let delta = fields.parse("delta", product::delta(message.delta));
        let reason = fields.parse(
            "reason",
            text::line(&message.reason, 1, product::MAX_REASON),
        );
        let (id, delta, reason) = fields.all((id, delta, reason))?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "AdjustStock", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = locked(&mut work.tx, id).await?;
        let mut product = before.clone();
        product.adjust(delta, &message.etag, work.now)?;
        store::save(&mut work.tx, &product).await?;
        let kind = (MovementKind::Adjusted, reason.as_str());
        stock::note(&mut work.tx, id, delta, kind, &who.actor, work.now).await?;
        let (before, after) = (Seen::Product(&before), Seen::Product(&product));
        work.changed("adjustStock", before, after).await?;
        Ok(Response::new(work.done(message_of(&product)).await?))
    }
}

async fn locked(tx: &mut millgate_platform::Tx, id: i64) -> Result<Product, Fault> {
    store::lock(tx, id)
        .await?
        .ok_or_else(|| product::not_found(id))
}

/// The products in the order of the ids, or PRODUCT_NOT_FOUND with every id that is not there.
fn in_order(ids: &[i64], found: &[Product]) -> Result<Vec<pb::Product>, Fault> {
    let found: std::collections::HashMap<i64, &Product> =
        found.iter().map(|product| (product.id, product)).collect();
    let mut fields = Fields::new();
    let mut products = Vec::with_capacity(ids.len());
    for (i, id) in ids.iter().enumerate() {
        match found.get(id) {
            Some(product) => products.push(message_of(product)),
            None => fields.refuse(
                &format!("ids[{i}]"),
                millgate_platform::FieldFault::new(
                    Reason::ProductNotFound,
                    format!("product {id} was not found"),
                ),
            ),
        }
    }
    fields.finish()?;
    Ok(products)
}
