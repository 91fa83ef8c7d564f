//! `millgate demo`: the real binary against the real services, on both databases.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use millgate_contract::auth::v1 as auth;
use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::change_service_client::ChangeServiceClient;
use millgate_contract::factory::v1::employee_service_client::EmployeeServiceClient;
use millgate_contract::factory::v1::production_service_client::ProductionServiceClient;
use support::apart::{Apart, as_world};
use support::process::binary;
use support::{ADMIN_PASSWORD, Backend, World, bearing, channel};

on_both_databases!(
    a_factory_with_others_in_it_is_left_alone,
    a_demo_is_whole_and_its_books_balance_and_a_second_run_doubles_nothing,
    a_demo_that_was_killed_goes_on_where_it_was,
    a_demo_is_spread_over_the_year_and_nothing_else_moves,
);

fn demo(world: &World, args: &[&str]) -> Command {
    let url = |address: &str| format!("http://{address}");
    let mut command = binary("millgate");
    command
        .arg("demo")
        .args(args)
        .env("MILLGATE_SERVER", url(&world.addresses.auth))
        .env("MILLGATE_FACTORY", url(&world.addresses.factory))
        .env("MILLGATE_PASSWORD", ADMIN_PASSWORD);
    command
}

/// The exit code, and what was said on standard output and standard error.
fn told(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

const SMALL: [&str; 4] = ["--seed", "3", "--orders", "60"];

/// All that stands in a factory.
struct Stock {
    products: Vec<pb::Product>,
    customers: Vec<pb::Customer>,
    employees: Vec<pb::Employee>,
    runs: Vec<pb::ProductionRun>,
    orders: Vec<pb::Order>,
    tickets: Vec<pb::ServiceTicket>,
    mechanics: Vec<auth::User>,
}

impl Stock {
    /// Everything in one page each: the demos here are small.
    async fn of(world: &World) -> Self {
        const ALL: i32 = 1000;
        let admin = world.admin().await;
        let factory = || channel(&world.addresses.factory);
        macro_rules! all {
            ($client:expr, $rpc:ident, $request:ident, $items:ident) => {{
                let request = $request {
                    page_size: ALL,
                    ..Default::default()
                };
                let page = $client.$rpc(bearing(&admin, request)).await.unwrap();
                page.into_inner().$items
            }};
        }
        use auth::ListUsersRequest;
        use pb::{
            ListCustomersRequest, ListEmployeesRequest, ListOrdersRequest, ListProductsRequest,
            ListRunsRequest, ListTicketsRequest,
        };
        let users = all!(world.users(), list_users, ListUsersRequest, users);
        let mechanic = i32::from(auth::Role::Mechanic);
        let tickets = all!(world.tickets(), list_tickets, ListTicketsRequest, tickets);
        let mut whole = Vec::new();
        for ticket in tickets {
            // A list leaves the parts out.
            let request = bearing(&admin, pb::GetTicketRequest { id: ticket.id });
            whole.push(
                world
                    .tickets()
                    .get_ticket(request)
                    .await
                    .unwrap()
                    .into_inner(),
            );
        }
        Self {
            products: all!(
                world.products(),
                list_products,
                ListProductsRequest,
                products
            ),
            customers: all!(
                world.customers(),
                list_customers,
                ListCustomersRequest,
                customers
            ),
            employees: all!(
                EmployeeServiceClient::new(factory()),
                list_employees,
                ListEmployeesRequest,
                employees
            ),
            runs: all!(
                ProductionServiceClient::new(factory()),
                list_runs,
                ListRunsRequest,
                runs
            ),
            orders: all!(world.orders(), list_orders, ListOrdersRequest, orders),
            tickets: whole,
            mechanics: users
                .into_iter()
                .filter(|user| user.role == mechanic)
                .collect(),
        }
    }

    /// How many there are of each.
    fn counts(&self) -> [usize; 7] {
        [
            self.products.len(),
            self.customers.len(),
            self.employees.len(),
            self.runs.len(),
            self.orders.len(),
            self.tickets.len(),
            self.mechanics.len(),
        ]
    }

    /// What the seed decides, without ids and times.
    fn content(&self) -> BTreeMap<String, String> {
        let sku: BTreeMap<i64, &str> = self
            .products
            .iter()
            .map(|product| (product.id, product.sku.as_str()))
            .collect();
        let email: BTreeMap<i64, &str> = self
            .customers
            .iter()
            .map(|customer| (customer.id, customer.email.as_str()))
            .collect();
        let product = |product: &pb::Product| {
            let said = format!(
                "{} {:?} {}",
                product.name, product.unit_price, product.on_hand
            );
            (product.sku.clone(), said)
        };
        let customer = |customer: &pb::Customer| {
            (
                customer.email.clone(),
                format!("{} {}", customer.name, customer.shipping_address),
            )
        };
        let order = |order: &pb::Order| {
            let lines = order
                .lines
                .iter()
                .map(|line| (sku[&line.product_id], line.quantity));
            let lines: Vec<_> = lines.collect();
            let said = format!(
                "{:?} {} {lines:?} {:?}",
                order.state(),
                email[&order.customer_id],
                order.total
            );
            (order.notes.clone(), said)
        };
        let ticket = |ticket: &pb::ServiceTicket| {
            let parts = ticket
                .parts
                .iter()
                .map(|part| (sku[&part.product_id], part.quantity));
            let parts: Vec<_> = parts.collect();
            let said = format!("{:?} {parts:?} {}", ticket.state(), ticket.labour_minutes);
            (ticket.description.clone(), said)
        };
        let products = self.products.iter().map(product);
        let customers = self.customers.iter().map(customer);
        let orders = self.orders.iter().map(order);
        let tickets = self.tickets.iter().map(ticket);
        products
            .chain(customers)
            .chain(orders)
            .chain(tickets)
            .collect()
    }

    /// No line is lost: what is reserved is what open orders hold, what is on hand is what the ledger says, every total
    /// is that of its lines.
    async fn balances(&self, world: &World) {
        let admin = world.admin().await;
        let is_open = |order: &pb::Order| {
            matches!(
                order.state(),
                pb::OrderState::Placed | pb::OrderState::Confirmed | pb::OrderState::InProduction
            )
        };
        for product in &self.products {
            let open = self.orders.iter().filter(|order| is_open(order));
            let lines = open.flat_map(|order| &order.lines);
            let held: i64 = lines
                .filter(|line| line.product_id == product.id)
                .map(|line| line.quantity)
                .sum();
            assert_eq!(product.reserved, held, "{}", product.sku);
            let request = pb::ListStockMovementsRequest {
                product_id: product.id,
                page_size: 1000,
                ..Default::default()
            };
            let ledger = world
                .products()
                .list_stock_movements(bearing(&admin, request))
                .await;
            let ledger = ledger.unwrap().into_inner().movements;
            let sum = |of: fn(&pb::StockMovement) -> i64| ledger.iter().map(of).sum::<i64>();
            assert_eq!(product.on_hand, sum(|row| row.delta), "{}", product.sku);
            assert_eq!(
                product.reserved,
                sum(|row| row.reserved_delta),
                "{}",
                product.sku
            );
        }
        for order in &self.orders {
            let cents = |money: &Option<millgate_contract::google::r#type::Money>| {
                let money = money.as_ref().unwrap();
                money.units * 100 + i64::from(money.nanos) / 10_000_000
            };
            let lines = order.lines.iter();
            let sum: i64 = lines
                .map(|line| cents(&line.line_total) + cents(&line.tax))
                .sum();
            assert_eq!(cents(&order.total), sum, "order {}", order.id);
        }
    }
}

async fn a_factory_with_others_in_it_is_left_alone(world: World) {
    world.shopper("ada").await;
    let before = Stock::of(&world).await.counts();
    let (code, said, complained) = told(demo(&world, &SMALL));
    assert_eq!((code, said.as_str()), (Some(1), ""), "{complained}");
    assert!(
        complained.contains("customers that are not of this demo (S3N60): 1")
            && complained.contains("--into-existing"),
        "{complained}"
    );
    assert_eq!(Stock::of(&world).await.counts(), before);

    for (args, why) in [
        (&["--orders", "0"][..], "0 is not in 1..=1000000"),
        (&["--orders", "1000001"], "is not in 1..=1000000"),
        (&["--seed", "-1"], "unexpected argument"),
    ] {
        let (code, _, complained) = told(demo(&world, args));
        assert_eq!(
            (code, complained.contains(why)),
            (Some(2), true),
            "{complained}"
        );
    }
    // A customer may not, and nothing of the demo comes of it.
    let customer = world.shopper("eve").await;
    let mut command = demo(&world, &SMALL);
    command.env("MILLGATE_TOKEN", &customer.token);
    let (code, _, complained) = told(command);
    assert_eq!(
        (code, complained.contains("ROLE_DENIED")),
        (Some(1), true),
        "{complained}"
    );

    let (code, said, complained) = told(demo(&world, &[&SMALL[..], &["--into-existing"]].concat()));
    assert_eq!(code, Some(0), "{complained}");
    assert!(said.contains("made now: 60 orders"), "{said}");
    let stock = Stock::of(&world).await;
    assert_eq!((stock.orders.len(), stock.customers.len()), (60, 8 + 2));

    // Another demo is not mixed in by mistake, and the refusal says how to go on with the one that is there.
    let (code, _, complained) = told(demo(&world, &["--seed", "4", "--orders", "60"]));
    assert_eq!(code, Some(1));
    assert!(complained.contains("--seed 3 --orders 60"), "{complained}");
}

async fn a_demo_is_whole_and_its_books_balance_and_a_second_run_doubles_nothing(world: World) {
    let (code, said, complained) = told(demo(&world, &SMALL));
    assert_eq!(code, Some(0), "{complained}");
    assert!(
        said.starts_with(
            "demo S3N60: 12 products, 8 customers, 6 employees (2 mechanics), 60 orders"
        ),
        "{said}"
    );
    // Without a terminal there is no bar, but a line at each tenth.
    assert_eq!(
        complained.matches(" of 60 orders").count(),
        10,
        "{complained}"
    );
    let stock = Stock::of(&world).await;
    stock.balances(&world).await;
    let states: Vec<pb::OrderState> = stock.orders.iter().map(pb::Order::state).collect();
    for state in [
        pb::OrderState::Placed,
        pb::OrderState::Confirmed,
        pb::OrderState::InProduction,
        pb::OrderState::Shipped,
        pb::OrderState::Completed,
        pb::OrderState::Cancelled,
    ] {
        assert!(states.contains(&state), "{state:?}");
    }
    let states: Vec<pb::TicketState> = stock.tickets.iter().map(pb::ServiceTicket::state).collect();
    for state in [
        pb::TicketState::Open,
        pb::TicketState::Assigned,
        pb::TicketState::InProgress,
        pb::TicketState::Cancelled,
    ] {
        assert!(states.contains(&state), "{state:?}");
    }
    for state in [
        pb::RunState::Running,
        pb::RunState::Completed,
        pb::RunState::Cancelled,
    ] {
        assert!(
            stock.runs.iter().any(|run| run.state() == state),
            "{state:?}"
        );
    }
    // The runs lie in the year before.
    let begins: Vec<i64> = stock
        .runs
        .iter()
        .map(|run| run.start_time.unwrap().seconds)
        .collect();
    let span = begins.iter().max().unwrap() - begins.iter().min().unwrap();
    assert!(span > 300 * 24 * 60 * 60, "{span}");

    let (code, said, complained) = told(demo(&world, &SMALL));
    assert_eq!(code, Some(0), "{complained}");
    assert!(
        said.contains("made now: 0 orders, 0 production runs, 0 tickets; 60 orders were there"),
        "{said}"
    );
    // Another administrator has no first answers to get again: what is there is found by its marks.
    world.person("second", auth::Role::Admin).await;
    let mut command = demo(&world, &SMALL);
    command
        .args(["--username", "second"])
        .env("MILLGATE_PASSWORD", support::people::PASSWORD);
    let (code, said, complained) = told(command);
    assert_eq!(code, Some(0), "{complained}");
    assert!(said.contains("made now: 0 orders"), "{said}");
    let after = Stock::of(&world).await;
    assert_eq!(after.counts(), stock.counts());
    assert_eq!(after.content(), stock.content());
    after.balances(&world).await;

    // The same seed and size make the same in another factory, another seed does not.
    let other = World::start(Backend::Sqlite).await.unwrap();
    assert_eq!(told(demo(&other, &SMALL)).0, Some(0));
    assert_eq!(Stock::of(&other).await.content(), stock.content());
}

async fn a_demo_that_was_killed_goes_on_where_it_was(world: World) {
    let mut command = demo(&world, &["--seed", "3", "--orders", "60", "--at-once", "3"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(
            lines.any(|line| line.contains("18 of 60 orders")),
            "it got so far"
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let half = Stock::of(&world).await.orders.len();
    assert!((18..60).contains(&half), "{half}");

    // What the first administrator asked for is asked for again, and what nobody remembers is found: by another one.
    world.person("second", auth::Role::Admin).await;
    let mut command = demo(&world, &SMALL);
    command
        .args(["--username", "second"])
        .env("MILLGATE_PASSWORD", support::people::PASSWORD);
    let (code, said, complained) = told(command);
    assert_eq!(code, Some(0), "{complained}");
    assert!(said.contains("orders were there"), "{said}");
    let stock = Stock::of(&world).await;
    stock.balances(&world).await;

    let other = World::start(Backend::Sqlite).await.unwrap();
    assert_eq!(told(demo(&other, &SMALL)).0, Some(0));
    let whole = Stock::of(&other).await;
    assert_eq!(stock.counts(), whole.counts());
    assert_eq!(stock.content(), whole.content());
}

async fn a_demo_is_spread_over_the_year_and_nothing_else_moves(world: World) {
    let backdate = |args: &[&str]| {
        let mut command = demo(&world, &[args, &["--backdate"]].concat());
        command.arg("--data-dir").arg(world.data_folder());
        if let Some(databases) = &world.databases {
            command.env("FACTORY_DATABASE_URL", databases.factory().url());
        }
        told(command)
    };
    let (code, said, complained) = backdate(&SMALL);
    assert_eq!((code, said.as_str()), (Some(1), ""), "{complained}");
    assert!(
        complained.contains("there is no demo S3N60"),
        "{complained}"
    );

    assert_eq!(told(demo(&world, &SMALL)).0, Some(0));
    // Somebody orders for a customer of the demo, what the demo did not.
    let before = Stock::of(&world).await;
    let admin = world.admin().await;
    let request = pb::PlaceOrderRequest {
        customer_id: before.customers[0].id,
        lines: vec![pb::place_order_request::Line {
            product_id: before.products[0].id,
            quantity: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    let others = world
        .orders()
        .place_order(bearing(&admin, request))
        .await
        .unwrap()
        .into_inner();
    // And makes more of a product of the demo.
    let request = pb::CreateRunRequest {
        run: Some(pb::ProductionRun {
            product_id: before.products[0].id,
            planned_quantity: 5,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut production = ProductionServiceClient::new(channel(&world.addresses.factory));
    let run = production.create_run(bearing(&admin, request)).await;
    let request = pb::CompleteRunRequest {
        id: run.unwrap().into_inner().id,
        produced_quantity: 5,
        ..Default::default()
    };
    let run = production.complete_run(bearing(&admin, request)).await;
    let others_run = run.unwrap().into_inner();
    let before = Stock::of(&world).await;
    let (code, _, complained) = backdate(&["--seed", "4", "--orders", "60"]);
    assert_eq!(code, Some(1), "{complained}");
    assert_eq!(
        Stock::of(&world).await.orders,
        before.orders,
        "another demo's"
    );

    let (code, said, complained) = backdate(&SMALL);
    assert_eq!(code, Some(0), "{complained}");
    assert!(said.contains("demo S3N60: 60 orders and"), "{said}");
    let after = Stock::of(&world).await;
    after.balances(&world).await;
    assert_eq!(after.content(), before.content(), "only times have moved");
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().unwrap().seconds;
    const DAY: i64 = 24 * 60 * 60;
    let made = seconds(&before.products[0].create_time);
    let (own, demos): (Vec<_>, Vec<_>) =
        after.orders.iter().partition(|order| order.id == others.id);
    assert_eq!(own, [&others], "it stays where it is");
    let placed: Vec<i64> = demos
        .iter()
        .map(|order| seconds(&order.create_time))
        .collect();
    assert!(
        placed
            .iter()
            .all(|time| (made - 366 * DAY..=made).contains(time))
    );
    let span = placed.iter().max().unwrap() - placed.iter().min().unwrap();
    assert!(span > 340 * DAY, "{} days", span / DAY);
    for order in &demos {
        let request = bearing(&admin, pb::ListOrderStatesRequest { id: order.id });
        let states = world
            .orders()
            .list_order_states(request)
            .await
            .unwrap()
            .into_inner()
            .states;
        let times: Vec<i64> = states.iter().map(|state| seconds(&state.time)).collect();
        assert!(times.is_sorted(), "{states:?}");
        assert_eq!(times[0], seconds(&order.create_time));
        assert_eq!(times.last(), Some(&seconds(&order.update_time)));
    }
    let (own, demo_runs): (Vec<_>, Vec<_>) =
        after.runs.iter().partition(|run| run.id == others_run.id);
    assert_eq!(own, [&others_run], "it stays when it was");
    for run in demo_runs
        .iter()
        .filter(|run| run.state() != pb::RunState::Running)
    {
        assert_eq!(seconds(&run.finish_time) - seconds(&run.start_time), DAY);
    }
    let closed = after
        .tickets
        .iter()
        .filter(|ticket| ticket.finish_time.is_some());
    for ticket in closed {
        let order = demos
            .iter()
            .find(|order| order.id == ticket.order_id)
            .unwrap();
        assert!(seconds(&order.create_time) < seconds(&ticket.create_time));
        assert!(seconds(&ticket.create_time) <= seconds(&ticket.finish_time));
    }
    // The ledger lies where the orders do.
    for product in &after.products {
        let request = pb::ListStockMovementsRequest {
            product_id: product.id,
            page_size: 1000,
            ..Default::default()
        };
        let ledger = world
            .products()
            .list_stock_movements(bearing(&admin, request))
            .await;
        for row in ledger.unwrap().into_inner().movements {
            let order = demos.iter().find(|order| order.id == row.order_id);
            let run = after.runs.iter().find(|run| run.id == row.run_id);
            match (row.kind(), order, run) {
                (pb::StockMovementKind::Reserved, Some(order), _) => {
                    assert_eq!(row.time, order.create_time, "{row:?}");
                }
                (pb::StockMovementKind::Produced, _, Some(run)) => {
                    assert_eq!(row.time, run.finish_time, "{row:?}");
                }
                (pb::StockMovementKind::Released, Some(order), _) => {
                    assert_eq!(row.time, order.update_time, "{row:?}");
                }
                _ => {}
            }
        }
    }
    // Who did it stands in the log, and the log itself says when things were really written.
    let mut changes = ChangeServiceClient::new(channel(&world.addresses.factory));
    let request = pb::ListChangesRequest {
        actor: "local".into(),
        verb: "backdate".into(),
        page_size: 1000,
        ..Default::default()
    };
    // The publisher numbers them in a moment.
    let numbered = async {
        loop {
            let page = changes.list_changes(bearing(&admin, request.clone())).await;
            let found = page.unwrap().into_inner().changes;
            if !found.is_empty() {
                return found;
            }
        }
    };
    let told_of = tokio::time::timeout(Duration::from_secs(60), numbered)
        .await
        .unwrap();
    assert!(
        told_of
            .iter()
            .all(|change| change.resource_kind == "customers")
    );
    let request = pb::ListChangesRequest {
        resource_kind: "orders".into(),
        verb: "create".into(),
        page_size: 1000,
        ..Default::default()
    };
    let page = changes
        .list_changes(bearing(&admin, request))
        .await
        .unwrap()
        .into_inner();
    assert!(
        page.changes
            .iter()
            .all(|change| seconds(&change.time) >= made)
    );

    // The database is as it must be.
    let url = match &world.databases {
        Some(databases) => databases.factory().url().to_owned(),
        None => format!(
            "sqlite:{}",
            world.data_folder().join("factory.db").display()
        ),
    };
    let mut check = binary("factory-service");
    check.arg("check").env("FACTORY_DATABASE_URL", url);
    let (code, said, complained) = told(check);
    assert_eq!(code, Some(0), "{said}{complained}");

    // Again, nothing more happens, and the demo is still known.
    assert_eq!(backdate(&SMALL).0, Some(0));
    let (code, said, complained) = told(demo(&world, &SMALL));
    assert_eq!(code, Some(0), "{complained}");
    assert!(
        said.contains("made now: 0 orders, 0 production runs, 0 tickets"),
        "{said}"
    );
    assert_eq!(Stock::of(&world).await.orders, after.orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_its_limits_on_is_waited_for() {
    let mut apart = Apart::new(Backend::Sqlite).await.unwrap();
    let limit = ("MILLGATE_CALLS_PER_SECOND".to_owned(), "60".to_owned());
    apart.environment.push(limit);
    apart.run_auth();
    apart.run_factory(None);
    let world = as_world(&apart);
    let begun = Instant::now();
    let (code, said, complained) = told(demo(&world, &SMALL));
    assert_eq!(code, Some(0), "{complained}");
    assert!(said.contains("made now: 60 orders"), "{said}");
    // More than 400 calls, of which 200 may come at once.
    assert!(begun.elapsed() > Duration::from_secs(2), "the limit was on");
}
