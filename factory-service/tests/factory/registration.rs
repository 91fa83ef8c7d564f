//! Registration and login, with an auth service that fails at every point of it: no orphan user, no orphan profile.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::auth_double::Trouble;
use crate::world::{World, is_refused, ok, on_both, refused, registration, uuid};

const PENDING: &str = "SELECT count(*) FROM customer_registrations WHERE state = 'PENDING'";
const PROFILES: &str = "SELECT count(*) FROM customers";
const EMAILS: &str = "SELECT count(*) FROM customer_emails";

async fn register(
    world: &World,
    request: pb::RegisterCustomerRequest,
) -> Result<pb::Customer, crate::world::Refusal> {
    match world.customers().register_customer(request).await {
        Ok(answer) => Ok(answer.into_inner().customer.expect("a profile")),
        refusal => Err(refused(refusal)),
    }
}

async fn nothing_is_left(world: &World) {
    assert_eq!(world.count(PROFILES).await, 0);
    assert_eq!(world.count(PENDING).await, 0);
    assert_eq!(world.count(EMAILS).await, 0);
    assert_eq!(world.auth.users(), 0);
}

#[tokio::test]
async fn a_customer_registers_in_either_form_and_logs_in() {
    on_both(|world| async move {
        let request = pb::RegisterCustomerRequest {
            name: String::new(),
            first_name: "John".into(),
            last_name: "Doe".into(),
            phone: String::new(),
            phone_number: "555-0123".into(),
            ..registration("John Doe")
        };
        let john = register(&world, request).await.expect("registered");
        assert_eq!(
            (john.name.as_str(), john.phone.as_str(), john.notes.as_str()),
            ("John Doe", "555-0123", "")
        );
        assert!(world.auth.has_user(john.user_id));
        let login = pb::LoginCustomerRequest {
            email: "john.doe@example.com".into(),
            password: "correct horse battery".into(),
            ..Default::default()
        };
        let answer = ok(world.customers().login_customer(login.clone()).await);
        assert_eq!(
            (answer.status.as_str(), answer.token.as_str()),
            ("success", answer.access_token.as_str())
        );
        assert_eq!(answer.customer, Some(john.clone()));
        assert_eq!(world.auth.clients(), ["127.0.0.1"]);
        let mine = crate::world::with_token(pb::GetMyProfileRequest {}, &answer.access_token);
        assert_eq!(ok(world.customers().get_my_profile(mine).await), john);

        let wrong = pb::LoginCustomerRequest {
            password: "wrong".into(),
            ..login.clone()
        };
        let refusal = refused(world.customers().login_customer(wrong).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unauthenticated, "CREDENTIALS_INVALID")
        );
        world.auth.has(Trouble::Throttled);
        let answer = world.customers().login_customer(login.clone()).await;
        let details =
            tonic_types::StatusExt::get_error_details(answer.as_ref().expect_err("throttled"));
        assert_eq!(
            details.retry_info().and_then(|info| info.retry_delay),
            Some(Duration::from_secs(30))
        );
        assert_eq!(refused(answer).reason, "ACCOUNT_THROTTLED");
        world.auth.has(Trouble::Down);
        assert_eq!(
            refused(world.customers().login_customer(login).await).reason,
            "AUTH_UNAVAILABLE"
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_that_is_no_customers_is_refused_and_its_session_ended() {
    on_both(|world| async move {
        let staff = world
            .auth
            .add("staff@example.com", "a long password", "user");
        let without = world
            .auth
            .add("lost@example.com", "a long password", "customer");
        for email in ["staff@example.com", "lost@example.com"] {
            let login = pb::LoginCustomerRequest {
                email: email.into(),
                password: "a long password".into(),
                ..Default::default()
            };
            let refusal = refused(world.customers().login_customer(login).await);
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::Unauthenticated, "CREDENTIALS_INVALID")
            );
        }
        let ended = world.auth.ended_sessions();
        assert_eq!(
            ended,
            [
                format!("refresh-of-{staff}"),
                format!("refresh-of-{without}")
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_of_a_registration_is_named_at_once_and_auth_is_not_asked() {
    on_both(|world| async move {
        let bad = pb::RegisterCustomerRequest {
            email: "nobody".into(),
            phone: "1".into(),
            request_id: "7".into(),
            shipping_address: "\0".into(),
            ..Default::default()
        };
        let refusal = register(&world, bad).await.expect_err("refused");
        assert_eq!(refusal.reason, "FIELD_INVALID");
        assert_eq!(
            refusal.fields,
            [
                "name",
                "email",
                "phone",
                "shipping_address",
                "password",
                "request_id"
            ]
        );
        let mut customers = world.customers();
        let answer = customers.register_customer(pb::RegisterCustomerRequest {
            password: String::new(),
            ..registration("Ada Lovelace")
        });
        is_refused(answer.await, "PASSWORD_TOO_SHORT", &["password"]);
        nothing_is_left(&world).await;
        assert_eq!(
            world
                .count("SELECT count(*) FROM customer_registrations")
                .await,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn what_auth_refuses_is_told_and_undone_at_once() {
    on_both(|world| async move {
        world.auth.has(Trouble::Blocklisted);
        let refusal = register(&world, registration("Ada Lovelace"))
            .await
            .expect_err("refused");
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, "PASSWORD_BLOCKLISTED")
        );
        assert_eq!(refusal.fields, ["password"]);
        nothing_is_left(&world).await;
        world.auth.has(Trouble::None);
        // Somebody has the address there, but no profile here.
        world.auth.add("ada.lovelace@example.com", "x", "customer");
        let refusal = register(&world, registration("Ada Lovelace"))
            .await
            .expect_err("refused");
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "EMAIL_TAKEN")
        );
        assert_eq!(refusal.fields, ["email"]);
        assert_eq!(
            (world.count(PROFILES).await, world.count(EMAILS).await),
            (0, 0)
        );
    })
    .await;
}

#[tokio::test]
async fn a_second_registration_of_an_email_is_refused() {
    on_both(|world| async move {
        let ada = register(&world, registration("Ada Lovelace"))
            .await
            .expect("registered");
        for again in [
            registration("Ada Lovelace"),
            pb::RegisterCustomerRequest {
                email: "ADA.Lovelace@example.COM".into(),
                ..registration("Eve")
            },
        ] {
            let refusal = register(&world, again).await.expect_err("refused");
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::AlreadyExists, "EMAIL_TAKEN")
            );
        }
        assert_eq!((world.count(PROFILES).await, world.auth.users()), (1, 1));
        assert!(world.auth.has_user(ada.user_id));
        world.profile("Bob Smith").await;
        let refusal = register(&world, registration("Bob Smith"))
            .await
            .expect_err("has a profile");
        assert_eq!(refusal.reason, "EMAIL_TAKEN");
    })
    .await;
}

#[tokio::test]
async fn a_request_id_registers_one_customer_and_another_body_is_another_request() {
    on_both(|world| async move {
        let request = pb::RegisterCustomerRequest {
            request_id: uuid(),
            ..registration("Ada Lovelace")
        };
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let (mut customers, request) = (world.customers(), request.clone());
                tokio::spawn(async move { ok(customers.register_customer(request).await) })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.expect("an answer"));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!((world.count(PROFILES).await, world.auth.users()), (1, 1));
        // Whoever guesses the id but not the password learns nothing of the answer.
        let guess = pb::RegisterCustomerRequest {
            password: "another password".into(),
            ..request.clone()
        };
        assert_eq!(
            register(&world, guess).await.expect_err("refused").reason,
            "EMAIL_TAKEN"
        );
        let other = pb::RegisterCustomerRequest {
            request_id: request.request_id,
            ..registration("Bob Smith")
        };
        assert_eq!(
            register(&world, other).await.expect("another's").name,
            "Bob Smith"
        );
        let secret =
            "SELECT count(*) FROM customer_registrations WHERE first_name <> '' OR email <> ''";
        assert_eq!(world.count(secret).await, 0);
    })
    .await;
}

#[tokio::test]
async fn when_auth_is_down_nothing_is_left_and_a_retry_registers() {
    on_both(|world| async move {
        world.auth.has(Trouble::Down);
        let refusal = register(&world, registration("Ada Lovelace"))
            .await
            .expect_err("down");
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unavailable, "AUTH_UNAVAILABLE")
        );
        nothing_is_left(&world).await;
        world.auth.has(Trouble::None);
        register(&world, registration("Ada Lovelace"))
            .await
            .expect("registered");
    })
    .await;
}

#[tokio::test]
async fn when_auths_answer_is_lost_a_retry_finishes_the_registration() {
    on_both(|world| async move {
        for request in [
            registration("Ada Lovelace"),
            pb::RegisterCustomerRequest {
                request_id: uuid(),
                ..registration("Bob Smith")
            },
        ] {
            world.auth.has(Trouble::LosesTheAnswer);
            let refusal = register(&world, request.clone()).await.expect_err("lost");
            assert_eq!(refusal.reason, "AUTH_UNAVAILABLE");
            world.auth.has(Trouble::None);
            // With another password it is somebody else who tries.
            let other = pb::RegisterCustomerRequest {
                password: "another password".into(),
                ..request.clone()
            };
            assert_eq!(
                register(&world, other).await.expect_err("held").reason,
                "EMAIL_TAKEN"
            );
            let profile = register(&world, request).await.expect("registered");
            assert!(world.auth.has_user(profile.user_id));
        }
        assert_eq!((world.count(PROFILES).await, world.auth.users()), (2, 2));
        assert_eq!(world.count(PENDING).await, 0);
    })
    .await;
}

/// Registers while auth does not answer, and lets the factory die in the middle of the call.
async fn dies_in_the_middle(world: World, trouble: Trouble, later: Duration) -> World {
    world.auth.has(trouble);
    let (mut customers, request) = (world.customers(), registration("Ada Lovelace"));
    let call = tokio::spawn(async move { customers.register_customer(request).await.map(drop) });
    world.comes_to(PENDING, 1).await;
    while trouble == Trouble::MakesAndHangs && world.auth.users() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let world = world.crash_and_restart(later).await;
    call.abort();
    world.auth.has(Trouble::None);
    world
}

#[tokio::test]
async fn a_crash_before_the_user_is_made_is_undone() {
    on_both(|world| async move {
        let world = dies_in_the_middle(world, Trouble::Hangs, Duration::from_secs(31)).await;
        world.comes_to(PENDING, 0).await;
        nothing_is_left(&world).await;
        register(&world, registration("Ada Lovelace"))
            .await
            .expect("registered");
    })
    .await;
}

#[tokio::test]
async fn a_crash_after_the_user_is_made_is_finished() {
    on_both(|world| async move {
        let world =
            dies_in_the_middle(world, Trouble::MakesAndHangs, Duration::from_secs(31)).await;
        world.comes_to(PROFILES, 1).await;
        assert_eq!((world.count(PENDING).await, world.auth.users()), (0, 1));
        assert_eq!(
            register(&world, registration("Ada Lovelace"))
                .await
                .expect_err("is there")
                .reason,
            "EMAIL_TAKEN"
        );
        let login = pb::LoginCustomerRequest {
            email: "ada.lovelace@example.com".into(),
            password: "correct horse battery".into(),
            ..Default::default()
        };
        let answer = ok(world.customers().login_customer(login).await);
        assert_eq!(answer.customer.expect("a profile").name, "Ada Lovelace");
    })
    .await;
}

#[tokio::test]
async fn while_auth_is_silent_a_registration_is_neither_finished_nor_undone() {
    on_both(|world| async move {
        world.auth.has(Trouble::LosesTheAnswer);
        register(&world, registration("Ada Lovelace"))
            .await
            .expect_err("lost");
        world.auth.has(Trouble::Down);
        let world = world.crash_and_restart(Duration::from_secs(31)).await;
        world
            .comes_to(
                "SELECT cast(max(attempts) AS bigint) FROM customer_registrations",
                1,
            )
            .await;
        assert_eq!(
            (world.count(PENDING).await, world.count(EMAILS).await),
            (1, 1)
        );
        world.auth.has(Trouble::None);
        world.clock.advance(Duration::from_secs(3600));
        world.comes_to(PROFILES, 1).await;
        assert_eq!(world.auth.users(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_user_that_appears_after_its_registration_was_undone_is_deleted() {
    on_both(|world| async move {
        let world = dies_in_the_middle(world, Trouble::Hangs, Duration::from_secs(31)).await;
        world.comes_to(PENDING, 0).await;
        let late = world.auth.add_late(&only_registration(&world).await);
        world.clock.advance(Duration::from_secs(25 * 3600));
        for _ in 0..200 {
            if !world.auth.has_user(late) {
                assert_eq!(world.count(PROFILES).await, 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the late user stayed");
    })
    .await;
}

async fn only_registration(world: &World) -> String {
    use sqlx::Connection as _;
    let sql = "SELECT id FROM customer_registrations";
    if let Some(path) = world.url.strip_prefix("sqlite:") {
        let mut c = sqlx::SqliteConnection::connect(path)
            .await
            .expect("the database");
        sqlx::query_scalar(sql)
            .fetch_one(&mut c)
            .await
            .expect("one")
    } else {
        let mut c = sqlx::PgConnection::connect(&world.url)
            .await
            .expect("the database");
        sqlx::query_scalar(sql)
            .fetch_one(&mut c)
            .await
            .expect("one")
    }
}
