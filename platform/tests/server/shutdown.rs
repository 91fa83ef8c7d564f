//! The order to stop.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tonic::Code;

use crate::workshop::{Workshop, call::call};

#[tokio::test]
async fn what_runs_is_finished_and_streams_are_ended_with_unavailable() {
    let mut workshop = Workshop::open().await;
    let address = workshop.address;
    let unary = tokio::spawn(call("Ask", "sleep 700").to(address));
    let waiting = tokio::spawn(call("Watch", "wait").to(address));
    let pouring = tokio::spawn(
        call("Watch", "pour")
            .with("grpc-timeout", "20S")
            .to(address),
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ordered = Instant::now();
    workshop.stop();
    for stream in [waiting, pouring] {
        let stream = stream.await.expect("joined");
        assert_eq!(
            stream.refusal(),
            (Code::Unavailable, "SHUTTING_DOWN".to_owned())
        );
    }
    assert_eq!(unary.await.expect("joined").text(), "slept");
    workshop.stopped().await;
    assert!(
        ordered.elapsed() < Duration::from_secs(3),
        "{:?}",
        ordered.elapsed()
    );
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_call_that_does_not_finish_in_time_does_not_hold_the_server() {
    let mut workshop = Workshop::open_with(|server| {
        server.limits.drain = Duration::from_millis(300);
    })
    .await;
    let address = workshop.address;
    let stuck = tokio::spawn(async move {
        tokio::time::timeout(
            Duration::from_secs(5),
            call("Ask", "sleep 60000").to(address),
        )
        .await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ordered = Instant::now();
    workshop.stop();
    workshop.stopped().await;
    assert!(
        ordered.elapsed() < Duration::from_secs(2),
        "{:?}",
        ordered.elapsed()
    );
    stuck.abort();
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let mut workshop = Workshop::open().await;
    let address = workshop.address;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}"))
        .expect("a URL")
        .connect()
        .await
        .expect("up");
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let mut acknowledged = 0;
                let mut grpc = tonic::client::Grpc::new(channel);
                while grpc.ready().await.is_ok() {
                    let path = "/test.workshop.v1.WorkshopService/Ask";
                    let codec = tonic_prost::ProstCodec::<
                        crate::workshop::Note,
                        crate::workshop::Note,
                    >::default();
                    let note = crate::workshop::Note {
                        text: "sleep 2".to_owned(),
                    };
                    let path = http::uri::PathAndQuery::from_static(path);
                    match grpc.unary(tonic::Request::new(note), path, codec).await {
                        Ok(_) => acknowledged += 1,
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    workshop.stop();
    let finished = workshop.finished.clone();
    workshop.stopped().await;
    let mut acknowledged = 0;
    for worker in workers {
        acknowledged += worker.await.expect("joined");
    }
    let done = finished.load(std::sync::atomic::Ordering::SeqCst);
    assert!(acknowledged > 20, "{acknowledged}");
    assert_eq!(
        acknowledged, done,
        "every call that was done was acknowledged, and none twice"
    );
}
