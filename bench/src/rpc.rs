//! (b) An authenticated call without a database against the same call of a bare tonic server.

use std::sync::Arc;

use crate::Problem;
use crate::client::Client;
use crate::double::{Serving, bare, guard_alone, guarded};
use crate::keys::Keys;
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
    pub(crate) fn subject(&self, name: impl Into<String>, products: &Arc<[i64]>) -> Subject {
        Subject::new(name, self.client.get_product(products))
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
        plain.subject("(b) GetProduct of a double, bare tonic", &products),
        guard.subject("(b) GetProduct of a double, tonic + guard", &products),
        millgate.subject("(b) GetProduct of a double, Millgate", &products),
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
