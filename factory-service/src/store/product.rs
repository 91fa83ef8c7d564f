//! The rows of products.

use millgate_platform::database::{Tx, violated};
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, Reason, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing, placeholders};
use super::{FOR_CHANGE, FOR_REFERENCE, bad_row, on_postgres};
use crate::domain::access::Sight;
use crate::domain::money::{Currency, Money};
use crate::domain::paging::OrderBy;
use crate::domain::product::{MAX_ON_HAND, Product, ProductFields, ProductState, Sku};
use crate::domain::rate::BasisPoints;
use crate::domain::text::{Prefix, canonical};

macro_rules! columns {
    () => {
        "id, sku, name, description, unit_price_minor, currency, tax_bp, reorder_threshold, on_hand, reserved, state, revision, create_time, \
         update_time, delete_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO products (sku, sku_canonical, name, name_canonical, description, unit_price_minor, currency, on_hand, \
     reserved, state, tax_bp, reorder_threshold, revision, create_time, update_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, 1, $12, $12) RETURNING ",
    columns!()
);
const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM products WHERE id = $1 AND ($2 OR delete_time IS NULL)"
);
const REFER: &str = "SELECT id FROM products WHERE id = $1 AND delete_time IS NULL";
const LOCK: &str = concat!("SELECT ", columns!(), " FROM products WHERE id = $1");
const SAVE: &str = "UPDATE products SET sku = $2, sku_canonical = $3, name = $4, name_canonical = $5, \
     description = $6, unit_price_minor = $7, currency = $8, on_hand = $9, state = $10, revision = $11, \
     update_time = $12, delete_time = $13, tax_bp = $14, reorder_threshold = $15 WHERE id = $1";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    sku: String,
    name: String,
    description: String,
    unit_price_minor: i64,
    currency: String,
    tax_bp: i64,
    reorder_threshold: i64,
    on_hand: i64,
    reserved: i64,
    state: String,
    revision: i64,
    create_time: i64,
    update_time: i64,
    delete_time: Option<i64>,
}

impl TryFrom<Row> for Product {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let bad = |what: &str| bad_row("product", row.id, what);
        Ok(Self {
            id: row.id,
            fields: ProductFields {
                sku: Sku::parse(&row.sku).map_err(|_| bad("its SKU"))?,
                unit_price: money(row.unit_price_minor, &row.currency)
                    .ok_or_else(|| bad("its price"))?,
                state: ProductState::parse(&row.state).ok_or_else(|| bad("its state"))?,
                tax_rate: BasisPoints::stored(row.tax_bp),
                reorder_threshold: row.reorder_threshold,
                name: row.name,
                description: row.description,
            },
            on_hand: row.on_hand,
            reserved: row.reserved,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
            delete_time: row.delete_time,
        })
    }
}

/// The amount of two columns.
pub(super) fn money(minor: i64, currency: &str) -> Option<Money> {
    Money::of_minor(minor, Currency::parse(currency).ok()?).ok()
}

/// Inserts a product.
///
/// # Errors
/// SKU_TAKEN.
pub(crate) async fn insert(
    tx: &mut Tx,
    fields: &ProductFields,
    on_hand: i64,
    now: i64,
) -> Result<Product, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(fields.sku.as_str())
        .bind(fields.sku.canonical())
        .bind(&fields.name)
        .bind(canonical(&fields.name))
        .bind(&fields.description)
        .bind(fields.unit_price.minor())
        .bind(fields.unit_price.currency().code())
        .bind(on_hand)
        .bind(fields.state.as_str())
        .bind(fields.tax_rate.get())
        .bind(fields.reorder_threshold)
        .bind(now)
        .fetch_one(c)
        .await)
    .map_err(refused)?;
    row.try_into()
}

/// One product; a deleted one only for who sees everything.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64, sight: Sight) -> Result<Option<Product>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(GET)
        .bind(id)
        .bind(sight.is_all())
        .fetch_optional(c)
        .await)?;
    row.map(Product::try_from).transpose()
}

/// Those of the products that the caller sees, by id, in no order.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get_many(
    db: &Database,
    ids: &[i64],
    sight: Sight,
) -> Result<Vec<Product>, Fault> {
    let sql = format!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM products WHERE ($1 OR delete_time IS NULL) AND id IN ({})"
        ),
        placeholders(2, ids.len())
    );
    let rows: Vec<Row> = on!(db, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(sight.is_all());
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })?;
    rows.into_iter().map(Product::try_from).collect()
}

/// What a list of products is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// The SKU or the name begins with this.
    pub query: Option<Prefix>,
    /// Only this state.
    pub state: Option<ProductState>,
    /// Only those of which more are to be made.
    pub low_stock: bool,
    /// The deleted ones too.
    pub show_deleted: bool,
}

/// A page of products, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<Vec<Product>, Fault> {
    let (sql, args) = listing(filter, by, page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    rows.into_iter().map(Product::try_from).collect()
}

/// The statement of a list.
pub(super) fn listing(filter: &Filter, by: OrderBy, page: &Page) -> (String, Vec<Arg>) {
    let mut listing = Listing::new(concat!("SELECT ", columns!(), " FROM products"));
    if !filter.show_deleted {
        listing = listing.and("delete_time IS NULL", []);
    }
    if let Some(prefix) = &filter.query {
        listing = listing.and_prefix(&[("sku_canonical", prefix), ("name_canonical", prefix)]);
    }
    if filter.low_stock {
        listing = listing.and(
            "reorder_threshold > 0 AND on_hand - reserved <= reorder_threshold",
            [],
        );
    }
    let state = filter
        .state
        .map(|state| Arg::Text(state.as_str().to_owned()));
    let column = if by.column == "sku" {
        "sku_canonical"
    } else {
        "id"
    };
    listing.and_if("state = ?", state).page(by, column, page)
}

/// One product, deleted or not, that nobody else changes until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Product>, Fault> {
    let sql = format!("{LOCK}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)?;
    row.map(Product::try_from).transpose()
}

/// Whether there is such a product, not deleted; it stays so until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn refer_to(tx: &mut Tx, id: i64) -> Result<bool, Fault> {
    let sql = format!("{REFER}{}", on_postgres(tx, FOR_REFERENCE));
    let found: Option<i64> = on_tx!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}

/// The products with these canonical SKUs, deleted or not, which nobody else changes until the transaction ends. They are
/// locked in the order of their ids, as everybody does.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock_many(tx: &mut Tx, skus: &[String]) -> Result<Vec<Product>, Fault> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM products WHERE sku_canonical IN ({}) ORDER BY id{}"
        ),
        placeholders(1, skus.len()),
        on_postgres(tx, FOR_CHANGE)
    );
    let rows: Vec<Row> = on_tx!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for sku in skus {
            query = query.bind(sku);
        }
        query.fetch_all(c).await
    })?;
    rows.into_iter().map(Product::try_from).collect()
}

/// Writes a product that was locked in this transaction. What is reserved is not written: orders do that.
///
/// # Errors
/// SKU_TAKEN; OUT_OF_STOCK when fewer pieces would be on hand than are reserved, AMOUNT_OUT_OF_RANGE when there would
/// be more than a store holds.
pub(crate) async fn save(tx: &mut Tx, product: &Product) -> Result<(), Fault> {
    let fields = &product.fields;
    on_tx!(tx, |c| sqlx::query(SAVE)
        .bind(product.id)
        .bind(fields.sku.as_str())
        .bind(fields.sku.canonical())
        .bind(&fields.name)
        .bind(product.name_canonical())
        .bind(&fields.description)
        .bind(fields.unit_price.minor())
        .bind(fields.unit_price.currency().code())
        .bind(product.on_hand)
        .bind(fields.state.as_str())
        .bind(product.revision)
        .bind(product.update_time)
        .bind(product.delete_time)
        .bind(fields.tax_rate.get())
        .bind(fields.reorder_threshold)
        .execute(c)
        .await
        .map(drop))
    .map_err(|error| {
        let stock_broken = violated(&error).is_some_and(|broken| {
            broken.is_check("products_on_hand_not_negative")
                || broken.is_check("products_reserved_on_hand")
        });
        if stock_broken {
            return out_of_stock(product);
        }
        refused(error)
    })
}

fn out_of_stock(product: &Product) -> Fault {
    let message = format!(
        "product {} would have {} pieces on hand with {} reserved",
        product.id, product.on_hand, product.reserved
    );
    Fault::new(Reason::OutOfStock, message)
        .with_metadata("product_id", product.id)
        .with_metadata("reserved", product.reserved)
}

fn refused(error: sqlx::Error) -> Fault {
    match violated(&error) {
        Some(broken) if broken.is_unique("products.sku_canonical") => {
            Fault::new(Reason::SkuTaken, "another product has this SKU")
        }
        Some(broken) if broken.is_check("products_on_hand_bounded") => Fault::new(
            Reason::AmountOutOfRange,
            format!("a store holds at most {MAX_ON_HAND} pieces of a product"),
        ),
        _ => error.into(),
    }
}

/// The products behind an id that are not deleted, by their ids, some at a time.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn after(db: &Database, id: i64, most: i64) -> Result<Vec<Product>, Fault> {
    const AFTER: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM products WHERE id > $1 AND delete_time IS NULL ORDER BY id LIMIT $2"
    );
    let rows: Vec<Row> = on!(db, |c| sqlx::query_as(AFTER)
        .bind(id)
        .bind(most)
        .fetch_all(c)
        .await)?;
    rows.into_iter().map(Product::try_from).collect()
}
