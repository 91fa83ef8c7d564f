//! Everything that is in the database, to prove that something is not.

use sqlx::{AssertSqlSafe, Connection as _};

use crate::world::World;

const SQLITE_COLUMNS: &str = r#"
    SELECT t.name, group_concat('coalesce(cast("' || i.name || '" AS text), '''')', ' || ''|'' || ')
    FROM sqlite_schema t JOIN pragma_table_info(t.name) i WHERE t.type = 'table' GROUP BY t.name"#;
const POSTGRES_COLUMNS: &str = r"
    SELECT table_name::text, string_agg(CASE data_type WHEN 'bytea' THEN 'encode(' || column_name || ', ''escape'')'
    ELSE column_name || '::text' END, ', ') FROM information_schema.columns WHERE table_schema = 'public'
    GROUP BY table_name";

/// Every row of every table, as text.
pub(crate) async fn whole_database(world: &World) -> String {
    let mut text = String::new();
    if let Some(path) = world.url.strip_prefix("sqlite:") {
        let mut c = sqlx::SqliteConnection::connect(path)
            .await
            .expect("the database");
        let tables: Vec<(String, String)> = sqlx::query_as(SQLITE_COLUMNS)
            .fetch_all(&mut c)
            .await
            .expect("the tables");
        for (table, columns) in tables {
            let sql = format!("SELECT cast({columns} AS blob) FROM {table}");
            let rows: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut c)
                .await
                .expect("the rows");
            for row in rows {
                text.push_str(&String::from_utf8_lossy(&row));
            }
        }
        return text;
    }
    let mut c = sqlx::PgConnection::connect(&world.url)
        .await
        .expect("the database");
    let tables: Vec<(String, String)> = sqlx::query_as(POSTGRES_COLUMNS)
        .fetch_all(&mut c)
        .await
        .expect("the tables");
    for (table, columns) in tables {
        let sql = format!("SELECT concat_ws('|', {columns}) FROM {table}");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut c)
            .await
            .expect("the rows");
        text.push_str(&rows.concat());
    }
    text
}

/// The single number that a statement gives.
pub(crate) async fn number(url: &str, sql: &'static str) -> i64 {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let mut c = sqlx::SqliteConnection::connect(path)
            .await
            .expect("the database");
        let number = sqlx::query_scalar(sql).fetch_one(&mut c).await;
        return number.expect("a number");
    }
    let mut c = sqlx::PgConnection::connect(url)
        .await
        .expect("the database");
    let number = sqlx::query_scalar(sql).fetch_one(&mut c).await;
    number.expect("a number")
}
