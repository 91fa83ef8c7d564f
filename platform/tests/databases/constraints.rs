use millgate_platform::{
    Affected as _, Database, Fault, Reason, ViolationKind, on_write, testing::both_databases,
    violated,
};

use crate::MIGRATIONS;

async fn run(db: &Database, sql: &'static str) -> Result<u64, sqlx::Error> {
    on_write!(db, |c| sqlx::query(sql).execute(c).await.affected())
}

async fn broken(db: &Database, sql: &'static str) -> (ViolationKind, String) {
    let error = run(db, sql).await.expect_err(sql);
    let violation = violated(&error).unwrap_or_else(|| panic!("{sql}: {error}"));
    (violation.kind, violation.constraint.into_owned())
}

#[tokio::test]
async fn a_broken_rule_has_the_same_name_on_both_databases() {
    both_databases(&MIGRATIONS, |db| async move {
        let good = "INSERT INTO things (id, name, shelf, place) VALUES (1000, 'a', 1, 1)";
        run(&db, good).await.expect("a good row");
        for (sql, kind, name) in [
            (
                "INSERT INTO things (name) VALUES ('a')",
                ViolationKind::Unique,
                "things.name",
            ),
            (
                "INSERT INTO things (id, name) VALUES (1000, 'b')",
                ViolationKind::Unique,
                "things.pkey",
            ),
            (
                "INSERT INTO things (name, shelf, place) VALUES ('b', 1, 1)",
                ViolationKind::Unique,
                "things.shelf_place",
            ),
            (
                "UPDATE things SET amount = -1 WHERE id = 1000",
                ViolationKind::Check,
                "things_amount_check",
            ),
            (
                "INSERT INTO things (name, owner_id) VALUES ('b', 99)",
                ViolationKind::ForeignKey,
                "",
            ),
        ] {
            assert_eq!(broken(&db, sql).await, (kind, name.to_owned()), "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_statement_is_internal_and_its_text_stays_inside() {
    both_databases(&MIGRATIONS, |db| async move {
        let error = run(&db, "INSERT INTO nowhere (x) VALUES (1)")
            .await
            .expect_err("no table");
        assert!(violated(&error).is_none());
        let fault = Fault::from(error);
        assert_eq!(fault.reason(), Reason::Internal);
        let status = tonic::Status::from(fault);
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::Internal, "internal error")
        );
    })
    .await;
}

#[tokio::test]
async fn a_text_with_a_null_character_is_never_our_own_error() {
    both_databases(&MIGRATIONS, |db| async move {
        let sql = "INSERT INTO things (name) VALUES ($1)";
        let done = on_write!(db, |c| sqlx::query(sql)
            .bind("a\0b")
            .execute(c)
            .await
            .affected());
        // SQLite can store it.
        if let Err(error) = done {
            assert_eq!(Fault::from(error).reason(), Reason::MessageMalformed);
        }
    })
    .await;
}
