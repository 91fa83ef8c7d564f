//! Registration and login.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::auth_double::Trouble;
use crate::world::{World, is_refused, ok, on_both, refused, registration, uuid};

pub(crate) const PENDING: &str =
    "SELECT count(*) FROM customer_registrations WHERE state = 'PENDING'";
pub(crate) const PROFILES: &str = "SELECT count(*) FROM customers";
pub(crate) const EMAILS: &str = "SELECT count(*) FROM customer_emails";

pub(crate) async fn register(
    world: &World,
    request: pb::RegisterCustomerRequest,
) -> Result<pb::Customer, crate::world::Refusal> {
    match world.customers().register_customer(request).await {
        Ok(answer) => Ok(answer.into_inner().customer.expect("a profile")),
        refusal => Err(refused(refusal)),
    }
}

pub(crate) async fn nothing_is_left(world: &World) {
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
async fn a_customer_with_a_second_factor_gets_half_a_login_or_sends_the_code_along() {
    on_both(|world| async move {
        let request = pb::RegisterCustomerRequest {
            email: "ada@example.com".into(),
            ..registration("Ada")
        };
        let ada = register(&world, request.clone()).await.expect("registered");
        world.auth.has(Trouble::WantsACode);
        let login = pb::LoginCustomerRequest {
            email: request.email,
            password: request.password,
            ..Default::default()
        };
        let half = ok(world.customers().login_customer(login.clone()).await);
        let wanted = pb::LoginCustomerResponse {
            status: "mfa_required".into(),
            mfa_required: true,
            mfa_token: "half a login".into(),
            ..Default::default()
        };
        assert_eq!(half, wanted);
        let with_code = pb::LoginCustomerRequest {
            totp_code: "123456".into(),
            ..login
        };
        let whole = ok(world.customers().login_customer(with_code).await);
        assert_eq!((whole.mfa_required, whole.customer), (false, Some(ada)));
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
        // Not even that somebody tried: anybody may, as often as they like.
        let rows = "SELECT count(*) FROM customer_registrations";
        assert_eq!(world.count(rows).await, 0);
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

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_registrations_of_one_email_at_once_one_succeeds() {
    on_both(|world| async move {
        let calls: Vec<_> = (0..20)
            .map(|i| {
                let mut customers = world.customers();
                // Half of them are the very same request: without a request id it is another try all the same.
                let password = if i % 2 == 0 {
                    "correct horse"
                } else {
                    "battery staple"
                };
                let request = pb::RegisterCustomerRequest {
                    password: password.into(),
                    ..registration("Ada Lovelace")
                };
                tokio::spawn(async move { customers.register_customer(request).await })
            })
            .collect();
        let mut registered = 0;
        for call in calls {
            match call.await.expect("an answer") {
                Ok(_) => registered += 1,
                refusal => {
                    // Or that the very same registration is under way.
                    let reason = refused(refusal).reason;
                    let expected = ["EMAIL_TAKEN", "OVERLOADED"];
                    assert!(expected.contains(&reason.as_str()), "{reason}");
                }
            }
        }
        assert_eq!((registered, world.auth.users()), (1, 1));
        assert_eq!(
            (world.count(PROFILES).await, world.count(EMAILS).await),
            (1, 1)
        );
    })
    .await;
}
