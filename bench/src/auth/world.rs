//! The real auth service on one database with people in it, and a pool of our own beside it on the same one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth_service::{Ambient, Config, MIGRATIONS};
use clap::{Args as _, Command, FromArgMatches as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_platform::{Database, DatabaseOptions, KeyArgs};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use crate::Problem;
use crate::client::{Client, slot, told};
use crate::double::Serving;
use crate::keys::Keys;

/// Of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The service account.
pub(crate) const CLIENT_ID: &str = "factory-service";
/// Its secret.
pub(crate) const CLIENT_SECRET: &str = "bench-0123456789abcdef0123456789abcdef";
const ADMIN: &str = "admin";
/// Enough that logins at the same time are of different people.
const PEOPLE: u64 = 64;
/// Longer than any run.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// A running auth service with people in it.
pub(crate) struct Auth {
    /// `SQLite` or `PostgreSQL`.
    pub(crate) database: &'static str,
    /// An administrator that calls it.
    pub(crate) admin: Client,
    /// Our pool on its database, opened as it opens its own.
    pub(crate) pool: Database,
    /// The names of the people.
    pub(crate) people: Arc<[String]>,
    /// The same service once more, on the same database, with its throttles on.
    pub(crate) throttled: Client,
    _serving: [Serving; 2],
}

impl Auth {
    /// Starts one on an empty database. Its files besides that are kept in `folder`.
    pub(crate) async fn start(
        database: &'static str,
        url: &str,
        folder: &Path,
        keys: &Keys,
    ) -> Result<Self, Problem> {
        let folder = folder.join(database);
        std::fs::create_dir_all(&folder)?;
        let config = |throttles, checkpoints: &str| {
            let mut config = defaults()?;
            config.database_url.value = Some(SecretString::from(url));
            config.database_url.file = None;
            config.secrets = folder.join("auth.secrets");
            config.audit_checkpoints = Some(folder.join(checkpoints));
            config.admin_password.value = Some(SecretString::from(PASSWORD));
            config.admin_password.file = None;
            config.factory_client_secret.value = Some(SecretString::from(CLIENT_SECRET));
            config.factory_client_secret.file = None;
            config.keys = KeyArgs {
                keys_json: Some(keys.jwks()),
                ..KeyArgs::default()
            };
            config.access_token_life = TOKEN_LIFE;
            config.limits.calls_per_second = 0;
            config.limits.logins_per_minute = 0;
            config.database = DatabaseOptions::default();
            config.throttles = throttles;
            Ok::<_, Problem>(config)
        };
        let (serving, address) = serve(config(false, "checkpoints")?).await?;
        let (also_serving, throttled) = serve(config(true, "checkpoints-2")?).await?;
        let visitor = Client::connect(address, keys.bearer()?).await?;
        let admin = log_in(&visitor, 0, ADMIN).await?.access_token;
        let bearer = format!("Bearer {admin}").parse()?;
        let database_url = SecretString::from(url);
        let pool = Database::open(&database_url, &MIGRATIONS, &DatabaseOptions::default()).await?;
        let people = stream::iter(0..PEOPLE).map(|number| {
            let visitor = visitor.clone();
            async move { register(&visitor, &format!("person-{number}")).await }
        });
        let people: Vec<String> = people.buffer_unordered(8).try_collect().await?;
        Ok(Self {
            database,
            admin: Client::connect(address, bearer).await?,
            pool,
            people: people.into(),
            throttled: Client::connect(throttled, keys.bearer()?).await?,
            _serving: [serving, also_serving],
        })
    }

    /// The name of one of the people.
    pub(crate) fn person(&self, number: u64) -> &str {
        &self.people[slot(number, self.people.len())]
    }

    /// Closes the account of somebody new, and gives their name.
    pub(crate) async fn disabled_person(&self) -> Result<String, Problem> {
        let request = registration("disabled");
        let mut auth = AuthServiceClient::new(self.admin.channel(0));
        let made = auth
            .register(request)
            .await
            .map_err(|status| told(&status))?;
        let id = made.into_inner().user.ok_or("no user")?.id;
        let request = self.admin.request(pb::DisableUserRequest {
            id,
            ..pb::DisableUserRequest::default()
        });
        let mut users = UserServiceClient::new(self.admin.channel(0));
        let done = users.disable_user(request).await;
        done.map_err(|status| told(&status))?;
        Ok("disabled".to_owned())
    }
}

async fn serve(config: Config) -> Result<(Serving, SocketAddr), Problem> {
    let prepared = auth_service::prepare(config, Ambient::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = Serving::of(address, async {
        let _until_dropped = prepared.serve(listener, std::future::pending()).await;
    });
    Ok((serving, address))
}

/// The settings that the service has when nothing is set.
fn defaults() -> Result<Config, Problem> {
    let command = Config::augment_args(Command::new("auth-service"));
    let matches = command.try_get_matches_from(["auth-service"])?;
    Ok(Config::from_arg_matches(&matches)?)
}

fn registration(name: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        username: name.to_owned(),
        password: PASSWORD.to_owned(),
        ..pb::RegisterRequest::default()
    }
}

async fn register(client: &Client, name: &str) -> Result<String, Problem> {
    let mut auth = AuthServiceClient::new(client.channel(0));
    let made = auth.register(registration(name)).await;
    made.map_err(|status| told(&status))?;
    Ok(name.to_owned())
}

/// A login with this password.
pub(crate) fn login(name: &str, password: &str) -> pb::LoginRequest {
    pb::LoginRequest {
        username: name.to_owned(),
        password: password.to_owned(),
        ..pb::LoginRequest::default()
    }
}

/// Logs somebody in.
pub(crate) async fn log_in(
    client: &Client,
    number: u64,
    name: &str,
) -> Result<pb::TokenResponse, String> {
    let mut auth = caller(client, number);
    let answer = auth.login(login(name, PASSWORD)).await;
    Ok(answer.map_err(|status| told(&status))?.into_inner())
}

/// The service, on the connection of this number.
pub(crate) fn caller(client: &Client, number: u64) -> AuthServiceClient<Channel> {
    AuthServiceClient::new(client.channel(number))
}
