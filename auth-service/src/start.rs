//! From settings to a service that can be served.

use std::future::Future;
use std::sync::Arc;

use millgate_contract::DESCRIPTORS;
use millgate_guard::{Guard, Rules, SharedRing, Verifier};
use millgate_platform::{
    Ambient, Database, Idempotency, PageKey, Probe, ServeError, Server, ServiceSecrets,
    SharedEntropy, StartError,
};
use ring::hmac;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::actions::password_reset::Desk;
use crate::app::App;
use crate::audit::{self, Audit};
use crate::config::{Checked, Config};
use crate::domain::{FactorKeys, KnownScopes, RefreshKeys};
use crate::hashing::HashingPool;
use crate::running::Running;
use crate::store::MIGRATIONS;
use crate::tokens::Mint;
use crate::trust::Trust;
use crate::trust::feed::Feed;
use crate::trust::keeper::{self, Keeper};
use crate::{provision, service, store, sweep};

/// Where the accounts are when nobody says otherwise: in the folder that the service was started in.
pub(crate) const DEFAULT_DATABASE: &str = "sqlite:auth.db";

/// The service, ready to serve: the database is migrated, the keys are loaded, the first accounts are there.
pub struct Prepared {
    app: Arc<App>,
    server: Server,
    background: JoinSet<()>,
    running: Option<Running>,
    admin_created: Option<String>,
}

/// Opens and migrates the database, loads the keys, makes the first administrator and the factory's service account.
///
/// # Errors
/// Names the setting that is wrong, missing, or of no use.
pub async fn prepare(config: Config, ambient: Ambient) -> Result<Prepared, StartError> {
    let checked = config.check()?;
    if !config.throttles {
        tracing::warn!("AUTH_THROTTLES is off: passwords and codes can be guessed without limit");
    }
    let (admin_password, factory_secret) = (
        config.admin_password.resolve()?,
        config.factory_client_secret.resolve()?,
    );
    let running = Running::on(&config)?;
    let mut background = JoinSet::new();
    let (ring, watch) = config.keys.ring()?;
    if let Some(watch) = watch {
        background.spawn(watch);
    }
    let (resets, inbox) = Desk::open(config.mail.mailer()?);
    let app = Arc::new(app(&config, &checked, &ring, &ambient, resets).await?);
    app.trust.keeper.write_verifiers(&ring.current()).await?;
    let feed = Feed::begin(&app, config.access_token_life).await?;
    let mut server = server(&config, &app, ambient.entropy)?;
    server.metrics = config.metrics.start(&mut background).await?;
    if let Some(metrics) = &server.metrics {
        app.audit.register(metrics);
        if let Some(inbox) = &inbox {
            inbox.register(metrics);
        }
        metrics.revocations("auth", app.trust.known.clone());
    }
    provision::factory_account(&app, &checked, factory_secret).await?;
    // Last: a start that fails after it would leave an administrator whose password nobody was told.
    let admin_created = provision::first_admin(&app, &checked, admin_password).await?;
    background.spawn(feed.run(app.clone()));
    background.spawn(keeper::run(app.clone()));
    background.spawn(sweep::run(app.clone()));
    if let Some(inbox) = inbox {
        inbox.spawn(&app, &mut background);
    }
    background.spawn(audit::sealer::run(app.clone()));
    Ok(Prepared {
        server,
        admin_created: admin_created.then(|| checked.admin.as_str().to_owned()),
        app,
        background,
        running,
    })
}

impl Prepared {
    /// The name of the first administrator, if this start made it.
    pub fn admin_created(&self) -> Option<&str> {
        self.admin_created.as_deref()
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let Self {
            app,
            server,
            mut background,
            running: _running,
            ..
        } = self;
        let served = server.serve(listener, shutdown).await;
        background.shutdown().await;
        audit::sealer::finish(&app).await;
        // A rotation need not wait for this replica any more; without a word it would for a while.
        if let Err(fault) = store::trust::stopped(&app.db, &app.trust.replica).await {
            tracing::debug!(%fault, "left without a word");
        }
        app.db.close().await;
        served
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("admin_created", &self.admin_created)
            .finish_non_exhaustive()
    }
}

/// What every call shares, over a database that is migrated.
pub(crate) async fn app(
    config: &Config,
    checked: &Checked,
    ring: &SharedRing,
    ambient: &Ambient,
    resets: Desk,
) -> Result<App, StartError> {
    let Ambient { clock, entropy } = ambient.clone();
    let url = config
        .database_url
        .resolve()?
        .unwrap_or_else(|| DEFAULT_DATABASE.into());
    let db = Database::open(&url, &MIGRATIONS, &config.database)
        .await
        .map_err(|error| error.named("AUTH_DATABASE_URL"))?;
    // A new file is made for a new database only: beside a used one it would hide that the right one is lost.
    let secrets = if store::secrets_check::is_bound(&db).await? {
        ServiceSecrets::load(&config.secrets, config.keys.keys_permissions)
    } else {
        ServiceSecrets::load_or_create(
            &config.secrets,
            config.keys.keys_permissions,
            entropy.as_ref(),
        )
    }
    .map_err(|error| error.named("AUTH_SECRETS"))?;
    if !store::secrets_check::fits(&db, secrets.derive("fingerprint").as_slice()).await? {
        let message =
            "is not the secrets file that this database was first used with; restore that one";
        return Err(StartError::new("AUTH_SECRETS", message));
    }
    let hmac_key = |label| hmac::Key::new(hmac::HMAC_SHA256, secrets.derive(label).as_slice());
    let hashing = HashingPool::new(
        checked.cost,
        checked.hashing_width,
        config.hashing_queue.into(),
        entropy.clone(),
    )?;
    let expect = config.expectations.clone();
    let keeper = Keeper {
        ring: ring.clone(),
        file: config.keys.keys.clone(),
        permissions: config.keys.keys_permissions.into(),
        verifiers: config.verifier_keys.clone(),
        longest_age: config.key_max_age,
        announced_for: config.key_announced_for,
        token_life: config.access_token_life,
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    Ok(App {
        mint: Mint::new(
            ring.signing()
                .map_err(|error| StartError::new("MILLGATE_KEYS", error.to_string()))?,
            expect.clone(),
            config.access_token_life,
            checked.sessions,
            clock.clone(),
            entropy.clone(),
        ),
        verifier: Arc::new(Verifier::new(ring.clone(), expect, clock.clone())),
        idempotency: Idempotency::new(&secrets.derive("idempotency"), clock.clone()),
        trust: Trust::new(keeper, clock.clone(), &entropy),
        audit: Audit::open(&secrets, &config.audit_checkpoints())?,
        page_key: PageKey::new(&secrets.derive("page tokens")),
        refresh_keys: RefreshKeys {
            derive: hmac_key("refresh derivation"),
            seal: hmac_key("refresh seal"),
        },
        factor_keys: FactorKeys::new(&secrets)
            .map_err(|error| StartError::new("AUTH_SECRETS", error.to_string()))?,
        totp_issuer: config.totp_issuer.clone(),
        client_key: hmac_key("service account secrets"),
        access_token_key: hmac_key("personal access tokens"),
        throttle_key: hmac_key("throttles"),
        throttles: config.throttles,
        registration: config.registration,
        resets,
        known_scopes: KnownScopes::of(&rules()?),
        sessions: checked.sessions,
        hashing,
        entropy,
        clock,
        db,
    })
}

/// The access rules of every service: whoever grants scopes must know also those of the others.
fn rules() -> Result<Rules, StartError> {
    Rules::from_descriptors(DESCRIPTORS)
        .map_err(|error| StartError::new("access rules", error.to_string()))
}

fn server(config: &Config, app: &Arc<App>, entropy: SharedEntropy) -> Result<Server, StartError> {
    let limits = config.limits.limits(service::LOGIN_PATHS)?;
    let rules = rules()?
        .serving(service::SERVICES)
        .allow_public(&Server::public_services(true, config.reflection));
    let witness = audit::witness::witness(app, &rules);
    // The store is asked at every call, too; what the guard knows comes before the right to the method.
    let guard = Guard::new(app.verifier.clone(), rules).with_revocations(app.trust.known.clone());
    let routes = service::routes(app, limits.max_message_bytes);
    let mut server = Server::new(guard, routes, service::SERVICES, DESCRIPTORS);
    server.readiness = vec![Probe::database(&app.db)];
    server.limits = limits;
    server.tls = config.tls.server(&["h2"])?;
    server.proxies = config.proxies.trusted(config.proxy_secret.clone())?;
    server.reflection = config.reflection;
    server.witness = Some(witness);
    server.entropy = entropy;
    Ok(server)
}
