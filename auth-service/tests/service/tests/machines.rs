//! Service accounts, as administrators keep them and as services use them.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use millgate_platform::on_write;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ID: &str = "1d2f7a7e-7d7c-4d7b-8f36-0a8e2a8f7c01";
const OTHER_ID: &str = "1d2f7a7e-7d7c-4d7b-8f36-0a8e2a8f7c02";

type Client = ServiceAccountServiceClient<Channel>;

pub(crate) fn wanted(client_id: &str, scopes: &[&str]) -> pb::CreateServiceAccountRequest {
    let account = pb::ServiceAccount {
        client_id: client_id.into(),
        description: "made by a test".into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        ..Default::default()
    };
    pb::CreateServiceAccountRequest {
        service_account: Some(account),
        request_id: String::new(),
    }
}

async fn create(
    house: &House,
    token: &str,
    request: pb::CreateServiceAccountRequest,
) -> Result<pb::ServiceAccount, Status> {
    let mut client: Client = house.service_accounts.clone();
    let made = client.create_service_account(with(token, request)).await;
    made.map(tonic::Response::into_inner)
}

/// A service account with these scopes; gives its secret.
pub(crate) async fn account(house: &House, client_id: &str, scopes: &[&str]) -> String {
    create(house, &house.admin().await, wanted(client_id, scopes))
        .await
        .expect("made")
        .client_secret
}

async fn rotate(
    house: &House,
    token: &str,
    request: pb::RotateSecretRequest,
) -> Result<pb::ServiceAccount, Status> {
    let mut client = house.service_accounts.clone();
    let rotated = client.rotate_secret(with(token, request)).await;
    rotated.map(tonic::Response::into_inner)
}

fn rotation(client_id: &str, overlap: Option<i64>) -> pb::RotateSecretRequest {
    pb::RotateSecretRequest {
        client_id: client_id.into(),
        overlap: overlap.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    }
}

async fn get(house: &House, token: &str, client_id: &str) -> Result<pb::ServiceAccount, Status> {
    let request = pb::GetServiceAccountRequest {
        client_id: client_id.into(),
    };
    let mut client = house.service_accounts.clone();
    let found = client.get_service_account(with(token, request)).await;
    found.map(tonic::Response::into_inner)
}

pub(crate) async fn disable(house: &House, token: &str, client_id: &str) -> pb::ServiceAccount {
    let request = pb::DisableServiceAccountRequest {
        client_id: client_id.into(),
        ..Default::default()
    };
    let mut client = house.service_accounts.clone();
    let done = client.disable_service_account(with(token, request)).await;
    done.expect("disabled").into_inner()
}

async fn enable(house: &House, token: &str, client_id: &str) -> pb::ServiceAccount {
    let request = pb::EnableServiceAccountRequest {
        client_id: client_id.into(),
        ..Default::default()
    };
    let mut client = house.service_accounts.clone();
    let done = client.enable_service_account(with(token, request)).await;
    done.expect("enabled").into_inner()
}

/// Everything that is stored about service accounts, as text.
async fn stored(house: &House) -> Vec<String> {
    const ACCOUNTS: &str = "SELECT client_id || '|' || description || '|' || scopes || '|' || revision || '|' \
        || coalesce(delete_time, 0) || '|' || coalesce(tokens_ended_time, 0) FROM service_accounts ORDER BY client_id";
    const SECRETS: &str = "SELECT client_id || '|' || id || '|' || coalesce(expire_time, 0) \
        FROM service_account_secrets ORDER BY id";
    let mut lines = house.snapshot().await;
    for sql in [ACCOUNTS, SECRETS] {
        let rows: Vec<String> =
            millgate_platform::on!(house.db, |c| sqlx::query_scalar(sql).fetch_all(c).await)
                .expect("rows");
        lines.extend(rows);
    }
    lines
}

/// Every call of the service.
async fn every_call(house: &House, token: &str) -> Vec<String> {
    let mut client: Client = house.service_accounts.clone();
    vec![
        reason(create(house, token, wanted("mine", &["users.read"])).await),
        reason(get(house, token, FACTORY).await),
        reason(
            client
                .list_service_accounts(with(token, pb::ListServiceAccountsRequest::default()))
                .await,
        ),
        reason(
            client
                .update_service_account(with(token, pb::UpdateServiceAccountRequest::default()))
                .await,
        ),
        reason(rotate(house, token, rotation(FACTORY, None)).await),
        reason(
            client
                .disable_service_account(with(token, pb::DisableServiceAccountRequest::default()))
                .await,
        ),
        reason(
            client
                .enable_service_account(with(token, pb::EnableServiceAccountRequest::default()))
                .await,
        ),
        reason(
            client
                .delete_service_account(with(token, pb::DeleteServiceAccountRequest::default()))
                .await,
        ),
    ]
}

#[tokio::test]
async fn nobody_but_an_administrator_gets_at_service_accounts() {
    on_both(async |house| {
        let all: Vec<String> = {
            let rules = millgate_guard::Rules::from_descriptors(millgate_contract::DESCRIPTORS);
            let rules = rules.expect("rules");
            rules.scopes().map(str::to_owned).collect()
        };
        let every: Vec<&str> = all.iter().map(String::as_str).collect();
        let secret = account(&house, "almighty", &every).await;
        let service = house
            .service_token("almighty", &secret, "")
            .await
            .expect("issued");
        let admin = house.login(ADMIN).await;
        let me = house
            .who_am_i(&admin.access_token)
            .await
            .expect("known")
            .user
            .expect("me");
        let scoped = house.issuer.user(me.id, "admin").scope(&every.join(" "));
        let scoped = scoped.with(|claims| {
            claims.session = Some(admin.session_id.clone());
            claims.generation = Some(1);
        });
        let (_, staff) = house.person("ada", pb::Role::User).await;
        let before = stored(&house).await;
        for (token, expected) in [
            (staff.access_token, "ROLE_DENIED"),
            (service.access_token, "SCOPE_DENIED"),
            (scoped.token(), "SCOPE_DENIED"),
            (
                house.issuer.user(me.id, "admin").expired().token(),
                "TOKEN_EXPIRED",
            ),
        ] {
            for refused in every_call(&house, &token).await {
                assert_eq!(refused, expected);
            }
        }
        assert_eq!(stored(&house).await, before);
        // What gives rights asks for a recent proof of who it is.
        house.clock.advance(Duration::from_secs(600));
        let refreshed = house
            .refresh(&admin.refresh_token)
            .await
            .expect("refreshed");
        house.clock.advance(Duration::from_secs(301));
        let stale = refreshed.access_token;
        for refused in [
            create(&house, &stale, wanted("mine", &["users.read"])).await,
            rotate(&house, &stale, rotation(FACTORY, None)).await,
        ] {
            assert_eq!(
                refusal(refused),
                (Code::Unauthenticated, "FRESH_TOKEN_REQUIRED".into())
            );
        }
        assert!(get(&house, &stale, FACTORY).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_account_that_cannot_be_is_refused_with_every_bad_field() {
    on_both(async |house| {
        let admin = house.admin().await;
        let before = stored(&house).await;
        let mut bad = wanted("Not An Id", &["users.read", "users.*"]);
        bad.request_id = "x".into();
        let sent = bad.service_account.as_mut().expect("an account");
        sent.description = "x".repeat(201);
        sent.client_secret = "chosen".into();
        sent.state = pb::ServiceAccountState::Disabled.into();
        let status = create(&house, &admin, bad).await.expect_err("refused");
        let named = fields(&status);
        for field in [
            "request_id",
            "service_account.state",
            "service_account.client_secret",
            "service_account.client_id",
            "service_account.description",
            "service_account.scopes[1]",
            "service_account.scopes",
        ] {
            assert!(named.iter().any(|one| one == field), "{field} in {named:?}");
        }
        let told = format!("{:?}", tonic_types::StatusExt::get_error_details(&status));
        assert!(
            told.contains("users.read") && !told.contains("chosen"),
            "{told}"
        );
        for bad in [
            wanted("shop", &[]),
            pb::CreateServiceAccountRequest::default(),
        ] {
            assert_eq!(reason(create(&house, &admin, bad).await), "FIELD_INVALID");
        }
        for taken in [FACTORY] {
            assert_eq!(
                refusal(create(&house, &admin, wanted(taken, &["users.read"])).await),
                (Code::AlreadyExists, "CLIENT_ID_TAKEN".into())
            );
        }
        for overlap in [-1, 7 * 86_400 + 1, i64::MAX] {
            let refused = rotate(&house, &admin, rotation(FACTORY, Some(overlap))).await;
            assert_eq!(reason(refused), "FIELD_INVALID", "{overlap}");
        }
        for absent in ["nobody", "a"] {
            assert_eq!(
                refusal(get(&house, &admin, absent).await),
                (Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND".into())
            );
            let refused = rotate(&house, &admin, rotation(absent, None)).await;
            assert_eq!(reason(refused), "SERVICE_ACCOUNT_NOT_FOUND");
        }
        assert_eq!(reason(get(&house, &admin, "a\0b").await), "FIELD_INVALID");
        assert_eq!(stored(&house).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_shown_once_and_never_again() {
    on_both(async |house| {
        let admin = house.admin().await;
        let request = pb::CreateServiceAccountRequest {
            request_id: ID.into(),
            ..wanted("shop", &["users.read", "users.write"])
        };
        let made = create(&house, &admin, request.clone()).await.expect("made");
        let secret = made.client_secret.clone();
        assert!(secret.starts_with("mgs_") && secret.len() == 53);
        assert!(!format!("{made:?}").contains(&secret));
        assert_eq!(made.state(), pb::ServiceAccountState::Active);
        assert_eq!(made.secrets.len(), 1);

        let again = create(&house, &admin, request)
            .await
            .expect("the first answer");
        let without = pb::ServiceAccount {
            client_secret: String::new(),
            ..made
        };
        assert_eq!(again, without);
        assert_eq!(get(&house, &admin, "shop").await.expect("found"), without);
        let mut client = house.service_accounts.clone();
        let list = pb::ListServiceAccountsRequest::default();
        let listed = client
            .list_service_accounts(with(&admin, list))
            .await
            .expect("a page");
        let listed = listed.into_inner().service_accounts;
        assert!(listed.iter().all(|one| one.client_secret.is_empty()));
        // Not in the database either, in no form that could be sent.
        let dump: Vec<Vec<u8>> = millgate_platform::on!(house.db, |c| sqlx::query_scalar(
            "SELECT response FROM idempotency_keys WHERE response IS NOT NULL"
        )
        .fetch_all(c)
        .await)
        .expect("rows");
        assert!(!dump.is_empty());
        for row in dump {
            assert!(!String::from_utf8_lossy(&row).contains(&secret[4..]));
        }

        house
            .service_token("shop", &secret, "")
            .await
            .expect("it works");
        let rotated = pb::RotateSecretRequest {
            request_id: OTHER_ID.into(),
            ..rotation("shop", None)
        };
        let first = rotate(&house, &admin, rotated.clone())
            .await
            .expect("rotated");
        assert_ne!(first.client_secret, secret);
        let replayed = rotate(&house, &admin, rotated)
            .await
            .expect("the first answer");
        assert_eq!(replayed.client_secret, "");
        assert_eq!(replayed.secrets.len(), 2);
        house
            .service_token("shop", &first.client_secret, "")
            .await
            .expect("it works");
    })
    .await;
}

#[tokio::test]
async fn the_old_secret_works_until_the_overlap_is_over() {
    on_both(async |house| {
        let old = account(&house, "shop", &["users.read"]).await;
        let admin = house.admin().await;
        let rotated = rotate(&house, &admin, rotation("shop", None))
            .await
            .expect("rotated");
        let new = rotated.client_secret.clone();
        let ends = rotated.secrets[0].expire_time.expect("an end");
        let begun = rotated.secrets[1].create_time.expect("a beginning");
        assert_eq!(ends.seconds - begun.seconds, 86_400);
        for secret in [&old, &new] {
            house
                .service_token("shop", secret, "")
                .await
                .expect("both work");
        }
        house.clock.advance(DAY - Duration::from_micros(1));
        house
            .service_token("shop", &old, "")
            .await
            .expect("still in the overlap");
        house.clock.advance(Duration::from_micros(1));
        let refused = house.service_token("shop", &old, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        house
            .service_token("shop", &new, "")
            .await
            .expect("the new one stays");
        // A secret that has leaked ends at once.
        let admin = house.admin().await;
        rotate(&house, &admin, rotation("shop", Some(0)))
            .await
            .expect("rotated");
        let refused = house.service_token("shop", &new, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_has_leaked_takes_its_tokens_with_it() {
    on_both(async |house| {
        let old = account(&house, "shop", &["profile"]).await;
        let issued = house.service_token("shop", &old, "").await;
        let stolen = issued.expect("issued").access_token;
        let admin = house.admin().await;
        rotate(&house, &admin, rotation("shop", None))
            .await
            .expect("rotated");
        house.who_am_i(&stolen).await.expect("it did not leak");
        let rotated = rotate(&house, &admin, rotation("shop", Some(0)))
            .await
            .expect("rotated");
        assert_eq!(rotated.state(), pb::ServiceAccountState::Active);
        assert_eq!(reason(house.who_am_i(&stolen).await), "TOKEN_REVOKED");
        house.clock.advance(Duration::from_secs(1));
        let issued = house
            .service_token("shop", &rotated.client_secret, "")
            .await;
        let fresh = issued.expect("issued").access_token;
        house.who_am_i(&fresh).await.expect("known");
        assert_eq!(reason(house.who_am_i(&stolen).await), "TOKEN_REVOKED");
    })
    .await;
}

#[tokio::test]
async fn rotations_at_the_same_instant_leave_two_secrets() {
    on_both(async |house| {
        let old = account(&house, "shop", &["users.read"]).await;
        let admin = house.admin().await;
        let client = house.service_accounts.clone();
        let answers = at_once(4, |_| {
            let (mut client, admin) = (client.clone(), admin.clone());
            async move {
                client
                    .rotate_secret(with(&admin, rotation("shop", None)))
                    .await
            }
        })
        .await;
        let mut works = 0;
        for answer in answers {
            let secret = answer.expect("rotated").into_inner().client_secret;
            works += usize::from(house.service_token("shop", &secret, "").await.is_ok());
        }
        assert_eq!(works, 2);
        let refused = house.service_token("shop", &old, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        assert_eq!(
            get(&house, &admin, "shop")
                .await
                .expect("found")
                .secrets
                .len(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_enabling_brings_no_token_back() {
    on_both(async |house| {
        let secret = account(&house, "shop", &["profile"]).await;
        let token = house
            .service_token("shop", &secret, "")
            .await
            .expect("issued")
            .access_token;
        let admin = house.admin().await;
        house.who_am_i(&token).await.expect("known");
        let disabled = disable(&house, &admin, "shop").await;
        assert_eq!(disabled.state(), pb::ServiceAccountState::Disabled);
        assert_eq!(
            disable(&house, &admin, "shop").await,
            disabled,
            "nothing more to do"
        );
        assert_eq!(reason(house.who_am_i(&token).await), "TOKEN_REVOKED");
        let refused = house.service_token("shop", &secret, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        house.clock.advance(Duration::from_secs(1));
        enable(&house, &admin, "shop").await;
        assert_eq!(reason(house.who_am_i(&token).await), "TOKEN_REVOKED");
        let fresh = house
            .service_token("shop", &secret, "")
            .await
            .expect("issued");
        house
            .who_am_i(&fresh.access_token)
            .await
            .expect("known again");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_leaves_its_name_to_nobody() {
    on_both(async |house| {
        let secret = account(&house, "shop", &["profile"]).await;
        let token = house
            .service_token("shop", &secret, "")
            .await
            .expect("issued")
            .access_token;
        let admin = house.admin().await;
        let mut client = house.service_accounts.clone();
        let request = |etag: &str| pb::DeleteServiceAccountRequest {
            client_id: "shop".into(),
            etag: etag.into(),
        };
        let refused = client
            .delete_service_account(with(&admin, request("7")))
            .await;
        assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".into()));
        client
            .delete_service_account(with(&admin, request("1")))
            .await
            .expect("deleted");
        assert_eq!(reason(house.who_am_i(&token).await), "TOKEN_REVOKED");
        let refused = house.service_token("shop", &secret, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        assert_eq!(
            reason(get(&house, &admin, "shop").await),
            "SERVICE_ACCOUNT_NOT_FOUND"
        );
        assert_eq!(
            reason(create(&house, &admin, wanted("shop", &["users.read"])).await),
            "CLIENT_ID_TAKEN"
        );
        let again = client
            .delete_service_account(with(&admin, request("")))
            .await;
        assert_eq!(reason(again), "SERVICE_ACCOUNT_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_the_fields_of_its_mask_at_the_revision_it_names() {
    on_both(async |house| {
        let secret = account(&house, "shop", &["users.read", "users.write"]).await;
        let admin = house.admin().await;
        let mut client = house.service_accounts.clone();
        let mut update = async |account: pb::ServiceAccount, paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
            let request = pb::UpdateServiceAccountRequest {
                service_account: Some(account),
                update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
            };
            client
                .update_service_account(with(&admin, request))
                .await
                .map(tonic::Response::into_inner)
        };
        let shop = |etag: &str, scopes: &[&str]| pb::ServiceAccount {
            client_id: "shop".into(),
            etag: etag.into(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            ..Default::default()
        };
        for (account, paths, expected) in [
            (
                shop("", &["users.read"]),
                &["client_secret"][..],
                "FIELD_NOT_WRITABLE",
            ),
            (shop("", &["users.read"]), &["state"], "FIELD_NOT_WRITABLE"),
            (shop("", &["users.read"]), &["secret"], "UNKNOWN_FIELD"),
            (shop("", &["everything"]), &[], "FIELD_INVALID"),
            (shop("", &[]), &["scopes"], "FIELD_INVALID"),
            (shop("2", &["users.read"]), &[], "ETAG_MISMATCH"),
        ] {
            assert_eq!(reason(update(account, paths).await), expected);
        }
        let changed = update(shop("1", &["users.read"]), &[])
            .await
            .expect("changed");
        assert_eq!(
            (changed.scopes.as_slice(), changed.etag.as_str()),
            (&["users.read".to_owned()][..], "2")
        );
        assert_eq!(changed.description, "made by a test");
        assert_eq!(changed.secrets.len(), 1);
        assert_eq!(
            reason(house.service_token("shop", &secret, "users.write").await),
            "SCOPE_DENIED"
        );
        let changed = update(shop("", &[]), &["description"])
            .await
            .expect("changed");
        assert_eq!(
            (changed.description.as_str(), changed.scopes.len()),
            ("", 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_list_goes_through_every_account_once() {
    on_both(async |house| {
        for name in ["b", "a.b", "a-b", "a_b", "z9"] {
            account(&house, name, &["users.read"]).await;
        }
        let admin = house.admin().await;
        disable(&house, &admin, "b").await;
        let list = async |page_token: String, order_by: &str, state: pb::ServiceAccountState| {
            let request = pb::ListServiceAccountsRequest {
                page_size: 2,
                page_token,
                order_by: order_by.into(),
                state: state.into(),
            };
            let mut client = house.service_accounts.clone();
            let page = client.list_service_accounts(with(&admin, request)).await;
            page.map(tonic::Response::into_inner)
        };
        for order in ["", "client_id desc"] {
            let (mut names, mut token) = (Vec::new(), String::new());
            loop {
                let page = list(token, order, pb::ServiceAccountState::Unspecified).await;
                let page = page.expect("a page");
                names.extend(page.service_accounts.into_iter().map(|one| one.client_id));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(names.len(), 6, "{order}: {names:?}");
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 6, "{order}: {names:?}");
        }
        let disabled = list(String::new(), "", pb::ServiceAccountState::Disabled).await;
        let disabled = disabled.expect("a page");
        assert_eq!(disabled.service_accounts.len(), 1);
        let page = list(String::new(), "", pb::ServiceAccountState::Active).await;
        let token = page.expect("a page").next_page_token;
        let refused = list(token.clone(), "", pb::ServiceAccountState::Disabled).await;
        assert_eq!(reason(refused), "PAGE_TOKEN_INVALID");
        let refused = list(token, "secret", pb::ServiceAccountState::Active).await;
        assert_eq!(reason(refused), "FIELD_INVALID");
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_for_each_secret() {
    on_both(async |house| {
        let secret = account(&house, "shop", &["users.read"]).await;
        let used = async || {
            let admin = house.admin().await;
            let found = get(&house, &admin, "shop").await.expect("found");
            assert_eq!(found.last_used_time, found.secrets[0].last_used_time);
            found.last_used_time.map(|time| (time.seconds, time.nanos))
        };
        assert_eq!(used().await, None);
        house
            .service_token("shop", &secret, "")
            .await
            .expect("issued");
        let first = used().await.expect("used");
        house.clock.advance(Duration::from_secs(59));
        house
            .service_token("shop", &secret, "")
            .await
            .expect("issued");
        assert_eq!(used().await, Some(first));
        house.clock.advance(Duration::from_secs(1));
        house
            .service_token("shop", &secret, "")
            .await
            .expect("issued");
        assert_eq!(used().await, Some((first.0 + 60, first.1)));
    })
    .await;
}

#[tokio::test]
async fn a_secret_with_a_wrong_checksum_is_refused_without_the_database() {
    use millgate_platform::testing::PostgresDatabase;
    let Some(postgres) = PostgresDatabase::create().await else {
        return;
    };
    let place = std::sync::Arc::new(Place::at(postgres.url()));
    let house = House::open(place, &["--database-acquire-timeout", "1s"]).await;
    let secret = account(&house, "shop", &["users.read"]).await;
    let mut broken = secret.clone();
    let swapped = if broken.ends_with('x') { "y" } else { "x" };
    broken.replace_range(52..53, swapped);
    postgres.lose().await;
    let answer = |result| refusal::<pb::IssueServiceTokenResponse>(result).1;
    assert_eq!(
        answer(house.service_token("shop", &secret, "").await),
        "STORE_UNAVAILABLE"
    );
    for broken in [broken.as_str(), "mgs_", &secret[..52]] {
        assert_eq!(
            answer(house.service_token("shop", broken, "").await),
            "CREDENTIALS_INVALID"
        );
    }
    postgres.restore().await;
    house.close().await;
    postgres.remove().await;
}

#[tokio::test]
async fn the_configured_secret_counts_when_it_is_another_than_at_the_last_start() {
    at_both(async |place| {
        let house = House::open(place, &[]).await;
        let admin = house.admin().await;
        let rotated = rotate(&house, &admin, rotation(FACTORY, Some(0))).await;
        let rotated = rotated.expect("rotated").client_secret;
        let works = async |house: &House, secret: &str| {
            house.service_token(FACTORY, secret, "").await.is_ok()
        };
        let place = house.close().await;

        // The same configuration as before: the rotation counts.
        let house = House::open(place, &[]).await;
        assert!(works(&house, &rotated).await && !works(&house, FACTORY_SECRET).await);
        let place = house.close().await;

        // Another secret in the configuration joins.
        let mut config = place.config(&[]);
        let other = "another secret of 32 characters!";
        config.factory_client_secret.value = Some(other.into());
        drop(
            auth_service::prepare(config, auth_service::Ambient::default())
                .await
                .expect("started"),
        );
        let house = House::open(place, &[]).await;
        // That start named the first secret again, so it is back, and the one before is in its overlap.
        assert!(works(&house, FACTORY_SECRET).await && works(&house, other).await);
        assert!(!works(&house, &rotated).await, "the oldest ended");
        house.clock.advance(DAY + Duration::from_secs(5));
        assert!(works(&house, FACTORY_SECRET).await && !works(&house, other).await);

        // A deleted account is not made again.
        let admin = house.admin().await;
        let request = pb::DeleteServiceAccountRequest {
            client_id: FACTORY.into(),
            ..Default::default()
        };
        let mut client = house.service_accounts.clone();
        client
            .delete_service_account(with(&admin, request))
            .await
            .expect("deleted");
        let place = house.close().await;
        let house = House::open(place, &[]).await;
        assert!(!works(&house, FACTORY_SECRET).await);
    })
    .await;
}

#[tokio::test]
async fn a_broken_secret_in_the_configuration_stops_the_start() {
    at_both(async |place| {
        let mut config = place.config(&[]);
        config.factory_client_secret.value = Some(format!("mgs_{}", "0".repeat(49)).into());
        let error = auth_service::prepare(config, auth_service::Ambient::default())
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("AUTH_FACTORY_CLIENT_SECRET: "), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_account_whose_scopes_were_changed_behind_its_back_is_still_held_to_them() {
    on_both(async |house| {
        let secret = account(&house, "shop", &["users.read"]).await;
        let change = "UPDATE service_accounts SET scopes = 'profile' WHERE client_id = 'shop'";
        on_write!(house.db, |c| sqlx::query(change).execute(c).await.map(drop)).expect("changed");
        let refused = house.service_token("shop", &secret, "users.read").await;
        assert_eq!(reason(refused), "SCOPE_DENIED");
    })
    .await;
}
