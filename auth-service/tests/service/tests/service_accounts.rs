use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;
use tonic::{Code, Status};

const OTHER_SECRET: &str = "another secret of 32 characters!";

fn customer(external_id: &str, username: &str) -> pb::CreateUserRequest {
    let user = pb::User {
        username: username.into(),
        role: pb::Role::Customer.into(),
        external_id: external_id.into(),
        ..Default::default()
    };
    pb::CreateUserRequest {
        user: Some(user),
        password: PASSWORD.into(),
        request_id: String::new(),
    }
}

async fn create(
    house: &House,
    token: &str,
    request: pb::CreateUserRequest,
) -> Result<pb::User, Status> {
    house
        .users
        .clone()
        .create_user(with(token, request))
        .await
        .map(tonic::Response::into_inner)
}

async fn listed(house: &House, token: &str) -> Vec<i64> {
    let request = pb::ListUsersRequest::default();
    let page = house
        .users
        .clone()
        .list_users(with(token, request))
        .await
        .expect("a page")
        .into_inner();
    page.users.iter().map(|user| user.id).collect()
}

#[tokio::test]
async fn a_service_gets_a_token_with_its_scopes_or_fewer_and_never_more() {
    on_both(async |house| {
        let all = house
            .service_token(FACTORY, FACTORY_SECRET, "")
            .await
            .expect("issued");
        assert_eq!(
            (all.scope.as_str(), all.token_type.as_str(), all.expires_in),
            ("trust.watch users.read users.write", "Bearer", 900)
        );
        let part = house
            .service_token(FACTORY, FACTORY_SECRET, "users.read")
            .await
            .expect("issued");
        assert_eq!(part.scope, "users.read");
        let refused = create(&house, &part.access_token, customer("1", "ada")).await;
        assert_eq!(
            refusal(refused),
            (Code::PermissionDenied, "SCOPE_DENIED".into())
        );
        let more = house
            .service_token(FACTORY, FACTORY_SECRET, "users.read tokens.validate")
            .await;
        assert_eq!(
            refusal(more),
            (Code::PermissionDenied, "SCOPE_DENIED".into())
        );
        let odd = house
            .service_token(FACTORY, FACTORY_SECRET, "users.read  users.write")
            .await;
        assert_eq!(
            refusal(odd),
            (Code::InvalidArgument, "FIELD_INVALID".into())
        );
    })
    .await;
}

#[tokio::test]
async fn unknown_client_wrong_secret_and_disabled_account_get_the_same_answer() {
    on_both(async |house| {
        let bytes = |result: Result<pb::IssueServiceTokenResponse, Status>| {
            let status = result.expect_err("refused");
            (
                status.code(),
                status.message().to_owned(),
                status.details().to_vec(),
            )
        };
        let wrong = bytes(house.service_token(FACTORY, OTHER_SECRET, "").await);
        assert_eq!(
            reason(house.service_token(FACTORY, OTHER_SECRET, "").await),
            "CREDENTIALS_INVALID"
        );
        for client in ["nobody", "7", "No Client", ADMIN] {
            assert_eq!(
                bytes(house.service_token(client, FACTORY_SECRET, "").await),
                wrong,
                "{client}"
            );
        }
        // Nobody learns which scopes an account has without its secret.
        assert_eq!(
            bytes(
                house
                    .service_token(FACTORY, OTHER_SECRET, "tokens.validate")
                    .await
            ),
            wrong
        );
        let token = house.factory().await;
        let disable = "UPDATE service_accounts SET disabled = TRUE";
        on_write!(house.db, |c| sqlx::query(disable)
            .execute(c)
            .await
            .map(drop))
        .expect("disabled");
        assert_eq!(
            bytes(house.service_token(FACTORY, FACTORY_SECRET, "").await),
            wrong
        );
        assert_eq!(
            reason(create(&house, &token, customer("1", "ada")).await),
            "TOKEN_REVOKED"
        );
        assert_eq!(
            reason(house.service_token("", FACTORY_SECRET, "").await),
            "FIELD_INVALID"
        );
        assert_eq!(
            reason(house.service_token(FACTORY, "", "").await),
            "FIELD_INVALID"
        );
    })
    .await;
}

#[tokio::test]
async fn a_service_makes_customers_and_nobody_else() {
    on_both(async |house| {
        let factory = house.factory().await;
        let before = house.snapshot().await;
        for role in [pb::Role::Admin, pb::Role::User, pb::Role::Mechanic] {
            let mut request = customer("1", "ada");
            request.user.as_mut().expect("a user").role = role.into();
            assert_eq!(
                refusal(create(&house, &factory, request).await),
                (Code::PermissionDenied, "ROLE_DENIED".into())
            );
        }
        assert_eq!(house.snapshot().await, before);
        let made = create(&house, &factory, customer("profile-1", "ada"))
            .await
            .expect("made");
        assert_eq!(
            (made.role(), made.external_id.as_str()),
            (pb::Role::Customer, "profile-1")
        );
        house.login("ada").await;
        let before = house.snapshot().await;
        let again = create(&house, &factory, customer("profile-1", "bob")).await;
        assert_eq!(
            refusal(again),
            (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".into())
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_service_sees_changes_and_deletes_only_what_it_made() {
    on_both(async |house| {
        let factory = house.factory().await;
        let mine = create(&house, &factory, customer("1", "mine"))
            .await
            .expect("made");
        let foreign = house.register("foreign").await;
        let before = house.snapshot().await;
        let mut users = house.users.clone();
        for id in [foreign.id, 1, 999_999] {
            let not_found = (Code::NotFound, "USER_NOT_FOUND".to_owned());
            assert_eq!(
                refusal(
                    users
                        .get_user(with(&factory, pb::GetUserRequest { id }))
                        .await
                ),
                not_found
            );
            let request = pb::DeleteUserRequest {
                id,
                ..Default::default()
            };
            assert_eq!(
                refusal(users.delete_user(with(&factory, request)).await),
                not_found
            );
            let user = Some(pb::User {
                id,
                username: "stolen".into(),
                ..Default::default()
            });
            let request = pb::UpdateUserRequest {
                user,
                update_mask: None,
            };
            assert_eq!(
                refusal(users.update_user(with(&factory, request)).await),
                not_found
            );
        }
        assert_eq!(
            reason(house.set_role(&factory, mine.id, pb::Role::Admin).await),
            "SCOPE_DENIED"
        );
        assert_eq!(house.snapshot().await, before);
        assert_eq!(listed(&house, &factory).await, [mine.id]);
        let by_id = pb::ListUsersRequest {
            external_id: "1".into(),
            ..Default::default()
        };
        assert_eq!(
            users
                .list_users(with(&factory, by_id))
                .await
                .expect("a page")
                .into_inner()
                .users
                .len(),
            1
        );
        let request = pb::DeleteUserRequest {
            id: mine.id,
            ..Default::default()
        };
        users
            .delete_user(with(&factory, request))
            .await
            .expect("its own");
        assert!(listed(&house, &factory).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_became_staff_is_out_of_the_services_reach() {
    on_both(async |house| {
        let (factory, admin) = (house.factory().await, house.admin().await);
        let made = create(&house, &factory, customer("1", "ada"))
            .await
            .expect("made");
        house
            .set_role(&admin, made.id, pb::Role::Admin)
            .await
            .expect("promoted");
        let before = house.snapshot().await;
        let mut users = house.users.clone();
        let request = pb::DeleteUserRequest {
            id: made.id,
            ..Default::default()
        };
        assert_eq!(
            reason(users.delete_user(with(&factory, request)).await),
            "ROLE_DENIED"
        );
        let user = Some(pb::User {
            id: made.id,
            email: "thief@example.com".into(),
            ..Default::default()
        });
        let request = pb::UpdateUserRequest {
            user,
            update_mask: None,
        };
        assert_eq!(
            reason(users.update_user(with(&factory, request)).await),
            "ROLE_DENIED"
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_service_is_no_person() {
    on_both(async |house| {
        let factory = house.factory().await;
        assert_eq!(reason(house.who_am_i(&factory).await), "SCOPE_DENIED");
        let insert = "UPDATE service_accounts SET scopes = 'profile users.read'";
        on_write!(house.db, |c| sqlx::query(insert).execute(c).await.map(drop)).expect("changed");
        let me = house
            .who_am_i(&house.factory().await)
            .await
            .expect("in scope");
        assert_eq!(
            (me.client_id.as_str(), me.scope.as_str(), me.user),
            (FACTORY, "profile users.read", None)
        );
    })
    .await;
}
