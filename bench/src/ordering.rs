//! (d) PlaceOrder of the factory against a loop of the same statements in the same transaction.

use std::sync::Arc;

use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::{PlaceOrderRequest, place_order_request::Line};
use millgate_platform::{Clock as _, Database, SystemClock, Tx, on, on_tx};

use crate::Problem;
use crate::client::{scattered, slot, told};
use crate::factory::Factory;
use crate::keys::Keys;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::rpc::Doubled;
use crate::statements::{
    BOOKS, CHANGE_POSTGRES, CHANGE_SQLITE, INSERT_LINES_SQLITE, INSERT_ORDER, INSERT_STATE, LINES,
    OFFERS_POSTGRES, OFFERS_SQLITE, PLACE_POSTGRES, RESERVE_SQLITE, RESERVED_SQLITE,
};
use crate::table::{Aim, Compared};

/// Pieces of a line.
const QUANTITY: i64 = 1;
/// Who the loop's rows say it was; as long as the factory's.
const ACTOR: &str = "user:1";
const SESSION: &str = "00000000-0000-4000-8000-000000000000";

/// Customer, address, id, SKU, name, price, currency, tax rate, available, state.
type OfferRow = (
    Option<i64>,
    Option<String>,
    i64,
    String,
    String,
    i64,
    String,
    i64,
    i64,
    String,
);

/// The change's JSON of an order of three lines; as long as the factory's.
const AFTER: &str = concat!(
    r#"{"id":"123456","customer_id":"12","state":"ORDER_STATE_PLACED","lines":["#,
    r#"{"product_id":"123","sku":"SKU-123","name":"Product 123","unit_price":{"currency_code":"EUR","units":"1","nanos":500000000},"quantity":"1","line_total":{"currency_code":"EUR","units":"1","nanos":500000000},"discount":{"currency_code":"EUR"},"tax":{"currency_code":"EUR"}},"#,
    r#"{"product_id":"456","sku":"SKU-456","name":"Product 456","unit_price":{"currency_code":"EUR","units":"1","nanos":500000000},"quantity":"1","line_total":{"currency_code":"EUR","units":"1","nanos":500000000},"discount":{"currency_code":"EUR"},"tax":{"currency_code":"EUR"}},"#,
    r#"{"product_id":"789","sku":"SKU-789","name":"Product 789","unit_price":{"currency_code":"EUR","units":"1","nanos":500000000},"quantity":"1","line_total":{"currency_code":"EUR","units":"1","nanos":500000000},"discount":{"currency_code":"EUR"},"tax":{"currency_code":"EUR"}}],"#,
    r#""total":{"currency_code":"EUR","units":"4","nanos":500000000},"etag":"1","create_time":"2026-01-01T00:00:00Z","update_time":"2026-01-01T00:00:00Z","#,
    r#""subtotal":{"currency_code":"EUR","units":"4","nanos":500000000},"tax_total":{"currency_code":"EUR"}}"#
);

/// Measures on one database.
///
/// # Errors
/// When the rows that were written do not add up afterwards: then something else was measured.
pub(crate) async fn measure(
    factory: &Factory,
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let database = factory.database;
    let double = Doubled::by_millgate(keys).await?;
    let statements = statement_loop(factory, Spread::Wide);
    let hot_statements = statement_loop(factory, Spread::Hot);
    let one = hot_statements
        .one_at_a_time()
        .ok_or("statements are waited for")?;
    let both = double.behind(&statements, &factory.products)?;
    let subjects = vec![
        Subject::new(
            format!("(d) the statements in a loop, {database}"),
            statements,
        ),
        Subject::new(
            format!("(d) PlaceOrder of the factory, {database}"),
            place_order(factory, Spread::Wide),
        ),
        Subject::new(
            format!("(d) the statements and a double in a row, {database}"),
            both,
        ),
        Subject::new(
            format!("(d) hot: the statements, one caller, {database}"),
            one,
        ),
        Subject::new(
            format!("(d) hot: the statements in a loop, {database}"),
            hot_statements,
        ),
        Subject::new(
            format!("(d) hot: PlaceOrder of the factory, {database}"),
            place_order(factory, Spread::Hot),
        ),
    ];
    let measured = interleaved(subjects, plan).await;
    let answered = measured.iter().map(|measured| measured.ok).sum();
    check_books(&factory.pool, answered).await?;
    let compared = vec![
        Compared {
            name: format!("(d) rate of PlaceOrder / of the loop, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[0]),
            aim: Aim::AtLeast(0.9),
        },
        Compared {
            name: format!("(d) rate of PlaceOrder / of both in a row, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[2]),
            aim: Aim::None,
        },
        Compared {
            name: format!("(d) hot: rate of PlaceOrder / of the loop, {database}"),
            ratio: Ratio::of_rates(&measured[5], &measured[4]),
            aim: Aim::None,
        },
        Compared {
            name: format!("(d) hot: rate of PlaceOrder / of one caller, {database}"),
            ratio: Ratio::of_rates(&measured[5], &measured[3]),
            aim: Aim::None,
        },
    ];
    Ok((measured, compared))
}

/// Which products the orders want.
#[derive(Debug, Clone, Copy)]
enum Spread {
    /// Another three each, of all.
    Wide,
    /// The same three each.
    Hot,
}

impl Spread {
    /// The number that the products of an order follow from.
    fn of(self, number: u64) -> u64 {
        match self {
            Self::Wide => number,
            Self::Hot => 0,
        }
    }
}

fn place_order(factory: &Factory, spread: Spread) -> Load {
    let client = factory.client.clone();
    let (products, customers) = (factory.products.clone(), factory.customers.clone());
    Load::calls(move |number| {
        let line = |product_id| Line {
            product_id,
            quantity: QUANTITY,
            ..Default::default()
        };
        let request = client.request(PlaceOrderRequest {
            customer_id: customers[slot(number, customers.len())],
            lines: wanted(&products, spread.of(number)).map(line).to_vec(),
            ..Default::default()
        });
        let mut orders = OrderServiceClient::new(client.channel(number));
        async move {
            let placed = orders.place_order(request).await;
            placed.map(drop).map_err(|status| told(&status))
        }
    })
}

fn statement_loop(factory: &Factory, spread: Spread) -> Load {
    let pool = factory.pool.clone();
    let (products, customers) = (factory.products.clone(), factory.customers.clone());
    Load::calls(move |number| {
        let (pool, products) = (pool.clone(), products.clone());
        let customer = customers[slot(number, customers.len())];
        async move {
            let placed = place(&pool, customer, wanted(&products, spread.of(number))).await;
            placed.map_err(|error| error.to_string())
        }
    })
}

/// Three products, far from each other and from those of the calls before and after.
fn wanted(products: &Arc<[i64]>, number: u64) -> [i64; LINES] {
    let first = slot(scattered(number), products.len());
    let step = products.len() / LINES;
    std::array::from_fn(|line| products[(first + line * step) % products.len()])
}

/// Binds the lines, priced from the offers.
macro_rules! bind_lines {
    ($query:expr, $offers:expr) => {{
        let mut query = $query;
        for (position, (_, _, id, sku, name, price, ..)) in (0_i64..).zip($offers) {
            query = query
                .bind(position)
                .bind(*id)
                .bind(sku)
                .bind(name)
                .bind(*price)
                .bind(QUANTITY)
                .bind(0_i64)
                .bind(0_i64)
                .bind(*price * QUANTITY)
                .bind(0_i64)
                .bind(0_i64);
        }
        query
    }};
}

async fn place(pool: &Database, customer: i64, wanted: [i64; LINES]) -> Result<(), Problem> {
    let mut tx = pool.begin().await?;
    let offers = match tx {
        Tx::Sqlite(_) => OFFERS_SQLITE.as_str(),
        Tx::Postgres(_) => OFFERS_POSTGRES.as_str(),
    };
    let offers: Vec<OfferRow> = on_tx!(tx, |c| {
        let mut query = sqlx::query_as(offers).bind(customer).bind(None::<i64>);
        for id in wanted {
            query = query.bind(id);
        }
        query.fetch_all(c).await
    })?;
    if offers.len() != LINES {
        return Err("a product is missing".into());
    }
    let (id, change) = match &mut tx {
        Tx::Sqlite(_) => {
            let id = write_by_steps(&mut tx, customer, &offers).await?;
            (id, CHANGE_SQLITE.as_str())
        }
        Tx::Postgres(_) => {
            let id = write_at_once(&mut tx, customer, &offers).await?;
            (id, CHANGE_POSTGRES.as_str())
        }
    };
    on_tx!(tx, |c| sqlx::query(change)
        .bind(SystemClock.now_micros())
        .bind(ACTOR)
        .bind(SESSION)
        .bind("")
        .bind(SESSION)
        .bind("orders")
        .bind(id)
        .bind(customer)
        .bind("create")
        .bind(None::<String>)
        .bind(AFTER)
        .execute(c)
        .await
        .map(drop))?;
    tx.commit().await?;
    Ok(())
}

/// Binds the order's values.
macro_rules! bind_order {
    ($query:expr, $customer:expr, $offers:expr, $now:expr) => {
        $query
            .bind($customer)
            .bind(total($offers))
            .bind(0_i64)
            .bind(total($offers))
            .bind("EUR")
            .bind("")
            .bind("")
            .bind(i64::try_from(LINES).unwrap_or(0))
            .bind($now)
    };
}

async fn write_at_once(
    tx: &mut Tx,
    customer: i64,
    offers: &[OfferRow],
) -> Result<i64, sqlx::Error> {
    let now = SystemClock.now_micros();
    on_tx!(tx, |c| {
        let query = sqlx::query_scalar(PLACE_POSTGRES.as_str());
        let query = bind_order!(query, customer, offers, now)
            .bind(ACTOR)
            .bind(SESSION);
        bind_lines!(query, offers).fetch_one(c).await
    })
}

async fn write_by_steps(
    tx: &mut Tx,
    customer: i64,
    offers: &[OfferRow],
) -> Result<i64, sqlx::Error> {
    let now = SystemClock.now_micros();
    on_tx!(tx, |c| bind_lines!(
        sqlx::query(RESERVE_SQLITE.as_str()),
        offers
    )
    .execute(c)
    .await
    .map(drop))?;
    let id: i64 = on_tx!(tx, |c| bind_order!(
        sqlx::query_scalar(INSERT_ORDER),
        customer,
        offers,
        now
    )
    .fetch_one(c)
    .await)?;
    on_tx!(tx, |c| bind_lines!(
        sqlx::query(INSERT_LINES_SQLITE.as_str()).bind(id),
        offers
    )
    .execute(c)
    .await
    .map(drop))?;
    on_tx!(tx, |c| sqlx::query(INSERT_STATE)
        .bind(id)
        .bind(ACTOR)
        .bind(SESSION)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    on_tx!(tx, |c| sqlx::query(RESERVED_SQLITE)
        .bind(id)
        .bind(ACTOR)
        .bind(SESSION)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(id)
}

fn total(offers: &[OfferRow]) -> i64 {
    offers.iter().map(|offer| offer.5 * QUANTITY).sum()
}

/// Every order has its lines, its state and its stock, and none of those that were answered OK is missing.
async fn check_books(pool: &Database, answered: u64) -> Result<(), Problem> {
    let (orders, lines, states, pieces): (i64, i64, i64, i64) =
        on!(pool, |c| sqlx::query_as(BOOKS).fetch_one(c).await)?;
    let per_order = i64::try_from(LINES)?;
    let whole = states == orders
        && lines == orders * per_order
        && pieces == orders * per_order * QUANTITY
        && u64::try_from(orders)? >= answered;
    if whole {
        Ok(())
    } else {
        Err(format!(
            "{answered} orders were answered OK, but there are {orders} with {lines} lines, {states} states and \
             {pieces} pieces"
        )
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_wants_three_different_products() {
        let products: Arc<[i64]> = (1..=1000).collect();
        for number in 0..2000 {
            let [a, b, c] = wanted(&products, number);
            assert!(a != b && b != c && a != c, "{number}: {a} {b} {c}");
        }
    }
}
