//! (c) GetProduct of the factory against a loop of its `SELECT`, and against the same call without a database; and
//! ListProducts against its `SELECT`.

use millgate_contract::factory::v1::ListProductsRequest;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_platform::on;

use crate::Problem;
use crate::client::{scattered, slot, told};
use crate::factory::Factory;
use crate::keys::Keys;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::rpc::Doubled;
use crate::statements::{LIST_PRODUCTS, ProductRow, SELECT_PRODUCT};
use crate::table::{Aim, Compared};

/// Products of a page.
const PAGE: i32 = 50;

/// Measures on one database.
pub(crate) async fn measure(
    factory: &Factory,
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let database = factory.database;
    let double = Doubled::by_millgate(keys).await?;
    let statements = select_loop(factory);
    let both = double.behind(&statements, &factory.products)?;
    let subjects = vec![
        Subject::new(
            format!("(c) SELECT by key in a loop, {database}"),
            statements,
        ),
        Subject::new(
            format!("(c) GetProduct of the factory, {database}"),
            factory.client.get_product(&factory.products),
        ),
        Subject::new(
            "(c) GetProduct of a double, Millgate",
            double.get_product(&factory.products),
        ),
        Subject::new(
            format!("(c) that SELECT and the double in a row, {database}"),
            both,
        ),
        Subject::new(
            format!("(c) SELECT of {PAGE} products in a loop, {database}"),
            select_page_loop(factory),
        ),
        Subject::new(
            format!("(c) ListProducts({PAGE}) of the factory, {database}"),
            list_products(factory),
        ),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = vec![
        Compared {
            name: format!("(c) rate of GetProduct / of the loop, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[0]),
            aim: Aim::AtLeast(0.5),
        },
        Compared {
            name: format!("(c) rate of GetProduct / of the double, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[2]),
            aim: Aim::None,
        },
        Compared {
            name: format!("(c) rate of GetProduct / of both in a row, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[3]),
            aim: Aim::None,
        },
        Compared {
            name: format!("(c) rate of ListProducts({PAGE}) / of its SELECT, {database}"),
            ratio: Ratio::of_rates(&measured[5], &measured[4]),
            aim: Aim::None,
        },
    ];
    Ok((measured, compared))
}

fn select_loop(factory: &Factory) -> Load {
    let (pool, products) = (factory.pool.clone(), factory.products.clone());
    Load::calls(move |number| {
        let pool = pool.clone();
        let id = products[slot(scattered(number), products.len())];
        async move {
            let row: Result<ProductRow, sqlx::Error> =
                on!(pool, |c| sqlx::query_as(SELECT_PRODUCT)
                    .bind(id)
                    .fetch_one(c)
                    .await);
            row.map(drop).map_err(|error| error.to_string())
        }
    })
}

fn list_products(factory: &Factory) -> Load {
    let client = factory.client.clone();
    Load::calls(move |number| {
        let request = client.request(ListProductsRequest {
            page_size: PAGE,
            ..Default::default()
        });
        let mut products = ProductServiceClient::new(client.channel(number));
        async move {
            let page = products.list_products(request).await;
            let page = page.map_err(|status| told(&status))?.into_inner();
            is_whole(page.products.len())
        }
    })
}

fn select_page_loop(factory: &Factory) -> Load {
    let pool = factory.pool.clone();
    Load::calls(move |_| {
        let pool = pool.clone();
        async move {
            // As the factory does: the row behind the page says whether another one follows.
            let rows: Result<Vec<ProductRow>, sqlx::Error> =
                on!(pool, |c| sqlx::query_as(LIST_PRODUCTS)
                    .bind(i64::from(PAGE) + 1)
                    .fetch_all(c)
                    .await);
            let rows = rows.map_err(|error| error.to_string())?;
            is_whole(rows.len().saturating_sub(1))
        }
    })
}

fn is_whole(rows: usize) -> Result<(), String> {
    if i32::try_from(rows) == Ok(PAGE) {
        Ok(())
    } else {
        Err(format!("a page of {rows}"))
    }
}
