//! (c) GetProduct of the factory against a loop of its `SELECT`, and against the same call without a database.

use millgate_platform::on;

use crate::Problem;
use crate::client::{scattered, slot};
use crate::factory::Factory;
use crate::keys::Keys;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::rpc::Doubled;
use crate::statements::{ProductRow, SELECT_PRODUCT};
use crate::table::{Aim, Compared};

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
