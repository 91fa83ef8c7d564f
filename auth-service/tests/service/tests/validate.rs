use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;
use std::time::Duration;

pub(super) async fn validate(
    house: &House,
    caller: &str,
    token: &str,
) -> pb::ValidateTokenResponse {
    let request = pb::ValidateTokenRequest {
        token: token.to_owned(),
    };
    house
        .auth
        .clone()
        .validate_token(with(caller, request))
        .await
        .expect("a bad token is no error")
        .into_inner()
}

fn inactive(reason: &str) -> pb::ValidateTokenResponse {
    pb::ValidateTokenResponse {
        reason: reason.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_good_token_says_what_it_says() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (user, tokens) = house.person("ada", pb::Role::Mechanic).await;
        for caller in [admin.as_str(), &tokens.access_token] {
            let found = validate(&house, caller, &tokens.access_token).await;
            assert!(found.active);
            assert_eq!(
                (found.sub, found.username, found.role),
                (user.id.to_string(), "ada".into(), "mechanic".into())
            );
            assert_eq!(
                (found.sid, found.token_type),
                (tokens.session_id.clone(), "Bearer".into())
            );
            assert_eq!(
                (
                    found.iss.as_str(),
                    found.aud.as_str(),
                    found.exp - found.iat
                ),
                ("millgate", "millgate", 900)
            );
            assert_eq!(
                (found.amr, found.client_id.as_str()),
                (vec!["pwd".to_owned()], "")
            );
        }
        let service = validate(&house, &admin, &house.factory().await).await;
        assert_eq!(
            (service.client_id.as_str(), service.scope.as_str()),
            (FACTORY, "trust.watch users.read users.write")
        );
        assert!(service.active && service.role.is_empty() && service.username.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_bad_token_is_inactive_with_the_reason_and_nothing_else() {
    on_both(async |house| {
        let (user, tokens) = house.person("ada", pb::Role::User).await;
        house.clock.advance(Duration::from_secs(901));
        let admin = house.admin().await;
        assert_eq!(
            validate(&house, &admin, &tokens.access_token).await,
            inactive("TOKEN_EXPIRED")
        );
        for bad in ["x", "a.b.c", &tokens.refresh_token, &"x".repeat(100_000)] {
            assert_eq!(
                validate(&house, &admin, bad).await,
                inactive("TOKEN_INVALID")
            );
        }
        let fresh = house.login("ada").await;
        house
            .auth
            .clone()
            .logout(with(&fresh.access_token, pb::LogoutRequest::default()))
            .await
            .expect("logged out");
        assert_eq!(
            validate(&house, &admin, &fresh.access_token).await,
            inactive("SESSION_ENDED")
        );
        let fresh = house.login("ada").await;
        house
            .set_role(&admin, user.id, pb::Role::Customer)
            .await
            .expect("changed");
        assert_eq!(
            validate(&house, &admin, &fresh.access_token).await,
            inactive("TOKEN_REVOKED")
        );
        let empty = house
            .auth
            .clone()
            .validate_token(with(&admin, pb::ValidateTokenRequest::default()))
            .await;
        assert_eq!(reason(empty), "FIELD_INVALID");
    })
    .await;
}

#[tokio::test]
async fn a_person_learns_nothing_about_anothers_token() {
    on_both(async |house| {
        let (_, ada) = house.person("ada", pb::Role::User).await;
        let (_, bob) = house.person("bob", pb::Role::Customer).await;
        let forged = validate(&house, &ada.access_token, "x").await;
        assert_eq!(
            validate(&house, &ada.access_token, &bob.access_token).await,
            forged
        );
        assert_eq!(
            validate(&house, &ada.access_token, &house.factory().await).await,
            forged
        );
        assert_eq!(
            validate(&house, &ada.access_token, &house.admin().await).await,
            forged
        );
        assert!(
            validate(&house, &ada.access_token, &ada.access_token)
                .await
                .active
        );
    })
    .await;
}

#[tokio::test]
async fn a_service_asks_about_any_token_if_it_has_the_scope() {
    on_both(async |house| {
        let (_, ada) = house.person("ada", pb::Role::User).await;
        let request = pb::ValidateTokenRequest {
            token: ada.access_token.clone(),
        };
        let refused = house
            .auth
            .clone()
            .validate_token(with(&house.factory().await, request))
            .await;
        assert_eq!(reason(refused), "SCOPE_DENIED");
        let grant = "UPDATE service_accounts SET scopes = 'tokens.validate'";
        on_write!(house.db, |c| sqlx::query(grant).execute(c).await.map(drop)).expect("granted");
        assert!(
            validate(&house, &house.factory().await, &ada.access_token)
                .await
                .active
        );
    })
    .await;
}

#[tokio::test]
async fn a_person_does_not_learn_whether_anothers_token_has_expired() {
    on_both(async |house| {
        let (_, ada) = house.person("ada", pb::Role::User).await;
        let (_, bob) = house.person("bob", pb::Role::Customer).await;
        house.clock.advance(Duration::from_secs(901));
        let mine = house.login("ada").await.access_token;
        assert_eq!(
            validate(&house, &mine, &bob.access_token).await,
            inactive("TOKEN_INVALID")
        );
        assert_eq!(
            validate(&house, &mine, &ada.access_token).await,
            inactive("TOKEN_EXPIRED"),
            "their own"
        );
        let factory = house.issuer.service(FACTORY, "users.read").expired();
        assert_eq!(
            validate(&house, &mine, &factory.token()).await,
            inactive("TOKEN_INVALID")
        );
        assert_eq!(
            validate(&house, &house.admin().await, &bob.access_token).await,
            inactive("TOKEN_EXPIRED")
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_says_what_stands_behind_it_and_who_acts() {
    on_both(async |house| {
        let admin = house.admin().await;
        let now = millgate_platform::Clock::now_seconds(house.clock.as_ref());
        let mut found = Vec::new();
        let login = validate(&house, &admin, &admin).await;
        assert_eq!(login.session_kind(), pb::SessionKind::Login);
        assert!((login.session_exp - now - 30 * 86_400).abs() <= 1);
        found.push(login);
        let made = super::access_tokens::token(&house, &admin, &["profile"]).await;
        let cut = super::access_tokens::exchange(&house, &made.token, "").await;
        let cut = validate(&house, &admin, &cut.expect("exchanged").access_token).await;
        assert_eq!(cut.session_kind(), pb::SessionKind::AccessToken);
        assert_eq!(
            (cut.session_exp, cut.sid.as_str(), cut.amr.as_slice()),
            (
                made.expire_time.expect("an end").seconds,
                made.session_id.as_str(),
                &["pat".to_owned()][..]
            )
        );
        assert_eq!((cut.scope.as_str(), cut.auth_time), ("profile", 0));
        found.push(cut);
        let shop = super::exchange::service(&house, "shop", &["profile"]).await;
        let service = validate(&house, &admin, &shop).await;
        assert_eq!(
            (service.session_kind(), service.session_exp),
            (pb::SessionKind::Unspecified, 0)
        );
        found.push(service);
        assert!(found.iter().all(|one| one.act.is_empty()));
        let request = pb::ExchangeTokenRequest {
            subject_token: admin.clone(),
            ..Default::default()
        };
        let acting = super::exchange::exchange(&house, &shop, request).await;
        let acting = validate(&house, &admin, &acting.expect("exchanged").access_token).await;
        assert_eq!(acting.act, ["shop"]);
        assert_eq!((acting.sub.as_str(), acting.role.as_str()), ("1", "admin"));
    })
    .await;
}
