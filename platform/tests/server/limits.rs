//! How often one may call.

use std::time::Duration;

use millgate_platform::TrustedProxies;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::workshop::{
    Workshop,
    call::{Answer, call},
};

fn limited(answer: &Answer) -> Option<Duration> {
    if answer.status.code() == Code::Ok {
        return None;
    }
    assert_eq!(
        answer.refusal(),
        (Code::ResourceExhausted, "RATE_LIMITED".to_owned())
    );
    let retry = answer.status.get_details_retry_info().expect("a RetryInfo");
    Some(retry.retry_delay.expect("a delay"))
}

#[tokio::test]
async fn a_principal_has_a_rate_of_its_own_and_is_told_when_to_come_back() {
    let workshop = Workshop::open_with(|server| {
        server.limits.calls_per_second = 1;
        server.limits.calls_burst = 3;
    })
    .await;
    let work = async |user: i64| {
        let token = workshop.issuer.user(user, "customer").bearer();
        call("Work", "a")
            .with("authorization", token)
            .to(workshop.address)
            .await
    };
    for _ in 0..3 {
        assert_eq!(limited(&work(1).await), None, "the burst");
    }
    let wait = limited(&work(1).await).expect("too many");
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_millis(1001),
        "{wait:?}"
    );
    assert_eq!(
        limited(&work(2).await),
        None,
        "another principal is not concerned"
    );
    tokio::time::sleep(wait).await;
    assert_eq!(
        limited(&work(1).await),
        None,
        "after the wait that was told"
    );
}

#[tokio::test]
async fn without_a_good_token_nobodys_share_is_used_up() {
    let workshop = Workshop::open_with(|server| {
        server.limits.calls_per_second = 1;
        server.limits.calls_burst = 1;
    })
    .await;
    for _ in 0..5 {
        let answer = call("Work", "a")
            .with("authorization", "Bearer x")
            .to(workshop.address)
            .await;
        assert_eq!(
            answer.refusal(),
            (Code::Unauthenticated, "TOKEN_INVALID".to_owned())
        );
    }
    let token = workshop.issuer.user(1, "customer").bearer();
    let good = call("Work", "a")
        .with("authorization", token)
        .to(workshop.address)
        .await;
    assert_eq!(good.text(), "a");
}

#[tokio::test]
async fn public_calls_count_by_address_and_health_does_not_count() {
    let workshop = Workshop::open_with(|server| {
        server.limits.calls_per_second = 1;
        server.limits.calls_burst = 2;
    })
    .await;
    for _ in 0..10 {
        let health = crate::workshop::call::Call::of(
            "/grpc.health.v1.Health/Check",
            vec![vec![0, 0, 0, 0, 0]],
        );
        assert_eq!(health.to(workshop.address).await.status.code(), Code::Ok);
    }
    assert_eq!(limited(&call("Ask", "a").to(workshop.address).await), None);
    assert_eq!(limited(&call("Ask", "a").to(workshop.address).await), None);
    assert!(limited(&call("Ask", "a").to(workshop.address).await).is_some());
}

#[tokio::test]
async fn logins_are_counted_by_the_clients_address_and_an_ipv6_network_is_one() {
    let workshop = Workshop::open_with(|server| {
        server.limits.logins.per_minute = 2;
        server.proxies = TrustedProxies::by_secret("proxy".to_owned().into());
    })
    .await;
    let enter = async |address: &str, secret: &str| {
        call("Enter", "a")
            .with("x-forwarded-for", address)
            .with("x-millgate-proxy", secret)
            .to(workshop.address)
            .await
    };
    for address in ["2001:db8::1", "2001:db8::2"] {
        assert_eq!(limited(&enter(address, "proxy").await), None);
    }
    let wait = limited(&enter("2001:db8::3", "proxy").await).expect("the same /64");
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(31),
        "{wait:?}"
    );
    assert_eq!(
        limited(&enter("2001:db8:0:1::1", "proxy").await),
        None,
        "another network"
    );
    // Who does not know the secret counts as itself, whatever it claims.
    for claimed in ["9.9.9.1", "9.9.9.2"] {
        assert_eq!(limited(&enter(claimed, "guess").await), None);
    }
    assert!(limited(&enter("9.9.9.3", "guess").await).is_some());
    assert_eq!(
        limited(&call("Ask", "a").to(workshop.address).await),
        None,
        "no login"
    );
}
