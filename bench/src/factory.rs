//! The real factory service on one database, and a pool of our own beside it on the same one.

use std::path::Path;
use std::sync::Arc;

use clap::{Args as _, Command, FromArgMatches as _};
use factory_service::{Ambient, Config};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millgate_contract::factory::v1::customer_service_client::CustomerServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::{
    CreateCustomerRequest, CreateProductRequest, Customer, Product,
};
use millgate_contract::google::r#type::Money;
use millgate_platform::{Database, DatabaseOptions, KeyArgs, Migrations};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::Problem;
use crate::client::{Client, told};
use crate::double::Serving;
use crate::keys::Keys;

/// The factory's own: it has run them when our pool is opened, so they only prove that this is its schema.
static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../factory-service/migrations/sqlite"),
    postgres: sqlx::migrate!("../factory-service/migrations/postgres"),
};

/// As the issue has it.
const PRODUCTS: u64 = 1_000;
/// Enough that orders at the same time are of different customers.
const CUSTOMERS: u64 = 100;
/// More than any run can order.
const ON_HAND: i64 = 1_000_000_000;
/// How many rows are made at once before the measurement.
const SEEDERS: usize = 16;

/// A running factory with products and customers in it.
pub(crate) struct Factory {
    /// `SQLite` or `PostgreSQL`.
    pub(crate) database: &'static str,
    /// Its caller.
    pub(crate) client: Client,
    /// Our pool on its database, opened as it opens its own.
    pub(crate) pool: Database,
    /// The ids of the products.
    pub(crate) products: Arc<[i64]>,
    /// The ids of the customers.
    pub(crate) customers: Arc<[i64]>,
    _serving: Serving,
}

impl Factory {
    /// Starts one on an empty database. Its files besides that are kept in `folder`.
    pub(crate) async fn start(
        database: &'static str,
        url: &str,
        folder: &Path,
        keys: &Keys,
    ) -> Result<Self, Problem> {
        let mut config = defaults()?;
        config.database_url.value = Some(SecretString::from(url));
        config.database_url.file = None;
        config.secrets = folder.join(format!("{database}.secrets"));
        // Nothing that is measured calls the auth service.
        config.auth_endpoint = "http://127.0.0.1:9".to_owned();
        config.client_secret.value = Some(SecretString::from("never sent"));
        config.client_secret.file = None;
        config.keys = KeyArgs {
            keys_json: Some(keys.jwks()),
            ..KeyArgs::default()
        };
        config.limits.calls_per_second = 0;
        config.limits.logins_per_minute = 0;
        config.database = DatabaseOptions::default();
        let prepared = factory_service::prepare(config, Ambient::default()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = Serving::of(address, async {
            let _until_dropped = prepared.serve(listener, std::future::pending()).await;
        });

        let client = Client::connect(address, keys.bearer()?).await?;
        let url = SecretString::from(url);
        let pool = Database::open(&url, &MIGRATIONS, &DatabaseOptions::default()).await?;
        let products = made(0..PRODUCTS, |number| new_product(client.clone(), number)).await?;
        let customers = made(0..CUSTOMERS, |number| new_customer(client.clone(), number)).await?;
        Ok(Self {
            database,
            client,
            pool,
            products,
            customers,
            _serving: serving,
        })
    }
}

/// The settings that the factory has when nothing is set.
fn defaults() -> Result<Config, Problem> {
    let command = Config::augment_args(Command::new("factory-service"));
    let matches = command.try_get_matches_from(["factory-service"])?;
    Ok(Config::from_arg_matches(&matches)?)
}

/// The ids of what was made.
async fn made<Fut>(
    numbers: std::ops::Range<u64>,
    make: impl Fn(u64) -> Fut,
) -> Result<Arc<[i64]>, Problem>
where
    Fut: Future<Output = Result<i64, Problem>>,
{
    let made = stream::iter(numbers).map(make).buffer_unordered(SEEDERS);
    let ids: Vec<i64> = made.try_collect().await?;
    Ok(ids.into())
}

async fn new_product(client: Client, number: u64) -> Result<i64, Problem> {
    let product = Product {
        sku: format!("BENCH-{number}"),
        name: "A product of the benchmark".to_owned(),
        description: "As long as a description is in a list of products.".to_owned(),
        unit_price: Some(Money {
            currency_code: "EUR".to_owned(),
            units: 12,
            nanos: 500_000_000,
        }),
        on_hand: ON_HAND,
        ..Product::default()
    };
    let request = client.request(CreateProductRequest {
        product: Some(product),
        request_id: String::new(),
    });
    let answer = ProductServiceClient::new(client.channel(number))
        .create_product(request)
        .await;
    Ok(answer.map_err(|status| told(&status))?.into_inner().id)
}

async fn new_customer(client: Client, number: u64) -> Result<i64, Problem> {
    let customer = Customer {
        name: format!("Customer {number}"),
        email: format!("customer.{number}@example.com"),
        ..Customer::default()
    };
    let request = client.request(CreateCustomerRequest {
        customer: Some(customer),
        request_id: String::new(),
    });
    let answer = CustomerServiceClient::new(client.channel(number))
        .create_customer(request)
        .await;
    Ok(answer.map_err(|status| told(&status))?.into_inner().id)
}
