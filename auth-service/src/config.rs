//! The settings, each a flag and an environment variable. What is wrong is refused at start, by name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millgate_guard::{Expectations, Scopes};
use millgate_platform::config::duration;
use millgate_platform::{
    DatabaseOptions, KeyArgs, LimitArgs, MetricsArgs, ProxyArgs, StartError, TlsArgs, secret_arg,
};
use secrecy::SecretString;

use crate::domain::{ClientId, SessionLimits, Username};
use crate::hashing::Cost;
use crate::mail::MailArgs;

secret_arg! {
    /// The database: `sqlite:PATH` or `postgres://user:password@host/name` [default: sqlite:auth.db].
    pub struct DatabaseUrl { flag: "database-url", env: "AUTH_DATABASE_URL" }
}

secret_arg! {
    /// The password of the first administrator; needed as long as there is none.
    pub struct AdminPassword { flag: "admin-password", env: "AUTH_ADMIN_PASSWORD" }
}

secret_arg! {
    /// The secret of the factory's service account, at least 32 random characters. Without it no such account is made.
    pub struct FactorySecret { flag: "factory-client-secret", env: "AUTH_FACTORY_CLIENT_SECRET" }
}

/// The settings of the auth service.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Auth service")]
pub struct Config {
    /// The database.
    #[command(flatten)]
    pub database_url: DatabaseUrl,

    /// Where to listen.
    #[arg(
        long,
        env = "AUTH_LISTEN",
        default_value = "127.0.0.1:50051",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// The file with the secrets that only the auth service has; made (mode 0600) when it is not there. Replicas share
    /// it, and it belongs into the backup beside the database.
    #[arg(
        long,
        env = "AUTH_SECRETS",
        default_value = "auth.secrets",
        value_name = "PATH"
    )]
    pub secrets: PathBuf,

    /// The file that vouches, outside the database, for how long the audit log is; made (mode 0600) when it is not there
    /// [default: audit.checkpoints beside the secrets file]. Each replica has its own. Best on another disk.
    #[arg(long, env = "AUTH_AUDIT_CHECKPOINTS", value_name = "PATH")]
    pub audit_checkpoints: Option<PathBuf>,

    /// How long an access token lives.
    #[arg(long, env = "AUTH_ACCESS_TOKEN_LIFE", default_value = "15m", value_parser = duration)]
    pub access_token_life: Duration,

    /// How long a session lives without a refresh.
    #[arg(long, env = "AUTH_SESSION_IDLE", default_value = "7d", value_parser = duration)]
    pub session_idle: Duration,

    /// How long a session lives in all.
    #[arg(long, env = "AUTH_SESSION_ABSOLUTE", default_value = "30d", value_parser = duration)]
    pub session_absolute: Duration,

    /// Whether people may make their own accounts (`Register`). Accounts that administrators make, or services for
    /// their customers (the factory's `RegisterCustomer`), do not ask this.
    #[arg(
        long,
        env = "AUTH_REGISTRATION",
        value_enum,
        default_value_t,
        value_name = "open|closed"
    )]
    pub registration: Registration,

    /// How many sessions of one person live at a time; the one not used for the longest ends when there are more.
    #[arg(long, env = "AUTH_SESSIONS_PER_USER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub sessions_per_user: u32,

    /// Memory of a password hash (argon2id), in KiB. Floors: OWASP's recommendations.
    #[arg(
        long,
        env = "AUTH_HASH_MEMORY",
        default_value_t = 19_456,
        value_name = "KIB"
    )]
    pub hash_memory: u32,

    /// Passes of a password hash.
    #[arg(long, env = "AUTH_HASH_PASSES", default_value_t = 2)]
    pub hash_passes: u32,

    /// Lanes of a password hash.
    #[arg(long, env = "AUTH_HASH_LANES", default_value_t = 1)]
    pub hash_lanes: u32,

    /// Password hashes computed at once; 0 for as many as there are cores.
    #[arg(long, env = "AUTH_HASHING_WIDTH", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub hashing_width: u16,

    /// Password hashes that may wait for their turn; more are refused with OVERLOADED.
    #[arg(long, env = "AUTH_HASHING_QUEUE", default_value_t = 128)]
    pub hashing_queue: u16,

    /// Whether failed logins slow down the next ones at the same account, name or address. Off only to measure.
    #[arg(long, env = "AUTH_THROTTLES", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub throttles: bool,

    /// What authenticator apps call this installation, beside the name of the account.
    #[arg(
        long,
        env = "AUTH_TOTP_ISSUER",
        default_value = "Millgate",
        value_name = "NAME"
    )]
    pub totp_issuer: String,

    /// The name of the first administrator, made at the first start.
    #[arg(
        long,
        env = "AUTH_ADMIN_USERNAME",
        default_value = "admin",
        value_name = "NAME"
    )]
    pub admin_username: String,

    /// Its password.
    #[command(flatten)]
    pub admin_password: AdminPassword,

    /// The client id of the factory's service account, made at the first start.
    #[arg(
        long,
        env = "AUTH_FACTORY_CLIENT_ID",
        default_value = "factory-service",
        value_name = "ID"
    )]
    pub factory_client_id: String,

    /// Its secret.
    #[command(flatten)]
    pub factory_client_secret: FactorySecret,

    /// Whether server reflection is served (it needs no token).
    #[arg(long, env = "AUTH_REFLECTION", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub reflection: bool,

    /// How mail is sent.
    #[command(flatten)]
    pub mail: MailArgs,

    /// The signing keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// The age at which a signing key is replaced by itself, as by `RotateKey`; never, when it is not set.
    #[arg(long, env = "AUTH_KEY_MAX_AGE", value_parser = duration, value_name = "TIME")]
    pub key_max_age: Option<Duration>,

    /// How long a new key is announced at least before it signs: services that do not follow the trust feed read their
    /// key file again in that time.
    #[arg(long, env = "AUTH_KEY_ANNOUNCED_FOR", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub key_announced_for: Duration,

    /// A second key file, kept in step with the first, for services that only verify: without the private halves of
    /// EdDSA keys.
    #[arg(long, env = "AUTH_VERIFIER_KEYS", value_name = "PATH")]
    pub verifier_keys: Option<PathBuf>,

    /// How the database is used.
    #[command(flatten)]
    pub database: DatabaseOptions,

    /// The limits of the server.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Where its numbers can be read.
    #[command(flatten)]
    pub metrics: MetricsArgs,

    /// TLS of the listener.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Whose word on a client's address is believed.
    #[command(flatten)]
    pub proxies: ProxyArgs,

    /// The secret by which a gateway in the same process proves itself. No flag: it is made at each start.
    #[arg(skip)]
    pub proxy_secret: Option<SecretString>,

    /// What the guards of this installation expect of a token. No flag: every service must have the same.
    #[arg(skip)]
    pub expectations: Expectations,
}

/// Who may make an account for themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Registration {
    /// Everybody.
    #[default]
    Open,
    /// Nobody: REGISTRATION_CLOSED.
    Closed,
}

/// The settings that are checked together.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) cost: Cost,
    pub(crate) hashing_width: usize,
    pub(crate) sessions: SessionLimits,
    pub(crate) admin: Username,
    pub(crate) factory: ClientId,
    pub(crate) factory_scopes: Scopes,
}

/// What the factory's service account may do: keep the logins of the customers that it makes, and learn what is
/// revoked.
const FACTORY_SCOPES: &str = "trust.watch users.read users.write";
const SHORTEST_LIFE: Duration = Duration::from_secs(10);
/// The longest name of the installation: a QR code with a longer one is too dense to scan.
const LONGEST_ISSUER: usize = 64;
const SHORTEST_SESSION: Duration = Duration::from_secs(60);
const LONGEST_SESSION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Config {
    /// Where the checkpoints of the audit log are.
    pub(crate) fn audit_checkpoints(&self) -> PathBuf {
        self.audit_checkpoints
            .clone()
            .unwrap_or_else(|| self.secrets.with_file_name("audit.checkpoints"))
    }

    /// Checks what clap cannot.
    pub(crate) fn check(&self) -> Result<Checked, StartError> {
        let longest = self.expectations.longest_life;
        if !(SHORTEST_LIFE..=longest).contains(&self.access_token_life) {
            let hours = longest.as_secs() / 3600;
            let message =
                format!("must be from 10s to {hours}h, the longest life that the guards take");
            return Err(StartError::new("AUTH_ACCESS_TOKEN_LIFE", message));
        }
        if !(SHORTEST_SESSION..=LONGEST_SESSION).contains(&self.session_absolute) {
            return Err(StartError::new(
                "AUTH_SESSION_ABSOLUTE",
                "must be from 1m to 365d",
            ));
        }
        if !(SHORTEST_SESSION..=self.session_absolute).contains(&self.session_idle) {
            return Err(StartError::new(
                "AUTH_SESSION_IDLE",
                "must be from 1m to AUTH_SESSION_ABSOLUTE",
            ));
        }
        let issuer = &self.totp_issuer;
        if issuer.is_empty() || issuer.len() > LONGEST_ISSUER || issuer.contains(':') {
            let message = "must be 1 to 64 bytes without a colon, which apps take for its end";
            return Err(StartError::new("AUTH_TOTP_ISSUER", message));
        }
        let named = |name: &'static str| move |message: &str| StartError::new(name, message);
        Ok(Checked {
            cost: Cost::new(self.hash_memory, self.hash_passes, self.hash_lanes).map_err(
                |fault| {
                    StartError::new(
                        "AUTH_HASH_MEMORY, AUTH_HASH_PASSES, AUTH_HASH_LANES",
                        fault.to_string(),
                    )
                },
            )?,
            hashing_width: match usize::from(self.hashing_width) {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                width => width,
            },
            sessions: SessionLimits {
                idle: self.session_idle,
                absolute: self.session_absolute,
                per_user: self.sessions_per_user,
            },
            admin: Username::parse(&self.admin_username).map_err(named("AUTH_ADMIN_USERNAME"))?,
            factory: ClientId::parse(&self.factory_client_id)
                .map_err(named("AUTH_FACTORY_CLIENT_ID"))?,
            factory_scopes: Scopes::parse(FACTORY_SCOPES)
                .map_err(|error| StartError::new("AUTH_FACTORY_CLIENT_ID", error.to_string()))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn checked(args: &[&str]) -> Result<Checked, String> {
        let cli = Cli::try_parse_from([&["auth-service"], args].concat())
            .map_err(|error| error.to_string())?;
        cli.config.check().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_good() {
        let checked = checked(&[]).expect("the defaults");
        assert_eq!(checked.cost, Cost::default());
        assert_eq!(checked.sessions.idle, Duration::from_secs(7 * 24 * 60 * 60));
        assert!(checked.hashing_width >= 1);
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        for (flag, value, name) in [
            ("--access-token-life", "25h", "AUTH_ACCESS_TOKEN_LIFE"),
            ("--access-token-life", "9s", "AUTH_ACCESS_TOKEN_LIFE"),
            ("--access-token-life", "soon", "--access-token-life"),
            ("--session-idle", "31d", "AUTH_SESSION_IDLE"),
            ("--session-absolute", "366d", "AUTH_SESSION_ABSOLUTE"),
            ("--hash-memory", "1024", "AUTH_HASH_MEMORY"),
            ("--hash-passes", "17", "AUTH_HASH_PASSES"),
            ("--admin-username", "a", "AUTH_ADMIN_USERNAME"),
            ("--totp-issuer", "https://example.com", "AUTH_TOTP_ISSUER"),
            ("--totp-issuer", "", "AUTH_TOTP_ISSUER"),
            ("--factory-client-id", "7", "AUTH_FACTORY_CLIENT_ID"),
            ("--listen", "nowhere", "--listen"),
        ] {
            let error = checked(&[flag, value]).expect_err(flag);
            assert!(error.contains(name), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let args = [
            "auth-service",
            "--admin-password",
            "hunter2",
            "--database-url",
            "postgres://u:hunter2@h/d",
        ];
        let cli = Cli::try_parse_from(args).expect("parsed");
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
