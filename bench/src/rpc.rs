//! (b) An authenticated call without a database against the same call of a bare tonic server.

use std::sync::Arc;

use crate::Problem;
use crate::client::Client;
use crate::double::{Serving, bare, guarded};
use crate::keys::Keys;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

/// The double behind the guard, and a caller of it.
pub(crate) struct Guarded {
    client: Client,
    _serving: Serving,
}

impl Guarded {
    /// Starts it.
    pub(crate) async fn start(keys: &Keys) -> Result<Self, Problem> {
        let serving = guarded(keys).await?;
        let client = Client::connect(serving.address, keys.bearer()?).await?;
        Ok(Self {
            client,
            _serving: serving,
        })
    }

    /// Its GetProduct, which answers from memory.
    pub(crate) fn subject(&self, name: &str, products: &Arc<[i64]>) -> Subject {
        Subject::new(name, self.client.get_product(products))
    }
}

/// Measures.
pub(crate) async fn measure(
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let products: Arc<[i64]> = (1..=1_000).collect();
    let plain = bare().await?;
    let plain_client = Client::connect(plain.address, keys.bearer()?).await?;
    let guarded = Guarded::start(keys).await?;
    let subjects = vec![
        Subject::new(
            "(b) GetProduct of a double, bare tonic",
            plain_client.get_product(&products),
        ),
        guarded.subject("(b) GetProduct of a double, Millgate", &products),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = Compared {
        name: "(b) rate of Millgate / of bare tonic".to_owned(),
        ratio: Ratio::of_rates(&measured[1], &measured[0]),
        aim: Aim::AtLeast(0.90),
    };
    Ok((measured, vec![compared]))
}
