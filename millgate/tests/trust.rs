//! What the auth service revokes, the factory refuses within moments; keys are rotated while both serve.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::time::{Duration, Instant};

use millgate_contract::auth::v1::access_token_service_client::AccessTokenServiceClient;
use millgate_contract::auth::v1::second_factor_service_client::SecondFactorServiceClient;
use millgate_contract::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use millgate_contract::auth::v1::session_service_client::SessionServiceClient;
use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_contract::auth::v1::{
    AccessToken, BeginTotpRequest, ChangePasswordRequest, ConfirmTotpRequest,
    CreateAccessTokenRequest, CreateServiceAccountRequest, DeleteUserRequest,
    DisableServiceAccountRequest, DisableUserRequest, ExchangeAccessTokenRequest,
    IssueServiceTokenRequest, Key, KeyState, ListKeysRequest, LogoutEverywhereRequest,
    LogoutRequest, RetireKeyRequest, RevokeAccessTokenRequest, RevokeSessionRequest,
    RevokeTokenRequest, Role, RotateKeyRequest, ServiceAccount, SetUserRoleRequest, TokenResponse,
    WhoAmIRequest,
};
use millgate_contract::factory::v1::change_service_client::ChangeServiceClient;
use millgate_contract::factory::v1::{
    ImportProductsRequest, ListProductsRequest, WatchChangesRequest, WatchOrdersRequest,
};
use millgate_platform::{Clock as _, SystemClock};
use support::people::PASSWORD;
use support::{World, bearing, channel, reason};
use tonic::Code;

on_both_databases!(
    whatever_ends_a_right_at_auth_is_refused_at_the_factory,
    a_stream_of_the_factory_is_cut_when_its_right_ends_at_auth,
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

/// Waits until the factory refuses the token, for this reason. What ends a person's sessions and raises their
/// generation is told in two events: in between it refuses for the other reason.
async fn is_refused(world: &World, token: &str, why: &str, after: &str) {
    let begun = Instant::now();
    loop {
        let told = refused(world, token).await;
        if told.as_deref() == Some(why) {
            return;
        }
        assert!(
            matches!(
                told.as_deref(),
                None | Some("TOKEN_REVOKED" | "SESSION_ENDED")
            ),
            "{told:?} after {after}"
        );
        // The factory may only just have come to follow the feed.
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{told:?} after {after}"
        );
    }
}

/// Somebody of the staff, logged in, and their id.
async fn somebody(world: &World, name: &str) -> (TokenResponse, i64) {
    world.person(name, Role::User).await;
    let tokens = world.login(name, PASSWORD).await.expect("logged in");
    assert_eq!(refused(world, &tokens.access_token).await, None, "{name}");
    let mut auth = world.auth();
    let who = auth.who_am_i(bearing(&tokens.access_token, WhoAmIRequest {}));
    let who = who.await.expect("known").into_inner();
    let id = who.user.expect("a person").id;
    (tokens, id)
}

async fn whatever_ends_a_right_at_auth_is_refused_at_the_factory(world: World) {
    let bystander = world.person("bystander", Role::User).await;
    let (mut auth, mut users) = (world.auth(), world.users());
    let line = || channel(&world.addresses.auth);

    let (one, _) = somebody(&world, "everywhere").await;
    let two = world
        .login("everywhere", PASSWORD)
        .await
        .expect("logged in");
    auth.logout_everywhere(bearing(&one.access_token, LogoutEverywhereRequest {}))
        .await
        .expect("logged out");
    for token in [&one.access_token, &two.access_token] {
        is_refused(&world, token, "TOKEN_REVOKED", "LogoutEverywhere").await;
    }

    let (one, _) = somebody(&world, "session").await;
    let request = RevokeSessionRequest {
        id: one.session_id.clone(),
    };
    SessionServiceClient::new(line())
        .revoke_session(bearing(&world.admin().await, request))
        .await
        .expect("revoked");
    is_refused(&world, &one.access_token, "SESSION_ENDED", "RevokeSession").await;

    let (one, _) = somebody(&world, "token").await;
    let request = RevokeTokenRequest {
        token: one.access_token.clone(),
        ..Default::default()
    };
    auth.revoke_token(request).await.expect("revoked");
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "RevokeToken").await;

    let (one, _) = somebody(&world, "password").await;
    let request = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: "another good battery".to_owned(),
    };
    let new = auth
        .change_password(bearing(&one.access_token, request))
        .await
        .expect("changed")
        .into_inner();
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "ChangePassword").await;
    assert_eq!(refused(&world, &new.access_token).await, None);

    let admin = world.admin().await;
    let (one, id) = somebody(&world, "role").await;
    let request = SetUserRoleRequest {
        id,
        role: Role::Mechanic.into(),
        ..Default::default()
    };
    users
        .set_user_role(bearing(&admin, request))
        .await
        .expect("set");
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "SetUserRole").await;

    let (one, id) = somebody(&world, "disabled").await;
    let request = DisableUserRequest {
        id,
        ..Default::default()
    };
    users
        .disable_user(bearing(&admin, request))
        .await
        .expect("disabled");
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "DisableUser").await;

    let (one, id) = somebody(&world, "deleted").await;
    let request = DeleteUserRequest {
        id,
        ..Default::default()
    };
    users
        .delete_user(bearing(&admin, request))
        .await
        .expect("deleted");
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "DeleteUser").await;

    let (one, _) = somebody(&world, "factor").await;
    let mut factors = SecondFactorServiceClient::new(line());
    let begun = factors
        .begin_totp(bearing(&one.access_token, BeginTotpRequest {}))
        .await
        .expect("begun")
        .into_inner();
    let app = totp_rs::Totp::from_url(&begun.otpauth_uri).expect("an app reads the URI");
    let now = u64::try_from(SystemClock.now_seconds()).expect("after the epoch");
    let request = ConfirmTotpRequest {
        code: app.generate(now).to_string(),
        ..Default::default()
    };
    factors
        .confirm_totp(bearing(&one.access_token, request))
        .await
        .expect("confirmed");
    is_refused(&world, &one.access_token, "TOKEN_REVOKED", "ConfirmTotp").await;

    let (one, _) = somebody(&world, "script").await;
    let mut tokens = AccessTokenServiceClient::new(line());
    let expire_time = prost_types::Timestamp {
        seconds: SystemClock.now_seconds() + 86_400,
        nanos: 0,
    };
    let request = CreateAccessTokenRequest {
        access_token: Some(AccessToken {
            name: "a nightly script".to_owned(),
            scopes: vec!["products.read".to_owned()],
            expire_time: Some(expire_time),
            ..Default::default()
        }),
        ..Default::default()
    };
    let made = tokens
        .create_access_token(bearing(&one.access_token, request))
        .await
        .expect("made")
        .into_inner();
    let request = ExchangeAccessTokenRequest {
        token: made.token,
        ..Default::default()
    };
    let short = tokens
        .exchange_access_token(request)
        .await
        .expect("exchanged");
    let short = short.into_inner().access_token;
    assert_eq!(refused(&world, &short).await, None);
    let request = RevokeAccessTokenRequest {
        id: made.id,
        ..Default::default()
    };
    tokens
        .revoke_access_token(bearing(&one.access_token, request))
        .await
        .expect("revoked");
    is_refused(&world, &short, "SESSION_ENDED", "RevokeAccessToken").await;
    assert_eq!(refused(&world, &one.access_token).await, None);

    let mut accounts = ServiceAccountServiceClient::new(line());
    let request = CreateServiceAccountRequest {
        service_account: Some(ServiceAccount {
            client_id: "shop".to_owned(),
            scopes: vec!["products.read".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let made = accounts
        .create_service_account(bearing(&admin, request))
        .await;
    let request = IssueServiceTokenRequest {
        client_id: "shop".to_owned(),
        client_secret: made.expect("made").into_inner().client_secret,
        ..Default::default()
    };
    let issued = auth.issue_service_token(request).await.expect("issued");
    let service = issued.into_inner().access_token;
    assert_eq!(refused(&world, &service).await, None);
    let request = DisableServiceAccountRequest {
        client_id: "shop".to_owned(),
        ..Default::default()
    };
    accounts
        .disable_service_account(bearing(&admin, request))
        .await
        .expect("disabled");
    is_refused(&world, &service, "TOKEN_REVOKED", "DisableServiceAccount").await;

    // Nobody else was touched; and a key that was stolen takes everybody's tokens with it.
    assert_eq!(refused(&world, &bystander).await, None);
    let mut trust = TrustServiceClient::new(line());
    let listed = trust.list_keys(bearing(&admin, ListKeysRequest {})).await;
    let stolen = listed.expect("listed").into_inner().keys[0].key_id.clone();
    let rotate = bearing(&admin, RotateKeyRequest::default());
    trust.rotate_key(rotate).await.expect("announced");
    let request = RetireKeyRequest {
        key_id: stolen,
        force: true,
    };
    trust
        .retire_key(bearing(&admin, request))
        .await
        .expect("removed");
    let begun = Instant::now();
    // The feed says that the key is refused, or the file has no such key any more: which comes first is open.
    while !matches!(
        refused(&world, &bystander).await.as_deref(),
        Some("TOKEN_REVOKED" | "TOKEN_INVALID")
    ) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "a stolen key lets in"
        );
    }
}

async fn a_stream_of_the_factory_is_cut_when_its_right_ends_at_auth(world: World) {
    let (tokens, _) = somebody(&world, "watcher").await;
    let mut changes = ChangeServiceClient::new(channel(&world.addresses.factory));
    let mut watched = changes
        .watch_changes(bearing(
            &tokens.access_token,
            WatchChangesRequest::default(),
        ))
        .await
        .expect("open")
        .into_inner();
    let mut orders = world
        .orders()
        .watch_orders(bearing(&tokens.access_token, WatchOrdersRequest::default()))
        .await
        .expect("open")
        .into_inner();
    // Who sends an import holds a stream as well.
    let (rows, sent) = tokio::sync::mpsc::channel(1);
    let sent = futures::stream::unfold(sent, |mut sent| async {
        let row: Option<ImportProductsRequest> = sent.recv().await;
        row.map(|row| (row, sent))
    });
    let mut products = world.products();
    let request = bearing(&tokens.access_token, sent);
    let importing = tokio::spawn(async move { products.import_products(request).await });
    let request = LogoutRequest {
        refresh_token: tokens.refresh_token,
    };
    world.auth().logout(request).await.expect("logged out");
    let in_time = Duration::from_secs(20);
    let ends = async {
        let changes = async {
            loop {
                if let Err(status) = watched.message().await.map(|told| told.expect("no end")) {
                    break status;
                }
            }
        };
        let orders = async {
            loop {
                if let Err(status) = orders.message().await.map(|told| told.expect("no end")) {
                    break status;
                }
            }
        };
        let imported = async {
            importing
                .await
                .expect("no panic")
                .map(drop)
                .expect_err("cut")
        };
        <[_; 3]>::from(tokio::join!(changes, orders, imported))
    };
    let ends = tokio::time::timeout(in_time, ends)
        .await
        .expect("ends in time");
    for status in ends {
        let told = (status.code(), reason(&status));
        assert_eq!(told, (Code::Unauthenticated, "SESSION_ENDED".to_owned()));
    }
    drop(rows);
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
