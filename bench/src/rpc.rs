//! (b) An authenticated call without a database against the same call of a bare tonic server.

use std::sync::Arc;

use crate::Problem;
use crate::client::Client;
use crate::double::{Serving, bare, guard_alone, guarded};
use crate::keys::Keys;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

/// A server of the double, and a caller of it.
pub(crate) struct Doubled {
    client: Client,
    _serving: Serving,
}

impl Doubled {
    /// As a service of ours.
    pub(crate) async fn by_millgate(keys: &Keys) -> Result<Self, Problem> {
        Self::on(guarded(keys).await?, keys).await
    }

    async fn on(serving: Serving, keys: &Keys) -> Result<Self, Problem> {
        Ok(Self {
            client: Client::connect(serving.address, keys.bearer()?).await?,
            _serving: serving,
        })
    }

    /// Its GetProduct, which answers from memory.
    pub(crate) fn get_product(&self, products: &Arc<[i64]>) -> Load {
        self.client.get_product(products)
    }

    /// A loop of statements with a GetProduct of the double behind each: what the factory does for a call, without the
    /// factory.
    pub(crate) fn behind(&self, statements: &Load, products: &Arc<[i64]>) -> Result<Load, Problem> {
        Load::in_a_row(statements, &self.get_product(products))
            .ok_or_else(|| "statements are waited for".into())
    }
}

/// Measures.
pub(crate) async fn measure(
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let products: Arc<[i64]> = (1..=1_000).collect();
    let plain = Doubled::on(bare().await?, keys).await?;
    let guard = Doubled::on(guard_alone(keys).await?, keys).await?;
    let millgate = Doubled::by_millgate(keys).await?;
    let subjects = vec![
        Subject::new(
            "(b) GetProduct of a double, bare tonic",
            plain.get_product(&products),
        ),
        Subject::new(
            "(b) GetProduct of a double, tonic + guard",
            guard.get_product(&products),
        ),
        Subject::new(
            "(b) GetProduct of a double, Millgate",
            millgate.get_product(&products),
        ),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = vec![
        Compared {
            name: "(b) rate of Millgate / of bare tonic".to_owned(),
            ratio: Ratio::of_rates(&measured[2], &measured[0]),
            aim: Aim::AtLeast(0.90),
        },
        Compared {
            name: "(b) rate of tonic + guard / of bare tonic".to_owned(),
            ratio: Ratio::of_rates(&measured[1], &measured[0]),
            aim: Aim::None,
        },
    ];
    Ok((measured, compared))
}
