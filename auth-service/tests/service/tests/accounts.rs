use super::harness::*;
use super::lists::list;
use millgate_contract::auth::v1 as pb;
use prost_types::FieldMask;
use std::time::Duration;
use tonic::{Code, Status};

pub(crate) async fn create(
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

async fn get(house: &House, token: &str, id: i64) -> Result<pb::User, Status> {
    house
        .users
        .clone()
        .get_user(with(token, pb::GetUserRequest { id }))
        .await
        .map(tonic::Response::into_inner)
}

async fn update(
    house: &House,
    token: &str,
    user: pb::User,
    mask: &[&str],
) -> Result<pb::User, Status> {
    let update_mask = Some(FieldMask {
        paths: mask.iter().map(|path| (*path).to_owned()).collect(),
    });
    let request = pb::UpdateUserRequest {
        user: Some(user),
        update_mask,
    };
    house
        .users
        .clone()
        .update_user(with(token, request))
        .await
        .map(tonic::Response::into_inner)
}

async fn delete(house: &House, token: &str, id: i64, etag: &str) -> Result<(), Status> {
    let request = pb::DeleteUserRequest {
        id,
        etag: etag.to_owned(),
    };
    house
        .users
        .clone()
        .delete_user(with(token, request))
        .await
        .map(drop)
}

pub(crate) fn wanted(username: &str, role: pb::Role) -> pb::CreateUserRequest {
    let user = pb::User {
        username: username.to_owned(),
        role: role.into(),
        ..Default::default()
    };
    pb::CreateUserRequest {
        user: Some(user),
        password: PASSWORD.to_owned(),
        request_id: String::new(),
    }
}

#[tokio::test]
async fn an_administrator_makes_accounts_of_any_role() {
    on_both(async |house| {
        let admin = house.admin().await;
        for role in [
            pb::Role::Admin,
            pb::Role::User,
            pb::Role::Mechanic,
            pb::Role::Customer,
        ] {
            let name = format!("made-{}", role.as_str_name());
            let user = create(&house, &admin, wanted(&name, role))
                .await
                .expect("made");
            assert_eq!((user.role(), user.username.as_str()), (role, name.as_str()));
            house.login(&name).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_create_with_bad_or_unwritable_fields_makes_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        let before = house.snapshot().await;
        let refused = async |request| create(&house, &admin, request).await.expect_err("refused");
        let nothing = pb::CreateUserRequest {
            user: None,
            ..wanted("", pb::Role::User)
        };
        assert_eq!(fields(&refused(nothing).await), ["user"]);
        let no_role = refused(wanted("somebody", pb::Role::Unspecified)).await;
        assert_eq!(fields(&no_role), ["user.role"]);
        let mut odd = wanted("somebody", pb::Role::User);
        odd.user.as_mut().expect("a user").role = 77;
        assert_eq!(fields(&refused(odd).await), ["user.role"]);
        let mut forged = wanted("somebody", pb::Role::User);
        let user = forged.user.as_mut().expect("a user");
        (user.id, user.etag, user.state) = (7, "1".into(), pb::UserState::Active.into());
        let status = refused(forged).await;
        assert_eq!(fields(&status), ["user.id", "user.state", "user.etag"]);
        assert_eq!(
            refusal::<()>(Err(status)),
            (Code::InvalidArgument, "FIELD_NOT_WRITABLE".into())
        );
        let taken = refused(wanted("ADMIN", pb::Role::User)).await;
        assert_eq!(
            refusal::<()>(Err(taken)),
            (Code::AlreadyExists, "USERNAME_TAKEN".into())
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_person_sees_and_changes_only_their_own_account() {
    on_both(async |house| {
        let (ada, tokens) = house.person("ada", pb::Role::Customer).await;
        let bob = house.register("bob").await;
        let token = tokens.access_token.as_str();
        assert_eq!(
            get(&house, token, ada.id).await.expect("own").username,
            "ada"
        );
        let before = house.snapshot().await;
        for id in [bob.id, 999_999, i64::MAX] {
            assert_eq!(
                refusal(get(&house, token, id).await),
                (Code::NotFound, "USER_NOT_FOUND".into())
            );
            let theirs = pb::User {
                id,
                username: "mine-now".into(),
                ..Default::default()
            };
            assert_eq!(
                reason(update(&house, token, theirs, &[]).await),
                "USER_NOT_FOUND"
            );
        }
        for id in [0, -1, i64::MIN] {
            assert_eq!(
                refusal(get(&house, token, id).await),
                (Code::InvalidArgument, "FIELD_INVALID".into())
            );
        }
        assert_eq!(
            reason(delete(&house, token, ada.id, "").await),
            "ROLE_DENIED"
        );
        assert_eq!(
            reason(delete(&house, token, bob.id, "").await),
            "ROLE_DENIED"
        );
        assert_eq!(
            reason(list(&house, token, Default::default()).await),
            "ROLE_DENIED"
        );
        assert_eq!(
            reason(create(&house, token, wanted("carl", pb::Role::Admin)).await),
            "ROLE_DENIED"
        );
        assert_eq!(
            reason(house.set_role(token, ada.id, pb::Role::Admin).await),
            "ROLE_DENIED"
        );
        assert_eq!(house.snapshot().await, before);

        let renamed = pb::User {
            id: ada.id,
            username: "Ada.Lovelace".into(),
            ..Default::default()
        };
        assert_eq!(
            update(&house, token, renamed, &[])
                .await
                .expect("own")
                .username,
            "Ada.Lovelace"
        );
        house.login("ada.lovelace").await;
        house
            .who_am_i(token)
            .await
            .expect("a new name ends no session");
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_what_the_mask_names_and_nothing_else() {
    on_both(async |house| {
        let admin = house.admin().await;
        let user = house.register("ada").await;
        let both = pb::User {
            id: user.id,
            username: "ada2".into(),
            email: "ada@example.com".into(),
            ..Default::default()
        };
        let one = update(&house, &admin, both.clone(), &["email"])
            .await
            .expect("updated");
        assert_eq!(
            (one.username.as_str(), one.email.as_str()),
            ("ada", "ada@example.com")
        );
        assert_ne!(one.etag, user.etag);
        let two = update(&house, &admin, both, &[]).await.expect("updated");
        assert_eq!(two.username, "ada2");
        let cleared = pb::User {
            id: user.id,
            ..Default::default()
        };
        let three = update(&house, &admin, cleared.clone(), &["username"])
            .await
            .expect("updated");
        assert_eq!(
            (three.username.as_str(), three.email.as_str()),
            ("", "ada@example.com")
        );

        let before = house.snapshot().await;
        let role = pb::User {
            role: pb::Role::Admin.into(),
            ..cleared.clone()
        };
        let same = update(&house, &admin, role.clone(), &[])
            .await
            .expect("nothing to write");
        assert_eq!((same.role(), &same.etag), (pb::Role::Customer, &three.etag));
        for (mask, expected) in [
            (["role"], "FIELD_NOT_WRITABLE"),
            (["etag"], "FIELD_NOT_WRITABLE"),
            (["password"], "UNKNOWN_FIELD"),
            (["password_hash"], "UNKNOWN_FIELD"),
        ] {
            let refused = update(&house, &admin, role.clone(), &mask).await;
            assert_eq!(
                refusal(refused),
                (Code::InvalidArgument, expected.into()),
                "{mask:?}"
            );
        }
        assert_eq!(
            reason(update(&house, &admin, cleared, &["email"]).await),
            "FIELD_INVALID",
            "no name would be left"
        );
        let taken = pb::User {
            id: user.id,
            username: "Admin".into(),
            ..Default::default()
        };
        assert_eq!(
            reason(update(&house, &admin, taken, &[]).await),
            "USERNAME_TAKEN"
        );
        let bad = pb::User {
            id: user.id,
            email: "x".into(),
            ..Default::default()
        };
        assert_eq!(
            reason(update(&house, &admin, bad, &[]).await),
            "FIELD_INVALID"
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        let user = house.register("ada").await;
        let renamed = |etag: &str| pb::User {
            id: user.id,
            username: "ada2".into(),
            etag: etag.into(),
            ..Default::default()
        };
        let fresh = update(&house, &admin, renamed(&user.etag), &["username"])
            .await
            .expect("updated");
        let before = house.snapshot().await;
        let stale = (Code::Aborted, "ETAG_MISMATCH".to_owned());
        assert_eq!(
            refusal(update(&house, &admin, renamed(&user.etag), &["username"]).await),
            stale
        );
        assert_eq!(
            refusal(delete(&house, &admin, user.id, &user.etag).await),
            stale
        );
        let request = pb::SetUserRoleRequest {
            id: user.id,
            role: pb::Role::User.into(),
            etag: user.etag.clone(),
            request_id: String::new(),
        };
        assert_eq!(
            refusal(
                house
                    .users
                    .clone()
                    .set_user_role(with(&admin, request))
                    .await
            ),
            stale
        );
        assert_eq!(house.snapshot().await, before);
        delete(&house, &admin, user.id, &fresh.etag)
            .await
            .expect("deleted");
        assert_eq!(reason(get(&house, &admin, user.id).await), "USER_NOT_FOUND");
        assert_eq!(
            reason(delete(&house, &admin, user.id, "").await),
            "USER_NOT_FOUND"
        );
    })
    .await;
}

#[tokio::test]
async fn a_new_role_ends_the_sessions_and_the_same_role_does_not() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (user, tokens) = house.person("ada", pb::Role::User).await;
        house
            .set_role(&admin, user.id, pb::Role::User)
            .await
            .expect("the same");
        house
            .who_am_i(&tokens.access_token)
            .await
            .expect("still good");
        let changed = house
            .set_role(&admin, user.id, pb::Role::Mechanic)
            .await
            .expect("changed");
        assert_eq!(changed.role(), pb::Role::Mechanic);
        assert_eq!(
            reason(house.who_am_i(&tokens.access_token).await),
            "TOKEN_REVOKED"
        );
        assert_eq!(
            reason(house.refresh(&tokens.refresh_token).await),
            "SESSION_ENDED"
        );
        house
            .set_role(&admin, user.id, pb::Role::User)
            .await
            .expect("changed back");
        assert_eq!(
            reason(house.who_am_i(&tokens.access_token).await),
            "TOKEN_REVOKED",
            "gone is gone"
        );
        for role in [0, 5, -1] {
            let request = pb::SetUserRoleRequest {
                id: user.id,
                role,
                ..Default::default()
            };
            assert_eq!(
                reason(
                    house
                        .users
                        .clone()
                        .set_user_role(with(&admin, request))
                        .await
                ),
                "FIELD_INVALID"
            );
        }
        assert_eq!(
            reason(house.set_role(&admin, 999, pb::Role::User).await),
            "USER_NOT_FOUND"
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_changes_their_own_account_again_and_again_does_not_fill_the_log() {
    const ROWS: &str = "SELECT (SELECT count(*) FROM audit_log WHERE event IN ('update_user', 'begin_totp')) \
         + (SELECT count(*) FROM audit_pending WHERE event IN ('update_user', 'begin_totp'))";
    on_both_with(&["--throttles", "true"], async |house| {
        let (ada, tokens) = house.person("ada", pb::Role::Customer).await;
        let rename = |name: &str| pb::User {
            id: ada.id,
            username: name.to_owned(),
            ..Default::default()
        };
        let token = &tokens.access_token;
        let same = update(&house, token, rename("ada"), &["username"]).await;
        let same = same.expect("nothing to do");
        assert_eq!((same.etag, house.count(ROWS).await), (ada.etag.clone(), 0));
        // The one that changed nothing took no place.
        for number in 0..120 {
            let name = format!("ada{number}");
            update(&house, token, rename(&name), &["username"])
                .await
                .expect("renamed");
        }
        let status = update(&house, token, rename("ada"), &["username"])
            .await
            .expect_err("too many");
        let (code, reason) = refusal::<()>(Err(status));
        assert_eq!(
            (code, reason.as_str()),
            (Code::ResourceExhausted, "RATE_LIMITED")
        );
        let admin = house.admin().await;
        update(&house, &admin, rename("eve"), &["username"])
            .await
            .expect("an administrator is not kept waiting");
        assert_eq!(house.count(ROWS).await, 121);
        house.clock.advance(Duration::from_secs(10));
        let changed = update(&house, token, rename("ada"), &["username"]).await;
        assert_eq!(changed.expect("one more").username, "ada");
        for _ in 0..20 {
            let request = with(token, pb::BeginTotpRequest {});
            house
                .second_factors
                .clone()
                .begin_totp(request)
                .await
                .expect("begun");
        }
        let house = House::open(house.close().await, &[]).await;
        assert_eq!(house.count(ROWS).await, 122 + 6, "five, and a number");
        house.close().await;
    })
    .await;
}
