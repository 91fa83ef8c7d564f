//! Behind the gateway stands the real guard: what it refuses is refused over HTTP in the pinned order.

use crate::support::{Double, Gate, config, pool};
use gateway::Config;
use millgate_contract::DESCRIPTORS;
use millgate_guard::testing::Issuer;
use millgate_guard::{Guard, Rules, SystemClock};
use millgate_platform::{Server, TlsArgs};
use prost_reflect::DynamicMessage;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tonic::Status;

const SERVICES: &[&str] = &[
    "millgate.auth.v1.AuthService",
    "millgate.auth.v1.UserService",
    "millgate.factory.v1.CustomerService",
    "millgate.factory.v1.OrderService",
    "millgate.factory.v1.ProductService",
    "millgate.factory.v1.ServiceTicketService",
];

struct Guarded {
    gate: Gate,
    settings: Config,
    issuer: Issuer,
    handled: Arc<AtomicUsize>,
}

impl Guarded {
    async fn start() -> Self {
        Self::over(None).await
    }

    /// Over TLS with this certificate, or in plain text.
    async fn over(tls: Option<TlsArgs>) -> Self {
        let issuer = Issuer::new(Arc::new(SystemClock));
        let handled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&handled);
        let pool = pool();
        // Decodes as tonic does, before it counts as handled.
        let double = Double::answering(move |seen| {
            let (service, method) = seen.path[1..].split_once('/').unwrap();
            let service = pool.get_service_by_name(service).unwrap();
            let method = service
                .methods()
                .find(|known| known.name() == method)
                .unwrap();
            DynamicMessage::decode(method.input(), seen.bytes.clone())
                .map_err(|_| Status::internal("bad protobuf"))?;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Vec::new())
        });
        let rules = Rules::from_descriptors(DESCRIPTORS)
            .unwrap()
            .serving(SERVICES);
        let rules = rules.allow_public(&Server::public_services(true, false));
        let guard = Guard::new(issuer.verifier(), rules);
        let mut server = Server::new(guard, double.routes(), SERVICES, DESCRIPTORS);
        server.reflection = false;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = config(address);
        if let Some(tls) = tls {
            server.tls = tls.server(&["h2"]).unwrap();
            settings.auth_endpoint = format!("https://localhost:{}", address.port());
            settings
                .factory_endpoint
                .clone_from(&settings.auth_endpoint);
            settings.client_tls.client_tls_ca = tls.tls_cert;
        }
        tokio::spawn(server.serve(listener, futures::future::pending()));
        Self {
            gate: Gate::with(settings.clone()).await,
            settings,
            issuer,
            handled,
        }
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_right_to_a_method_comes_before_the_message() {
    let guarded = Guarded::start().await;
    let customer = guarded.issuer.user(7, "customer").bearer();
    let staff = guarded.issuer.user(1, "user").bearer();
    let expired = guarded.issuer.user(1, "user").expired().bearer();
    let service = guarded.issuer.service("other", "orders.read").bearer();
    for body in [r#"{"sku":"a"}"#, r#"{"colour":"red"}"#, "{ not json"] {
        let call = |token: &str| {
            guarded
                .gate
                .request("POST", "/v1/products")
                .header("authorization", token)
                .json(body)
        };
        call(&customer).send().await.expect(403, "ROLE_DENIED");
        call(&expired).send().await.expect(401, "TOKEN_EXPIRED");
        call("Bearer forged")
            .send()
            .await
            .expect(401, "TOKEN_INVALID");
        let denied = call(&service).send().await;
        denied.expect(403, "SCOPE_DENIED");
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"products.write\"";
        assert_eq!(denied.header("www-authenticate"), challenge);
    }
    // Neither is the form of the message looked at, nor what is asked of the answer.
    for (name, value, status, reason) in [
        ("content-type", "text/plain", 415, "CONTENT_TYPE"),
        ("content-encoding", "br", 415, "CONTENT_TYPE"),
        ("accept", "image/png", 406, "NOT_ACCEPTABLE"),
        ("grpc-timeout", "soon", 400, "FIELD_INVALID"),
    ] {
        let call = |token: &str| {
            let request = guarded
                .gate
                .request("POST", "/v1/products")
                .header("authorization", token)
                .header(name, value);
            match name {
                "content-type" => request.body("{}"),
                _ => request.json("{}"),
            }
        };
        call(&customer).send().await.expect(403, "ROLE_DENIED");
        call("Bearer forged")
            .send()
            .await
            .expect(401, "TOKEN_INVALID");
        call(&staff).send().await.expect(status, reason);
    }
    assert_eq!(guarded.handled(), 0);
    let call = |body: &str| {
        guarded
            .gate
            .request("POST", "/v1/products")
            .header("authorization", &staff)
            .json(body)
    };
    call("{ not json")
        .send()
        .await
        .expect(400, "JSON_MALFORMED");
    call(r#"{"colour":"red"}"#)
        .send()
        .await
        .expect(400, "UNKNOWN_FIELD");
    assert_eq!(
        guarded.handled(),
        0,
        "what is no message reaches no handler"
    );
    assert_eq!(call(r#"{"sku":"a"}"#).send().await.status.as_u16(), 201);
    assert_eq!(guarded.handled(), 1);
}

#[tokio::test]
async fn the_right_to_a_stream_comes_before_the_time_that_is_asked_for_it() {
    let guarded = Guarded::start().await;
    let watch = |token: &str| {
        let path = "/v1/orders:watch";
        let request = guarded.gate.request("GET", path);
        let request = request.header("authorization", token);
        request.header("grpc-timeout", "soon").send()
    };
    watch("Bearer forged").await.expect(401, "TOKEN_INVALID");
    let other = guarded.issuer.service("other", "products.read").bearer();
    watch(&other).await.expect(403, "SCOPE_DENIED");
    let staff = guarded.issuer.user(1, "user").bearer();
    watch(&staff).await.expect(400, "FIELD_INVALID");
    assert_eq!(guarded.handled(), 0);
}

#[tokio::test]
async fn a_forged_token_is_told_as_invalid_with_the_challenge() {
    let guarded = Guarded::start().await;
    let answered = guarded
        .gate
        .request("GET", "/v1/me")
        .header("authorization", "Bearer forged")
        .send()
        .await;
    answered.expect(401, "TOKEN_INVALID");
    assert_eq!(
        answered.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    let token = guarded.issuer.user(1, "user").bearer();
    let twice = guarded
        .gate
        .request("GET", "/v1/me")
        .header("authorization", &token)
        .header("authorization", &token);
    let answered = twice.send().await;
    assert_eq!(answered.status.as_u16(), 401, "{answered:?}");
    assert_eq!(guarded.handled(), 0);
}

#[tokio::test]
async fn the_gateway_is_ready_when_its_services_are() {
    let guarded = Guarded::start().await;
    let mut answered = guarded.gate.request("GET", "/readyz").send().await;
    for _ in 0..50 {
        if answered.status.as_u16() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answered = guarded.gate.request("GET", "/readyz").send().await;
    }
    assert_eq!(
        answered.json()["services"]["millgate.factory.v1"],
        "SERVING"
    );
    let endpoint = format!("http://{}", guarded.gate.address);
    gateway::healthcheck(&endpoint, None, std::time::Duration::from_secs(3))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_services_are_reached_over_tls_and_only_with_the_right_certificate() {
    let certificate = |folder: &std::path::Path, name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let paths = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&paths.0, made.cert.pem()).unwrap();
        std::fs::write(&paths.1, made.signing_key.serialize_pem()).unwrap();
        paths
    };
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path(), "service");
    let tls = TlsArgs {
        tls_cert: Some(cert),
        tls_key: Some(key),
        ..TlsArgs::default()
    };
    let guarded = Guarded::over(Some(tls)).await;
    let token = guarded.issuer.user(1, "user").bearer();
    let answered = guarded
        .gate
        .request("GET", "/v1/me")
        .header("authorization", &token)
        .send()
        .await;
    assert_eq!(answered.status.as_u16(), 200, "{answered:?}");

    // The same service, and a gateway that expects another one's certificate.
    let (other, _) = certificate(folder.path(), "other");
    let mut settings = guarded.settings.clone();
    settings.client_tls.client_tls_ca = Some(other);
    let gate = Gate::with(settings).await;
    let refused = gate
        .request("GET", "/v1/me")
        .header("authorization", &token)
        .send()
        .await;
    refused.expect(503, "UPSTREAM_UNAVAILABLE");
}
