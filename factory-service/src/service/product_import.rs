//! ImportProducts: rows that come as a stream, written some at a time.
//!
//! Of an import, one batch of rows and a bounded report are in memory, however many rows there are. With a `request_id`
//! it goes on where it was cut off: each batch is committed together with how far the import is and a keyed hash over all
//! rows so far, so another try passes over what is written already, and other rows under the same id are refused.

use millgate_contract::factory::v1 as pb;
use millgate_guard::{Admitted, Caller};
use millgate_platform::{Fault, Fields, Reason, Tx};
use prost::Message as _;
use ring::hmac;
use tonic::{Request, Response, Streaming};

use super::log::Seen;
use super::product_fields::parse_new;
use super::{Answer, Factory, Work};
use crate::domain::access::Actor;
use crate::domain::ledger::MovementKind;
use crate::domain::product::{Product, ProductFields};
use crate::store::product_import::{self as store, Progress};
use crate::store::{ledger, product as products, stock};

/// Rows of one transaction.
const BATCH: usize = 200;
/// The most bytes of a row: far above what a good one has, and so that a batch of them is small.
const ROW_BYTES: usize = 64 * 1024;
/// Refused rows that a report tells in full; of the others it tells how many they are.
const MOST_FAULTS: usize = 500;
/// How often a batch is tried that another writer crossed.
const TRIES: u32 = 3;

/// A row that was parsed, or why it cannot be.
struct Row {
    number: i64,
    sku: String,
    parsed: Result<(ProductFields, Option<i64>), Fault>,
}

/// An import under way.
struct Import<'a> {
    factory: &'a Factory,
    caller: Caller,
    dry_run: bool,
    request_id: String,
    /// How far we have come, and the hash of all rows so far.
    rows: i64,
    hash: Vec<u8>,
    report: pb::ImportProductsResponse,
}

pub(super) async fn import(
    factory: &Factory,
    request: Request<Streaming<pb::ImportProductsRequest>>,
) -> Answer<pb::ImportProductsResponse> {
    let Admitted {
        caller,
        message: mut stream,
        ..
    } = Admitted::of(request)?;
    let mut next = stream.message().await?;
    let first = next.clone().unwrap_or_default();
    Fields::of_request(&first.request_id).finish()?;
    let mut import = Import {
        factory,
        caller,
        dry_run: first.dry_run,
        request_id: first.request_id.to_lowercase(),
        rows: 0,
        hash: vec![u8::from(first.dry_run)],
        report: pb::ImportProductsResponse {
            dry_run: first.dry_run,
            ..Default::default()
        },
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_first = true;
    while let Some(message) = next {
        if !is_first && (message.dry_run || !message.request_id.is_empty()) {
            let text = "`dry_run` and `request_id` are for the first message only";
            return Err(Fault::field("request_id", text).into());
        }
        is_first = false;
        if let Some(row) = message.row {
            if row.encoded_len() > ROW_BYTES {
                let text = format!("a row has at most {ROW_BYTES} bytes");
                return Err(Fault::new(Reason::MessageTooLarge, text).into());
            }
            batch.push(row);
        }
        if batch.len() == BATCH {
            import.write(std::mem::take(&mut batch)).await?;
        }
        next = stream.message().await?;
    }
    if !batch.is_empty() {
        import.write(batch).await?;
    }
    Ok(Response::new(import.finish().await?))
}

impl Import<'_> {
    /// Writes a batch, unless an earlier try has.
    async fn write(&mut self, rows: Vec<pb::ImportProductsRow>) -> Result<(), Fault> {
        let hash = self.hash_with(&rows);
        let rows: Vec<Row> = (self.rows + 1..)
            .zip(rows)
            .map(|(number, row)| parse(number, row))
            .collect();
        let end = self.rows + i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_write(&rows, end, &hash).await {
                // Another writer took the SKU of a new product, or waited for us while we waited for it.
                Err(fault)
                    if tries < TRIES
                        && matches!(
                            fault.reason(),
                            Reason::SkuTaken | Reason::StoreUnavailable
                        ) => {}
                Err(fault) => return Err(fault),
                Ok(report) => {
                    self.report = report;
                    self.rows = end;
                    self.hash = hash;
                    return Ok(());
                }
            }
        }
    }

    async fn try_to_write(
        &self,
        rows: &[Row],
        end: i64,
        hash: &[u8],
    ) -> Result<pb::ImportProductsResponse, Fault> {
        let mut work: Work<()> = self.factory.open(&self.caller).await?;
        let mut report = self.report.clone();
        if self.is_remembered() {
            let progress = self.progress(&mut work.tx, work.now).await?;
            if progress.rows > self.rows {
                // Written by an earlier try, or by another at this moment: whose rows are the same up to here.
                if progress.rows < end || (progress.rows == end && progress.hash != hash) {
                    return Err(reused());
                }
                return if progress.rows == end {
                    decoded(&progress.report)
                } else {
                    Ok(report)
                };
            }
            let is_here = progress.rows == self.rows && progress.hash == self.hash;
            if progress.is_done || !is_here {
                return Err(reused());
            }
        }
        let actor = Actor::of(&self.caller);
        self.apply(&mut work, rows, &actor, &mut report).await?;
        report.rows = end;
        if self.dry_run {
            work.tx.rollback().await?;
            return Ok(report);
        }
        if self.is_remembered() {
            let progress = Progress {
                rows: end,
                hash: hash.to_vec(),
                report: report.encode_to_vec(),
                is_done: false,
            };
            store::save(
                &mut work.tx,
                &self.caller.key(),
                &self.request_id,
                &progress,
            )
            .await?;
        }
        work.tx.commit().await?;
        self.factory.feed.committed();
        Ok(report)
    }

    /// Makes or changes the products of a batch. They are locked in the order of their ids, and new ones are made in the
    /// order of their SKUs: two imports never wait for each other.
    async fn apply(
        &self,
        work: &mut Work<()>,
        rows: &[Row],
        actor: &Actor,
        report: &mut pb::ImportProductsResponse,
    ) -> Result<(), Fault> {
        let mut skus: Vec<String> = rows
            .iter()
            .filter_map(|row| row.parsed.as_ref().ok())
            .map(|(fields, _)| fields.sku.canonical())
            .collect();
        skus.sort_unstable();
        skus.dedup();
        let mut known = store::lock_by_sku(&mut work.tx, &skus).await?;
        let mut order: Vec<&Row> = rows.iter().collect();
        order.sort_by_key(|row| {
            let parsed = row.parsed.as_ref().ok();
            parsed.map(|(fields, _)| fields.sku.canonical())
        });
        for row in order {
            match &row.parsed {
                Err(fault) => refuse(report, row, fault),
                Ok((fields, on_hand)) => {
                    let sku = fields.sku.canonical();
                    match known.get(&sku) {
                        None => {
                            let made = create(work, fields, on_hand.unwrap_or(0), actor).await?;
                            report.created += 1;
                            known.insert(sku, made);
                        }
                        Some(product) => match changed(product, fields, *on_hand, work.now) {
                            Err(fault) => refuse(report, row, &fault),
                            Ok(None) => report.unchanged += 1,
                            Ok(Some(after)) => {
                                save(work, product, &after, actor).await?;
                                report.updated += 1;
                                known.insert(sku, after);
                            }
                        },
                    }
                }
            }
        }
        report.faults.sort_by_key(|fault| fault.row);
        Ok(())
    }

    /// The end of the stream: the report, which another try gets too.
    async fn finish(self) -> Result<pb::ImportProductsResponse, Fault> {
        if !self.is_remembered() {
            return Ok(self.report);
        }
        let mut tx = self.factory.db.begin().await?;
        let now = self.factory.clock.now_micros();
        let mut progress = self.progress(&mut tx, now).await?;
        if progress.rows != self.rows || progress.hash != self.hash {
            return Err(reused());
        }
        progress.report = self.report.encode_to_vec();
        progress.is_done = true;
        store::save(&mut tx, &self.caller.key(), &self.request_id, &progress).await?;
        tx.commit().await?;
        Ok(self.report)
    }

    /// How far this import is, locked.
    async fn progress(&self, tx: &mut Tx, now: i64) -> Result<Progress, Fault> {
        let start = [u8::from(self.dry_run)];
        store::lock(tx, &self.caller.key(), &self.request_id, &start, now).await
    }

    fn is_remembered(&self) -> bool {
        !self.dry_run && !self.request_id.is_empty()
    }

    /// The hash of all rows so far and these.
    fn hash_with(&self, rows: &[pb::ImportProductsRow]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.factory.import_key);
        context.update(&self.hash);
        for row in rows {
            context.update(&row.encode_length_delimited_to_vec());
        }
        context.sign().as_ref().to_vec()
    }
}

fn reused() -> Fault {
    Fault::new(
        Reason::RequestIdReused,
        "this request_id was used for the import of other rows",
    )
}

fn decoded(report: &[u8]) -> Result<pb::ImportProductsResponse, Fault> {
    pb::ImportProductsResponse::decode(report)
        .map_err(|error| Fault::internal("a stored report is unreadable").with_source(error))
}

fn parse(number: i64, row: pb::ImportProductsRow) -> Row {
    let (sku, on_hand) = (row.sku.clone(), row.on_hand);
    let product = pb::Product {
        sku: row.sku,
        name: row.name,
        description: row.description,
        unit_price: row.unit_price,
        on_hand: on_hand.unwrap_or(0),
        state: row.state,
        tax_rate_basis_points: row.tax_rate_basis_points,
        reorder_threshold: row.reorder_threshold,
        ..pb::Product::default()
    };
    let request = pb::CreateProductRequest {
        product: Some(product),
        ..Default::default()
    };
    Row {
        number,
        sku,
        parsed: parse_new(&request).map(|(fields, count)| (fields, on_hand.map(|_| count))),
    }
}

/// Notes a refused row, in full while there are few.
fn refuse(report: &mut pb::ImportProductsResponse, row: &Row, fault: &Fault) {
    report.refused += 1;
    if report.faults.len() >= MOST_FAULTS {
        return;
    }
    let first = fault.violations().first();
    let field = first.map(|bad| bad.field.strip_prefix("product.").unwrap_or(&bad.field));
    let description = match first {
        Some(bad) => bad.description.clone(),
        None => fault.message().to_owned(),
    };
    report.faults.push(pb::ImportProductsFault {
        row: row.number,
        sku: row.sku.chars().take(64).collect(),
        field: field.unwrap_or_default().to_owned(),
        reason: first
            .map_or(fault.reason(), |bad| bad.reason)
            .as_str()
            .to_owned(),
        description,
    });
}

/// What a row makes of a product; `None` when it is so already.
fn changed(
    product: &Product,
    fields: &ProductFields,
    on_hand: Option<i64>,
    now: i64,
) -> Result<Option<Product>, Fault> {
    if product.delete_time.is_some() {
        return Err(Fault::new(
            Reason::SkuTaken,
            "is the SKU of a deleted product",
        ));
    }
    let on_hand = on_hand.unwrap_or(product.on_hand);
    if on_hand < product.reserved {
        let message = format!("{} pieces are reserved", product.reserved);
        return Err(Fault::new(Reason::OutOfStock, message));
    }
    if product.fields == *fields && product.on_hand == on_hand {
        return Ok(None);
    }
    let mut after = product.clone();
    after.touch("", now)?;
    after.fields = fields.clone();
    after.on_hand = on_hand;
    Ok(Some(after))
}

async fn create(
    work: &mut Work<()>,
    fields: &ProductFields,
    on_hand: i64,
    actor: &Actor,
) -> Result<Product, Fault> {
    let now = work.now;
    let product = products::insert(&mut work.tx, fields, on_hand, now).await?;
    let (id, price) = (product.id, fields.unit_price);
    if on_hand > 0 {
        let kind = (MovementKind::Imported, "");
        stock::note(&mut work.tx, id, on_hand, kind, actor, now).await?;
    }
    ledger::note_price(&mut work.tx, id, price, actor, now).await?;
    work.created(Seen::Product(&product)).await?;
    Ok(product)
}

async fn save(
    work: &mut Work<()>,
    before: &Product,
    after: &Product,
    actor: &Actor,
) -> Result<(), Fault> {
    let (id, now) = (after.id, work.now);
    products::save(&mut work.tx, after).await?;
    let delta = after.on_hand - before.on_hand;
    if delta != 0 {
        let kind = (MovementKind::Imported, "");
        stock::note(&mut work.tx, id, delta, kind, actor, now).await?;
    }
    let price = after.fields.unit_price;
    if price != before.fields.unit_price {
        ledger::note_price(&mut work.tx, id, price, actor, now).await?;
    }
    work.changed("import", Seen::Product(before), Seen::Product(after))
        .await
}
