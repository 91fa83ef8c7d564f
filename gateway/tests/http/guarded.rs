//! Behind the gateway stands the real guard: what it refuses is refused over HTTP in the pinned order.

use crate::support::{Double, Gate, config, pool};
use millgate_contract::DESCRIPTORS;
use millgate_guard::testing::Issuer;
use millgate_guard::{Guard, Rules, SystemClock};
use millgate_platform::Server;
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
    issuer: Issuer,
    handled: Arc<AtomicUsize>,
}

impl Guarded {
    async fn start() -> Self {
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
        tokio::spawn(server.serve(listener, futures::future::pending()));
        Self {
            gate: Gate::with(config(address)).await,
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
