//! Deadlines.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use tonic::Code;

use crate::workshop::{
    Workshop,
    call::{Call, call, message},
};

fn late() -> (Code, String) {
    (Code::DeadlineExceeded, "DEADLINE".to_owned())
}

async fn quick() -> Workshop {
    Workshop::open_with(|server| {
        server.limits.deadline = Some(Duration::from_millis(300));
    })
    .await
}

#[tokio::test]
async fn a_unary_call_ends_with_the_servers_deadline() {
    let workshop = quick().await;
    let asked = Instant::now();
    let answer = call("Ask", "sleep 5000").to(workshop.address).await;
    assert_eq!(answer.refusal(), late());
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(
        call("Ask", "sleep 10").to(workshop.address).await.text(),
        "slept"
    );
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_outlive_the_deadline() {
    let workshop = quick().await;
    let first = stream::iter([Ok(http_body::Frame::data(
        message("a")[..4].to_vec().into(),
    ))]);
    let slow = Call::streaming("Ask", first.chain(stream::pending()).boxed());
    assert_eq!(slow.to(workshop.address).await.refusal(), late());
}

#[tokio::test]
async fn the_callers_own_timeout_is_honoured_every_time() {
    let workshop = Workshop::open().await;
    for _ in 0..20 {
        let answer = call("Ask", "sleep 5000")
            .with("grpc-timeout", "30m")
            .to(workshop.address)
            .await;
        assert_eq!(answer.refusal(), late());
    }
    let none = call("Ask", "a")
        .with("grpc-timeout", "0S")
        .to(workshop.address)
        .await;
    assert_eq!(none.refusal(), late());
    let stream = call("Watch", "wait")
        .with("grpc-timeout", "1S")
        .to(workshop.address)
        .await;
    assert_eq!((stream.refusal(), stream.notes().len()), (late(), 1));
    let pour = call("Watch", "pour")
        .with("grpc-timeout", "1S")
        .to(workshop.address)
        .await;
    assert_eq!(pour.refusal(), late());
}

#[tokio::test]
async fn a_timeout_that_is_none_is_refused_and_not_taken_for_forever() {
    let workshop = Workshop::open().await;
    for bad in ["soon", "10", "1.5S", "-1S", "123456789S", ""] {
        let answer = call("Ask", "a")
            .with("grpc-timeout", bad)
            .to(workshop.address)
            .await;
        let malformed = (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned());
        assert_eq!(answer.refusal(), malformed, "{bad:?}");
    }
    assert_eq!(workshop.finished(), 0);
}

#[tokio::test]
async fn a_longer_timeout_does_not_lengthen_the_servers() {
    let workshop = quick().await;
    let asked = Instant::now();
    let answer = call("Ask", "sleep 5000")
        .with("grpc-timeout", "1H")
        .to(workshop.address)
        .await;
    assert_eq!(answer.refusal(), late());
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stream_has_no_deadline_of_the_server() {
    let workshop = quick().await;
    let slow = stream::iter(0..3).then(|_| async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        Ok(http_body::Frame::data(message("a").into()))
    });
    let answer = Call::streaming("Gather", slow.boxed())
        .to(workshop.address)
        .await;
    assert_eq!(answer.text(), "3");
}
