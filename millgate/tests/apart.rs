//! The services as processes of their own: crashes between them, a lost database, mutual TLS, the health commands.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use millgate_contract::auth::v1::ListUsersRequest;
use millgate_contract::factory::v1::{
    ListCustomersRequest, ListProductsRequest, LoginCustomerRequest, RegisterCustomerRequest,
};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::apart::{Apart, as_world};
use support::people::PASSWORD;
use support::process::{binary, output};
use support::{Backend, World, bearing, reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn registration(email: &str) -> RegisterCustomerRequest {
    RegisterCustomerRequest {
        name: "Ada Mill".into(),
        email: email.into(),
        password: PASSWORD.into(),
        ..Default::default()
    }
}

fn login(email: &str) -> LoginCustomerRequest {
    LoginCustomerRequest {
        email: email.into(),
        password: PASSWORD.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_two_writes_leaves_neither_an_orphan_user_nor_an_orphan_profile_on_sqlite()
 {
    a_crash_between_the_two_writes(Apart::new(Backend::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_two_writes_leaves_neither_an_orphan_user_nor_an_orphan_profile_on_postgres()
 {
    a_crash_between_the_two_writes(Apart::new(Backend::Postgres).await).await;
}

/// The factory's call to auth goes through a wire that loses the answer; then the factory is killed.
async fn a_crash_between_the_two_writes(apart: Option<Apart>) {
    let Some(mut apart) = apart else { return };
    apart.run_auth();
    let wire = Wire::to(&apart.addresses.auth).await;
    apart.run_factory(Some(&wire.address));
    let world = as_world(&apart);
    world
        .customers()
        .register_customer(registration("first@example.com"))
        .await
        .expect("the wire is whole");
    let admin = world.admin().await;
    let users = async || {
        let list = world
            .users()
            .list_users(bearing(&admin, ListUsersRequest::default()))
            .await
            .expect("auth runs");
        list.into_inner()
            .users
            .into_iter()
            .map(|user| user.email)
            .collect::<Vec<_>>()
    };

    wire.lose_answers.store(true, Ordering::SeqCst);
    let mut customers = world.customers();
    let lost = tokio::spawn(async move {
        customers
            .register_customer(registration("second@example.com"))
            .await
    });
    eventually("auth has made the user", async || {
        users().await.contains(&"second@example.com".to_owned())
    })
    .await;
    apart.factory = None;
    assert!(
        lost.await.unwrap().is_err(),
        "nobody was told that it worked"
    );

    wire.lose_answers.store(false, Ordering::SeqCst);
    let auth = apart.addresses.auth.clone();
    apart.run_factory(Some(&auth));
    let world = as_world(&apart);
    eventually("the registration is finished", async || {
        world
            .customers()
            .login_customer(login("second@example.com"))
            .await
            .is_ok()
    })
    .await;
    let profiles = world
        .customers()
        .list_customers(bearing(&admin, ListCustomersRequest::default()))
        .await
        .unwrap()
        .into_inner();
    let emails: Vec<_> = profiles
        .customers
        .into_iter()
        .map(|customer| customer.email)
        .collect();
    assert_eq!(emails, ["first@example.com", "second@example.com"]);
    assert_eq!(
        users()
            .await
            .iter()
            .filter(|email| *email == "second@example.com")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auth_nobody_registers_but_tokens_still_count() {
    let mut apart = Apart::new(Backend::Sqlite).await.unwrap();
    apart.run();
    let world = as_world(&apart);
    let staff = world.staff("sam").await;
    apart.auth = None;
    let refused = world
        .customers()
        .register_customer(registration("ada@example.com"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (tonic::Code::Unavailable, "AUTH_UNAVAILABLE".into())
    );
    world
        .products()
        .list_products(bearing(&staff, ListProductsRequest::default()))
        .await
        .expect("verification is local");
    let over_http = world
        .http()
        .post(
            "/v1/auth/login",
            None,
            json!({ "username": "admin", "password": PASSWORD }),
        )
        .await;
    assert_eq!(
        (over_http.status, over_http.reason()),
        (503, "UPSTREAM_UNAVAILABLE"),
        "{over_http:?}"
    );

    apart.run_auth();
    eventually("it recovers by itself", async || {
        world
            .customers()
            .register_customer(registration("ada@example.com"))
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_unavailable_and_comes_back_by_itself() {
    let Some(world) = World::start(Backend::Postgres).await else {
        return;
    };
    let admin = world.admin().await;
    let databases = world.databases.as_ref().unwrap();
    databases.factory().lose().await;
    databases.auth().lose().await;
    let list = async || {
        world
            .products()
            .list_products(bearing(&admin, ListProductsRequest::default()))
            .await
    };
    for _ in 0..3 {
        let refused = list().await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (tonic::Code::Unavailable, "STORE_UNAVAILABLE".into()),
            "{refused:?}"
        );
    }
    let refused = world
        .login("admin", support::ADMIN_PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "STORE_UNAVAILABLE");
    databases.factory().restore().await;
    databases.auth().restore().await;
    eventually("it recovers by itself", async || list().await.is_ok()).await;
    eventually("auth too", async || {
        world.login("admin", support::ADMIN_PASSWORD).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthcheck_of_each_binary_tells_a_running_service_from_none() {
    let mut apart = Apart::new(Backend::Sqlite).await.unwrap();
    apart.run();
    let check = |name: &str, variables: &[(&str, String)]| {
        let mut command = binary(name);
        command.arg("healthcheck");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        output(command)
    };
    let checks = [
        ("auth-service", "AUTH_LISTEN", apart.addresses.auth.clone()),
        (
            "factory-service",
            "FACTORY_LISTEN",
            apart.addresses.factory.clone(),
        ),
        ("gateway", "GATEWAY_LISTEN", apart.addresses.gateway.clone()),
    ];
    for (name, variable, address) in &checks {
        let (well, text) = check(name, &[(*variable, address.clone())]);
        assert!(well, "{name}: {text}");
    }
    (apart.auth, apart.factory, apart.gateway) = (None, None, None);
    for (name, variable, address) in &checks {
        assert!(
            !check(name, &[(*variable, address.clone())]).0,
            "{name} is gone"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mutual_tls_the_services_know_each_other_and_nobody_else() {
    let mut apart = Apart::new(Backend::Sqlite).await.unwrap();
    let certificates = Certificates::make();
    for (name, content) in certificates.files() {
        support::apart::write_private(&apart.path(name), content);
    }
    let path = |name: &str| apart.path(name).display().to_string();
    let everywhere = [
        ("MILLGATE_TLS_CERT", path("server.pem")),
        ("MILLGATE_TLS_KEY", path("server.key")),
        ("MILLGATE_TLS_CLIENT_CA", path("ca.pem")),
        ("MILLGATE_CLIENT_TLS_CA", path("ca.pem")),
        ("MILLGATE_CLIENT_TLS_CERT", path("client.pem")),
        ("MILLGATE_CLIENT_TLS_KEY", path("client.key")),
    ];
    apart
        .environment
        .extend(everywhere.map(|(name, value)| (name.to_owned(), value)));
    apart.scheme = "https";
    apart.run();

    let customers = |tls: tonic::transport::ClientTlsConfig| {
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("https://{}", apart.addresses.factory))
                .unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
        millgate_contract::factory::v1::customer_service_client::CustomerServiceClient::new(channel)
    };
    let authority = tonic::transport::Certificate::from_pem(&certificates.ca);
    let ours = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(authority.clone())
        .identity(tonic::transport::Identity::from_pem(
            &certificates.client,
            &certificates.client_key,
        ));
    let nobody = tonic::transport::ClientTlsConfig::new().ca_certificate(authority);
    assert!(
        customers(nobody)
            .register_customer(registration("ada@example.com"))
            .await
            .is_err(),
        "no certificate, no answer"
    );
    // The factory in turn reaches auth with its own certificate.
    customers(ours)
        .register_customer(registration("ada@example.com"))
        .await
        .expect("a certificate of ours");
}

/// Waits until something holds, for at most a minute.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("not after a minute: {what}"));
}

/// A wire between two processes that can lose what comes back over it.
struct Wire {
    address: String,
    lose_answers: Arc<AtomicBool>,
}

impl Wire {
    async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lose_answers = Arc::new(AtomicBool::new(false));
        let (target, lose) = (target.to_owned(), lose_answers.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pump(near.0, far.1, Arc::new(AtomicBool::new(false))));
                tokio::spawn(pump(far.0, near.1, lose.clone()));
            }
        });
        Self {
            address,
            lose_answers,
        }
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    lose: Arc<AtomicBool>,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !lose.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}

/// An authority, a server's and a client's certificate, as PEM.
struct Certificates {
    ca: String,
    server: String,
    server_key: String,
    client: String,
    client_key: String,
}

impl Certificates {
    fn make() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (
                params.signed_by(&key, &issuer).unwrap().pem(),
                key.serialize_pem(),
            )
        };
        let ((server, server_key), (client, client_key)) = (leaf("127.0.0.1"), leaf("factory"));
        Self {
            ca,
            server,
            server_key,
            client,
            client_key,
        }
    }

    fn files(&self) -> [(&'static str, &str); 5] {
        [
            ("ca.pem", &self.ca),
            ("server.pem", &self.server),
            ("server.key", &self.server_key),
            ("client.pem", &self.client),
            ("client.key", &self.client_key),
        ]
    }
}
