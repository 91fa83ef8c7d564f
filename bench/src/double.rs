//! A service double: GetProduct answered from memory, behind the guard or bare.

use std::net::SocketAddr;

use millgate_contract::DESCRIPTORS;
use millgate_contract::factory::v1::product_service_server::{
    ProductService, ProductServiceServer,
};
use millgate_contract::factory::v1::{self as pb, ProductState};
use millgate_contract::google::r#type::Money;
use millgate_guard::{Admitted, Guard, Rules};
use millgate_platform::config::LoginLimit;
use millgate_platform::{Limits, Server};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::Problem;
use crate::keys::Keys;

const SERVICES: &[&str] = &["millgate.factory.v1.ProductService"];

const ANY_PORT: &str = "127.0.0.1:0";

type Answer<T> = Result<Response<T>, Status>;
type Get = pb::GetProductRequest;

/// The double. What the two servers do differently is how the handler gets at its message.
struct Double {
    guarded: bool,
}

const BARE: Double = Double { guarded: false };
const GUARDED: Double = Double { guarded: true };

impl Double {
    fn message<T>(&self, request: Request<T>) -> Result<T, Status> {
        match self.guarded {
            true => Ok(Admitted::of(request)?.message),
            false => Ok(request.into_inner()),
        }
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Serving {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _running: JoinSet<()>,
}

/// The double on a plain tonic server: no layers, no limits, nobody asks for the token.
pub(crate) async fn bare() -> Result<Serving, Problem> {
    let (incoming, address) = incoming().await?;
    let served = tonic::transport::Server::builder()
        .add_service(ProductServiceServer::new(BARE))
        .serve_with_incoming(incoming);
    Ok(Serving::of(address, async {
        let _until_dropped = served.await;
    }))
}

/// The double on a plain tonic server with the guard's layers and no others: what the guard costs, and what the rest.
pub(crate) async fn guard_alone(keys: &Keys) -> Result<Serving, Problem> {
    let (incoming, address) = incoming().await?;
    let served = tonic::transport::Server::builder()
        .layer(guard(keys)?.layer())
        .add_service(ProductServiceServer::new(GUARDED))
        .serve_with_incoming(incoming);
    Ok(Serving::of(address, async {
        let _until_dropped = served.await;
    }))
}

/// The double as a service of ours: every layer of the platform and the guard with its rules; only the limits that
/// throttle are off.
pub(crate) async fn guarded(keys: &Keys) -> Result<Serving, Problem> {
    let routes = Routes::new(ProductServiceServer::new(GUARDED));
    let mut server = Server::new(guard(keys)?, routes, SERVICES, DESCRIPTORS);
    server.limits = Limits {
        calls_per_second: 0,
        logins: LoginLimit::default(),
        ..Limits::default()
    };
    let listener = TcpListener::bind(ANY_PORT).await?;
    let address = listener.local_addr()?;
    Ok(Serving::of(address, async {
        let _until_dropped = server.serve(listener, std::future::pending()).await;
    }))
}

/// The guard with the rules of the contract, as a service of ours has it.
fn guard(keys: &Keys) -> Result<Guard, Problem> {
    let rules = Rules::from_descriptors(DESCRIPTORS)?
        .serving(SERVICES)
        .allow_public(&Server::public_services(true, true));
    Ok(Guard::new(keys.verifier(), rules))
}

/// A listener for a plain tonic server, with TCP_NODELAY as ours has it.
async fn incoming() -> Result<(TcpIncoming, SocketAddr), Problem> {
    let listener = TcpListener::bind(ANY_PORT).await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok((incoming, address))
}

impl Serving {
    /// A server on a task of its own.
    pub(crate) fn of(
        address: SocketAddr,
        served: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let mut running = JoinSet::new();
        running.spawn(served);
        Self {
            address,
            _running: running,
        }
    }
}

/// Of about the size of a real product.
fn product(id: i64) -> pb::Product {
    pb::Product {
        id,
        sku: format!("BENCH-{id}"),
        name: "A product of the benchmark".to_owned(),
        description: "As long as a description is in a list of products.".to_owned(),
        unit_price: Some(Money {
            currency_code: "EUR".to_owned(),
            units: 12,
            nanos: 500_000_000,
        }),
        on_hand: 1_000,
        reserved: 10,
        available: 990,
        state: ProductState::Active.into(),
        etag: "1".to_owned(),
        ..pb::Product::default()
    }
}

fn not_measured<T>() -> Answer<T> {
    Err(Status::unimplemented("not measured"))
}

#[tonic::async_trait]
impl ProductService for Double {
    async fn get_product(&self, request: Request<Get>) -> Answer<pb::Product> {
        let message = self.message(request)?;
        Ok(Response::new(product(message.id)))
    }

    async fn create_product(
        &self,
        request: Request<pb::CreateProductRequest>,
    ) -> Answer<pb::Product> {
        let message = self.message(request)?;
        let made = message.product.unwrap_or_default();
        Ok(Response::new(pb::Product { id: 7, ..made }))
    }

    async fn batch_get_products(
        &self,
        _: Request<pb::BatchGetProductsRequest>,
    ) -> Answer<pb::BatchGetProductsResponse> {
        not_measured()
    }

    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Answer<pb::ListProductsResponse> {
        let message = self.message(request)?;
        Ok(Response::new(pb::ListProductsResponse {
            products: (1..=i64::from(message.page_size)).map(product).collect(),
            ..pb::ListProductsResponse::default()
        }))
    }

    async fn update_product(&self, _: Request<pb::UpdateProductRequest>) -> Answer<pb::Product> {
        not_measured()
    }

    async fn delete_product(&self, _: Request<pb::DeleteProductRequest>) -> Answer<pb::Product> {
        not_measured()
    }

    async fn undelete_product(
        &self,
        _: Request<pb::UndeleteProductRequest>,
    ) -> Answer<pb::Product> {
        not_measured()
    }

    type ExportProductsStream = futures::stream::Empty<Result<pb::ExportProductsResponse, Status>>;

    async fn import_products(
        &self,
        _: Request<Streaming<pb::ImportProductsRequest>>,
    ) -> Answer<pb::ImportProductsResponse> {
        not_measured()
    }

    async fn export_products(
        &self,
        _: Request<pb::ExportProductsRequest>,
    ) -> Answer<Self::ExportProductsStream> {
        not_measured()
    }

    async fn list_product_prices(
        &self,
        _: Request<pb::ListProductPricesRequest>,
    ) -> Answer<pb::ListProductPricesResponse> {
        not_measured()
    }

    async fn list_stock_movements(
        &self,
        _: Request<pb::ListStockMovementsRequest>,
    ) -> Answer<pb::ListStockMovementsResponse> {
        not_measured()
    }

    async fn adjust_stock(&self, _: Request<pb::AdjustStockRequest>) -> Answer<pb::Product> {
        not_measured()
    }
}
