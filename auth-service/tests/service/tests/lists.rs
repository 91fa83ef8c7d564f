use super::accounts::{create, wanted};
use super::harness::*;
use millgate_contract::auth::v1 as pb;
use tonic::{Code, Status};

pub(crate) async fn list(
    house: &House,
    token: &str,
    request: pb::ListUsersRequest,
) -> Result<pb::ListUsersResponse, Status> {
    house
        .users
        .clone()
        .list_users(with(token, request))
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_list_goes_through_every_account_once_in_either_order() {
    on_both(async |house| {
        let admin = house.admin().await;
        let mut names = vec!["admin".to_owned()];
        for name in ["Zoe", "yann", "Ärger", "bob", "BOB2", "_under"] {
            house.register(name).await;
            names.push(name.to_lowercase());
        }
        let only_email = pb::RegisterRequest {
            email: "x@example.com".into(),
            ..registration("", PASSWORD)
        };
        house
            .auth
            .clone()
            .register(only_email)
            .await
            .expect("registered");
        names.push(String::new());
        names.sort();
        for (order_by, backwards) in [
            ("", false),
            ("id", false),
            ("id desc", true),
            ("username", false),
            ("username desc", true),
        ] {
            let mut users = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = pb::ListUsersRequest {
                    page_size: 3,
                    page_token,
                    order_by: order_by.into(),
                    ..Default::default()
                };
                let page = list(&house, &admin, request).await.expect("a page");
                assert!(page.users.len() <= 3);
                users.extend(page.users);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            if backwards {
                users.reverse();
            }
            assert_eq!(users.len(), 8, "{order_by}");
            if order_by.starts_with("username") {
                let listed: Vec<String> = users
                    .iter()
                    .map(|user| user.username.to_lowercase())
                    .collect();
                assert_eq!(listed, names, "{order_by}");
            } else {
                assert!(users.is_sorted_by_key(|user| user.id), "{order_by}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_is_found_by_either_of_its_names_however_they_are_written() {
    on_both(async |house| {
        let admin = house.admin().await;
        let request = pb::RegisterRequest {
            email: "Ada@Example.com".into(),
            ..registration("STRAẞE", PASSWORD)
        };
        let made = house.auth.clone().register(request).await;
        let ada = made.expect("registered").into_inner().user.expect("a user");
        house.register("strasse").await;
        let by = |username: &str, email: &str| pb::ListUsersRequest {
            username: username.into(),
            email: email.into(),
            ..Default::default()
        };
        for (username, email, found) in [
            ("straße", "", true),
            ("ｓtraße", "", true),
            ("", "ADA@example.COM", true),
            ("straße", "ada@example.com", true),
            ("strasse", "ada@example.com", false),
            ("stra", "", false),
            ("", "ada@example.org", false),
        ] {
            for order_by in ["", "username desc"] {
                let request = pb::ListUsersRequest {
                    order_by: order_by.into(),
                    ..by(username, email)
                };
                let page = list(&house, &admin, request).await.expect("a page");
                let expected: Vec<_> = found.then(|| ada.clone()).into_iter().collect();
                assert_eq!(page.users, expected, "{username} {email}");
            }
        }
        for (username, email, field) in [("a b", "", "username"), ("", "no address", "email")] {
            let refused = list(&house, &admin, by(username, email)).await;
            assert_eq!(fields(&refused.expect_err("refused")), [field]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_is_filtered_and_its_page_token_belongs_to_it() {
    on_both(async |house| {
        let admin = house.admin().await;
        for index in 0..5 {
            house.register(&format!("customer-{index}")).await;
        }
        let mut request = wanted("staff", pb::Role::User);
        request.user.as_mut().expect("a user").external_id = "ext-1".into();
        create(&house, &admin, request).await.expect("made");
        let by = |role: pb::Role, external_id: &str, page_token: &str| pb::ListUsersRequest {
            page_size: 2,
            role: role.into(),
            external_id: external_id.into(),
            page_token: page_token.into(),
            ..Default::default()
        };
        let staff = list(&house, &admin, by(pb::Role::User, "", ""))
            .await
            .expect("a page");
        assert_eq!((staff.users.len(), staff.next_page_token.as_str()), (1, ""));
        assert_eq!(
            list(&house, &admin, by(pb::Role::Unspecified, "ext-1", ""))
                .await
                .expect("a page")
                .users,
            staff.users
        );
        assert!(
            list(&house, &admin, by(pb::Role::Unspecified, "ext-2", ""))
                .await
                .expect("a page")
                .users
                .is_empty()
        );
        let disabled = pb::ListUsersRequest {
            state: pb::UserState::Disabled.into(),
            ..Default::default()
        };
        assert!(
            list(&house, &admin, disabled)
                .await
                .expect("a page")
                .users
                .is_empty()
        );

        let token = list(&house, &admin, by(pb::Role::Customer, "", ""))
            .await
            .expect("a page")
            .next_page_token;
        assert!(!token.is_empty());
        for other in [
            by(pb::Role::User, "", &token),
            by(pb::Role::Customer, "ext-1", &token),
            by(pb::Role::Customer, "", "x"),
        ] {
            let refused = list(&house, &admin, other).await;
            assert_eq!(
                refusal(refused),
                (Code::InvalidArgument, "PAGE_TOKEN_INVALID".into())
            );
        }
        for bad in [
            pb::ListUsersRequest {
                page_size: -1,
                ..Default::default()
            },
            pb::ListUsersRequest {
                order_by: "password_hash".into(),
                ..Default::default()
            },
            pb::ListUsersRequest {
                role: 9,
                ..Default::default()
            },
            pb::ListUsersRequest {
                state: 9,
                ..Default::default()
            },
            pb::ListUsersRequest {
                external_id: "a\0".into(),
                ..Default::default()
            },
        ] {
            assert_eq!(reason(list(&house, &admin, bad).await), "FIELD_INVALID");
        }
    })
    .await;
}
