use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on;
use std::time::Duration;
use tonic::{Code, Status};

const ID: &str = "9f0e4c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6";

fn registering(username: &str, password: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        request_id: ID.into(),
        ..registration(username, password)
    }
}

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

fn creating(username: &str, password: &str) -> pb::CreateUserRequest {
    let user = pb::User {
        username: username.into(),
        role: pb::Role::User.into(),
        ..Default::default()
    };
    pb::CreateUserRequest {
        user: Some(user),
        password: password.into(),
        request_id: ID.into(),
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

#[tokio::test]
async fn the_same_registration_again_gets_the_first_answer() {
    on_both(async |house| {
        let first = register(&house, registering("ada", PASSWORD))
            .await
            .expect("registered");
        let again = register(&house, registering("ada", PASSWORD))
            .await
            .expect("the same");
        assert_eq!(first, again);
        assert_eq!(
            house
                .count("SELECT count(*) FROM users WHERE username = 'ada'")
                .await,
            1
        );
        house.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
        assert_eq!(
            reason(register(&house, registering("ada", PASSWORD)).await),
            "USERNAME_TAKEN",
            "after a day"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_remembered_names_nobody_and_the_first_answer_comes_whole_all_the_same() {
    on_both(async |house| {
        let admin = house.admin().await;
        let registering = pb::RegisterRequest {
            email: "Grace.Hopper@example.com".into(),
            ..registering("", PASSWORD)
        };
        let registered = register(&house, registering.clone()).await.expect("made");
        let mut creating = creating("Grace", PASSWORD);
        creating.user.as_mut().expect("a user").external_id = "Grace's own id".into();
        let created = create(&house, &admin, creating.clone())
            .await
            .expect("made");
        let giving = pb::SetUserRoleRequest {
            id: registered.user.as_ref().expect("a user").id,
            role: pb::Role::Mechanic.into(),
            request_id: "11111111-2222-4333-8444-555555555555".into(),
            ..Default::default()
        };
        let give = async || {
            let request = with(&admin, giving.clone());
            house.users.clone().set_user_role(request).await
        };
        let given = give().await.expect("given").into_inner();
        assert_eq!(given.email, "Grace.Hopper@example.com");

        const REMEMBERED: &str = "SELECT response FROM idempotency_keys";
        let remembered: Vec<Vec<u8>> = on!(&house.db, |c| sqlx::query_scalar(REMEMBERED)
            .fetch_all(c)
            .await)
        .expect("read");
        assert_eq!(remembered.len(), 3);
        for answer in &remembered {
            assert!(
                !String::from_utf8_lossy(answer)
                    .to_lowercase()
                    .contains("grace"),
                "a deletion would leave it behind"
            );
        }
        assert_eq!(
            register(&house, registering).await.expect("again"),
            registered
        );
        assert_eq!(
            create(&house, &admin, creating).await.expect("again"),
            created
        );
        assert_eq!(give().await.expect("again").into_inner(), given);

        let delete = pb::DeleteUserRequest {
            id: given.id,
            ..Default::default()
        };
        let delete = with(&admin, delete);
        house.users.clone().delete_user(delete).await.expect("gone");
        let after = give().await.expect("again").into_inner();
        assert_eq!((after.id, after.email.as_str()), (given.id, ""));
    })
    .await;
}

#[tokio::test]
async fn two_strangers_with_one_id_neither_see_nor_disturb_each_other() {
    on_both(async |house| {
        let ada = register(&house, registering("ada", PASSWORD))
            .await
            .expect("registered");
        let bob = register(&house, registering("bob", PASSWORD))
            .await
            .expect("another person's request");
        assert_ne!(
            ada.user.expect("a user").id,
            bob.user.as_ref().expect("a user").id
        );
        // Whoever guesses id and name but not the password does not get Ada's answer.
        let guess = register(&house, registering("ada", "some other password")).await;
        assert_eq!(
            refusal(guess),
            (Code::AlreadyExists, "USERNAME_TAKEN".into())
        );
        assert_eq!(
            register(&house, registering("bob", PASSWORD))
                .await
                .expect("Bob's retry"),
            bob
        );
    })
    .await;
}

#[tokio::test]
async fn of_32_equal_requests_at_once_one_makes_the_account_and_all_get_its_answer() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (auth, users) = (house.auth.clone(), house.users.clone());
        let registered = at_once(32, |_| {
            let mut auth = auth.clone();
            async move {
                auth.register(registering("ada", PASSWORD))
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await;
        let first = registered[0].as_ref().expect("registered").clone();
        assert!(
            registered
                .into_iter()
                .all(|answer| answer.expect("registered") == first)
        );
        let created = at_once(32, |_| {
            let (mut users, admin) = (users.clone(), admin.clone());
            async move {
                users
                    .create_user(with(&admin, creating("bob", PASSWORD)))
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await;
        let first = created[0].as_ref().expect("created").clone();
        assert!(
            created
                .into_iter()
                .all(|answer| answer.expect("created") == first)
        );
        assert_eq!(house.count("SELECT count(*) FROM users").await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_callers_id_stands_for_one_request_and_the_password_is_part_of_it() {
    on_both(async |house| {
        let admin = house.admin().await;
        let made = create(&house, &admin, creating("ada", PASSWORD))
            .await
            .expect("made");
        assert_eq!(
            create(&house, &admin, creating("ada", PASSWORD))
                .await
                .expect("again"),
            made
        );
        let before = house.snapshot().await;
        let reused = (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned());
        assert_eq!(
            refusal(create(&house, &admin, creating("bob", PASSWORD)).await),
            reused
        );
        assert_eq!(
            refusal(create(&house, &admin, creating("ada", "some other password")).await),
            reused
        );
        let role = pb::SetUserRoleRequest {
            id: made.id,
            role: pb::Role::Customer.into(),
            etag: String::new(),
            request_id: ID.into(),
        };
        assert_eq!(
            refusal(house.users.clone().set_user_role(with(&admin, role)).await),
            reused
        );
        assert_eq!(house.snapshot().await, before);

        let (_, other) = house.person("other-admin", pb::Role::Admin).await;
        create(&house, &other.access_token, creating("carl", PASSWORD))
            .await
            .expect("another caller's id");
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_may_come_again_under_its_id() {
    on_both(async |house| {
        let admin = house.admin().await;
        house.register("ada").await;
        assert_eq!(
            reason(create(&house, &admin, creating("ada", PASSWORD)).await),
            "USERNAME_TAKEN"
        );
        create(&house, &admin, creating("bob", PASSWORD))
            .await
            .expect("nothing was remembered");
    })
    .await;
}

#[tokio::test]
async fn a_role_is_set_once_and_the_answer_comes_again() {
    on_both(async |house| {
        let admin = house.admin().await;
        let user = house.register("ada").await;
        let set = async || {
            let request = pb::SetUserRoleRequest {
                id: user.id,
                role: pb::Role::User.into(),
                etag: user.etag.clone(),
                request_id: ID.into(),
            };
            house
                .users
                .clone()
                .set_user_role(with(&admin, request))
                .await
                .expect("set")
                .into_inner()
        };
        let first = set().await;
        assert_eq!(set().await, first, "although the etag is stale by now");
        assert_eq!(
            house
                .count("SELECT generation FROM users WHERE username = 'ada'")
                .await,
            2
        );
    })
    .await;
}
