//! The end-to-end harness: the real binaries, on port 0, with the real guard and data of their own.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses its own part of the harness"
)]

pub mod apart;
pub mod http;
pub mod people;
pub mod process;

use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_contract::factory::v1::customer_service_client::CustomerServiceClient;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::service_ticket_service_client::ServiceTicketServiceClient;
use millgate_platform::testing::PostgresDatabase;
use process::Running;
use std::path::PathBuf;
use tonic::transport::{Channel, Endpoint};

/// The first administrator's password in every test.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// Where the data is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A running `millgate serve` with data of its own, gone when it is dropped: the process first, then its data.
pub struct World {
    pub addresses: Addresses,
    pub running: Option<Running>,
    pub data: tempfile::TempDir,
    pub databases: Option<Databases>,
    extra: Vec<String>,
}

/// The two PostgreSQL databases of an installation, removed when this is dropped.
pub struct Databases(Vec<PostgresDatabase>);

impl Databases {
    /// `None`, and a loud word, where there is no PostgreSQL to be had.
    pub async fn create() -> Option<Self> {
        Some(Self(vec![
            PostgresDatabase::create().await?,
            PostgresDatabase::create().await?,
        ]))
    }

    pub fn auth(&self) -> &PostgresDatabase {
        &self.0[0]
    }

    pub fn factory(&self) -> &PostgresDatabase {
        &self.0[1]
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let databases = std::mem::take(&mut self.0);
        // A thread of its own: a drop may happen inside a runtime, which cannot be blocked on.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            for database in databases {
                runtime.block_on(database.remove());
            }
        });
        let _ = removing.join();
    }
}

/// What `--ready-file` says.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Addresses {
    pub auth: String,
    pub factory: String,
    pub gateway: String,
}

impl World {
    /// Starts everything in one process; `None` where there is no PostgreSQL to be had.
    pub async fn start(backend: Backend) -> Option<Self> {
        Self::start_with(backend, &[]).await
    }

    /// The same, with further arguments.
    pub async fn start_with(backend: Backend, extra: &[&str]) -> Option<Self> {
        let databases = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Databases::create().await?),
        };
        let mut world = Self {
            addresses: Addresses {
                auth: String::new(),
                factory: String::new(),
                gateway: String::new(),
            },
            running: None,
            data: tempfile::tempdir().expect("a temporary folder"),
            databases,
            extra: extra.iter().map(ToString::to_string).collect(),
        };
        world.run();
        Some(world)
    }

    /// Only the clients, of processes that somebody else runs.
    pub fn elsewhere(addresses: Addresses) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        Self {
            addresses,
            running: None,
            data,
            databases: None,
            extra: Vec::new(),
        }
    }

    /// Starts the process (again) on the same data.
    pub fn run(&mut self) {
        let ready = self.data.path().join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = process::binary("millgate");
        command
            .arg("serve")
            .args([
                "--auth-listen",
                "127.0.0.1:0",
                "--factory-listen",
                "127.0.0.1:0",
                "--gateway-listen",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(self.data_folder())
            .arg("--ready-file")
            .arg(&ready)
            .args(["--calls-per-second", "0", "--logins-per-minute", "0"])
            .args(&self.extra)
            .env("MILLGATE_ADMIN_PASSWORD", ADMIN_PASSWORD);
        if let Some(databases) = &self.databases {
            command
                .env("AUTH_DATABASE_URL", databases.auth().url())
                .env("FACTORY_DATABASE_URL", databases.factory().url());
        }
        self.running = Some(Running::until_ready(command, "Ready"));
        let text = std::fs::read_to_string(&ready)
            .expect("the ready file is there once the process says so");
        self.addresses = serde_json::from_str(&text).expect("the ready file is one JSON object");
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        self.running = None;
    }

    pub fn data_folder(&self) -> PathBuf {
        self.data.path().join("data")
    }

    pub fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("the process runs")
    }

    pub fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(channel(&self.addresses.auth))
    }

    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(channel(&self.addresses.auth))
    }

    pub fn customers(&self) -> CustomerServiceClient<Channel> {
        CustomerServiceClient::new(channel(&self.addresses.factory))
    }

    pub fn products(&self) -> ProductServiceClient<Channel> {
        ProductServiceClient::new(channel(&self.addresses.factory))
    }

    pub fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(channel(&self.addresses.factory))
    }

    pub fn tickets(&self) -> ServiceTicketServiceClient<Channel> {
        ServiceTicketServiceClient::new(channel(&self.addresses.factory))
    }

    pub fn http(&self) -> http::Http {
        http::Http::new(&self.addresses.gateway)
    }
}

/// A channel to an address, connected at its first use.
pub fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect_lazy()
}

/// A request with a token.
pub fn bearing<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(
        "authorization",
        format!("Bearer {token}").parse().expect("a token is ASCII"),
    );
    request
}

/// The reason of a refusal, from its ErrorInfo.
pub fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_else(|| format!("no ErrorInfo: {status:?}"))
}

/// The same test on both databases; the PostgreSQL half says loudly when it is skipped, and fails in CI.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite { $( #[tokio::test(flavor = "multi_thread")] async fn $name() {
            if let Some(world) = $crate::support::World::start($crate::support::Backend::Sqlite).await { super::$name(world).await }
        } )+ }
        mod postgres { $( #[tokio::test(flavor = "multi_thread")] async fn $name() {
            if let Some(world) = $crate::support::World::start($crate::support::Backend::Postgres).await { super::$name(world).await }
        } )+ }
    };
}
