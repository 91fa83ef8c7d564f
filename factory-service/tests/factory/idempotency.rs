//! `request_id` on every create and every transition: thirty-two at once do the work once, another body is refused.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use millgate_contract::DESCRIPTORS;
use millgate_contract::factory::v1 as pb;
use prost::Message;
use prost_reflect::DescriptorPool;
use tonic::Status;

use crate::world::{World, money, ok, on_both, order_of, refused, uuid, with_token};

type Call = Pin<Box<dyn Future<Output = Result<Vec<u8>, Status>> + Send>>;
/// A request under this id; the second value makes it another one.
type Send_ = Box<dyn Fn(&str, bool) -> Call>;

/// What a call of this client answers, encoded.
macro_rules! case {
    ($world:expr, $client:ident . $method:ident, |$other:ident| $request:expr) => {{
        let (client, token) = ($world.$client(), $world.issuer.user(1, "admin").token());
        let send: Send_ = Box::new(move |request_id: &str, $other: bool| {
            let mut request = $request;
            request.request_id = request_id.to_owned();
            let (mut client, request) = (client.clone(), with_token(request, &token));
            Box::pin(async move {
                let answer = client.$method(request).await?;
                Ok(answer.into_inner().encode_to_vec())
            })
        });
        (stringify!($method), send)
    }};
}

/// Every RPC that takes a `request_id` in a message of its own, as the contract says.
fn all_of_them() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let ours = pool
        .services()
        .filter(|service| service.parent_file().package_name() == "millgate.factory.v1");
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .filter(|method| method.input().get_field_by_name("request_id").is_some())
        .map(|method| snake(method.name()))
        .collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn product(sku: &str) -> pb::Product {
    pb::Product {
        sku: sku.to_owned(),
        name: "Bolt".into(),
        unit_price: Some(money("EUR", 1, 0)),
        on_hand: 100,
        ..Default::default()
    }
}

fn employee(name: &str) -> pb::Employee {
    pb::Employee {
        name: name.to_owned(),
        ..Default::default()
    }
}

/// Two of each thing that a transition needs: the one it moves, and another for the other body.
struct Things {
    customers: [i64; 2],
    gone_customers: [i64; 2],
    erased: [i64; 2],
    product: i64,
    gone_products: [i64; 2],
    gone_employees: [i64; 2],
    mechanic: i64,
    /// By how many verbs they have been moved.
    orders: [[i64; 2]; 4],
    cancelled: [i64; 2],
    runs: [[i64; 2]; 2],
    /// Open, assigned, in progress, in progress, open.
    tickets: [[i64; 2]; 5],
}

async fn two<F: Future<Output = i64>>(make: impl Fn(usize) -> F) -> [i64; 2] {
    [make(0).await, make(1).await]
}

async fn ticket(world: &World, customer_id: i64, mechanic: i64, moves: usize) -> i64 {
    let open = pb::OpenTicketRequest {
        customer_id,
        description: "it squeaks".into(),
        ..Default::default()
    };
    let id = ok(world.tickets().open_ticket(world.admin(open)).await).id;
    if moves > 0 {
        let assign = pb::AssignMechanicRequest {
            id,
            employee_id: mechanic,
            ..Default::default()
        };
        ok(world.tickets().assign_mechanic(world.admin(assign)).await);
    }
    if moves > 1 {
        let start = pb::StartTicketRequest {
            id,
            ..Default::default()
        };
        ok(world.tickets().start_ticket(world.admin(start)).await);
    }
    id
}

async fn order(world: &World, customer_id: i64, product_id: i64, moves: usize) -> i64 {
    let id = world.placed(customer_id, product_id, 1).await.id;
    if moves > 0 {
        let confirm = pb::ConfirmOrderRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.admin(confirm)).await);
    }
    if moves > 1 {
        let start = pb::StartProductionRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().start_production(world.admin(start)).await);
    }
    if moves > 2 {
        let ship = pb::ShipOrderRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().ship_order(world.admin(ship)).await);
    }
    id
}

async fn things(world: &World) -> Things {
    let profile = async |name: &str, n: usize| world.profile(&format!("{name} {n}")).await.id;
    let product_id = world.product("stock", 1000).await.id;
    let customers = two(|n| profile("Customer", n)).await;
    let gone_customers = two(|n| profile("Gone", n)).await;
    let gone_products = two(async |n: usize| world.product(&format!("gone{n}"), 0).await.id).await;
    let gone_employees = two(async |n: usize| {
        let create = pb::CreateEmployeeRequest {
            employee: Some(employee(&format!("Gone {n}"))),
            ..Default::default()
        };
        ok(world.employees().create_employee(world.admin(create)).await).id
    })
    .await;
    for id in gone_customers {
        let delete = pb::DeleteCustomerRequest {
            id,
            ..Default::default()
        };
        ok(world.customers().delete_customer(world.admin(delete)).await);
    }
    for id in gone_products {
        let delete = pb::DeleteProductRequest {
            id,
            ..Default::default()
        };
        ok(world.products().delete_product(world.admin(delete)).await);
    }
    for id in gone_employees {
        let delete = pb::DeleteEmployeeRequest {
            id,
            ..Default::default()
        };
        ok(world.employees().delete_employee(world.admin(delete)).await);
    }
    let hire = pb::CreateEmployeeRequest {
        employee: Some(pb::Employee {
            user_id: 77,
            ..employee("Mona Mechanic")
        }),
        ..Default::default()
    };
    let mechanic = ok(world.employees().create_employee(world.admin(hire)).await).id;
    let run = async |_: usize| {
        let create = pb::CreateRunRequest {
            run: Some(pb::ProductionRun {
                product_id,
                planned_quantity: 5,
                ..Default::default()
            }),
            ..Default::default()
        };
        ok(world.production().create_run(world.admin(create)).await).id
    };
    let orders = async |moves| two(|_| order(world, customers[0], product_id, moves)).await;
    let tickets = async |moves| two(|_| ticket(world, customers[0], mechanic, moves)).await;
    Things {
        erased: two(|n| profile("Erased", n)).await,
        orders: [
            orders(0).await,
            orders(1).await,
            orders(2).await,
            orders(3).await,
        ],
        cancelled: orders(0).await,
        runs: [two(run).await, two(run).await],
        tickets: [
            tickets(0).await,
            tickets(1).await,
            tickets(2).await,
            tickets(2).await,
            tickets(0).await,
        ],
        customers,
        gone_customers,
        product: product_id,
        gone_products,
        gone_employees,
        mechanic,
    }
}

fn cases(world: &World, things: &Things) -> Vec<(&'static str, Send_)> {
    /// A transition of one of two things.
    macro_rules! moves {
        ($client:ident . $method:ident, $request:ident, $ids:expr $(, $field:ident : $value:expr)*) => {{
            let ids = $ids;
            case!(world, $client.$method, |other| pb::$request {
                id: ids[usize::from(other)],
                $($field: $value,)*
                ..Default::default()
            })
        }};
    }
    let (customer_id, product_id) = (things.customers[0], things.product);
    let mechanic = things.mechanic;
    let name = |other: bool| if other { "Other One" } else { "The One" };
    vec![
        case!(world, customers.create_customer, |other| {
            pb::CreateCustomerRequest {
                customer: Some(pb::Customer {
                    name: name(other).into(),
                    email: "once@example.com".into(),
                    ..Default::default()
                }),
                ..Default::default()
            }
        }),
        moves!(
            customers.undelete_customer,
            UndeleteCustomerRequest,
            things.gone_customers
        ),
        moves!(
            customers.erase_customer,
            EraseCustomerRequest,
            things.erased
        ),
        case!(world, products.create_product, |other| {
            pb::CreateProductRequest {
                product: Some(product(if other { "other" } else { "once" })),
                ..Default::default()
            }
        }),
        moves!(
            products.undelete_product,
            UndeleteProductRequest,
            things.gone_products
        ),
        case!(world, products.adjust_stock, |other| {
            pb::AdjustStockRequest {
                id: product_id,
                delta: 1 + i64::from(other),
                reason: "count".into(),
                ..Default::default()
            }
        }),
        case!(world, orders.place_order, |other| order_of(
            customer_id,
            &[(product_id, 1 + i64::from(other))]
        )),
        moves!(orders.confirm_order, ConfirmOrderRequest, things.orders[0]),
        moves!(
            orders.start_production,
            StartProductionRequest,
            things.orders[1]
        ),
        moves!(orders.ship_order, ShipOrderRequest, things.orders[2]),
        moves!(
            orders.complete_order,
            CompleteOrderRequest,
            things.orders[3]
        ),
        moves!(orders.cancel_order, CancelOrderRequest, things.cancelled),
        case!(world, tickets.open_ticket, |other| pb::OpenTicketRequest {
            customer_id,
            description: name(other).into(),
            ..Default::default()
        }),
        moves!(tickets.assign_mechanic, AssignMechanicRequest, things.tickets[0], employee_id: mechanic),
        moves!(tickets.start_ticket, StartTicketRequest, things.tickets[1]),
        moves!(tickets.add_part, AddPartRequest, things.tickets[2], product_id: product_id, quantity: 1),
        moves!(tickets.close_ticket, CloseTicketRequest, things.tickets[3], resolution: "oiled".into()),
        moves!(
            tickets.cancel_ticket,
            CancelTicketRequest,
            things.tickets[4]
        ),
        case!(world, employees.create_employee, |other| {
            pb::CreateEmployeeRequest {
                employee: Some(employee(name(other))),
                ..Default::default()
            }
        }),
        moves!(
            employees.undelete_employee,
            UndeleteEmployeeRequest,
            things.gone_employees
        ),
        case!(world, production.create_run, |other| pb::CreateRunRequest {
            run: Some(pb::ProductionRun {
                product_id,
                planned_quantity: 1 + i64::from(other),
                ..Default::default()
            }),
            ..Default::default()
        }),
        moves!(production.complete_run, CompleteRunRequest, things.runs[0], produced_quantity: 5),
        moves!(production.cancel_run, CancelRunRequest, things.runs[1]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_two_at_once_every_create_and_transition_is_done_once() {
    on_both(|world| async move {
        let things = things(&world).await;
        let cases = cases(&world, &things);
        // Registrations have tests of their own (`registration`), and so do imports (`product_import`).
        let elsewhere = ["register_customer", "import_products"];
        let here = cases.iter().map(|(method, _)| (*method).to_owned());
        let covered: BTreeSet<String> = here.chain(elsewhere.map(str::to_owned)).collect();
        assert_eq!(all_of_them(), covered, "every RPC with a request_id");
        for (method, send) in &cases {
            let id = uuid();
            let before = world.count("SELECT count(*) FROM changes").await;
            let calls: Vec<_> = (0..32).map(|_| tokio::spawn(send(&id, false))).collect();
            let mut answers = BTreeSet::new();
            for call in calls {
                let answer = call.await.expect("an answer");
                answers.insert(answer.unwrap_or_else(|status| panic!("{method}: {status:?}")));
            }
            assert_eq!(answers.len(), 1, "{method}: one answer for all");
            let after = world.count("SELECT count(*) FROM changes").await;
            assert!((1..=2).contains(&(after - before)), "{method}: done once");
            let other = send(&id, true).await.map(tonic::Response::new);
            assert_eq!(refused(other).reason, "REQUEST_ID_REUSED", "{method}");
            assert_eq!(world.count("SELECT count(*) FROM changes").await, after);
        }
        world.stock_adds_up().await;
    })
    .await;
}
