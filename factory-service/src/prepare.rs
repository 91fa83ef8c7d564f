//! From the settings to a service that is ready to be served.

use std::future::Future;
use std::sync::Arc;

use millgate_contract::DESCRIPTORS;
use millgate_contract::factory::v1::{
    change_service_server::ChangeServiceServer, customer_service_server::CustomerServiceServer,
    employee_service_server::EmployeeServiceServer, order_service_server::OrderServiceServer,
    product_service_server::ProductServiceServer,
    production_service_server::ProductionServiceServer, report_service_server::ReportServiceServer,
    service_ticket_service_server::ServiceTicketServiceServer,
};
use millgate_guard::{Expectations, Guard, LiveRevocations, Rules, Verifier};
use millgate_platform::{
    Ambient, Database, Idempotency, PageKey, Probe, Propagation, ServeError, Server,
    ServiceSecrets, SharedClock, SharedEntropy, StartError, channel,
};
use ring::hmac;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;

use crate::auth::{Auth, ServiceAccount};
use crate::changes::{self, Feed};
use crate::config::Config;
use crate::registration::{Registrar, reconciler};
use crate::service::{
    Changes, Customers, Employees, Factory, Orders, Production, Products, Reports, Tickets,
};
use crate::{store, trust};

const SERVICES: &[&str] = &[
    "millgate.factory.v1.CustomerService",
    "millgate.factory.v1.ProductService",
    "millgate.factory.v1.ChangeService",
    "millgate.factory.v1.OrderService",
    "millgate.factory.v1.ServiceTicketService",
    "millgate.factory.v1.EmployeeService",
    "millgate.factory.v1.ProductionService",
    "millgate.factory.v1.ReportService",
];
/// What counts as a login of an address: a registration costs a password's hash too.
const LOGINS: &[&str] = &[
    "/millgate.factory.v1.CustomerService/LoginCustomer",
    "/millgate.factory.v1.CustomerService/RegisterCustomer",
];
pub(crate) const DEFAULT_DATABASE: &str = "sqlite:factory.db";

/// A service with its database open and its keys loaded.
pub struct Prepared {
    server: Server,
    db: Database,
    background: JoinSet<()>,
}

/// Opens and migrates the database, loads secrets and keys, and puts the service together. The auth service need not
/// be up yet: it is called when a customer registers, logs in or leaves.
///
/// # Errors
/// Names the setting that is wrong.
pub async fn prepare(config: Config, ambient: Ambient) -> Result<Prepared, StartError> {
    let Ambient { clock, entropy } = ambient;
    let mut background = JoinSet::new();
    // First what only reads: a start that is refused by its settings leaves no file behind.
    let auth = auth(&config, &clock, &entropy)?;
    let limits = config.limits.limits(LOGINS)?;
    let tls = config.tls.server(&["h2"])?;
    let proxies = config.proxies.trusted(config.proxy_secret.clone())?;
    let (ring, watch) = config.keys.ring()?;
    if let Some(watch) = watch {
        background.spawn(watch);
    }
    let permissions = config.keys.keys_permissions;
    let secrets = ServiceSecrets::load_or_create(&config.secrets, permissions, entropy.as_ref())
        .map_err(|error| error.named("FACTORY_SECRETS"))?;
    let url = config
        .database_url
        .resolve()?
        .unwrap_or_else(|| SecretString::from(DEFAULT_DATABASE));
    let db = store::open(&url, &config.database)
        .await
        .map_err(|error| error.named("FACTORY_DATABASE_URL"))?;

    let feed = Arc::new(Feed::new(db.clone()));
    background.spawn(changes::run(feed.clone()));
    let registrar = Arc::new(Registrar {
        db: db.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        auth,
        feed: feed.clone(),
        body_key: hmac::Key::new(hmac::HMAC_SHA256, &*secrets.derive("registrations")),
    });
    let known = trust::follow(
        &config,
        config.client_tls.client()?.as_ref(),
        registrar.auth.tokens(),
        ring.clone(),
        (clock.clone(), entropy.clone()),
        &mut background,
    )?;
    let verifier = Arc::new(Verifier::new(ring, Expectations::default(), clock.clone()));
    let factory = Arc::new(Factory {
        db: db.clone(),
        clock: clock.clone(),
        idempotency: Idempotency::new(&secrets.derive("idempotency"), clock),
        page_key: PageKey::new(&secrets.derive("page tokens")),
        verifier: verifier.clone(),
        registrar: registrar.clone(),
        feed,
        import_key: hmac::Key::new(hmac::HMAC_SHA256, &*secrets.derive("imports")),
    });
    background.spawn(reconciler::run(registrar, factory.idempotency.clone()));
    let largest = config.limits.max_message_bytes as usize;
    let mut routes = Routes::builder();
    routes.add_service(
        CustomerServiceServer::new(Customers(factory.clone())).max_decoding_message_size(largest),
    );
    routes.add_service(
        ProductServiceServer::new(Products(factory.clone())).max_decoding_message_size(largest),
    );
    routes.add_service(
        OrderServiceServer::new(Orders(factory.clone())).max_decoding_message_size(largest),
    );
    routes.add_service(
        ServiceTicketServiceServer::new(Tickets(factory.clone()))
            .max_decoding_message_size(largest),
    );
    routes.add_service(
        ChangeServiceServer::new(Changes(factory.clone())).max_decoding_message_size(largest),
    );
    routes.add_service(
        EmployeeServiceServer::new(Employees(factory.clone())).max_decoding_message_size(largest),
    );
    routes.add_service(
        ProductionServiceServer::new(Production(factory.clone()))
            .max_decoding_message_size(largest),
    );
    routes.add_service(
        ReportServiceServer::new(Reports(factory.clone())).max_decoding_message_size(largest),
    );

    let mut server = Server::new(
        guard(verifier, known.clone(), config.reflection)?,
        routes.routes(),
        SERVICES,
        DESCRIPTORS,
    );
    server.readiness = vec![Probe::database(&db)];
    server.limits = limits;
    server.tls = tls;
    server.proxies = proxies;
    server.reflection = config.reflection;
    server.entropy = entropy;
    server.metrics = config.metrics.start(&mut background).await?;
    if let (Some(metrics), Some(known)) = (&server.metrics, &known) {
        metrics.revocations("factory", known.clone());
    }
    if let Some(known) = known.filter(|_| config.await_trust_feed) {
        server.readiness.push(trust::probe(&known));
    }
    Ok(Prepared {
        server,
        db,
        background,
    })
}

/// The auth service, with our own account there.
fn auth(config: &Config, clock: &SharedClock, entropy: &SharedEntropy) -> Result<Auth, StartError> {
    let needed = || {
        StartError::new(
            "FACTORY_CLIENT_SECRET",
            "is needed: the secret of the factory's service account",
        )
    };
    let account = ServiceAccount {
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.resolve()?.ok_or_else(needed)?,
    };
    let tls = config.client_tls.client()?;
    let channel = channel::channel("AUTH_ENDPOINT", &config.auth_endpoint, tls.as_ref())?;
    let propagation = Propagation::new(entropy.clone());
    let propagation = match &config.proxy_secret {
        Some(secret) => propagation.with_proxy_secret(secret.clone()),
        None => propagation,
    };
    Ok(Auth::new(channel, propagation, account, clock.clone()))
}

fn guard(
    verifier: Arc<Verifier>,
    known: Option<Arc<LiveRevocations>>,
    reflection: bool,
) -> Result<Guard, StartError> {
    let rules = Rules::from_descriptors(DESCRIPTORS)
        .map_err(|error| StartError::new("access rules", error.to_string()))?
        .serving(SERVICES)
        .allow_public(&Server::public_services(true, reflection));
    let guard = Guard::new(verifier, rules);
    Ok(match known {
        Some(known) => guard.with_revocations(known),
        None => guard,
    })
}

impl Prepared {
    /// Serves until `shutdown` completes and what runs has finished, then closes the database.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let Self {
            server,
            db,
            mut background,
        } = self;
        let served = server.serve(listener, shutdown).await;
        background.shutdown().await;
        db.close().await;
        served
    }
}
