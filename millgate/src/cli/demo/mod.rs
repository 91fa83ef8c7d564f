//! `millgate demo`: fills a factory with believable data, through the public API.

mod backdate;
mod dice;
mod edition;
mod make;
mod orders;
mod patience;
mod plan;
mod progress;
mod road;
mod survey;
mod words;

use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_contract::factory::v1::customer_service_client::CustomerServiceClient;
use millgate_contract::factory::v1::employee_service_client::EmployeeServiceClient;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::production_service_client::ProductionServiceClient;
use millgate_contract::factory::v1::service_ticket_service_client::ServiceTicketServiceClient;

use self::edition::{Edition, MOST_ORDERS};
use self::make::Factory;
use self::patience::Patience;
use self::plan::Plan;
use self::progress::Progress;
use super::Failure;
use super::connect::{Line, Lines, Remote, long_session_at};
use super::products;
use crate::terminal::{complain, say};

/// Fills an empty factory with products, customers, employees, production runs, orders in every state and service
/// tickets.
///
/// The same --seed and --orders make the same names, SKUs, quantities and states. Cut off, the same command goes on where
/// it was; given again, it makes nothing twice. The mechanics get logins with passwords that nobody knows; nobody else
/// gets one.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// What chance begins with.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// How many orders; products, customers and tickets follow from it.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ORDERS)))]
    orders: u32,
    /// How many calls are under way at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
    /// Also where there are customers or products that are not of this demo.
    #[arg(long)]
    into_existing: bool,
    /// Spreads a demo that is there over the year before it was made, instead of making one. The services stamp what they
    /// do with their own clock, so this works in the factory's database itself: FACTORY_DATABASE_URL, else the one in the
    /// data folder.
    #[arg(long)]
    backdate: bool,
    #[command(flatten)]
    database: backdate::Local,
    #[command(flatten)]
    factory: products::Factory,
    #[command(flatten)]
    remote: Remote,
}

/// What a service lets through when nothing else is set.
const CALLS_A_SECOND: u64 = 100;

/// The clients of all that the demo needs.
struct Clients {
    patience: Patience,
    users: UserServiceClient<Line>,
    customers: CustomerServiceClient<Line>,
    products: ProductServiceClient<Line>,
    employees: EmployeeServiceClient<Line>,
    runs: ProductionServiceClient<Line>,
    orders: OrderServiceClient<Line>,
    tickets: ServiceTicketServiceClient<Line>,
}

impl Clients {
    fn new(lines: Lines) -> Self {
        let Lines { auth, factory } = lines;
        Self {
            patience: Patience::default(),
            users: UserServiceClient::new(auth),
            customers: CustomerServiceClient::new(factory.clone()),
            products: ProductServiceClient::new(factory.clone()),
            employees: EmployeeServiceClient::new(factory.clone()),
            runs: ProductionServiceClient::new(factory.clone()),
            orders: OrderServiceClient::new(factory.clone()),
            tickets: ServiceTicketServiceClient::new(factory),
        }
    }
}

/// Fills the factory.
pub(crate) async fn run(demo: Demo) -> Result<(), Failure> {
    let plan = Plan::new(Edition {
        seed: demo.seed,
        orders: demo.orders,
    });
    if demo.backdate {
        return backdate::run(&demo.database, &plan).await;
    }
    let at = demo.factory.at();
    long_session_at(&demo.remote, at, async |lines| {
        fill(&Clients::new(lines), &plan, &demo).await
    })
    .await
}

async fn fill(clients: &Clients, plan: &Plan, demo: &Demo) -> Result<(), Failure> {
    let survey = survey::survey(clients, plan, demo.into_existing).await?;
    let there = survey.orders.count();
    complain(&expected(plan, there));
    let progress = Progress::of(demo.orders);
    let made = async {
        let factory = Factory::found(clients, plan, &survey, demo.at_once.into()).await?;
        factory.year(&progress).await?;
        Ok(factory.made)
    };
    let made = made.await.map_err(|failure| match failure {
        Failure::Refused(why) => Failure::Refused(format!(
            "{why}\n  what is made stays; the same command goes on from there"
        )),
        usage @ Failure::Usage(_) => usage,
    })?;
    drop(progress);
    say(&format!(
        "demo {}: {} products, {} customers, {} employees ({} mechanics), {} orders",
        plan.edition, plan.products, plan.customers, plan.employees, plan.mechanics, demo.orders
    ))?;
    say(&format!(
        "made now: {} orders, {} production runs, {} tickets; {} orders were there",
        made.orders.get(),
        made.runs.get(),
        made.tickets.get(),
        there
    ))?;
    say(
        "all of it is of today: `millgate demo --backdate` with the same seed and size spreads it over a year",
    )?;
    if made.elsewhere.get() > 0 {
        say(&format!(
            "{} orders and tickets were moved by others, and left where they are",
            made.elsewhere.get()
        ))?;
    }
    Ok(())
}

/// What it will take, for whoever decides to wait.
fn expected(plan: &Plan, there: usize) -> String {
    if there > 0 {
        return format!("demo {}: {there} orders are there; going on", plan.edition);
    }
    let calls = plan.calls();
    format!(
        "demo {}: about {calls} calls, {} at the {CALLS_A_SECOND} calls a second that a service lets through unless \
         MILLGATE_CALLS_PER_SECOND says more (0: all)",
        plan.edition,
        duration(calls / CALLS_A_SECOND)
    )
}

/// Seconds, for people.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
