//! (j) ListOrders of many orders: the first page against one deep inside.

use std::time::Instant;

use millgate_contract::factory::v1::ListOrdersRequest;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_platform::{Affected as _, Database, on, on_tx};

use crate::Problem;
use crate::client::{Client, told};
use crate::factory::Factory;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

/// Orders of a page.
const PAGE: i32 = 50;
/// The page of a million orders that is asked for: the one in the middle.
const DEEP: u32 = 10_000;
/// Orders that are written in one transaction: no statement reaches its time limit.
const BATCH: i64 = 10_000;

/// Orders of three lines, as those that (d) leaves on the first page, straight into the tables: through PlaceOrder it would
/// take an hour.
const ORDERS: &str = "WITH RECURSIVE numbered (n) AS \
     (SELECT cast(1 AS bigint) UNION ALL SELECT n + 1 FROM numbered WHERE n < $1) \
     INSERT INTO orders (customer_id, state, subtotal_minor, tax_minor, total_minor, currency, shipping_address, notes, \
     cancel_reason, line_count, revision, create_time, update_time) \
     SELECT (SELECT min(id) FROM customers) + n % 100, 'COMPLETED', 3750, 0, 3750, 'EUR', '', '', '', 3, 5, n, n FROM numbered";
const LINES: &str = "INSERT INTO order_lines (order_id, position, product_id, sku, name, unit_price_minor, quantity, \
     discount_bp, discount_minor, line_total_minor, tax_bp, tax_minor) \
     SELECT orders.id, line.position, (SELECT min(id) FROM products) + (orders.id + 333 * line.position) % 1000, 'BENCH-123', \
     'A product of the benchmark', 1250, 1, 0, 0, 1250, 0, 0 \
     FROM orders, (SELECT 0 AS position UNION ALL SELECT 1 UNION ALL SELECT 2) AS line WHERE orders.id > $1";
const NEWEST: &str = "SELECT coalesce(max(id), 0) FROM orders";
const COUNT: &str = "SELECT count(*) FROM orders";

/// Measures on one database.
pub(crate) async fn measure(
    factory: &Factory,
    orders: u32,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let database = factory.database;
    let begun = Instant::now();
    fill(&factory.pool, orders.into()).await?;
    println!(
        "(j) {orders} orders written on {database} in {:?}",
        begun.elapsed()
    );
    // The middle page where there are fewer.
    let page = DEEP.min(orders / PAGE.unsigned_abs() / 2).max(2);
    let deep = token(&factory.client, page).await?;
    let subjects = vec![
        Subject::new(
            format!("(j) ListOrders of {orders}, page 1, {database}"),
            list(factory, String::new()),
        ),
        Subject::new(
            format!("(j) ListOrders of {orders}, page {page}, {database}"),
            list(factory, deep),
        ),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = vec![Compared {
        name: format!("(j) rate of page 1 / of page {page}, {database}"),
        ratio: Ratio::of_rates(&measured[0], &measured[1]),
        aim: Aim::AtMost(1.3),
    }];
    Ok((measured, compared))
}

/// Writes orders until there are so many.
async fn fill(pool: &Database, orders: i64) -> Result<(), Problem> {
    loop {
        let there: i64 = on!(pool, |c| sqlx::query_scalar(COUNT).fetch_one(c).await)?;
        if there >= orders {
            break;
        }
        let mut tx = pool.begin().await?;
        let before: i64 = on_tx!(tx, |c| sqlx::query_scalar(NEWEST).fetch_one(c).await)?;
        on_tx!(tx, |c| sqlx::query(ORDERS)
            .bind(BATCH.min(orders - there))
            .execute(c)
            .await
            .affected())?;
        on_tx!(tx, |c| sqlx::query(LINES)
            .bind(before)
            .execute(c)
            .await
            .affected())?;
        tx.commit().await?;
    }
    // As the server does by itself, sooner or later.
    if let Database::Postgres(pool) = pool {
        for table in ["ANALYZE orders", "ANALYZE order_lines"] {
            sqlx::query(table).execute(pool).await?;
        }
    }
    Ok(())
}

/// The token of a page, got as a client gets it: page by page, in large ones. It does not say how large.
async fn token(client: &Client, page: u32) -> Result<String, Problem> {
    let mut left = (page - 1) * PAGE.unsigned_abs();
    let mut token = String::new();
    while left > 0 {
        let request = client.request(ListOrdersRequest {
            page_size: i32::try_from(left.min(1000))?,
            page_token: token,
            ..Default::default()
        });
        let mut orders = OrderServiceClient::new(client.channel(0));
        let listed = orders.list_orders(request).await;
        let listed = listed.map_err(|status| told(&status))?.into_inner();
        left -= u32::try_from(listed.orders.len())?.clamp(1, left);
        token = listed.next_page_token;
        if token.is_empty() {
            return Err("the orders end before the page".into());
        }
    }
    Ok(token)
}

fn list(factory: &Factory, page_token: String) -> Load {
    let client = factory.client.clone();
    Load::calls(move |number| {
        let request = client.request(ListOrdersRequest {
            page_size: PAGE,
            page_token: page_token.clone(),
            ..Default::default()
        });
        let mut orders = OrderServiceClient::new(client.channel(number));
        async move {
            let page = orders.list_orders(request).await;
            let page = page.map_err(|status| told(&status))?.into_inner();
            if i32::try_from(page.orders.len()) == Ok(PAGE) {
                Ok(())
            } else {
                Err(format!("a page of {}", page.orders.len()))
            }
        }
    })
}
