//! The real binary, killed in the middle of its work.

use super::binary::{connect, start};
use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

type Client = AuthServiceClient<Channel>;

async fn client(endpoint: &str) -> Client {
    AuthServiceClient::new(connect(endpoint).await)
}

async fn refresh(client: &mut Client, token: &str) -> Result<pb::TokenResponse, Status> {
    let request = pb::RefreshRequest {
        refresh_token: token.to_owned(),
    };
    client
        .refresh(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_still_knows_the_retry_from_the_theft() {
    at_both(async |place| {
        let running = start(&place);
        let mut auth = client(&running.endpoint).await;
        let request = login(ADMIN, PASSWORD);
        let first = auth.login(request).await.expect("logged in").into_inner();
        let second = refresh(&mut auth, &first.refresh_token)
            .await
            .expect("refreshed");
        running.kill();

        let running = start(&place);
        let mut auth = client(&running.endpoint).await;
        let again = refresh(&mut auth, &first.refresh_token)
            .await
            .expect("a retry");
        assert_eq!(again.refresh_token, second.refresh_token);
        let third = refresh(&mut auth, &second.refresh_token)
            .await
            .expect("refreshed");
        running.kill();

        let running = start(&place);
        let mut auth = client(&running.endpoint).await;
        let reused = refresh(&mut auth, &first.refresh_token).await;
        assert_eq!(reason(reused), "REFRESH_REUSED");
        running.kill();

        let running = start(&place);
        let mut auth = client(&running.endpoint).await;
        let ended = refresh(&mut auth, &third.refresh_token).await;
        assert_eq!(reason(ended), "SESSION_ENDED");
        running.kill();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_refresh_loses_nobody_their_session() {
    at_both(async |place| {
        let mut running = start(&place);
        let mut auth = client(&running.endpoint).await;
        let request = login(ADMIN, PASSWORD);
        let tokens = auth.login(request).await.expect("logged in").into_inner();
        let last = Arc::new(Mutex::new(tokens.refresh_token));
        for pause in [3, 11, 24] {
            let (mut going, known) = (auth.clone(), last.clone());
            let busy = tokio::spawn(async move {
                loop {
                    let token = known.lock().expect("no panic").clone();
                    match refresh(&mut going, &token).await {
                        Ok(next) => *known.lock().expect("no panic") = next.refresh_token,
                        Err(_gone) => return,
                    }
                }
            });
            tokio::time::sleep(Duration::from_millis(pause)).await;
            running.kill();
            busy.await.expect("no panic");
            running = start(&place);
            auth = client(&running.endpoint).await;
            // Whether the last one was committed or not: the token that the client knows is good, or its child is.
            let token = last.lock().expect("no panic").clone();
            let next = refresh(&mut auth, &token).await.expect("not lost");
            *last.lock().expect("no panic") = next.refresh_token;
        }
        running.kill();
    })
    .await;
}
