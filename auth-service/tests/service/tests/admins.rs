use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;
use millgate_platform::testing::PostgresDatabase;
use std::sync::Arc;
use tonic::Code;

const ADMINS: &str = "SELECT count(*) FROM users WHERE role = 'admin' AND state = 'active'";

#[tokio::test]
async fn the_last_administrator_can_neither_be_demoted_nor_deleted() {
    on_both(async |house| {
        let admin = house.admin().await;
        let id = house
            .who_am_i(&admin)
            .await
            .expect("known")
            .user
            .expect("a person")
            .id;
        let before = house.snapshot().await;
        let last = (Code::FailedPrecondition, "LAST_ADMIN".to_owned());
        assert_eq!(
            refusal(house.set_role(&admin, id, pb::Role::User).await),
            last
        );
        let request = pb::DeleteUserRequest {
            id,
            ..Default::default()
        };
        assert_eq!(
            refusal(house.users.clone().delete_user(with(&admin, request)).await),
            last
        );
        assert_eq!(house.snapshot().await, before);
        house.who_am_i(&admin).await.expect("still good");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_administrator_does_not_count() {
    on_both(async |house| {
        let (second, _) = house.person("second", pb::Role::Admin).await;
        let disable = "UPDATE users SET state = 'disabled' WHERE id = $1";
        millgate_platform::on_write!(house.db, |c| sqlx::query(disable)
            .bind(second.id)
            .execute(c)
            .await
            .map(drop))
        .expect("disabled");
        let admin = house.admin().await;
        let id = house
            .who_am_i(&admin)
            .await
            .expect("known")
            .user
            .expect("a person")
            .id;
        assert_eq!(
            reason(house.set_role(&admin, id, pb::Role::User).await),
            "LAST_ADMIN"
        );
        house
            .set_role(&admin, second.id, pb::Role::User)
            .await
            .expect("the disabled one may go");
    })
    .await;
}

#[tokio::test]
async fn administrators_who_demote_or_delete_each_other_at_once_leave_one() {
    on_both(async |house| duels(&house, 25).await).await;
}

/// A server may be set so that a transaction sees the database as it was at its beginning: whoever waited for the other's
/// change would not see it.
#[tokio::test]
async fn they_leave_one_also_where_the_server_has_another_isolation_by_default() {
    let Some(postgres) = PostgresDatabase::create().await else {
        return;
    };
    let house = House::open(Arc::new(Place::at(postgres.url())), &[]).await;
    let set = "DO $$ BEGIN EXECUTE format( \
        'ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'repeatable read'); END $$";
    on_write!(house.db, |c| sqlx::query(set).execute(c).await.map(drop)).expect("set");
    let house = House::open(house.close().await, &[]).await;
    duels(&house, 10).await;
    house.close().await;
    postgres.remove().await;
}

async fn duels(house: &House, rounds: usize) {
    for round in 0..rounds {
        let first = house.admin().await;
        let first_id = house
            .who_am_i(&first)
            .await
            .expect("known")
            .user
            .expect("a person")
            .id;
        let name = format!("rival-{round}");
        let (rival, tokens) = house.person(&name, pb::Role::Admin).await;
        let duel = [
            (first.clone(), rival.id),
            (tokens.access_token.clone(), first_id),
        ];
        let users = house.users.clone();
        let results = at_once(2, |index| {
            let (mut users, (token, id)) = (users.clone(), duel[index].clone());
            async move {
                if round % 2 == 0 {
                    let role = pb::Role::Customer.into();
                    let request = pb::SetUserRoleRequest {
                        id,
                        role,
                        ..Default::default()
                    };
                    users.set_user_role(with(&token, request)).await.map(drop)
                } else {
                    let request = pb::DeleteUserRequest {
                        id,
                        ..Default::default()
                    };
                    users.delete_user(with(&token, request)).await.map(drop)
                }
            }
        })
        .await;
        assert_eq!(house.count(ADMINS).await, 1, "round {round}: {results:?}");
        assert!(
            results.iter().any(Result::is_ok),
            "round {round}: {results:?}"
        );
        // Back to where it began: `admin` is the one that remains.
        restore(house).await;
    }
}

async fn restore(house: &House) {
    const RESTORE: &str = "UPDATE users SET role = CASE WHEN username_canonical LIKE 'rival%' AND EXISTS \
        (SELECT 1 FROM users WHERE username_canonical = 'admin') THEN 'customer' ELSE 'admin' END \
        WHERE username_canonical = 'admin' OR role = 'admin'";
    const RENAME: &str = "UPDATE users SET username = 'admin', username_canonical = 'admin' WHERE role = 'admin' \
        AND NOT EXISTS (SELECT 1 FROM users WHERE username_canonical = 'admin')";
    for sql in [RESTORE, RENAME] {
        millgate_platform::on_write!(house.db, |c| sqlx::query(sql).execute(c).await.map(drop))
            .expect("restored");
    }
}
