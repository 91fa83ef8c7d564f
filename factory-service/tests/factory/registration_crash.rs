//! Registrations that break half-way: no orphan user, no orphan profile.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::auth_double::Trouble;
use crate::registration::{EMAILS, PENDING, PROFILES, nothing_is_left, register};
use crate::world::{World, ok, on_both, registration, uuid};

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
async fn while_a_registration_is_under_way_the_very_same_one_is_told_to_wait() {
    on_both(|world| async move {
        world.auth.has(Trouble::MakesAndHangs);
        let (mut customers, request) = (world.customers(), registration("Ada Lovelace"));
        let call = tokio::spawn(async move { customers.register_customer(request).await });
        world.comes_to(PENDING, 1).await;
        while world.auth.users() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refusal = register(&world, registration("Ada Lovelace")).await;
        assert_eq!(refusal.expect_err("under way").reason, "OVERLOADED");
        let other = pb::RegisterCustomerRequest {
            password: "another password".into(),
            ..registration("Ada Lovelace")
        };
        let refusal = register(&world, other).await.expect_err("somebody else");
        assert_eq!(refusal.reason, "EMAIL_TAKEN");
        // The caller is gone, and nobody has let the registration go: after a while it is taken over all the same.
        call.abort();
        world.auth.has(Trouble::None);
        world.clock.advance(Duration::from_secs(16));
        register(&world, registration("Ada Lovelace"))
            .await
            .expect("registered");
        assert_eq!((world.count(PROFILES).await, world.auth.users()), (1, 1));
    })
    .await;
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

#[tokio::test]
async fn a_user_made_by_the_second_of_two_calls_goes_when_the_first_was_refused() {
    on_both(|world| async move {
        let request = pb::RegisterCustomerRequest {
            request_id: uuid(),
            ..registration("Ada Lovelace")
        };
        let call = || {
            let (mut customers, request) = (world.customers(), request.clone());
            tokio::spawn(async move { customers.register_customer(request).await.map(drop) })
        };
        world.auth.has(Trouble::BlocklistedLate);
        let first = call();
        world.comes_to(PENDING, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.auth.has(Trouble::MakesAndHangs);
        let second = call();
        let refused = first.await.expect("an answer").expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!((world.count(PENDING).await, world.auth.users()), (0, 1));
        // The process dies before the second call hears of its user.
        world.auth.has(Trouble::None);
        let world = world.crash_and_restart(Duration::from_secs(61)).await;
        second.abort();
        for _ in 0..200 {
            if world.auth.users() == 0 {
                nothing_is_left(&world).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the user without a profile stayed");
    })
    .await;
}

#[tokio::test]
async fn a_late_look_counts_only_when_it_was_answered() {
    on_both(|world| async move {
        let world = dies_in_the_middle(world, Trouble::Hangs, Duration::from_secs(31)).await;
        world.comes_to(PENDING, 0).await;
        world.auth.has(Trouble::Down);
        for _ in 0..4 {
            world.clock.advance(Duration::from_secs(61));
            let now = millgate_guard::Clock::now_micros(&*world.clock);
            let put_off =
                format!("SELECT count(*) FROM customer_registrations WHERE check_time > {now}");
            world.comes_to(&put_off, 1).await;
        }
        world.auth.has(Trouble::None);
        world.clock.advance(Duration::from_secs(61));
        let answered = "SELECT count(*) FROM customer_registrations WHERE attempts = 1";
        world.comes_to(answered, 1).await;
        let looked_for = "SELECT count(*) FROM customer_registrations WHERE check_time IS NOT NULL";
        assert_eq!(world.count(looked_for).await, 1, "two late looks are left");
    })
    .await;
}

#[tokio::test]
async fn when_the_profile_cannot_be_written_a_retry_goes_on_at_once() {
    on_both(|world| async move {
        // The next user at auth has this id, which another profile holds.
        let bob = world.profile("Bob Smith").await;
        world
            .execute(&format!(
                "UPDATE customers SET user_id = 101 WHERE id = {}",
                bob.id
            ))
            .await;
        register(&world, registration("Ada Lovelace"))
            .await
            .expect_err("the profile cannot be written");
        assert_eq!((world.auth.users(), world.count(PENDING).await), (1, 1));
        world.execute("UPDATE customers SET user_id = NULL").await;
        let ada = register(&world, registration("Ada Lovelace"))
            .await
            .expect("goes on");
        assert_eq!((ada.user_id, world.auth.users()), (101, 1));
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
