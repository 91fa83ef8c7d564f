//! `millgate serve`: the two services and the gateway in one process.
//!
//! Each is prepared and served just as its own binary does it, with the settings of its own environment variables; what
//! this form adds is a data folder in which everything that is not configured is made at the first start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::FromArgMatches;
use millgate_platform::{
    Ambient, KeyArgs, LimitArgs, LogArgs, MetricsArgs, SharedEntropy, StartError, reachable,
    shutdown_signal, telemetry,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::banner::{self, Addresses, Admin};
use crate::folder::Folder;
use crate::terminal::{say, unsaid};

millgate_platform::secret_arg! {
    /// The first administrator's password, for AUTH_ADMIN_PASSWORD; one is generated and printed, once, when neither is set.
    pub(crate) struct AdminPassword { flag: "admin-password", env: "MILLGATE_ADMIN_PASSWORD" }
}
millgate_platform::secret_arg! {
    /// The auth service's database: `sqlite:PATH` or `postgres://...`; a SQLite file in the data folder when it is not set.
    pub(crate) struct AuthDatabaseUrl { flag: "auth-database-url", env: "AUTH_DATABASE_URL" }
}
millgate_platform::secret_arg! {
    /// The factory service's database: `sqlite:PATH` or `postgres://...`; a SQLite file in the data folder when it is not set.
    pub(crate) struct FactoryDatabaseUrl { flag: "factory-database-url", env: "FACTORY_DATABASE_URL" }
}

/// The settings of the one-command form. Those of the single services (see their `--help`) count as well, by their
/// environment variables.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where databases, key ring and secrets are kept that are not configured elsewhere; made when it is not there.
    #[arg(
        long,
        env = "MILLGATE_DATA_DIR",
        value_name = "PATH",
        default_value = "./millgate-data"
    )]
    data_dir: PathBuf,

    /// Where the auth service listens. Port 0 takes a free one.
    #[arg(
        long,
        env = "AUTH_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    auth_listen: SocketAddr,

    /// Where the factory service listens.
    #[arg(
        long,
        env = "FACTORY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50052"
    )]
    factory_listen: SocketAddr,

    /// Where the gateway listens.
    #[arg(
        long,
        env = "GATEWAY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    gateway_listen: SocketAddr,

    /// A file to write one JSON line with the addresses to, once all are ready.
    #[arg(long, env = "MILLGATE_READY_FILE", value_name = "PATH")]
    ready_file: Option<PathBuf>,

    #[command(flatten)]
    admin_password: AdminPassword,

    #[command(flatten)]
    auth_database_url: AuthDatabaseUrl,

    #[command(flatten)]
    factory_database_url: FactoryDatabaseUrl,

    /// The key ring; in the data folder when none is configured.
    #[command(flatten)]
    keys: KeyArgs,

    /// The limits of both services.
    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    metrics: MetricsArgs,

    #[command(flatten)]
    logs: LogArgs,
}

/// The three listeners, bound before anything else is touched.
struct Listeners {
    auth: TcpListener,
    factory: TcpListener,
    gateway: TcpListener,
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// Names the setting that keeps it from starting, or the service that ended by itself.
pub(crate) async fn run(args: Args) -> Result<(), StartError> {
    let _logging = telemetry::init(&args.logs)?;
    let mut stop =
        pin!(shutdown_signal().map_err(|error| StartError::new("signals", error.to_string()))?);
    let started = tokio::select! {
        // It may wait minutes for the migrations of another replica.
        () = &mut stop => return Ok(()),
        started = start(args) => started?,
    };
    started.serve(stop).await
}

/// All three, ready to serve.
struct Started {
    auth: auth_service::Prepared,
    factory: factory_service::Prepared,
    gateway: gateway::Prepared,
    listeners: Listeners,
    banner: String,
    ready_file: Option<PathBuf>,
    addresses: Addresses,
    /// The metrics listener.
    _background: JoinSet<()>,
}

async fn start(args: Args) -> Result<Started, StartError> {
    let ambient = Ambient::default();
    let folder = Folder::open(&args.data_dir)?;
    let listeners = Listeners {
        auth: bind("--auth-listen (AUTH_LISTEN)", args.auth_listen).await?,
        factory: bind("--factory-listen (FACTORY_LISTEN)", args.factory_listen).await?,
        gateway: bind("--gateway-listen (GATEWAY_LISTEN)", args.gateway_listen).await?,
    };
    let addresses = listeners.addresses()?;
    let mut plan = plan(&args, &folder, &addresses, &ambient.entropy)?;
    let mut background = JoinSet::new();
    let metrics = args.metrics.start(&mut background).await?;
    plan.auth.metrics.shared.clone_from(&metrics);
    plan.factory.metrics.shared.clone_from(&metrics);
    plan.gateway.metrics.shared = metrics;

    let auth = auth_service::prepare(plan.auth, ambient.clone()).await?;
    let password = plan
        .generated_password
        .as_ref()
        .filter(|_| auth.admin_created().is_some())
        .map(ExposeSecret::expose_secret);
    if let Some(password) = password {
        // At once: should the start still fail, nobody could ever know it.
        say(&banner::first_password(&plan.admin, password)).map_err(unsaid)?;
    }
    let factory = factory_service::prepare(plan.factory, ambient.clone()).await?;
    let gateway = gateway::prepare(plan.gateway, ambient.entropy)?;
    let admin = Admin {
        username: &plan.admin,
        password,
    };
    Ok(Started {
        banner: banner::banner(&addresses, &admin, plan.scheme),
        ready_file: args.ready_file,
        _background: background,
        auth,
        factory,
        gateway,
        listeners,
        addresses,
    })
}

impl Started {
    async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let Self {
            auth,
            factory,
            gateway,
            listeners,
            banner,
            ready_file,
            addresses,
            _background,
        } = self;
        let (stopping, stopped) = watch::channel(false);
        let told = |mut stopped: watch::Receiver<bool>| async move {
            // The sender going away means the same as its word.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let mut services = JoinSet::new();
        services.spawn(named(
            "auth",
            auth.serve(listeners.auth, told(stopped.clone())),
        ));
        services.spawn(named(
            "factory",
            factory.serve(listeners.factory, told(stopped.clone())),
        ));
        services.spawn(named(
            "gateway",
            gateway.serve(listeners.gateway, told(stopped)),
        ));

        if let Some(path) = &ready_file {
            write_ready_file(path, &addresses)?;
        }
        say(&banner).map_err(unsaid)?;

        tokio::select! {
            () = stop => {}
            // A service that ends by itself takes the others with it: half a system is worse than none.
            ended = services.join_next() => {
                let _ = stopping.send(true);
                ended.map_or(Ok(()), flat)?;
            }
        }
        let _ = stopping.send(true);
        while let Some(ended) = services.join_next().await {
            flat(ended)?;
        }
        Ok(())
    }
}

/// What the three are started with.
struct Plan {
    auth: auth_service::Config,
    factory: factory_service::Config,
    gateway: gateway::Config,
    admin: String,
    generated_password: Option<SecretString>,
    scheme: &'static str,
}

fn plan(
    args: &Args,
    folder: &Folder,
    at: &Addresses,
    entropy: &SharedEntropy,
) -> Result<Plan, StartError> {
    let mut auth = auth_settings(folder, args.auth_database_url.resolve()?)?;
    let mut factory: factory_service::Config = from_environment("factory-service")?;
    let mut gateway: gateway::Config = from_environment("gateway")?;

    let mut keys = args.keys.clone();
    if keys.keys.is_none() && keys.keys_json.is_none() {
        keys.keys = Some(folder.key_ring(entropy.as_ref())?);
    }
    let client_secret = SecretString::from(
        URL_SAFE_NO_PAD.encode(
            *folder
                .secrets(entropy.as_ref())?
                .derive("factory client secret"),
        ),
    );
    // The gateway and the factory tell auth the client's address; this is how they prove that they may.
    let proxy_secret = SecretString::from(random(entropy));
    let configured = match args.admin_password.resolve()? {
        None => auth.admin_password.resolve()?,
        given => given,
    };
    let generated_password = configured
        .is_none()
        .then(|| SecretString::from(random(entropy)));
    let tls = auth.tls.tls_cert.is_some();
    if tls && factory.client_tls.client_tls_ca.is_none() {
        let message =
            "is needed where MILLGATE_TLS_CERT is set: the services call each other over TLS too";
        return Err(StartError::new("MILLGATE_CLIENT_TLS_CA", message));
    }
    let scheme = if tls { "https" } else { "http" };

    // Accounts in a folder are somebody's who tries it out; whoever can read this log can read the folder.
    let embedded = args.auth_database_url.resolve()?.is_none();
    auth.mail.log_reset_links = auth.mail.log_reset_links.or(embedded.then_some(true));
    auth.admin_password.value = configured.or_else(|| generated_password.clone());
    auth.admin_password.file = None;
    auth.factory_client_secret.value = Some(client_secret.clone());
    auth.factory_client_secret.file = None;
    auth.keys = keys.clone();
    auth.limits = args.limits.clone();
    auth.proxy_secret = Some(proxy_secret.clone());

    factory.database_url.value = args
        .factory_database_url
        .resolve()?
        .or_else(|| Some(folder.sqlite("factory.db")));
    factory.database_url.file = None;
    factory.secrets = unless_configured(
        "FACTORY_SECRETS",
        factory.secrets,
        folder.path("factory.secrets"),
    );
    factory.auth_endpoint = format!("{scheme}://{}", at.auth);
    factory.client_id.clone_from(&auth.factory_client_id);
    factory.client_secret.value = Some(client_secret);
    factory.client_secret.file = None;
    factory.keys = keys;
    factory.limits = args.limits.clone();
    factory.proxy_secret = Some(proxy_secret.clone());

    gateway.auth_endpoint = format!("{scheme}://{}", at.auth);
    gateway.factory_endpoint = format!("{scheme}://{}", at.factory);
    gateway.proxy_secret = Some(proxy_secret);

    let admin = auth.admin_username.clone();
    Ok(Plan {
        auth,
        factory,
        gateway,
        admin,
        generated_password,
        scheme,
    })
}

/// The settings of the auth service as its environment variables say them, with what is in the data folder where they
/// do not.
///
/// # Errors
/// Names the setting that is wrong.
pub(crate) fn auth_settings(
    folder: &Folder,
    database: Option<SecretString>,
) -> Result<auth_service::Config, StartError> {
    let mut auth: auth_service::Config = from_environment("auth-service")?;
    auth.database_url.value = database.or_else(|| Some(folder.sqlite("auth.db")));
    auth.database_url.file = None;
    auth.secrets = unless_configured("AUTH_SECRETS", auth.secrets, folder.path("auth.secrets"));
    Ok(auth)
}

/// The settings of a single service as its environment variables say them, with its defaults.
fn from_environment<C: clap::Args + FromArgMatches>(
    service: &'static str,
) -> Result<C, StartError> {
    let failed = |error: clap::Error| StartError::new(service, error.to_string());
    let matches = C::augment_args(clap::Command::new(service))
        .try_get_matches_from([service])
        .map_err(failed)?;
    C::from_arg_matches(&matches).map_err(failed)
}

fn unless_configured(variable: &str, configured: PathBuf, default: PathBuf) -> PathBuf {
    if std::env::var_os(variable).is_some() {
        configured
    } else {
        default
    }
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::new(setting, format!("{address}: {error}")))
}

impl Listeners {
    fn addresses(&self) -> Result<Addresses, StartError> {
        let of = |listener: &TcpListener| {
            listener
                .local_addr()
                .map_err(|error| StartError::new("listener", error.to_string()))
                .map(reachable)
        };
        Ok(Addresses {
            auth: of(&self.auth)?,
            factory: of(&self.factory)?,
            gateway: of(&self.gateway)?,
        })
    }
}

/// Written beside and renamed, so that nobody reads half of it.
fn write_ready_file(path: &std::path::Path, addresses: &Addresses) -> Result<(), StartError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    std::fs::write(&draft, format!("{}\n", addresses.json()))
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|error| {
            StartError::new(
                "--ready-file (MILLGATE_READY_FILE)",
                format!("{}: {error}", path.display()),
            )
        })
}

async fn named<E: std::error::Error + Send + Sync + 'static>(
    service: &'static str,
    served: impl Future<Output = Result<(), E>>,
) -> Result<(), StartError> {
    served
        .await
        .map_err(|error| StartError::new(service, "ended").with_source(error))
}

fn flat(ended: Result<Result<(), StartError>, tokio::task::JoinError>) -> Result<(), StartError> {
    ended.unwrap_or_else(|error| Err(StartError::new("a service", error.to_string())))
}

/// 256 random bits as text that needs no quoting anywhere.
fn random(entropy: &SharedEntropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
