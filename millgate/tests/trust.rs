//! What the auth service revokes, the factory refuses within moments; keys are rotated while both serve.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::time::{Duration, Instant};

use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_contract::auth::v1::{
    Key, KeyState, ListKeysRequest, LogoutRequest, Role, RotateKeyRequest,
};
use millgate_contract::factory::v1::ListProductsRequest;
use support::people::PASSWORD;
use support::{World, bearing, channel, reason};

on_both_databases!(
    a_logout_at_auth_is_refused_at_the_factory_within_moments,
    keys_are_rotated_while_everybody_is_served
);

/// Why the factory refuses the token, if it does.
async fn refused(world: &World, token: &str) -> Option<String> {
    let listed = world
        .products()
        .list_products(bearing(token, ListProductsRequest::default()))
        .await;
    listed.err().map(|status| reason(&status))
}

async fn a_logout_at_auth_is_refused_at_the_factory_within_moments(world: World) {
    world.person("leaver", Role::User).await;
    let tokens = world.login("leaver", PASSWORD).await.expect("logged in");
    let staying = world.login("leaver", PASSWORD).await.expect("logged in");
    assert_eq!(refused(&world, &tokens.access_token).await, None);
    let request = LogoutRequest {
        refresh_token: tokens.refresh_token,
    };
    world.auth().logout(request).await.expect("logged out");
    let begun = Instant::now();
    let told = loop {
        if let Some(told) = refused(&world, &tokens.access_token).await {
            break told;
        }
        // The factory may only just have come to follow the feed.
        assert!(begun.elapsed() < Duration::from_secs(10), "still let in");
    };
    assert_eq!(told, "SESSION_ENDED");
    assert_eq!(refused(&world, &staying.access_token).await, None);
}

async fn keys_are_rotated_while_everybody_is_served(world: World) {
    let staff = world.person("staff", Role::User).await;
    let admin = world.admin().await;
    let mut trust = TrustServiceClient::new(channel(&world.addresses.auth));
    let next = trust
        .rotate_key(bearing(&admin, RotateKeyRequest::default()))
        .await
        .expect("announced")
        .into_inner();
    let begun = Instant::now();
    loop {
        assert_eq!(refused(&world, &staff).await, None);
        let listed = trust
            .list_keys(bearing(&admin, ListKeysRequest {}))
            .await
            .expect("listed")
            .into_inner();
        assert!(listed.guards.len() >= 2, "auth and the factory: {listed:?}");
        let signs = |key: &Key| key.key_id == next.key_id && key.state() == KeyState::Active;
        if listed.keys.iter().any(signs) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{listed:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Both the old key's tokens and the new one's are taken.
    assert_eq!(refused(&world, &staff).await, None);
    let newer = world.login("staff", PASSWORD).await.expect("logged in");
    assert_eq!(refused(&world, &newer.access_token).await, None);
}
