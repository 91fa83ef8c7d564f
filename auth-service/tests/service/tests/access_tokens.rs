//! Personal access tokens: what they open, and what ends them.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::{Clock, on};
use std::time::Duration;
use tonic::{Code, Status};

const ID: &str = "2d2f7a7e-7d7c-4d7b-8f36-0a8e2a8f7c01";
const DAY: i64 = 24 * 60 * 60;

pub(crate) fn wanted(house: &House, scopes: &[&str], seconds: i64) -> pb::CreateAccessTokenRequest {
    let token = pb::AccessToken {
        name: "a nightly script".into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        expire_time: Some(prost_types::Timestamp {
            seconds: house.clock.now_seconds() + seconds,
            nanos: 0,
        }),
        ..Default::default()
    };
    pb::CreateAccessTokenRequest {
        access_token: Some(token),
        request_id: String::new(),
    }
}

async fn create(
    house: &House,
    bearer: &str,
    request: pb::CreateAccessTokenRequest,
) -> Result<pb::AccessToken, Status> {
    let mut client = house.access_tokens.clone();
    let made = client.create_access_token(with(bearer, request)).await;
    made.map(tonic::Response::into_inner)
}

/// A token of whoever has the bearer, for a day.
pub(crate) async fn token(house: &House, bearer: &str, scopes: &[&str]) -> pb::AccessToken {
    create(house, bearer, wanted(house, scopes, DAY))
        .await
        .expect("made")
}

pub(crate) async fn exchange(
    house: &House,
    token: &str,
    scope: &str,
) -> Result<pb::ExchangeAccessTokenResponse, Status> {
    let request = pb::ExchangeAccessTokenRequest {
        token: token.to_owned(),
        scope: scope.to_owned(),
    };
    let mut client = house.access_tokens.clone();
    let exchanged = client.exchange_access_token(request).await;
    exchanged.map(tonic::Response::into_inner)
}

pub(crate) async fn revoke(
    house: &House,
    bearer: &str,
    id: i64,
) -> Result<pb::AccessToken, Status> {
    let request = pb::RevokeAccessTokenRequest {
        id,
        ..Default::default()
    };
    let mut client = house.access_tokens.clone();
    let revoked = client.revoke_access_token(with(bearer, request)).await;
    revoked.map(tonic::Response::into_inner)
}

async fn list(
    house: &House,
    bearer: &str,
    request: pb::ListAccessTokensRequest,
) -> Result<pb::ListAccessTokensResponse, Status> {
    let mut client = house.access_tokens.clone();
    let page = client.list_access_tokens(with(bearer, request)).await;
    page.map(tonic::Response::into_inner)
}

fn of(user_id: i64) -> pb::ListAccessTokensRequest {
    pb::ListAccessTokensRequest {
        user_id,
        ..Default::default()
    }
}

/// Everything that is stored about personal access tokens, as text.
async fn stored(house: &House) -> Vec<String> {
    const TOKENS: &str = "SELECT id || '|' || user_id || '|' || scopes || '|' || expire_time || '|' \
        || coalesce(revoke_time, 0) || '|' || coalesce(last_used_time, 0) FROM access_tokens ORDER BY id";
    let rows: Vec<String> =
        on!(house.db, |c| sqlx::query_scalar(TOKENS).fetch_all(c).await).expect("rows");
    let mut lines = house.snapshot().await;
    lines.extend(rows);
    lines
}

#[tokio::test]
async fn a_token_is_never_a_bearer() {
    on_both(async |house| {
        let admin = house.admin().await;
        let made = token(&house, &admin, &["profile"]).await;
        let invalid = (Code::Unauthenticated, "TOKEN_INVALID".to_owned());
        assert_eq!(refusal(house.who_am_i(&made.token).await), invalid);
        assert_eq!(refusal(list(&house, &made.token, of(0)).await), invalid);
        assert_eq!(
            refusal(house.refresh(&made.token).await).1,
            "REFRESH_INVALID"
        );
        let secret = house.service_token(FACTORY, &made.token, "").await;
        assert_eq!(reason(secret), "CREDENTIALS_INVALID");
        // Looked at, it is no access token either: nobody takes it for one.
        let request = pb::ValidateTokenRequest {
            token: made.token.clone(),
        };
        let found = house
            .auth
            .clone()
            .validate_token(with(&admin, request))
            .await;
        let found = found.expect("looked at").into_inner();
        assert_eq!(
            (found.active, found.reason.as_str()),
            (false, "TOKEN_INVALID")
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_that_cannot_be_is_refused_with_every_bad_field() {
    on_both(async |house| {
        let bearer = house.login(ADMIN).await.access_token;
        let before = stored(&house).await;
        let mut bad = wanted(&house, &["users.read", "everything"], 367 * DAY);
        bad.request_id = "x".into();
        let sent = bad.access_token.as_mut().expect("a token");
        sent.name = "  ".into();
        sent.token = "mgp_mine".into();
        sent.user_id = 7;
        let status = create(&house, &bearer, bad).await.expect_err("refused");
        let named = fields(&status);
        for field in [
            "request_id",
            "access_token.name",
            "access_token.token",
            "access_token.user_id",
            "access_token.scopes[1]",
            "access_token.expire_time",
        ] {
            assert!(named.iter().any(|one| one == field), "{field} in {named:?}");
        }
        let without_end = {
            let mut request = wanted(&house, &["profile"], DAY);
            request.access_token.as_mut().expect("a token").expire_time = None;
            request
        };
        for bad in [
            wanted(&house, &[], DAY),
            wanted(&house, &["profile"], 0),
            wanted(&house, &["profile"], -1),
            wanted(&house, &["profile"], 366 * DAY + 1),
            wanted(&house, &["profile"], i64::MAX / 2),
            without_end,
            pb::CreateAccessTokenRequest::default(),
        ] {
            assert_eq!(reason(create(&house, &bearer, bad).await), "FIELD_INVALID");
        }
        assert_eq!(stored(&house).await, before);
        create(&house, &bearer, wanted(&house, &["profile"], 366 * DAY))
            .await
            .expect("a leap year");
    })
    .await;
}

#[tokio::test]
async fn what_a_token_was_exchanged_for_has_the_rights_that_role_and_scopes_share() {
    on_both(async |house| {
        let (ada, login) = house.person("ada", pb::Role::User).await;
        let made = token(&house, &login.access_token, &["profile", "users.read"]).await;
        assert!(made.token.starts_with("mgp_") && made.token.len() == 53);
        assert!(!format!("{made:?}").contains(&made.token));
        assert_eq!(
            (made.user_id, made.state()),
            (ada.id, pb::AccessTokenState::Active)
        );
        let got = exchange(&house, &made.token, "").await.expect("exchanged");
        assert_eq!(
            (got.scope.as_str(), got.token_type.as_str(), got.expires_in),
            ("profile users.read", "Bearer", 900)
        );
        assert_eq!(
            got.issued_token_type,
            "urn:ietf:params:oauth:token-type:access_token"
        );
        let bearer = got.access_token;
        let me = house.who_am_i(&bearer).await.expect("in scope");
        assert_eq!(me.user.expect("a person").id, ada.id);
        assert_eq!(
            (me.session_id, me.amr),
            (made.session_id.clone(), vec!["pat".to_owned()])
        );
        assert_eq!(me.auth_time, None);

        let before = stored(&house).await;
        let mut users = house.users.clone();
        let listed = users
            .list_users(with(&bearer, pb::ListUsersRequest::default()))
            .await;
        assert_eq!(
            reason(listed),
            "ROLE_DENIED",
            "the scope is there, the role is not"
        );
        let renamed = users
            .update_user(with(&bearer, pb::UpdateUserRequest::default()))
            .await;
        assert_eq!(
            reason(renamed),
            "SCOPE_DENIED",
            "the role is there, the scope is not"
        );
        // No token makes, sees or ends another, or changes the password.
        assert_eq!(
            reason(create(&house, &bearer, wanted(&house, &["profile"], DAY)).await),
            "SCOPE_DENIED"
        );
        assert_eq!(reason(list(&house, &bearer, of(0)).await), "SCOPE_DENIED");
        assert_eq!(
            reason(revoke(&house, &bearer, made.id).await),
            "SCOPE_DENIED"
        );
        let mut auth = house.auth.clone();
        let request = pb::ChangePasswordRequest::default();
        assert_eq!(
            reason(auth.change_password(with(&bearer, request)).await),
            "SCOPE_DENIED"
        );
        assert_eq!(stored(&house).await, before);

        let less = exchange(&house, &made.token, "users.read")
            .await
            .expect("exchanged");
        assert_eq!(less.scope, "users.read");
        assert_eq!(
            reason(house.who_am_i(&less.access_token).await),
            "SCOPE_DENIED"
        );
        for more in ["users.write", "profile users.write"] {
            assert_eq!(
                refusal(exchange(&house, &made.token, more).await),
                (Code::PermissionDenied, "SCOPE_DENIED".into())
            );
        }
        assert_eq!(
            reason(exchange(&house, &made.token, " ").await),
            "FIELD_INVALID"
        );
        assert_eq!(reason(exchange(&house, "", "").await), "FIELD_INVALID");
    })
    .await;
}

#[tokio::test]
async fn only_a_person_who_has_just_proved_who_they_are_makes_a_token() {
    on_both(async |house| {
        let login = house.login(ADMIN).await;
        let service = house.factory().await;
        let refused = create(&house, &service, wanted(&house, &["profile"], DAY)).await;
        assert_eq!(reason(refused), "PRINCIPAL_KIND_DENIED");
        house.clock.advance(Duration::from_secs(600));
        let fresh = house
            .refresh(&login.refresh_token)
            .await
            .expect("refreshed");
        house.clock.advance(Duration::from_secs(301));
        let refused = create(
            &house,
            &fresh.access_token,
            wanted(&house, &["profile"], DAY),
        )
        .await;
        assert_eq!(
            refusal(refused),
            (Code::Unauthenticated, "FRESH_TOKEN_REQUIRED".into())
        );
        let rows = house.count("SELECT count(*) FROM access_tokens").await;
        assert_eq!(rows, 0);
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_with_what_its_account_loses() {
    on_both(async |house| {
        let admin = house.admin().await;
        let id = |user: &pb::User| user.id;
        for change in ["role", "disable", "password", "delete", "revoke"] {
            let (ada, login) = house.person("ada", pb::Role::User).await;
            let made = token(&house, &login.access_token, &["profile"]).await;
            let bearer = exchange(&house, &made.token, "")
                .await
                .expect("good")
                .access_token;
            house.who_am_i(&bearer).await.expect("good before");
            let mut users = house.users.clone();
            let (after, exchanged) = match change {
                "role" => {
                    house
                        .set_role(&admin, ada.id, pb::Role::Mechanic)
                        .await
                        .expect("set");
                    ("TOKEN_REVOKED", "TOKEN_REVOKED")
                }
                "disable" => {
                    let request = pb::DisableUserRequest {
                        id: id(&ada),
                        ..Default::default()
                    };
                    users
                        .disable_user(with(&admin, request))
                        .await
                        .expect("disabled");
                    ("TOKEN_REVOKED", "TOKEN_REVOKED")
                }
                "password" => {
                    let request = pb::ChangePasswordRequest {
                        current_password: PASSWORD.into(),
                        new_password: "another good one".into(),
                    };
                    let mut auth = house.auth.clone();
                    auth.change_password(with(&login.access_token, request))
                        .await
                        .expect("changed");
                    ("TOKEN_REVOKED", "TOKEN_REVOKED")
                }
                "delete" => {
                    let request = pb::DeleteUserRequest {
                        id: id(&ada),
                        ..Default::default()
                    };
                    users
                        .delete_user(with(&admin, request))
                        .await
                        .expect("deleted");
                    ("TOKEN_INVALID", "TOKEN_REVOKED")
                }
                _ => {
                    revoke(&house, &login.access_token, made.id)
                        .await
                        .expect("revoked");
                    ("TOKEN_REVOKED", "SESSION_ENDED")
                }
            };
            let refused = exchange(&house, &made.token, "").await;
            assert_eq!(
                refusal(refused),
                (Code::Unauthenticated, after.into()),
                "{change}"
            );
            assert_eq!(reason(house.who_am_i(&bearer).await), exchanged, "{change}");
            if change == "disable" {
                let request = pb::EnableUserRequest {
                    id: id(&ada),
                    ..Default::default()
                };
                users
                    .enable_user(with(&admin, request))
                    .await
                    .expect("enabled");
                let refused = exchange(&house, &made.token, "").await;
                assert_eq!(reason(refused), "TOKEN_REVOKED", "it does not come back");
            }
            if change != "delete" {
                let request = pb::DeleteUserRequest {
                    id: id(&ada),
                    ..Default::default()
                };
                users
                    .delete_user(with(&admin, request))
                    .await
                    .expect("deleted");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_access_token_does_not_outlive_the_token_it_was_exchanged_for() {
    on_both(async |house| {
        let bearer = house.admin().await;
        let made = create(&house, &bearer, wanted(&house, &["profile"], 100))
            .await
            .expect("made");
        let got = exchange(&house, &made.token, "").await.expect("exchanged");
        assert!((99..=100).contains(&got.expires_in), "{}", got.expires_in);
        house.clock.advance(Duration::from_secs(100));
        assert_eq!(
            reason(house.who_am_i(&got.access_token).await),
            "TOKEN_EXPIRED"
        );
        assert_eq!(
            refusal(exchange(&house, &made.token, "").await),
            (Code::Unauthenticated, "TOKEN_EXPIRED".into())
        );
    })
    .await;
}

#[tokio::test]
async fn an_exchanged_token_never_passes_for_a_fresh_one() {
    on_both(async |house| {
        let admin = house.login(ADMIN).await;
        let made = token(&house, &admin.access_token, &["profile"]).await;
        let got = exchange(&house, &made.token, "").await.expect("exchanged");
        let verifier = house.issuer.verifier();
        let claims = verifier.verify(&got.access_token).expect("good");
        assert_eq!(
            (claims.auth_time, claims.amr),
            (None, vec!["pat".to_owned()])
        );
        assert_eq!(claims.session, Some(made.session_id));
        assert_eq!(claims.role.as_deref(), Some("admin"));
    })
    .await;
}

#[tokio::test]
async fn people_see_and_end_their_own_tokens_and_administrators_anybodys() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (ada, ada_login) = house.person("ada", pb::Role::User).await;
        let (_, bob_login) = house.person("bob", pb::Role::User).await;
        let (ada_bearer, bob) = (ada_login.access_token, bob_login.access_token);
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(token(&house, &ada_bearer, &["profile"]).await);
        }
        let before = stored(&house).await;
        assert_eq!(
            refusal(list(&house, &bob, of(ada.id)).await),
            (Code::NotFound, "USER_NOT_FOUND".into())
        );
        for id in [made[0].id, 999_999] {
            assert_eq!(
                refusal(revoke(&house, &bob, id).await),
                (Code::NotFound, "ACCESS_TOKEN_NOT_FOUND".into())
            );
        }
        assert_eq!(reason(revoke(&house, &bob, 0).await), "FIELD_INVALID");
        assert_eq!(stored(&house).await, before);
        assert!(
            list(&house, &bob, of(0))
                .await
                .expect("a page")
                .access_tokens
                .is_empty()
        );

        for (bearer, user_id) in [(&ada_bearer, 0), (&ada_bearer, ada.id), (&admin, ada.id)] {
            let (mut ids, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = pb::ListAccessTokensRequest {
                    page_size: 2,
                    page_token,
                    user_id,
                    order_by: "id desc".into(),
                };
                let page = list(&house, bearer, request).await.expect("a page");
                assert!(page.access_tokens.iter().all(|one| one.token.is_empty()));
                ids.extend(page.access_tokens.iter().map(|one| one.id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            let all: Vec<i64> = made.iter().rev().map(|one| one.id).collect();
            assert_eq!(ids, all);
        }
        let ended = revoke(&house, &admin, made[0].id)
            .await
            .expect("an administrator may");
        assert_eq!(ended.state(), pb::AccessTokenState::Revoked);
        house.clock.advance(Duration::from_secs(5));
        let again = revoke(&house, &ada_bearer, made[0].id)
            .await
            .expect("it has ended");
        assert_eq!(again.revoke_time, ended.revoke_time);
        assert_eq!(
            reason(exchange(&house, &made[0].token, "").await),
            "TOKEN_REVOKED"
        );
        exchange(&house, &made[1].token, "")
            .await
            .expect("the others stay");
        let own = list(&house, &ada_bearer, of(0))
            .await
            .expect("a page")
            .access_tokens;
        assert_eq!(own[0].state(), pb::AccessTokenState::Revoked);
        assert!(own[1].last_used_time.is_some() && own[2].last_used_time.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_replayed_create_does_not_show_the_token() {
    on_both(async |house| {
        let bearer = house.admin().await;
        let request = pb::CreateAccessTokenRequest {
            request_id: ID.into(),
            ..wanted(&house, &["profile"], DAY)
        };
        let made = create(&house, &bearer, request.clone())
            .await
            .expect("made");
        let again = create(&house, &bearer, request)
            .await
            .expect("the first answer");
        let without = pb::AccessToken {
            token: String::new(),
            ..made.clone()
        };
        assert_eq!(again, without);
        assert_eq!(house.count("SELECT count(*) FROM access_tokens").await, 1);
        let rows: Vec<Vec<u8>> = on!(house.db, |c| sqlx::query_scalar(
            "SELECT response FROM idempotency_keys WHERE response IS NOT NULL"
        )
        .fetch_all(c)
        .await)
        .expect("rows");
        for row in rows {
            assert!(!String::from_utf8_lossy(&row).contains(&made.token[4..]));
        }
        exchange(&house, &made.token, "")
            .await
            .expect("the first works");
    })
    .await;
}

#[tokio::test]
async fn nobody_has_more_than_fifty_tokens_that_live_however_they_hurry() {
    on_both(async |house| {
        let bearer = house.admin().await;
        for _ in 0..48 {
            token(&house, &bearer, &["profile"]).await;
        }
        let client = house.access_tokens.clone();
        let request = wanted(&house, &["profile"], DAY);
        let answers = at_once(6, |_| {
            let (mut client, bearer) = (client.clone(), bearer.clone());
            let request = request.clone();
            async move { client.create_access_token(with(&bearer, request)).await }
        })
        .await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 2);
        for refused in refused {
            assert_eq!(
                refusal(refused),
                (Code::FailedPrecondition, "ACCESS_TOKEN_LIMIT".into())
            );
        }
        let id = made
            .into_iter()
            .flatten()
            .next()
            .expect("made")
            .into_inner()
            .id;
        revoke(&house, &bearer, id).await.expect("revoked");
        token(&house, &bearer, &["profile"]).await;
        house.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
        token(&house, &house.admin().await, &["profile"]).await;
    })
    .await;
}

#[tokio::test]
async fn what_nobody_made_is_refused_and_what_cannot_be_one_without_the_database() {
    use millgate_platform::testing::PostgresDatabase;
    let Some(postgres) = PostgresDatabase::create().await else {
        return;
    };
    let place = std::sync::Arc::new(Place::at(postgres.url()));
    let house = House::open(place, &["--database-acquire-timeout", "1s"]).await;
    let bearer = house.admin().await;
    let made = token(&house, &bearer, &["profile"]).await.token;
    // As if it had been made for another database: well formed, and unknown here.
    let unknown = "UPDATE access_tokens SET token_hash = sid::bytea";
    sqlx::query(unknown)
        .execute(match &house.db {
            millgate_platform::Database::Postgres(pool) => pool,
            millgate_platform::Database::Sqlite(_) => unreachable!(),
        })
        .await
        .expect("changed");
    let invalid = (Code::Unauthenticated, "TOKEN_INVALID".to_owned());
    assert_eq!(refusal(exchange(&house, &made, "").await), invalid);
    postgres.lose().await;
    assert_eq!(
        reason(exchange(&house, &made, "").await),
        "STORE_UNAVAILABLE"
    );
    let mut broken = made.clone();
    let swapped = if broken.ends_with('x') { "y" } else { "x" };
    broken.replace_range(52..53, swapped);
    for broken in [
        broken.as_str(),
        &made[..52],
        "mgp_",
        "x",
        &bearer,
        &made.replace("mgp_", "mgs_"),
    ] {
        assert_eq!(refusal(exchange(&house, broken, "").await), invalid);
    }
    postgres.restore().await;
    house.close().await;
    postgres.remove().await;
}

#[tokio::test]
async fn a_create_that_races_a_change_of_the_account_leaves_no_token() {
    on_both(async |house| {
        let (ada, login) = house.person("ada", pb::Role::User).await;
        let admin = house.admin().await;
        let client = house.access_tokens.clone();
        let request = wanted(&house, &["profile"], DAY);
        let (users, role) = (house.users.clone(), pb::Role::Mechanic);
        let answers = at_once(8, |index| {
            let (mut client, mut users) = (client.clone(), users.clone());
            let (bearer, admin) = (login.access_token.clone(), admin.clone());
            let request = request.clone();
            async move {
                if index == 4 {
                    let request = pb::SetUserRoleRequest {
                        id: ada.id,
                        role: role.into(),
                        ..Default::default()
                    };
                    users
                        .set_user_role(with(&admin, request))
                        .await
                        .expect("set");
                    return None;
                }
                client
                    .create_access_token(with(&bearer, request))
                    .await
                    .ok()
            }
        })
        .await;
        for made in answers.into_iter().flatten() {
            let token = made.into_inner().token;
            assert_eq!(reason(exchange(&house, &token, "").await), "TOKEN_REVOKED");
        }
        let live = "SELECT count(*) FROM access_tokens t JOIN users u ON u.id = t.user_id \
            WHERE t.generation = u.generation";
        assert_eq!(house.count(live).await, 0);
    })
    .await;
}
