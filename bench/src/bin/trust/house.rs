//! An auth service, and another service that follows its feed.

use std::sync::Arc;
use std::time::Duration;

use auth_service::{Ambient, Config, prepare};
use clap::{Args as _, Command, FromArgMatches as _};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_guard::{
    Expectations, FilePermissions, IssuedToken, KeyRing, LiveRevocations, Revocations as _,
    SharedRing, SystemClock, SystemEntropy, TokenSource, TrustFeed, Verifier,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

use crate::Problem;

pub(crate) const PASSWORD: &str = "correct horse battery";
const CLIENT: &str = "factory-service";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Another service's guard.
pub(crate) struct Elsewhere {
    pub(crate) verifier: Verifier,
    pub(crate) known: Arc<LiveRevocations>,
}

impl Elsewhere {
    /// Whether it takes the token.
    pub(crate) fn takes(&self, token: &str) -> bool {
        self.verifier.identify(token).is_ok_and(|caller| {
            self.known.refuses(caller.claims()).is_none()
                && self.known.refuses_key(caller.key_id()).is_none()
        })
    }
}

/// A running auth service with a follower.
pub(crate) struct House {
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) elsewhere: Arc<Elsewhere>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), String>>,
    tasks: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn open(url: &str, life: Duration) -> Result<Self, Problem> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let keys = folder.path().join("keys.json");
        KeyRing::create_file(&keys, &SystemEntropy, &SystemClock)?;
        let life = format!("{}s", life.as_secs());
        // The secrets belong to the database, which several houses use one after the other.
        let secrets =
            std::env::temp_dir().join(format!("trust-bench-{}.secrets", std::process::id()));
        let arguments = [
            "auth-service",
            "--database-url",
            url,
            "--keys",
            &path("keys.json"),
            "--secrets",
            &secrets.display().to_string(),
            "--audit-checkpoints",
            &path("audit.checkpoints"),
            "--calls-per-second",
            "0",
            "--logins-per-minute",
            "0",
            "--throttles",
            "false",
            "--hashing-queue",
            "1000",
            "--admin-password",
            PASSWORD,
            "--factory-client-secret",
            SECRET,
            "--key-announced-for",
            "0s",
            "--access-token-life",
            &life,
        ]
        .map(str::to_owned);
        let matches =
            Config::augment_args(Command::new("auth-service")).try_get_matches_from(arguments)?;
        let config = Config::from_arg_matches(&matches)?;
        let prepared = prepare(config, Ambient::default()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let served = prepared.serve(listener, stopped).await;
            served.map_err(|error| error.to_string())
        });
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        let auth = AuthServiceClient::new(channel.clone());
        let (ring, watch) =
            SharedRing::watch(&keys, FilePermissions::Private, Duration::from_millis(100))?;
        let known = Arc::new(LiveRevocations::new(Arc::new(SystemClock)));
        let feed = TrustFeed::new(
            known.clone(),
            ring.clone(),
            tokens(&auth),
            Arc::new(SystemEntropy),
        );
        let own = Channel::from_shared(format!("http://{address}"))?.connect_lazy();
        // The house before had the same database: under one name its follower has come back, and need not be waited for.
        let feed = feed.named("elsewhere");
        let tasks = vec![tokio::spawn(watch), tokio::spawn(feed.run(own))];
        known.completed().await;
        let verifier = Verifier::new(ring, Expectations::default(), Arc::new(SystemClock));
        Ok(Self {
            auth,
            channel,
            elsewhere: Arc::new(Elsewhere { verifier, known }),
            stop,
            served,
            tasks,
            _folder: folder,
        })
    }

    /// Logs somebody in, whom it registers first.
    pub(crate) async fn person(&self, name: &str) -> Result<pb::TokenResponse, Problem> {
        let request = pb::RegisterRequest {
            username: name.to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        self.auth.clone().register(request).await?;
        self.login(name).await
    }

    pub(crate) async fn login(&self, name: &str) -> Result<pb::TokenResponse, Problem> {
        let request = pb::LoginRequest {
            username: name.to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        Ok(self.auth.clone().login(request).await?.into_inner())
    }

    /// Stops the auth service; the other service goes on.
    pub(crate) async fn stop_auth(self) -> Result<(Arc<Elsewhere>, Vec<JoinHandle<()>>), Problem> {
        drop(self.stop);
        drop((self.auth, self.channel));
        self.served.await??;
        Ok((self.elsewhere, self.tasks))
    }

    pub(crate) async fn close(self) -> Result<(), Problem> {
        let (_elsewhere, tasks) = self.stop_auth().await?;
        tasks.iter().for_each(JoinHandle::abort);
        Ok(())
    }
}

/// The service's own tokens.
pub(crate) async fn service_token(
    auth: &AuthServiceClient<Channel>,
) -> Result<IssuedToken, Status> {
    let request = pb::IssueServiceTokenRequest {
        client_id: CLIENT.to_owned(),
        client_secret: SECRET.to_owned(),
        scope: String::new(),
    };
    let issued = auth
        .clone()
        .issue_service_token(request)
        .await?
        .into_inner();
    Ok(IssuedToken {
        access_token: SecretString::from(issued.access_token),
        expires_in: Duration::from_secs(u64::try_from(issued.expires_in).unwrap_or(1)),
    })
}

fn tokens(auth: &AuthServiceClient<Channel>) -> TokenSource {
    let auth = auth.clone();
    let fetch = move || {
        let auth = auth.clone();
        Box::pin(async move { service_token(&auth).await }) as _
    };
    TokenSource::new(fetch, Arc::new(SystemClock))
}
