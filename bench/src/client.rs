//! The client side, the same for every server that is measured.

use std::net::SocketAddr;
use std::sync::Arc;

use millgate_contract::factory::v1::GetProductRequest;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::Problem;
use crate::load::Load;

/// Connections to a server: the calls are spread over them.
const CONNECTIONS: usize = 4;

/// A caller with a token, connected to one server.
#[derive(Clone)]
pub(crate) struct Client {
    channels: Arc<[Channel]>,
    bearer: AsciiMetadataValue,
}

impl Client {
    /// Connects to a server.
    pub(crate) async fn connect(
        server: SocketAddr,
        bearer: AsciiMetadataValue,
    ) -> Result<Self, Problem> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?;
        let mut channels = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            channels.push(endpoint.connect().await?);
        }
        Ok(Self {
            channels: channels.into(),
            bearer,
        })
    }

    /// The channel of this call.
    pub(crate) fn channel(&self, number: u64) -> Channel {
        self.channels[slot(number, self.channels.len())].clone()
    }

    /// A request with the token.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.bearer.clone());
        request
    }

    /// GetProduct, again and again, of one product after the other.
    pub(crate) fn get_product(&self, products: &Arc<[i64]>) -> Load {
        let (client, products) = (self.clone(), products.clone());
        Load::calls(move |number| {
            let mut products_of = ProductServiceClient::new(client.channel(number));
            let id = products[slot(scattered(number), products.len())];
            let request = client.request(GetProductRequest { id });
            async move {
                let answer = products_of.get_product(request).await;
                let product = answer.map_err(|status| told(&status))?.into_inner();
                if product.id == id {
                    Ok(())
                } else {
                    Err(format!("asked for {id}, got {}", product.id))
                }
            }
        })
    }
}

/// What an error says, on one line.
pub(crate) fn told(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Calls that follow each other lie far apart.
pub(crate) fn scattered(number: u64) -> u64 {
    // A prime without a common factor with the number of products: all are met before one comes again.
    number.wrapping_mul(7_919)
}

/// The place of a number among so many.
pub(crate) fn slot(number: u64, slots: usize) -> usize {
    usize::try_from(number % slots as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_product_is_met_before_one_comes_again() {
        let met: HashSet<usize> = (0..1000)
            .map(|number| slot(scattered(number), 1000))
            .collect();
        assert_eq!(met.len(), 1000);
    }
}
