//! The settings of the factory service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millgate_platform::config::duration;
use millgate_platform::{
    ClientTlsArgs, DatabaseOptions, KeyArgs, LimitArgs, MetricsArgs, ProxyArgs, TlsArgs,
};
use secrecy::SecretString;

millgate_platform::secret_arg! {
    /// The factory's own database: `sqlite:PATH` or `postgres://user:password@host:port/name`; `sqlite:factory.db` when
    /// it is not set.
    pub struct DatabaseUrl { flag: "database-url", env: "FACTORY_DATABASE_URL" }
}

millgate_platform::secret_arg! {
    /// The secret of the factory's service account at the auth service. Needed.
    pub struct ClientSecret { flag: "client-secret", env: "FACTORY_CLIENT_SECRET" }
}

/// The settings of the factory service. Every flag can also be given in the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the service listens.
    #[arg(
        long,
        env = "FACTORY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50052"
    )]
    pub listen: SocketAddr,

    /// The factory's own database.
    #[command(flatten)]
    pub database_url: DatabaseUrl,

    /// The file with the secret that only this service knows (page tokens, idempotency); made with mode 0600 when it is
    /// not there. All replicas share it.
    #[arg(
        long,
        env = "FACTORY_SECRETS",
        value_name = "PATH",
        default_value = "factory.secrets"
    )]
    pub secrets: PathBuf,

    /// The auth service.
    #[arg(
        long,
        env = "AUTH_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub auth_endpoint: String,

    /// The factory's service account at the auth service.
    #[arg(
        long,
        env = "FACTORY_CLIENT_ID",
        value_name = "ID",
        default_value = "factory-service"
    )]
    pub client_id: String,

    /// The secret of that account.
    #[command(flatten)]
    pub client_secret: ClientSecret,

    /// Whether server reflection is served (it needs no token).
    #[arg(long, env = "FACTORY_REFLECTION", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub reflection: bool,

    /// Whether this service learns from the auth service what was revoked, over its trust feed. Without it a token is
    /// good until it expires.
    #[arg(long, env = "FACTORY_TRUST_FEED", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub trust_feed: bool,

    /// Refuses every call with REVOCATION_UNAVAILABLE when the trust feed was not heard for longer than this, and before
    /// it is first heard. Without it the service goes on with what it knows.
    #[arg(long, env = "FACTORY_MAX_STALENESS", value_parser = duration, value_name = "TIME")]
    pub max_staleness: Option<Duration>,

    /// Whether the service is ready only once it has learnt what was revoked before it began.
    #[arg(long, env = "FACTORY_AWAIT_TRUST_FEED", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub await_trust_feed: bool,

    /// The keys that tokens are verified with.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// How the database is used.
    #[command(flatten)]
    pub database: DatabaseOptions,

    /// The limits of the server.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Where its numbers can be read.
    #[command(flatten)]
    pub metrics: MetricsArgs,

    /// The TLS of the listener.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The TLS towards the auth service.
    #[command(flatten)]
    pub client_tls: ClientTlsArgs,

    /// Who is believed about a client's address.
    #[command(flatten)]
    pub proxies: ProxyArgs,

    /// By this secret a gateway in the same process proves what it says of a client's address, and this service proves
    /// it to an auth service in the same process. Made anew at each start, never configured.
    #[arg(skip)]
    pub proxy_secret: Option<SecretString>,
}
