use millgate_platform::{
    Affected as _, Binding, Cursor, Database, PageKey, PageRequest, on, on_write,
    testing::both_databases,
};

use crate::MIGRATIONS;

#[derive(sqlx::FromRow)]
struct Thing {
    id: i64,
    name: String,
    shelf: i64,
}

const BY_SHELF: &str = "SELECT id, name, shelf FROM things \
    WHERE $1 = 0 OR (shelf, id) > ($2, $3) ORDER BY shelf, id LIMIT $4";

async fn list(db: &Database, size: i32, token: &str) -> (Vec<String>, String) {
    let key = PageKey::new(&[1; 32]);
    let page = PageRequest::parse(size, token, Binding::new("user:1"), &key).expect("a page");
    let after = page.after.as_ref();
    let rows: Vec<Thing> = on!(db, |c| sqlx::query_as(BY_SHELF)
        .bind(i64::from(after.is_some()))
        .bind(after.and_then(Cursor::sort_int).unwrap_or_default())
        .bind(page.after_id())
        .bind(page.limit())
        .fetch_all(c)
        .await)
    .expect("rows");
    let (rows, next) = page.finish(rows, |thing| Cursor::int(thing.shelf, thing.id));
    (rows.into_iter().map(|thing| thing.name).collect(), next)
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_a_row_while_others_are_added() {
    both_databases(&MIGRATIONS, |db| async move {
        let add = async |name: String, shelf: i64| {
            on_write!(db, |c| sqlx::query(
                "INSERT INTO things (name, shelf) VALUES ($1, $2)"
            )
            .bind(&name)
            .bind(shelf)
            .execute(c)
            .await
            .affected())
            .expect("added");
        };
        for number in 0..25 {
            add(format!("old {number}"), number % 3).await;
        }
        let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (page, next) = list(&db, 4, &token).await;
            names.extend(page);
            pages += 1;
            if next.is_empty() {
                break;
            }
            token = next;
            // In front of where the reader is: no row of the old ones may move into view twice.
            add(format!("new {pages}"), -1).await;
        }
        assert_eq!(pages, 7);
        let mut old: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with("old"))
            .collect();
        old.sort();
        old.dedup();
        assert_eq!((old.len(), names.len()), (25, 25));
    })
    .await;
}
