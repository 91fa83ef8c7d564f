//! Health, reflection, the client's address, ids.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use millgate_platform::{Probe, TrustedProxies, healthcheck};
use tonic::{Code, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::workshop::{Workshop, call::call};

async fn check(workshop: &Workshop) -> Result<(), String> {
    let endpoint = format!("http://{}", workshop.address);
    healthcheck(&endpoint, None, Duration::from_secs(2))
        .await
        .map_err(|error| error.to_string())
}

async fn becomes(workshop: &Workshop, ready: bool) {
    for _ in 0..100 {
        if check(workshop).await.is_ok() == ready {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server never became ready={ready}");
}

#[tokio::test]
async fn health_follows_the_probes_both_ways() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = well.clone();
    let workshop = Workshop::open_with(|server| {
        server.readiness.push(Probe::new("store", move || {
            let well = asked.load(Ordering::SeqCst);
            async move {
                if well {
                    Ok(())
                } else {
                    Err("it is gone".to_owned())
                }
            }
        }));
    })
    .await;
    becomes(&workshop, true).await;
    well.store(false, Ordering::SeqCst);
    becomes(&workshop, false).await;
    assert!(
        check(&workshop)
            .await
            .expect_err("not ready")
            .contains("NOT_SERVING")
    );
    assert_eq!(
        call("Ask", "a").to(workshop.address).await.text(),
        "a",
        "calls are still served"
    );
    well.store(true, Ordering::SeqCst);
    becomes(&workshop, true).await;
}

#[tokio::test]
async fn a_server_is_not_ready_before_its_probes_have_said_so() {
    let workshop = Workshop::open_with(|server| {
        server.readiness.push(Probe::new("slow", || async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }));
    })
    .await;
    assert!(check(&workshop).await.is_err());
}

#[tokio::test]
async fn health_and_reflection_can_be_switched_off() {
    let workshop = Workshop::open_with(|server| {
        server.health = false;
        server.reflection = false;
    })
    .await;
    assert!(check(&workshop).await.is_err());
    assert!(services(&workshop).await.is_err());
}

async fn services(workshop: &Workshop) -> Result<Vec<String>, tonic::Status> {
    let endpoint = format!("http://{}", workshop.address);
    let channel = Channel::from_shared(endpoint)
        .expect("a URL")
        .connect()
        .await
        .expect("up");
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures::stream::iter([ask]))
        .await?
        .into_inner();
    let answer = answers.message().await?.expect("one answer");
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_keeps_the_access_rules() {
    let workshop = Workshop::open().await;
    let names = services(&workshop).await.expect("answered");
    assert!(
        names.contains(&"test.workshop.v1.WorkshopService".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"grpc.health.v1.Health".to_owned()),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_path_that_nobody_serves_needs_a_token_before_it_is_unknown() {
    let workshop = Workshop::open().await;
    let path = "/test.workshop.v1.WorkshopService/Dance";
    let refused = call(path, "a").to(workshop.address).await;
    assert_eq!(
        refused.refusal(),
        (Code::Unauthenticated, "TOKEN_MISSING".to_owned())
    );
    let token = workshop.issuer.user(1, "admin").bearer();
    let unknown = call(path, "a")
        .with("authorization", token)
        .to(workshop.address)
        .await;
    assert_eq!(
        unknown.refusal(),
        (Code::Unimplemented, "METHOD_UNKNOWN".to_owned())
    );
}

#[tokio::test]
async fn without_a_token_good_and_bad_bodies_are_refused_alike() {
    let workshop = Workshop::open().await;
    let large = vec![0, 0xff, 0xff, 0xff, 0xff];
    for body in [
        vec![],
        vec![crate::workshop::call::message("a")],
        vec![large],
    ] {
        let answer = crate::workshop::call::Call::of("Work", body)
            .to(workshop.address)
            .await;
        assert_eq!(
            answer.refusal(),
            (Code::Unauthenticated, "TOKEN_MISSING".to_owned())
        );
    }
}

#[tokio::test]
async fn the_clients_address_is_believed_from_who_knows_the_secret_and_the_secret_stays_here() {
    let workshop = Workshop::open_with(|server| {
        server.proxies = TrustedProxies::by_secret("proxy".to_owned().into());
    })
    .await;
    let asked = |secret: &str| {
        call("Ask", "where")
            .with("x-forwarded-for", "1.2.3.4")
            .with("x-forwarded-user-agent", "browser")
            .with("x-millgate-proxy", secret)
    };
    let proxied = asked("proxy").to(workshop.address).await;
    assert_eq!(proxied.text(), "1.2.3.4 by browser via 127.0.0.1");
    let claimed = asked("guess").to(workshop.address).await;
    assert_eq!(claimed.text(), "127.0.0.1 by  via 127.0.0.1");
    let headers = call("Ask", "headers")
        .with("x-forwarded-for", "1.2.3.4")
        .with("x-millgate-proxy", "proxy")
        .to(workshop.address)
        .await;
    assert!(!headers.text().contains("1.2.3.4") && !headers.text().contains("proxy"));
}

#[tokio::test]
async fn the_callers_id_and_trace_go_all_the_way() {
    let workshop = Workshop::open().await;
    let answer = call("Ask", "trace")
        .with("x-request-id", "order-7")
        .with(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .to(workshop.address)
        .await;
    assert_eq!(answer.text(), "order-7 4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(answer.request_id(), "order-7");
}
