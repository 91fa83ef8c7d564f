//! What a call takes along to the next service.

use std::{sync::Arc, time::Duration};

use millgate_guard::SystemEntropy;
use millgate_platform::{
    ClientInfo, Propagation, Reason, RequestContext, TrustedProxies, channel::channel, peer,
};
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic_prost::ProstCodec;

use crate::workshop::{Note, Workshop};

/// Calls the workshop as a handler would that is serving `context`.
async fn ask(endpoint: &str, context: RequestContext, text: &str) -> Result<String, tonic::Status> {
    let channel = channel("TEST_ENDPOINT", endpoint, None).expect("a good endpoint");
    let propagation =
        Propagation::new(Arc::new(SystemEntropy)).with_proxy_secret("proxy".to_owned().into());
    let mut grpc = tonic::client::Grpc::new(InterceptedService::new(channel, propagation));
    let note = tonic::Request::new(Note {
        text: text.to_owned(),
    });
    context
        .scope(async move {
            grpc.ready()
                .await
                .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            let path =
                http::uri::PathAndQuery::from_static("/test.workshop.v1.WorkshopService/Ask");
            let codec = ProstCodec::<Note, Note>::default();
            Ok(grpc.unary(note, path, codec).await?.into_inner().text)
        })
        .await
}

fn context(left: Duration) -> RequestContext {
    RequestContext {
        request_id: "order-7".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        sampled: true,
        deadline: Some(Instant::now() + left),
        client: Some(ClientInfo {
            address: "1.2.3.4".parse().expect("an address"),
            user_agent: "browser".to_owned(),
        }),
    }
}

async fn trusting() -> Workshop {
    Workshop::open_with(|server| {
        server.proxies = TrustedProxies::by_secret("proxy".to_owned().into());
    })
    .await
}

#[tokio::test]
async fn id_trace_and_address_reach_the_next_service() {
    let workshop = trusting().await;
    let endpoint = format!("http://{}", workshop.address);
    let plenty = Duration::from_secs(5);
    let trace = ask(&endpoint, context(plenty), "trace")
        .await
        .expect("answered");
    assert_eq!(trace, "order-7 4bf92f3577b34da6a3ce929d0e0e4736");
    let place = ask(&endpoint, context(plenty), "where")
        .await
        .expect("answered");
    assert_eq!(place, "1.2.3.4 by browser via 127.0.0.1");
}

#[tokio::test]
async fn the_next_service_has_no_more_time_than_is_left() {
    let workshop = trusting().await;
    let endpoint = format!("http://{}", workshop.address);
    let asked = Instant::now();
    let late = ask(&endpoint, context(Duration::from_millis(300)), "sleep 5000").await;
    let fault = peer::fault(late.expect_err("late"), Reason::AuthUnavailable);
    assert_eq!(fault.reason(), Reason::Deadline);
    assert!(asked.elapsed() < Duration::from_secs(2));
    let over = ask(&endpoint, context(Duration::ZERO), "a")
        .await
        .expect_err("no time left");
    assert_eq!(
        peer::fault(over, Reason::AuthUnavailable).reason(),
        Reason::Deadline
    );
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_found_again_when_it_is_back() {
    let mut workshop = trusting().await;
    let endpoint = format!("http://{}", workshop.address);
    workshop.stop();
    workshop.stopped().await;
    let gone = ask(&endpoint, context(Duration::from_secs(5)), "a")
        .await
        .expect_err("gone");
    assert_eq!(
        peer::fault(gone, Reason::AuthUnavailable).reason(),
        Reason::AuthUnavailable
    );
}
