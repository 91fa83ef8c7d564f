use super::harness::*;
use millgate_contract::auth::v1 as pb;
use tonic::{Code, Status};

async fn register(
    house: &House,
    request: pb::RegisterRequest,
) -> Result<pb::RegisterResponse, Status> {
    house
        .auth
        .clone()
        .register(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_person_registers_logs_in_and_is_known() {
    on_both(async |house| {
        let request = pb::RegisterRequest {
            username: "Ada.L".into(),
            email: "Ada@Example.com".into(),
            password: PASSWORD.into(),
            request_id: String::new(),
        };
        let answer = register(&house, request).await.expect("registered");
        assert_eq!(answer.message, "User created successfully.");
        let user = answer.user.expect("a user");
        assert_eq!(
            (user.username.as_str(), user.email.as_str()),
            ("Ada.L", "Ada@Example.com")
        );
        assert_eq!(
            (user.role(), user.state()),
            (pb::Role::Customer, pb::UserState::Active)
        );
        assert!(user.create_time.is_some() && user.last_login_time.is_none());

        let tokens = house.login("ada.l").await;
        assert_eq!(
            (tokens.status.as_str(), tokens.token_type.as_str()),
            ("success", "Bearer")
        );
        assert_eq!(
            (&tokens.token, tokens.expires_in),
            (&tokens.access_token, 900)
        );
        let me = house.who_am_i(&tokens.access_token).await.expect("known");
        let known = me.user.expect("a person");
        assert_eq!((known.id, known.username.as_str()), (user.id, "Ada.L"));
        assert!(known.last_login_time.is_some());
        assert_eq!(
            (me.session_id, me.client_id.as_str()),
            (tokens.session_id, "")
        );
        assert_eq!(me.amr, ["pwd"]);
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_is_refused_whatever_its_case_and_nothing_changes() {
    on_both(async |house| {
        let first = pb::RegisterRequest {
            email: "a@example.com".into(),
            ..registration("Straße", PASSWORD)
        };
        register(&house, first).await.expect("registered");
        let before = house.snapshot().await;
        for username in [
            "straße",
            "STRASSE".replace("SS", "ẞ").as_str(),
            "Stra\u{df}e",
        ] {
            let again = register(&house, registration(username, PASSWORD)).await;
            assert_eq!(
                refusal(again),
                (Code::AlreadyExists, "USERNAME_TAKEN".into()),
                "{username}"
            );
        }
        let email = pb::RegisterRequest {
            email: "A@EXAMPLE.com".into(),
            ..registration("other", PASSWORD)
        };
        assert_eq!(
            refusal(register(&house, email).await),
            (Code::AlreadyExists, "EMAIL_TAKEN".into())
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    on_both(async |house| {
        let auth = house.auth.clone();
        let results = at_once(16, |index| {
            let mut auth = auth.clone();
            let name = if index % 2 == 0 { "Popular" } else { "popular" };
            async move { auth.register(registration(name, PASSWORD)).await.map(drop) }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for refused in results.into_iter().filter(Result::is_err) {
            assert_eq!(reason(refused), "USERNAME_TAKEN");
        }
        assert_eq!(
            house
                .count("SELECT count(*) FROM users WHERE username_canonical = 'popular'")
                .await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn bad_fields_are_named_all_together_and_nothing_is_made() {
    on_both(async |house| {
        let before = house.snapshot().await;
        let bad = pb::RegisterRequest {
            username: "a@b".into(),
            email: "not an address".into(),
            password: "short".into(),
            request_id: String::new(),
        };
        let status = register(&house, bad).await.expect_err("bad");
        assert_eq!(fields(&status), ["username", "email", "password"]);
        assert_eq!(
            refusal::<()>(Err(status)),
            (Code::InvalidArgument, "FIELD_INVALID".into())
        );

        for (username, password, expected) in [
            ("", PASSWORD, "FIELD_INVALID"),
            ("somebody", "", "FIELD_INVALID"),
            ("somebody", "1234567", "PASSWORD_TOO_SHORT"),
            ("somebody", "Password123", "PASSWORD_BLOCKLISTED"),
            ("somebody", "x".repeat(257).as_str(), "PASSWORD_TOO_LONG"),
            ("no\0body", PASSWORD, "FIELD_INVALID"),
        ] {
            let refused = register(&house, registration(username, password)).await;
            assert_eq!(
                refusal(refused),
                (Code::InvalidArgument, expected.into()),
                "{username:?} {password:?}"
            );
        }
        let no_uuid = pb::RegisterRequest {
            request_id: "7".into(),
            ..registration("somebody", PASSWORD)
        };
        assert_eq!(reason(register(&house, no_uuid).await), "FIELD_INVALID");
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_users_id_never_comes_back() {
    on_both(async |house| {
        let admin = house.admin().await;
        let first = house.register("first").await;
        let request = pb::DeleteUserRequest {
            id: first.id,
            ..Default::default()
        };
        house
            .users
            .clone()
            .delete_user(with(&admin, request))
            .await
            .expect("deleted");
        assert!(house.register("first").await.id > first.id);
    })
    .await;
}

#[tokio::test]
async fn nobody_registers_as_the_administrator() {
    on_both(async |house| {
        assert_eq!(
            reason(register(&house, registration("ADMIN", PASSWORD)).await),
            "USERNAME_TAKEN"
        );
        assert_eq!(
            house
                .count("SELECT count(*) FROM users WHERE role = 'admin'")
                .await,
            1
        );
    })
    .await;
}
