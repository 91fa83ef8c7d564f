//! (k) How many round trips to PostgreSQL a call takes, counted on the wire.

use std::fmt::Write as _;

use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::{
    GetOrderRequest, GetProductRequest, ListOrdersRequest, ListProductsRequest, PlaceOrderRequest,
    place_order_request::Line,
};
use millgate_platform::{Entropy as _, SystemEntropy};

use crate::Problem;
use crate::client::told;
use crate::factory::Factory;
use crate::wire::{Tally, Wire};

/// Calls of each kind before the count: every connection of the pool has prepared its statements then.
const WARM_UP: u64 = 50;
/// Calls of each kind that are counted, one after the other.
const COUNTED: u64 = 100;

/// Counts, and tells a line for each kind of call.
pub(crate) async fn count(factory: &Factory, wire: &Wire) -> Result<Vec<String>, Problem> {
    let mut lines = Vec::new();
    for kind in [
        Kind::GetProduct,
        Kind::ListProducts,
        Kind::PlaceOrder,
        Kind::PlaceOrderOnce,
        Kind::GetOrder,
        Kind::ListOrders,
    ] {
        for number in 0..WARM_UP {
            kind.call(factory, number).await?;
        }
        let before = wire.tally();
        for number in 0..COUNTED {
            kind.call(factory, number).await?;
        }
        lines.push(told_of(kind.name(), &before, &wire.tally()));
    }
    Ok(lines)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    GetProduct,
    ListProducts,
    PlaceOrder,
    /// With a request id.
    PlaceOrderOnce,
    GetOrder,
    ListOrders,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::GetProduct => "GetProduct",
            Self::ListProducts => "ListProducts(50)",
            Self::PlaceOrder => "PlaceOrder, 3 lines",
            Self::PlaceOrderOnce => "PlaceOrder, 3 lines, with a request_id",
            Self::GetOrder => "GetOrder",
            Self::ListOrders => "ListOrders(50)",
        }
    }

    async fn call(self, factory: &Factory, number: u64) -> Result<(), Problem> {
        let client = &factory.client;
        let mut products = ProductServiceClient::new(client.channel(number));
        let mut orders = OrderServiceClient::new(client.channel(number));
        let done = match self {
            Self::GetProduct => {
                let id = factory.products[0];
                let request = client.request(GetProductRequest { id });
                products.get_product(request).await.map(drop)
            }
            Self::ListProducts => {
                let request = client.request(ListProductsRequest::default());
                products.list_products(request).await.map(drop)
            }
            Self::PlaceOrder | Self::PlaceOrderOnce => {
                let lines = factory.products.iter().take(3).map(|id| Line {
                    product_id: *id,
                    quantity: 1,
                    ..Default::default()
                });
                let request_id = match self {
                    Self::PlaceOrderOnce => SystemEntropy.uuid_v4().to_string(),
                    _ => String::new(),
                };
                let request = client.request(PlaceOrderRequest {
                    customer_id: factory.customers[0],
                    lines: lines.collect(),
                    request_id,
                    ..Default::default()
                });
                orders.place_order(request).await.map(drop)
            }
            Self::GetOrder => {
                let request = client.request(GetOrderRequest { id: 1 });
                orders.get_order(request).await.map(drop)
            }
            Self::ListOrders => {
                let request = client.request(ListOrdersRequest::default());
                orders.list_orders(request).await.map(drop)
            }
        };
        done.map_err(|status| told(&status).into())
    }
}

/// What a call of one kind took on the average.
fn told_of(name: &str, before: &Tally, after: &Tally) -> String {
    let each = |after: u64, before: u64| {
        let hundredths = (after - before) * 100 / COUNTED;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    };
    let statements = || {
        let before = |words: &str| before.statements.get(words).copied().unwrap_or_default();
        let grown = move |(words, count): (&String, &u64)| (words.clone(), before(words), *count);
        after.statements.iter().map(grown)
    };
    let (was, is) = statements().fold((0, 0), |(was, is), (_, before, after)| {
        (was + before, is + after)
    });
    let mut line = format!("(k) {name}: {} round trips", each(is, was));
    for (words, before, after) in statements().filter(|(_, before, after)| after > before) {
        let _ = write!(line, "; {words} {}", each(after, before));
    }
    let _ = write!(
        line,
        ". Behind the answer: {} when the connection goes back to the pool, {} to number the changes",
        each(after.returned, before.returned),
        each(after.publishing, before.publishing)
    );
    if after.prepared > before.prepared {
        let prepared = each(after.prepared, before.prepared);
        let _ = write!(line, "; {prepared} to prepare statements");
    }
    line
}
