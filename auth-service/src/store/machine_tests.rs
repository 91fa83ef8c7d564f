//! What the statements about machines promise, on both databases.

use millgate_guard::Scopes;
use millgate_platform::testing::both_databases;
use millgate_platform::{Database, Fault, Reason};

use super::standing::Asked;
use super::tests::nothing_else;
use super::{
    MIGRATIONS, access_tokens, revoked_tokens, service_account_secrets, service_accounts, standing,
    users,
};
use crate::domain::{
    AccessToken, ClientId, Names, NewAccessToken, NewServiceAccount, NewUser, Role, ServiceAccount,
    ServiceAccountChange, User, Username,
};

fn new(client_id: &str) -> NewServiceAccount {
    NewServiceAccount {
        client_id: ClientId::parse(client_id).expect("an id"),
        description: "for a test".into(),
        scopes: Scopes::parse("users.read").expect("a scope"),
    }
}

async fn make(db: &Database, client_id: &str, secret: &[u8], now: i64) -> Result<(), Fault> {
    let mut tx = db.begin().await.expect("begun");
    service_accounts::insert(&mut tx, &new(client_id), now).await?;
    service_account_secrets::replace(&mut tx, client_id, secret, None, now).await?;
    tx.commit().await
}

async fn account(db: &Database, client_id: &str, now: i64) -> Option<ServiceAccount> {
    service_accounts::by_id(db, client_id, now)
        .await
        .expect("read")
}

/// The hashes of the secrets that work.
async fn live(db: &Database, now: i64) -> Vec<Vec<u8>> {
    let secrets = account(db, "shop", now).await.expect("there").secrets;
    secrets.into_iter().map(|secret| secret.hash).collect()
}

async fn rotate(db: &Database, secret: &[u8], end: Option<i64>, now: i64) {
    let mut tx = db.begin().await.expect("begun");
    service_accounts::lock(&mut tx, "shop", now)
        .await
        .expect("read")
        .expect("there");
    service_account_secrets::replace(&mut tx, "shop", secret, end, now)
        .await
        .expect("replaced");
    tx.commit().await.expect("committed");
}

async fn stands(db: &Database, client_id: &str, issued: i64) -> bool {
    let asked = Asked {
        issued,
        ..nothing_else()
    };
    standing::service_stands(db, client_id, &asked)
        .await
        .expect("read")
}

#[tokio::test]
async fn a_service_account_is_made_once_and_remembers_its_use() {
    both_databases(&MIGRATIONS, |db| async move {
        make(&db, "shop", b"first", 1).await.expect("made");
        let taken = make(&db, "shop", b"second", 2).await.expect_err("taken");
        assert_eq!(taken.reason(), Reason::ClientIdTaken);
        let found = account(&db, "shop", 2).await.expect("there");
        assert_eq!(live(&db, 2).await, [b"first"]);
        assert_eq!((found.revision, found.last_used_time), (1, None));
        service_account_secrets::mark_used(&db, "shop", found.secrets[0].id, 77)
            .await
            .expect("marked");
        let found = account(&db, "shop", 2).await.expect("there");
        assert_eq!(
            (found.last_used_time, found.secrets[0].last_used_time),
            (Some(77), Some(77))
        );
        assert!(account(&db, "nobody", 2).await.is_none());
        assert!(!stands(&db, "nobody", 2).await);
    })
    .await;
}

#[tokio::test]
async fn two_secrets_work_at_most_and_the_older_one_until_its_end() {
    both_databases(&MIGRATIONS, |db| async move {
        make(&db, "shop", b"one", 1).await.expect("made");
        rotate(&db, b"two", Some(100), 10).await;
        assert_eq!(live(&db, 99).await, [b"one", b"two"]);
        assert_eq!(live(&db, 100).await, [b"two"]);
        rotate(&db, b"three", Some(200), 20).await;
        assert_eq!(
            live(&db, 20).await,
            [&b"two"[..], b"three"],
            "the oldest has ended"
        );
        rotate(&db, b"four", None, 30).await;
        assert_eq!(
            live(&db, 30).await,
            [b"four"],
            "without an overlap the old ones end"
        );
        // A secret that was ended may come back: the configuration may name it again.
        rotate(&db, b"three", Some(200), 40).await;
        rotate(&db, b"four", Some(200), 50).await;
        assert_eq!(live(&db, 50).await, [&b"three"[..], b"four"]);
        service_account_secrets::purge(&db, 199)
            .await
            .expect("purged");
        assert_eq!(live(&db, 199).await.len(), 2);
        service_account_secrets::purge(&db, 200)
            .await
            .expect("purged");
        assert_eq!(live(&db, 0).await, [b"four"]);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_ends_its_tokens_and_being_enabled_brings_none_back() {
    both_databases(&MIGRATIONS, |db| async move {
        make(&db, "shop", b"one", 1).await.expect("made");
        assert!(stands(&db, "shop", 0).await);
        let mut tx = db.begin().await.expect("begun");
        service_accounts::disable(&mut tx, "shop", 5_500_000)
            .await
            .expect("disabled");
        tx.commit().await.expect("committed");
        assert!(!stands(&db, "shop", 9_000_000).await);
        let mut tx = db.begin().await.expect("begun");
        service_accounts::enable(&mut tx, "shop", 6_000_000)
            .await
            .expect("enabled");
        tx.commit().await.expect("committed");
        assert!(
            !stands(&db, "shop", 5_000_000).await,
            "the second of the disabling"
        );
        assert!(stands(&db, "shop", 6_000_000).await);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_is_gone_but_for_its_name() {
    both_databases(&MIGRATIONS, |db| async move {
        make(&db, "shop", b"one", 1).await.expect("made");
        let mut tx = db.begin().await.expect("begun");
        service_accounts::delete(&mut tx, "shop", 5)
            .await
            .expect("deleted");
        assert!(
            service_accounts::lock(&mut tx, "shop", 5)
                .await
                .expect("read")
                .is_none()
        );
        tx.commit().await.expect("committed");
        assert!(account(&db, "shop", 5).await.is_none());
        assert!(!stands(&db, "shop", 9_000_000).await);
        let again = make(&db, "shop", b"two", 6).await.expect_err("taken");
        assert_eq!(again.reason(), Reason::ClientIdTaken);
        let mut tx = db.begin().await.expect("begun");
        let made = service_accounts::insert_configured(&mut tx, &new("shop"), b"three", 7).await;
        assert!(!made.expect("tried"));
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    both_databases(&MIGRATIONS, |db| async move {
        make(&db, "shop", b"one", 1).await.expect("made");
        let mut tx = db.begin().await.expect("begun");
        let only_scopes = ServiceAccountChange {
            scopes: Scopes::parse("users.write").ok(),
            ..Default::default()
        };
        let changed = service_accounts::update(&mut tx, "shop", &only_scopes, 9)
            .await
            .expect("changed");
        assert_eq!(
            (
                changed.description.as_str(),
                changed.scopes.to_string().as_str()
            ),
            ("for a test", "users.write")
        );
        assert_eq!(
            (changed.revision, changed.update_time, changed.create_time),
            (2, 9, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn the_secret_that_the_configuration_names_is_remembered() {
    both_databases(&MIGRATIONS, |db| async move {
        let mut tx = db.begin().await.expect("begun");
        let made = service_accounts::insert_configured(&mut tx, &new("shop"), b"one", 1).await;
        assert!(made.expect("made"));
        for (hash, changed) in [
            (b"one", false),
            (b"two", true),
            (b"two", false),
            (b"one", true),
        ] {
            let told = service_accounts::configure(&mut tx, "shop", hash).await;
            assert_eq!(told.expect("remembered"), changed);
        }
        tx.commit().await.expect("committed");
        make(&db, "other", b"one", 1).await.expect("made");
        let mut tx = db.begin().await.expect("begun");
        assert!(
            service_accounts::configure(&mut tx, "other", b"one")
                .await
                .expect("remembered")
        );
    })
    .await;
}

async fn person(db: &Database, name: &str) -> User {
    let new = NewUser {
        names: Names::new(Username::parse(name).ok(), None).expect("a name"),
        password_hash: "hash".into(),
        role: Role::User,
        external_id: None,
        created_by: None,
    };
    let mut tx = db.begin().await.expect("begun");
    let user = users::insert(&mut tx, &new, 1).await.expect("inserted");
    tx.commit().await.expect("committed");
    user
}

/// A token of the person's first generation, whose hash is its `sid`.
async fn token(db: &Database, user: &User, sid: &str, expire_time: i64) -> AccessToken {
    let new = NewAccessToken {
        name: "backup".into(),
        scopes: Scopes::parse("users.read").expect("a scope"),
        expire_time,
    };
    let mut tx = db.begin().await.expect("begun");
    let hash = sid.as_bytes();
    let token = access_tokens::insert(&mut tx, user.id, 1, &new, sid, hash, 1)
        .await
        .expect("inserted");
    tx.commit().await.expect("committed");
    token
}

#[tokio::test]
async fn a_personal_access_token_stands_until_it_is_revoked_or_over() {
    both_databases(&MIGRATIONS, |db| async move {
        let (ada, bob) = (person(&db, "ada").await, person(&db, "bob").await);
        let made = token(&db, &ada, "t1", 100).await;
        let found = access_tokens::by_hash(&db, b"t1")
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (found.id, found.sid.as_str(), found.user_generation),
            (made.id, "t1", 1)
        );
        assert!(
            access_tokens::by_hash(&db, b"t2")
                .await
                .expect("read")
                .is_none()
        );
        let stands = async |user: &User, now| {
            let asked = Asked {
                now,
                ..nothing_else()
            };
            let row = standing::person(&db, user.id, "t1", &asked)
                .await
                .expect("read");
            row.expect("there").access_token_end == Some(100)
        };
        assert!(stands(&ada, 99).await && !stands(&ada, 100).await);
        assert!(!stands(&bob, 99).await, "another's token");
        let mut tx = db.begin().await.expect("begun");
        assert!(
            access_tokens::revoke(&mut tx, &made, 7)
                .await
                .expect("revoked")
        );
        assert!(
            !access_tokens::revoke(&mut tx, &made, 9)
                .await
                .expect("tried")
        );
        let kept = access_tokens::in_tx(&mut tx, made.id)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(kept.revoke_time, Some(7));
        tx.commit().await.expect("committed");
        assert!(!stands(&ada, 8).await);
    })
    .await;
}

#[tokio::test]
async fn tokens_that_have_ended_do_not_count_and_only_the_newest_of_them_are_kept() {
    both_databases(&MIGRATIONS, |db| async move {
        let (ada, bob) = (person(&db, "ada").await, person(&db, "bob").await);
        token(&db, &bob, "bobs", 10).await;
        let live = token(&db, &ada, "live", 100).await;
        for index in 0..52 {
            token(&db, &ada, &format!("over-{index}"), 10).await;
        }
        let mut tx = db.begin().await.expect("begun");
        let count = access_tokens::count_live(&mut tx, ada.id, 1, 10).await;
        assert_eq!(count.expect("counted"), 1);
        let count = access_tokens::count_live(&mut tx, ada.id, 2, 10).await;
        assert_eq!(count.expect("counted"), 0, "the account has moved on");
        access_tokens::forget_ended(&mut tx, ada.id, 1, 10)
            .await
            .expect("forgotten");
        tx.commit().await.expect("committed");
        let there = async |sid: &str| {
            access_tokens::by_hash(&db, sid.as_bytes())
                .await
                .expect("read")
                .is_some()
        };
        assert!(there("live").await && there("over-2").await && there("over-51").await);
        assert!(!there("over-0").await && !there("over-1").await);
        assert!(there("bobs").await, "another's");
        assert!(live.id > 0);
        while access_tokens::purge(&db, 11).await.expect("purged") > 0 {}
        assert!(there("live").await && !there("over-51").await && !there("bobs").await);
        let mut tx = db.begin().await.expect("begun");
        users::delete(&mut tx, ada.id).await.expect("deleted");
        tx.commit().await.expect("committed");
        assert!(!there("live").await);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_is_known_until_it_has_expired() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = person(&db, "ada").await;
        make(&db, "shop", b"one", 1).await.expect("made");
        for (fresh, expire_time) in [(true, 100), (false, 900)] {
            let mut tx = db.begin().await.expect("begun");
            let told = revoked_tokens::revoke(&mut tx, "j", expire_time).await;
            assert_eq!(told.expect("revoked"), fresh);
            tx.commit().await.expect("committed");
        }
        let revoked = async |jti: &'static str| {
            let asked = Asked {
                jti,
                ..nothing_else()
            };
            let row = standing::person(&db, ada.id, "s", &asked)
                .await
                .expect("read");
            let stands = standing::service_stands(&db, "shop", &asked)
                .await
                .expect("read");
            let revoked = row.expect("there").is_revoked;
            assert_eq!(revoked, !stands);
            revoked
        };
        assert!(revoked("j").await && !revoked("J").await && !revoked("").await);
        assert_eq!(revoked_tokens::purge(&db, 100).await.expect("purged"), 0);
        assert!(revoked("j").await);
        assert_eq!(revoked_tokens::purge(&db, 101).await.expect("purged"), 1);
        assert!(!revoked("j").await);
    })
    .await;
}

#[tokio::test]
async fn those_who_act_stand_while_their_accounts_are_in_use() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = person(&db, "ada").await;
        for client in ["one", "two", "three"] {
            make(&db, client, client.as_bytes(), 1).await.expect("made");
        }
        let standing = async |actors: &[&str], issued: i64| {
            let actors: Vec<String> = actors.iter().map(|&actor| actor.to_owned()).collect();
            let asked = Asked {
                actors: &actors,
                issued,
                ..nothing_else()
            };
            let row = standing::person(&db, ada.id, "s", &asked)
                .await
                .expect("read");
            row.expect("there").standing_actors
        };
        assert_eq!(standing(&[], 0).await, 0);
        assert_eq!(standing(&["one"], 0).await, 1);
        assert_eq!(standing(&["three", "two", "one"], 0).await, 3);
        assert_eq!(standing(&["one", "two", "one"], 0).await, 2, "each once");
        assert_eq!(standing(&["one", "nobody"], 0).await, 1);
        let mut tx = db.begin().await.expect("begun");
        service_accounts::disable(&mut tx, "two", 5)
            .await
            .expect("disabled");
        service_accounts::delete(&mut tx, "three", 5)
            .await
            .expect("deleted");
        tx.commit().await.expect("committed");
        assert_eq!(standing(&["three", "two", "one"], 9).await, 1);
        let mut tx = db.begin().await.expect("begun");
        service_accounts::enable(&mut tx, "two", 6)
            .await
            .expect("enabled");
        tx.commit().await.expect("committed");
        assert_eq!(standing(&["two", "one"], 5).await, 1, "issued before");
        assert_eq!(standing(&["two", "one"], 6).await, 2);
    })
    .await;
}
