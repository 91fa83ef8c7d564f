//! A house of its own for every test: database, keys, secrets, a clock set by hand, a server on a free port.

use std::future::Future;
use std::sync::Arc;

use auth_service::{Ambient, Config, MIGRATIONS, prepare};
use clap::Parser;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::access_token_service_client::AccessTokenServiceClient;
use millgate_contract::auth::v1::audit_service_client::AuditServiceClient;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::second_factor_service_client::SecondFactorServiceClient;
use millgate_contract::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use millgate_contract::auth::v1::session_service_client::SessionServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_guard::testing::{Issuer, ManualClock};
use millgate_guard::{FilePermissions, KeyRing, SharedRing};
use millgate_platform::testing::{PostgresDatabase, sqlite_url};
use millgate_platform::{Clock, Database, DatabaseOptions, SystemClock, SystemEntropy, on};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

pub(crate) const ADMIN: &str = "admin";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const FACTORY: &str = "factory-service";
pub(crate) const FACTORY_SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// Where a house keeps its things; several servers may share it.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        KeyRing::create_file(
            &folder.path().join("keys.json"),
            &SystemEntropy,
            &SystemClock,
        )
        .expect("keys");
        Self {
            url: url.to_owned(),
            folder,
        }
    }

    /// The settings of a server here: no rate limits, which other tests are about, and `more` on top.
    pub(crate) fn config(&self, more: &[&str]) -> Config {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (keys, secrets) = (path("keys.json"), path("auth.secrets"));
        let mut args = vec![
            "auth-service",
            "--database-url",
            &self.url,
            "--keys",
            &keys,
            "--secrets",
            &secrets,
        ];
        for off in [
            ["--calls-per-second", "0"],
            ["--logins-per-minute", "0"],
            ["--hashing-queue", "1000"],
            ["--throttles", "false"],
        ] {
            if !more.contains(&off[0]) {
                args.extend(off);
            }
        }
        args.extend([
            "--admin-password",
            PASSWORD,
            "--factory-client-secret",
            FACTORY_SECRET,
        ]);
        args.extend(more);
        Cli::try_parse_from(args)
            .unwrap_or_else(|error| panic!("{error}"))
            .config
    }
}

/// A running server and its clients.
pub(crate) struct House {
    pub(crate) place: Arc<Place>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) users: UserServiceClient<Channel>,
    /// For the clients of the other services.
    pub(crate) channel: Channel,
    pub(crate) service_accounts: ServiceAccountServiceClient<Channel>,
    pub(crate) access_tokens: AccessTokenServiceClient<Channel>,
    pub(crate) audit: AuditServiceClient<Channel>,
    pub(crate) sessions: SessionServiceClient<Channel>,
    pub(crate) second_factors: SecondFactorServiceClient<Channel>,
    /// For a look behind the server's back.
    pub(crate) db: Database,
    /// Signs with the server's own key, as a thief of it could.
    pub(crate) issuer: Issuer,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Runs a test on SQLite and on PostgreSQL, in a fresh house each.
pub(crate) async fn on_both<F: AsyncFn(House)>(test: F) {
    on_both_with(&[], test).await;
}

/// The same with more settings.
pub(crate) async fn on_both_with<F: AsyncFn(House)>(settings: &[&str], test: F) {
    at_both(async |place| test(House::open(place, settings).await).await).await;
}

/// Runs a test that starts its servers itself.
pub(crate) async fn at_both<F: AsyncFn(Arc<Place>)>(test: F) {
    let (url, _folder) = sqlite_url();
    eprintln!("-- on SQLite");
    test(Arc::new(Place::at(&url))).await;
    if let Some(postgres) = PostgresDatabase::create().await {
        eprintln!("-- on PostgreSQL");
        test(Arc::new(Place::at(postgres.url()))).await;
        postgres.remove().await;
    }
}

impl House {
    pub(crate) async fn open(place: Arc<Place>, settings: &[&str]) -> Self {
        let clock = ManualClock::shared(SystemClock.now_micros());
        Self::open_at(place, settings, clock).await
    }

    pub(crate) async fn open_at(
        place: Arc<Place>,
        settings: &[&str],
        clock: Arc<ManualClock>,
    ) -> Self {
        let config = place.config(settings);
        Self::run(place, config, clock).await
    }

    /// With settings that are no flags.
    pub(crate) async fn open_with(place: Arc<Place>, config: Config) -> Self {
        let clock = ManualClock::shared(SystemClock.now_micros());
        Self::open_with_at(place, config, clock).await
    }

    pub(crate) async fn open_with_at(
        place: Arc<Place>,
        config: Config,
        clock: Arc<ManualClock>,
    ) -> Self {
        Self::run(place, config, clock).await
    }

    async fn run(place: Arc<Place>, config: Config, clock: Arc<ManualClock>) -> Self {
        let ambient = Ambient {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
        };
        let prepared = prepare(config, ambient)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            prepared.serve(listener, shutdown).await.expect("served");
        });
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("the server answers");
        let url = SecretString::from(place.url.as_str());
        let db = Database::open(&url, &MIGRATIONS, &DatabaseOptions::default())
            .await
            .expect("the database");
        let keys = place.folder.path().join("keys.json");
        let ring = KeyRing::load(&keys, FilePermissions::default()).expect("the keys");
        Self {
            auth: AuthServiceClient::new(channel.clone()),
            users: UserServiceClient::new(channel.clone()),
            access_tokens: AccessTokenServiceClient::new(channel.clone()),
            service_accounts: ServiceAccountServiceClient::new(channel.clone()),
            audit: AuditServiceClient::new(channel.clone()),
            second_factors: SecondFactorServiceClient::new(channel.clone()),
            sessions: SessionServiceClient::new(channel.clone()),
            channel,
            db,
            issuer: Issuer::over(SharedRing::new(ring), clock.clone()),
            place,
            clock,
            stop,
            task,
        }
    }

    /// Stops the server and gives its place back.
    pub(crate) async fn close(self) -> Arc<Place> {
        let _ = self.stop.send(());
        self.task.await.expect("the server ended well");
        self.db.close().await;
        self.place
    }

    pub(crate) async fn register(&self, username: &str) -> pb::User {
        let request = registration(username, PASSWORD);
        self.auth
            .clone()
            .register(request)
            .await
            .expect("registered")
            .into_inner()
            .user
            .expect("a user")
    }

    pub(crate) async fn try_login(
        &self,
        username: &str,
        password: &str,
    ) -> Result<pb::TokenResponse, Status> {
        self.auth
            .clone()
            .login(login(username, password))
            .await
            .map(tonic::Response::into_inner)
    }

    pub(crate) async fn login(&self, username: &str) -> pb::TokenResponse {
        self.try_login(username, PASSWORD).await.expect("logged in")
    }

    /// The administrator's access token.
    pub(crate) async fn admin(&self) -> String {
        self.login(ADMIN).await.access_token
    }

    /// Registers somebody, gives them a role, logs them in.
    pub(crate) async fn person(
        &self,
        username: &str,
        role: pb::Role,
    ) -> (pb::User, pb::TokenResponse) {
        let mut user = self.register(username).await;
        if role != pb::Role::Customer {
            user = self
                .set_role(&self.admin().await, user.id, role)
                .await
                .expect("the role is set");
        }
        (user, self.login(username).await)
    }

    pub(crate) async fn set_role(
        &self,
        token: &str,
        id: i64,
        role: pb::Role,
    ) -> Result<pb::User, Status> {
        let request = pb::SetUserRoleRequest {
            id,
            role: role.into(),
            ..Default::default()
        };
        self.users
            .clone()
            .set_user_role(with(token, request))
            .await
            .map(tonic::Response::into_inner)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<pb::TokenResponse, Status> {
        let request = pb::RefreshRequest {
            refresh_token: token.to_owned(),
        };
        self.auth
            .clone()
            .refresh(request)
            .await
            .map(tonic::Response::into_inner)
    }

    pub(crate) async fn who_am_i(&self, token: &str) -> Result<pb::WhoAmIResponse, Status> {
        self.auth
            .clone()
            .who_am_i(with(token, pb::WhoAmIRequest {}))
            .await
            .map(tonic::Response::into_inner)
    }

    /// The factory's service token.
    pub(crate) async fn factory(&self) -> String {
        self.service_token(FACTORY, FACTORY_SECRET, "")
            .await
            .expect("issued")
            .access_token
    }

    pub(crate) async fn service_token(
        &self,
        client_id: &str,
        secret: &str,
        scope: &str,
    ) -> Result<pb::IssueServiceTokenResponse, Status> {
        let request = pb::IssueServiceTokenRequest {
            client_id: client_id.to_owned(),
            client_secret: secret.to_owned(),
            scope: scope.to_owned(),
        };
        self.auth
            .clone()
            .issue_service_token(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Everything that a refused call must leave as it was, as text.
    pub(crate) async fn snapshot(&self) -> Vec<String> {
        const USERS: &str = "SELECT id || '|' || coalesce(username, '-') || '|' || coalesce(username_canonical, '-') \
            || '|' || coalesce(email, '-') || '|' || coalesce(email_canonical, '-') || '|' || password_hash || '|' \
            || role || '|' || state || '|' || generation || '|' || coalesce(external_id, '-') || '|' \
            || coalesce(created_by, '-') || '|' || revision || '|' || update_time || '|' \
            || coalesce(last_login_time, 0) FROM users ORDER BY id";
        const SESSIONS: &str = "SELECT id || '|' || user_id || '|' || last_used_time || '|' || auth_time || '|' \
            || coalesce(ended_time, 0) || '|' || coalesce(end_reason, '-') FROM sessions ORDER BY id";
        const TOKENS: &str = "SELECT session_id || '|' || create_time || '|' || coalesce(used_time, 0) \
            FROM refresh_tokens ORDER BY session_id, create_time, used_time";
        const ANSWERS: &str =
            "SELECT request_id || '|' || method FROM idempotency_keys ORDER BY request_id, method";
        let mut lines = Vec::new();
        for sql in [USERS, SESSIONS, TOKENS, ANSWERS] {
            let rows: Vec<String> =
                on!(self.db, |c| sqlx::query_scalar(sql).fetch_all(c).await).expect("rows");
            lines.extend(rows);
        }
        lines
    }

    /// One number out of the database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        on!(self.db, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("a number")
    }
}

pub(crate) fn registration(username: &str, password: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        username: username.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn login(username: &str, password: &str) -> pb::LoginRequest {
    pb::LoginRequest {
        username: username.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    }
}

/// A request with a bearer token.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let entry = format!("Bearer {token}").parse().expect("a token is ASCII");
    request.metadata_mut().insert("authorization", entry);
    request
}

/// Code and reason of a refusal; every one must be ours.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("this should have been refused");
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("a refusal without ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "millgate");
    (status.code(), info.reason)
}

/// The reason alone.
#[track_caller]
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
    refusal(result).1
}

/// The fields that a refusal names.
#[track_caller]
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let bad = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations)
        .unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}

/// Runs `count` of the same at once and gives all results.
pub(crate) async fn at_once<T, Fut: Future<Output = T> + Send + 'static>(
    count: usize,
    one: impl Fn(usize) -> Fut,
) -> Vec<T>
where
    T: Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|index| tokio::spawn(one(index))).collect();
    futures::future::join_all(tasks)
        .await
        .into_iter()
        .map(|done| done.expect("no panic"))
        .collect()
}
