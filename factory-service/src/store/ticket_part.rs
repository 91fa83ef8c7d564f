//! The parts that tickets took from the stock.

use millgate_platform::database::Tx;
use millgate_platform::{Fault, on_tx};

use super::bad_row;
use super::product::money;
use crate::domain::product::Product;
use crate::domain::ticket::Part;

const OF_TICKET: &str = "SELECT id, product_id, sku, name, unit_price_minor, currency, quantity, create_time \
     FROM ticket_parts WHERE ticket_id = $1 ORDER BY id";
const INSERT: &str = "INSERT INTO ticket_parts \
     (ticket_id, product_id, sku, name, unit_price_minor, currency, quantity, create_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    product_id: i64,
    sku: String,
    name: String,
    unit_price_minor: i64,
    currency: String,
    quantity: i64,
    create_time: i64,
}

impl TryFrom<Row> for Part {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            product_id: row.product_id,
            unit_price: money(row.unit_price_minor, &row.currency)
                .ok_or_else(|| bad_row("ticket part", row.id, "its price"))?,
            sku: row.sku,
            name: row.name,
            quantity: row.quantity,
            create_time: row.create_time,
        })
    }
}

/// The columns of a part beside those of its ticket; none where the ticket has no parts.
#[derive(sqlx::FromRow)]
pub(super) struct Joined {
    part_id: Option<i64>,
    part_product_id: Option<i64>,
    sku: Option<String>,
    name: Option<String>,
    unit_price_minor: Option<i64>,
    currency: Option<String>,
    quantity: Option<i64>,
    part_create_time: Option<i64>,
}

impl Joined {
    /// The part, if there is one.
    pub(super) fn part(self) -> Result<Option<Part>, Fault> {
        let row = || {
            Some(Row {
                id: self.part_id?,
                product_id: self.part_product_id?,
                sku: self.sku?,
                name: self.name?,
                unit_price_minor: self.unit_price_minor?,
                currency: self.currency?,
                quantity: self.quantity?,
                create_time: self.part_create_time?,
            })
        };
        row().map(Part::try_from).transpose()
    }
}

/// The parts of a ticket that is locked in this transaction, in the order in which it took them.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn of_locked(tx: &mut Tx, ticket_id: i64) -> Result<Vec<Part>, Fault> {
    let rows: Vec<Row> = on_tx!(tx, |c| sqlx::query_as(OF_TICKET)
        .bind(ticket_id)
        .fetch_all(c)
        .await)?;
    rows.into_iter().map(Part::try_from).collect()
}

/// Notes that a ticket took pieces of a product; the id is the part's.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    ticket_id: i64,
    product: &Product,
    quantity: i64,
    now: i64,
) -> Result<i64, Fault> {
    let price = product.fields.unit_price;
    Ok(on_tx!(tx, |c| sqlx::query_scalar(INSERT)
        .bind(ticket_id)
        .bind(product.id)
        .bind(product.fields.sku.as_str())
        .bind(&product.fields.name)
        .bind(price.minor())
        .bind(price.currency().code())
        .bind(quantity)
        .bind(now)
        .fetch_one(c)
        .await)?)
}
