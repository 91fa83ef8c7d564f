use super::harness::*;
use millgate_contract::auth::v1 as pb;
use tonic::{Code, Status};

const NEW: &str = "quite another password";

async fn change(
    house: &House,
    token: &str,
    current: &str,
    new: &str,
) -> Result<pb::TokenResponse, Status> {
    let request = pb::ChangePasswordRequest {
        current_password: current.to_owned(),
        new_password: new.to_owned(),
    };
    house
        .auth
        .clone()
        .change_password(with(token, request))
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_new_password_ends_everything_that_was_issued_before() {
    on_both(async |house| {
        house.register("ada").await;
        let (here, elsewhere) = (house.login("ada").await, house.login("ada").await);
        let fresh = change(&house, &here.access_token, PASSWORD, NEW)
            .await
            .expect("changed");
        assert_eq!(fresh.session_id, here.session_id);

        house
            .who_am_i(&fresh.access_token)
            .await
            .expect("the new token is good");
        assert_eq!(
            reason(house.who_am_i(&here.access_token).await),
            "TOKEN_REVOKED"
        );
        assert_eq!(
            reason(house.who_am_i(&elsewhere.access_token).await),
            "TOKEN_REVOKED"
        );
        assert_eq!(
            reason(house.refresh(&elsewhere.refresh_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.refresh(&here.refresh_token).await),
            "REFRESH_INVALID"
        );
        house
            .refresh(&fresh.refresh_token)
            .await
            .expect("the new refresh token is good");
        assert_eq!(
            reason(house.try_login("ada", PASSWORD).await),
            "CREDENTIALS_INVALID"
        );
        house
            .try_login("ada", NEW)
            .await
            .expect("the new password is good");
    })
    .await;
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    on_both(async |house| {
        house.register("ada").await;
        let tokens = house.login("ada").await;
        let before = house.snapshot().await;
        let token = tokens.access_token.as_str();
        let refused = async |current, new| refusal(change(&house, token, current, new).await);
        assert_eq!(
            refused("not the password", NEW).await,
            (Code::Unauthenticated, "CREDENTIALS_INVALID".into())
        );
        assert_eq!(
            refused("", NEW).await,
            (Code::InvalidArgument, "FIELD_INVALID".into())
        );
        assert_eq!(
            refused(PASSWORD, "short").await,
            (Code::InvalidArgument, "PASSWORD_TOO_SHORT".into())
        );
        assert_eq!(
            refused(PASSWORD, "qwertyuiop").await,
            (Code::InvalidArgument, "PASSWORD_BLOCKLISTED".into())
        );
        let novel = "x".repeat(257);
        assert_eq!(
            refused(PASSWORD, &novel).await,
            (Code::InvalidArgument, "PASSWORD_TOO_LONG".into())
        );
        assert_eq!(
            refused("not the password", "short").await.1,
            "PASSWORD_TOO_SHORT",
            "validity comes first"
        );
        assert_eq!(house.snapshot().await, before);
        house.who_am_i(token).await.expect("still good");
    })
    .await;
}

#[tokio::test]
async fn a_service_has_no_password_to_change() {
    on_both(async |house| {
        let factory = house.factory().await;
        let refused = change(&house, &factory, PASSWORD, NEW).await;
        assert_eq!(
            refusal(refused),
            (Code::PermissionDenied, "PRINCIPAL_KIND_DENIED".into())
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_changes_at_once_one_wins_and_the_others_hear_that_they_lost() {
    on_both(async |house| {
        house.register("ada").await;
        let tokens = house.login("ada").await;
        let (auth, token) = (house.auth.clone(), tokens.access_token.clone());
        let results = at_once(8, |index| {
            let (mut auth, token) = (auth.clone(), token.clone());
            let request = pb::ChangePasswordRequest {
                current_password: PASSWORD.to_owned(),
                new_password: format!("quite another password {index}"),
            };
            async move { auth.change_password(with(&token, request)).await }
        })
        .await;
        let mut winners = 0;
        for (index, result) in results.into_iter().enumerate() {
            let password = format!("quite another password {index}");
            match result {
                Ok(answer) => {
                    winners += 1;
                    house
                        .who_am_i(&answer.into_inner().access_token)
                        .await
                        .expect("the winner's token");
                    house
                        .try_login("ada", &password)
                        .await
                        .expect("the winner's password");
                }
                Err(status) => {
                    let reason = refusal::<()>(Err(status)).1;
                    assert!(
                        ["TOKEN_REVOKED", "CREDENTIALS_INVALID"].contains(&reason.as_str()),
                        "{reason}"
                    );
                    assert!(house.try_login("ada", &password).await.is_err());
                }
            }
        }
        assert_eq!(winners, 1);
    })
    .await;
}
