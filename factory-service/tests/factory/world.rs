//! A factory with everything around it, and the words that the tests speak.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use factory_service::{Ambient, Config, prepare};
use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::change_service_client::ChangeServiceClient;
use millgate_contract::factory::v1::customer_service_client::CustomerServiceClient;
use millgate_contract::factory::v1::employee_service_client::EmployeeServiceClient;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::production_service_client::ProductionServiceClient;
use millgate_contract::factory::v1::report_service_client::ReportServiceClient;
use millgate_contract::factory::v1::service_ticket_service_client::ServiceTicketServiceClient;
use millgate_contract::google::r#type::Money;
use millgate_guard::testing::Issuer;
use millgate_guard::{Clock as _, KeyRing, ManualClock, SharedRing, SystemClock, SystemEntropy};
use millgate_platform::testing::{PostgresDatabase, sqlite_url};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::auth_double::AuthDouble;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// The settings of a factory under test, with further flags.
pub(crate) fn config(flags: &[&str]) -> Result<Config, String> {
    let cli = Cli::try_parse_from([&["factory-service"], flags].concat());
    cli.map(|cli| cli.config).map_err(|error| error.to_string())
}

/// A running factory.
pub(crate) struct World {
    pub(crate) auth: AuthDouble,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) issuer: Issuer,
    pub(crate) url: String,
    channel: Channel,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    folder: Arc<TempDir>,
}

/// Runs a test on SQLite and on PostgreSQL.
pub(crate) async fn on_both<F, Fut>(test: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    let (url, _folder) = sqlite_url();
    eprintln!("-- on SQLite");
    test(World::start(&url).await).await;
    if let Some(database) = PostgresDatabase::create().await {
        eprintln!("-- on PostgreSQL");
        test(World::start(database.url()).await).await;
        database.remove().await;
    }
}

impl World {
    /// A factory on an empty database, with an auth double of its own.
    pub(crate) async fn start(url: &str) -> Self {
        let clock = ManualClock::shared(SystemClock.now_micros());
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let keys = folder.path().join("keys.json");
        KeyRing::create_file(&keys, &SystemEntropy, &SystemClock).expect("a key ring");
        let auth = AuthDouble::start(&ring(&keys), clock.clone()).await;
        Self::over(url, auth, clock, folder, &[]).await
    }

    /// The same factory, stopped in order and started again with further settings.
    pub(crate) async fn restarted_with(mut self, flags: &[&str]) -> Self {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.served.await;
        Self::over(&self.url, self.auth, self.clock, self.folder, flags).await
    }

    async fn over(
        url: &str,
        auth: AuthDouble,
        clock: Arc<ManualClock>,
        folder: Arc<TempDir>,
        flags: &[&str],
    ) -> Self {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let usual = [
            "--database-url",
            url,
            "--secrets",
            &path("factory.secrets"),
            "--keys",
            &path("keys.json"),
            "--auth-endpoint",
            &auth.endpoint,
            "--client-secret",
            "a secret of the factory",
            "--trust-feed",
            "false",
            "--calls-per-second",
            "0",
            "--logins-per-minute",
            "0",
        ];
        let config = config(&[&usual[..], flags].concat()).expect("good settings");
        let ambient = Ambient {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
        };
        let prepared = prepare(config, ambient).await.expect("a factory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.await;
            };
            prepared.serve(listener, shutdown).await.expect("served");
        });
        let channel = Channel::from_shared(endpoint)
            .expect("an endpoint")
            .connect_lazy();
        let issuer = Issuer::over(ring(&folder.path().join("keys.json")), clock.clone());
        Self {
            auth,
            clock,
            issuer,
            url: url.to_owned(),
            channel,
            stop: Some(stop),
            served,
            folder,
        }
    }

    /// The process dies: nothing is finished, nobody is told. A new one starts on what it left.
    pub(crate) async fn crash_and_restart(self, later: Duration) -> Self {
        self.served.abort();
        let _ = self.served.await;
        self.clock.advance(later);
        Self::over(&self.url, self.auth, self.clock, self.folder, &[]).await
    }

    /// The orderly end.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.served.await.expect("an orderly end");
    }

    pub(crate) fn changes(&self) -> ChangeServiceClient<Channel> {
        ChangeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn products(&self) -> ProductServiceClient<Channel> {
        ProductServiceClient::new(self.channel.clone())
    }

    pub(crate) fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    pub(crate) fn customers(&self) -> CustomerServiceClient<Channel> {
        CustomerServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tickets(&self) -> ServiceTicketServiceClient<Channel> {
        ServiceTicketServiceClient::new(self.channel.clone())
    }

    pub(crate) fn employees(&self) -> EmployeeServiceClient<Channel> {
        EmployeeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn production(&self) -> ProductionServiceClient<Channel> {
        ProductionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn reports(&self) -> ReportServiceClient<Channel> {
        ReportServiceClient::new(self.channel.clone())
    }

    pub(crate) fn admin<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.issuer.user(1, "admin").token())
    }

    pub(crate) fn staff<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.issuer.user(2, "user").token())
    }

    /// As the customer with this login.
    pub(crate) fn customer<T>(&self, user_id: i64, message: T) -> Request<T> {
        with_token(message, &self.issuer.user(user_id, "customer").token())
    }

    /// As the mechanic with this login.
    pub(crate) fn mechanic<T>(&self, user_id: i64, message: T) -> Request<T> {
        with_token(message, &self.issuer.user(user_id, "mechanic").token())
    }

    pub(crate) fn service<T>(&self, scope: &str, message: T) -> Request<T> {
        with_token(message, &self.issuer.service("billing", scope).token())
    }

    /// A product of 1.50 EUR a piece.
    pub(crate) async fn product(&self, sku: &str, on_hand: i64) -> pb::Product {
        self.priced(sku, on_hand, money("EUR", 1, 500_000_000))
            .await
    }

    pub(crate) async fn priced(&self, sku: &str, on_hand: i64, unit_price: Money) -> pb::Product {
        let product = pb::Product {
            sku: sku.to_owned(),
            name: format!("Product {sku}"),
            unit_price: Some(unit_price),
            on_hand,
            ..pb::Product::default()
        };
        let request = pb::CreateProductRequest {
            product: Some(product),
            ..Default::default()
        };
        ok(self.products().create_product(self.staff(request)).await)
    }

    pub(crate) async fn get_product(&self, id: i64) -> pb::Product {
        ok(self
            .products()
            .get_product(self.staff(pb::GetProductRequest { id }))
            .await)
    }

    /// An employee.
    pub(crate) async fn employee(&self, name: &str) -> pb::Employee {
        self.employed(name, 0).await
    }

    /// An employee with a login.
    pub(crate) async fn employed(&self, name: &str, user_id: i64) -> pb::Employee {
        let employee = pb::Employee {
            name: name.to_owned(),
            user_id,
            ..pb::Employee::default()
        };
        let request = pb::CreateEmployeeRequest {
            employee: Some(employee),
            ..Default::default()
        };
        ok(self.employees().create_employee(self.staff(request)).await)
    }

    /// A customer without a login.
    pub(crate) async fn profile(&self, name: &str) -> pb::Customer {
        let customer = pb::Customer {
            name: name.to_owned(),
            email: format!("{}@example.com", name.to_lowercase().replace(' ', ".")),
            ..pb::Customer::default()
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(customer),
            ..Default::default()
        };
        ok(self.customers().create_customer(self.staff(request)).await)
    }

    /// A customer with a login.
    pub(crate) async fn registered(&self, name: &str) -> pb::Customer {
        let answer = self.customers().register_customer(registration(name)).await;
        ok(answer).customer.expect("a profile")
    }

    /// Places an order of one line for a customer, as staff.
    pub(crate) async fn placed(
        &self,
        customer_id: i64,
        product_id: i64,
        quantity: i64,
    ) -> pb::Order {
        let request = order_of(customer_id, &[(product_id, quantity)]);
        ok(self.orders().place_order(self.staff(request)).await)
    }

    /// The single number that a statement gives, straight from the database.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        use sqlx::Connection as _;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let mut c = sqlx::SqliteConnection::connect(path)
                .await
                .expect("the database");
            sqlx::query_scalar(sql)
                .fetch_one(&mut c)
                .await
                .expect("a number")
        } else {
            let mut c = sqlx::PgConnection::connect(&self.url)
                .await
                .expect("the database");
            sqlx::query_scalar(sql)
                .fetch_one(&mut c)
                .await
                .expect("a number")
        }
    }

    /// Does what no caller could, straight in the database.
    pub(crate) async fn execute(&self, sql: &str) {
        assert!(self.accepts(sql).await, "refused: {sql}");
    }

    /// Whether the database lets a statement do what no caller could.
    pub(crate) async fn accepts(&self, sql: &str) -> bool {
        use sqlx::Connection as _;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let mut c = sqlx::SqliteConnection::connect(path)
                .await
                .expect("the database");
            sqlx::query(sql).execute(&mut c).await.is_ok()
        } else {
            let mut c = sqlx::PgConnection::connect(&self.url)
                .await
                .expect("the database");
            sqlx::query(sql).execute(&mut c).await.is_ok()
        }
    }

    /// Waits until a statement gives a number, as the reconciler works in the background.
    pub(crate) async fn comes_to(&self, sql: &str, expected: i64) {
        for _ in 0..200 {
            if self.count(sql).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{sql} never came to {expected}");
    }

    /// Stock is where it should be: the ledger's sum is what is on hand, and what is reserved is what open orders hold.
    pub(crate) async fn stock_adds_up(&self) {
        let wrong = self
            .count(
                "SELECT count(*) FROM products p WHERE p.on_hand <> \
                 (SELECT cast(coalesce(sum(m.delta), 0) AS bigint) FROM stock_movements m WHERE m.product_id = p.id) \
                 OR p.reserved <> (SELECT cast(coalesce(sum(m.reserved_delta), 0) AS bigint) FROM stock_movements m \
                 WHERE m.product_id = p.id) OR p.reserved <> (SELECT cast(coalesce(sum(l.quantity), 0) AS bigint) FROM order_lines l \
                 JOIN orders o ON o.id = l.order_id WHERE l.product_id = p.id \
                 AND o.state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION'))",
            )
            .await;
        assert_eq!(wrong, 0, "products whose stock does not add up");
    }
}

fn ring(path: &Path) -> SharedRing {
    SharedRing::new(KeyRing::load(path, millgate_guard::FilePermissions::Private).expect("a ring"))
}

pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let entry = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", entry);
    request
}

pub(crate) fn ok<T>(answer: Result<Response<T>, Status>) -> T {
    match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => panic!(
            "refused: {:?} {} {:?}",
            status.code(),
            status.message(),
            refusal(&status)
        ),
    }
}

/// What a refusal says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) fields: Vec<String>,
    pub(crate) message: String,
}

pub(crate) fn refused<T>(answer: Result<Response<T>, Status>) -> Refusal {
    match answer {
        Ok(_) => panic!("was not refused"),
        Err(status) => refusal(&status),
    }
}

fn refusal(status: &Status) -> Refusal {
    let details = status.get_error_details();
    let fields = details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice())
        .unwrap_or_default();
    Refusal {
        code: status.code(),
        reason: details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default(),
        fields: fields
            .iter()
            .map(|violation| violation.field.clone())
            .collect(),
        message: status.message().to_owned(),
    }
}

/// The entry of a refusal's metadata.
pub(crate) fn metadata<T>(answer: &Result<Response<T>, Status>, key: &str) -> Option<String> {
    let details = answer.as_ref().err()?.get_error_details();
    details.error_info()?.metadata.get(key).cloned()
}

/// Asserts reason and fields of a refusal.
#[track_caller]
pub(crate) fn is_refused<T>(answer: Result<Response<T>, Status>, reason: &str, fields: &[&str]) {
    let refusal = refused(answer);
    assert_eq!(
        (refusal.reason.as_str(), refusal.fields),
        (reason, fields.iter().map(ToString::to_string).collect())
    );
}

pub(crate) fn money(currency: &str, units: i64, nanos: i32) -> Money {
    Money {
        currency_code: currency.to_owned(),
        units,
        nanos,
    }
}

pub(crate) fn order_of(customer_id: i64, lines: &[(i64, i64)]) -> pb::PlaceOrderRequest {
    let line = |(product_id, quantity): &(i64, i64)| pb::place_order_request::Line {
        product_id: *product_id,
        quantity: *quantity,
        ..Default::default()
    };
    pb::PlaceOrderRequest {
        customer_id,
        lines: lines.iter().map(line).collect(),
        ..Default::default()
    }
}

pub(crate) fn registration(name: &str) -> pb::RegisterCustomerRequest {
    pb::RegisterCustomerRequest {
        name: name.to_owned(),
        email: format!("{}@example.com", name.to_lowercase().replace(' ', ".")),
        phone: "555-0123".to_owned(),
        password: "correct horse battery".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn uuid() -> String {
    use millgate_guard::Entropy as _;
    SystemEntropy.uuid_v4().to_string()
}
