//! What the clients do while the factory is killed again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::customer_service_client::CustomerServiceClient;
use millgate_contract::factory::v1::employee_service_client::EmployeeServiceClient;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::production_service_client::ProductionServiceClient;
use millgate_contract::factory::v1::service_ticket_service_client::ServiceTicketServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::{ORDERS, RUNS, Random, Shared, TICKETS, numbers, signed};
use crate::world::{money, order_of, uuid};

const PRODUCTS: usize = 6;

/// A call under a `request_id` of its own, sent until it is answered.
macro_rules! call {
    ($shared:expr, $client:ident.$method:ident, $request:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        #[allow(
            clippy::needless_update,
            reason = "some of the requests have no other field"
        )]
        let request = pb::$request {
            $($field $(: $value)?,)*
            request_id: uuid(),
            ..Default::default()
        };
        let call = |channel, request| async move { $client::new(channel).$method(request).await };
        $shared.answered(request, call).await
    }};
}

/// A new customer.
async fn customer(shared: &Shared) -> i64 {
    let customer = pb::Customer {
        name: "Ada Lovelace".into(),
        email: format!("{}@example.com", uuid()),
        ..Default::default()
    };
    let made = call!(
        shared,
        CustomerServiceClient.create_customer,
        CreateCustomerRequest {
            customer: Some(customer)
        }
    );
    made.expect("a customer").id
}

/// Customers, a mechanic, and products with some stock.
pub(super) async fn furnish(shared: &Shared) {
    for _ in 0..4 {
        let id = customer(shared).await;
        shared.customers.lock().expect("not poisoned").push(id);
    }
    let mechanic = pb::Employee {
        name: "Mona".into(),
        user_id: 7,
        ..Default::default()
    };
    let mechanic = call!(
        shared,
        EmployeeServiceClient.create_employee,
        CreateEmployeeRequest {
            employee: Some(mechanic)
        }
    );
    let mechanic = mechanic.expect("an employee").id;
    shared.mechanic.store(mechanic, Ordering::Relaxed);
    for number in 0..PRODUCTS {
        let product = pb::Product {
            sku: format!("P{number}"),
            name: "Product".into(),
            unit_price: Some(money("EUR", 1, 990_000_000)),
            on_hand: 60,
            ..Default::default()
        };
        let made = call!(
            shared,
            ProductServiceClient.create_product,
            CreateProductRequest {
                product: Some(product)
            }
        );
        let id = made.expect("a product").id;
        shared.products.lock().expect("not poisoned").push(id);
    }
}

/// One client: random commands, legal or not, until it is over.
pub(super) async fn client(shared: Arc<Shared>, seed: u64) {
    let mut random = numbers(seed);
    while !shared.over.load(Ordering::Relaxed) {
        match random(20) {
            0..=5 => place(&shared, &mut random).await,
            6..=10 => verb(&shared, &mut random).await,
            11 => adjust(&shared, &mut random).await,
            12 => rename(&shared, &mut random).await,
            13..=14 => produce(&shared, &mut random).await,
            15..=17 => mend(&shared, &mut random).await,
            18 => come_and_go(&shared, &mut random).await,
            _ => import(&shared, &mut random).await,
        }
    }
}

async fn place(shared: &Shared, random: &mut Random) {
    let mut lines = Vec::new();
    for product in shared.products.lock().expect("not poisoned").iter() {
        if random(2) == 0 {
            lines.push((*product, signed(random(3)) + 1));
        }
    }
    if lines.is_empty() {
        return;
    }
    let mut request = pb::PlaceOrderRequest {
        request_id: uuid(),
        ..order_of(shared.some_customer(random), &lines)
    };
    for line in &mut request.lines {
        line.discount_basis_points = i32::try_from(random(10_001)).expect("small");
        line.tax_rate_basis_points = Some(i32::try_from(random(10_001)).expect("small"));
    }
    let placed = shared
        .answered(request.clone(), |channel, request| async move {
            OrderServiceClient::new(channel).place_order(request).await
        })
        .await;
    if let Ok(order) = placed {
        shared.placed.fetch_add(1, Ordering::Relaxed);
        shared.made(ORDERS, order.id);
        // Now and then a retry that comes late: it is the same order, whatever became of it.
        if random(4) == 0 {
            let again = shared
                .answered(request.clone(), |channel, request| async move {
                    OrderServiceClient::new(channel).place_order(request).await
                })
                .await;
            assert_eq!(again.expect("placed before"), order);
            request.lines[0].quantity += 1;
            let other = shared
                .answered(request, |channel, request| async move {
                    OrderServiceClient::new(channel).place_order(request).await
                })
                .await;
            let code = other.expect_err("another order").code();
            assert_eq!(code, Code::AlreadyExists, "REQUEST_ID_REUSED");
        }
    }
}

async fn verb(shared: &Shared, random: &mut Random) {
    let id = shared.some(ORDERS, random);
    let _ = match random(5) {
        0 => call!(
            shared,
            OrderServiceClient.confirm_order,
            ConfirmOrderRequest { id }
        ),
        1 => call!(
            shared,
            OrderServiceClient.start_production,
            StartProductionRequest { id }
        ),
        2 => call!(
            shared,
            OrderServiceClient.ship_order,
            ShipOrderRequest { id }
        ),
        3 => call!(
            shared,
            OrderServiceClient.complete_order,
            CompleteOrderRequest { id }
        ),
        _ => call!(
            shared,
            OrderServiceClient.cancel_order,
            CancelOrderRequest { id }
        ),
    };
}

async fn adjust(shared: &Shared, random: &mut Random) {
    let delta = match signed(random(9)) - 3 {
        0 => 1,
        delta => delta,
    };
    let _ = call!(
        shared,
        ProductServiceClient.adjust_stock,
        AdjustStockRequest {
            id: shared.some_product(random),
            delta,
            reason: "count".into()
        }
    );
}

async fn rename(shared: &Shared, random: &mut Random) {
    let number = random(1000);
    let request = pb::UpdateProductRequest {
        product: Some(pb::Product {
            id: shared.some_product(random),
            name: format!("Product {number}"),
            unit_price: Some(money("EUR", signed(number), 0)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let call = |channel, request| async move {
        ProductServiceClient::new(channel)
            .update_product(request)
            .await
    };
    let _ = shared.answered(request, call).await;
}

/// Begins a run, or ends one.
async fn produce(shared: &Shared, random: &mut Random) {
    let id = shared.some(RUNS, random);
    match random(3) {
        0 => {
            let run = pb::ProductionRun {
                product_id: shared.some_product(random),
                employee_id: shared.mechanic.load(Ordering::Relaxed),
                planned_quantity: 5,
                ..Default::default()
            };
            let made = call!(
                shared,
                ProductionServiceClient.create_run,
                CreateRunRequest { run: Some(run) }
            );
            shared.made(RUNS, made.map_or(0, |run| run.id));
        }
        1 => {
            let _ = call!(
                shared,
                ProductionServiceClient.complete_run,
                CompleteRunRequest {
                    id,
                    produced_quantity: signed(random(6)),
                    scrap_quantity: signed(random(3)),
                }
            );
        }
        _ => {
            let _ = call!(
                shared,
                ProductionServiceClient.cancel_run,
                CancelRunRequest { id }
            );
        }
    }
}

/// Opens a ticket, or does something to one.
async fn mend(shared: &Shared, random: &mut Random) {
    type Tickets = ServiceTicketServiceClient<Channel>;
    let id = shared.some(TICKETS, random);
    let _ = match random(7) {
        0 => {
            let opened = call!(
                shared,
                Tickets.open_ticket,
                OpenTicketRequest {
                    customer_id: shared.some_customer(random),
                    description: "it squeaks".into(),
                }
            );
            shared.made(TICKETS, opened.as_ref().map_or(0, |ticket| ticket.id));
            opened
        }
        1 => {
            let employee_id = shared.mechanic.load(Ordering::Relaxed);
            call!(
                shared,
                Tickets.assign_mechanic,
                AssignMechanicRequest { id, employee_id }
            )
        }
        2 => call!(shared, Tickets.start_ticket, StartTicketRequest { id }),
        3..=4 => call!(
            shared,
            Tickets.add_part,
            AddPartRequest {
                id,
                product_id: shared.some_product(random),
                quantity: signed(random(2)) + 1,
            }
        ),
        5 => call!(
            shared,
            Tickets.close_ticket,
            CloseTicketRequest {
                id,
                labour_minutes: 5,
                resolution: "oiled".into()
            }
        ),
        _ => call!(shared, Tickets.cancel_ticket, CancelTicketRequest { id }),
    };
}

/// Deletes a customer, brings one back, or erases one whose place a new one takes.
async fn come_and_go(shared: &Shared, random: &mut Random) {
    let id = shared.some_customer(random);
    match random(5) {
        0..=1 => {
            let request = pb::DeleteCustomerRequest {
                id,
                ..Default::default()
            };
            let call = |channel, request| async move {
                CustomerServiceClient::new(channel)
                    .delete_customer(request)
                    .await
            };
            let _ = shared.answered(request, call).await;
        }
        2..=3 => {
            let _ = call!(
                shared,
                CustomerServiceClient.undelete_customer,
                UndeleteCustomerRequest { id }
            );
        }
        _ => {
            let erased = call!(
                shared,
                CustomerServiceClient.erase_customer,
                EraseCustomerRequest { id }
            );
            if erased.is_ok() {
                let new = customer(shared).await;
                let mut customers = shared.customers.lock().expect("not poisoned");
                customers.retain(|known| *known != id);
                customers.push(new);
            }
        }
    }
}

/// An import of more rows than one transaction writes, about products that others change meanwhile.
async fn import(shared: &Shared, random: &mut Random) {
    let row = |number: u64, random: &mut Random| pb::ImportProductsRow {
        sku: format!("P{}", number % 40),
        name: format!("Product {}", random(100)),
        unit_price: Some(money("EUR", signed(random(100)), 0)),
        on_hand: (random(4) == 0).then(|| signed(random(60))),
        ..Default::default()
    };
    let how = pb::ImportProductsRequest {
        request_id: uuid(),
        ..Default::default()
    };
    let rows = 1 + random(250);
    let rows: Vec<_> = (0..rows).map(|number| row(number, random)).collect();
    let count = signed(rows.len() as u64);
    let rows = rows.into_iter().map(|row| pb::ImportProductsRequest {
        row: Some(row),
        ..Default::default()
    });
    let messages: Vec<_> = std::iter::once(how).chain(rows).collect();
    let call = |channel, request: Request<Vec<_>>| async move {
        let request = request.map(tokio_stream::iter);
        ProductServiceClient::new(channel)
            .import_products(request)
            .await
    };
    let report = shared.answered(messages, call).await.expect("imported");
    let told = report.created + report.updated + report.unchanged + report.refused;
    assert_eq!((report.rows, told), (count, count));
}
