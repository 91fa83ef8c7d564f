//! How the databases go about the statements that run over much: by which index, and over what they never run whole.
//!
//! Twenty thousand orders are enough for PostgreSQL to prefer an index where there is a good one.

use std::future::Future;

use jiff::ToSpan as _;
use millgate_platform::page::{Page, PageKey, PageRequest};
use millgate_platform::testing::both_databases;
use millgate_platform::{Cursor, Database, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::Arg;
use super::{MIGRATIONS, change, customer, order, product, remembered, report, ticket};
use crate::domain::change::Kind;
use crate::domain::order::OrderState;
use crate::domain::paging::OrderBy;
use crate::domain::period::{self, Period};
use crate::domain::text::Prefix;

/// An order, a run and a ticket every ten minutes: that is 138 days.
const STEP: i64 = 10 * 60_000_000;
const DAY: i64 = 144 * STEP;

/// What the tables are filled with: `n` counts up from 1.
const ROWS: &[(&str, i64, &str)] = &[
    (
        "products (sku, sku_canonical, name, name_canonical, description, unit_price_minor, currency, on_hand, reserved, \
         state, revision, create_time, update_time, reorder_threshold)",
        500,
        "'P' || n, 'p' || n, 'Product ' || n, 'product ' || n, '', 100, 'EUR', 9, 0, 'ACTIVE', 1, 0, 0, \
         CASE WHEN n % 100 = 0 THEN 9 ELSE 1 END",
    ),
    (
        "customers (first_name, last_name, name_canonical, last_name_canonical, email, email_canonical, phone, \
         phone_canonical, shipping_address, notes, user_id, revision, create_time, update_time)",
        4000,
        "'F' || n, 'L' || n, 'f' || n || ' l' || n, 'l' || n, 'c' || n || '@x.io', 'c' || n || '@x.io', '5' || n, \
         '5' || n, '', '', n, 1, 0, 0",
    ),
    (
        "employees (name, name_canonical, position, user_id, revision, create_time, update_time)",
        40,
        "'E' || n, 'e' || n, '', n, 1, 0, 0",
    ),
    (
        "orders (customer_id, state, subtotal_minor, tax_minor, total_minor, currency, cancel_reason, line_count, \
         revision, create_time, update_time)",
        20_000,
        "1 + n % 4000, CASE WHEN n % 200 = 0 THEN 'PLACED' ELSE 'COMPLETED' END, 300, 0, 300, 'EUR', '', 3, 1, \
         CAST(n AS BIGINT) * 600000000, 0",
    ),
    (
        "order_lines (order_id, position, product_id, sku, name, unit_price_minor, quantity, discount_bp, discount_minor, \
         line_total_minor, tax_bp, tax_minor)",
        60_000,
        "1 + (n - 1) / 3, n % 3, 1 + (n * 7) % 490, 'P', 'Product', 100, 1, 0, 0, 100, 0, 0",
    ),
    (
        "production_runs (product_id, employee_id, planned_quantity, produced_quantity, scrap_quantity, state, start_time, \
         finish_time, revision, create_time, update_time)",
        20_000,
        "1 + n % 500, 1 + n % 40, 10, 9, 1, 'COMPLETED', CAST(n AS BIGINT) * 600000000, CAST(n AS BIGINT) * 600000000, 2, 0, 0",
    ),
    (
        "service_tickets (customer_id, state, description, priority, employee_id, labour_minutes, resolution, finish_time, \
         revision, create_time, update_time)",
        20_000,
        "1 + n % 4000, 'CLOSED', '', 'NORMAL', 1 + n % 40, 5, '', CAST(n AS BIGINT) * 600000000, 2, 0, 0",
    ),
    (
        "changes (seq, time, actor, session, act, request_id, kind, resource_id, customer_id, verb)",
        20_000,
        "n, 0, 'user:' || (n % 2000), '', '', '', CASE WHEN n % 1000 = 0 THEN 'employees' ELSE 'orders' END, n, \
         1 + n % 4000, 'create'",
    ),
    (
        "idempotency_keys (caller, request_id, method, body_hash, response, create_time, customer_id)",
        20_000,
        "'caller:user:1', 'r' || n, 'PlaceOrder', CAST('x' AS BYTES), CAST('x' AS BYTES), 0, 1 + n % 4000",
    ),
];

async fn fill(db: &Database) {
    let bytes = match db {
        Database::Sqlite(_) => "BLOB",
        Database::Postgres(_) => "BYTEA",
    };
    let mut tx = db.begin().await.expect("begun");
    let filled = ROWS.iter().map(|(table, count, values)| {
        format!(
            "INSERT INTO {table} WITH RECURSIVE numbers (n) AS \
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) SELECT {} FROM numbers",
            values.replace("BYTES", bytes)
        )
    });
    let known = match db {
        // As in production: nobody tells SQLite what its tables hold.
        Database::Sqlite(_) => None,
        Database::Postgres(_) => Some("ANALYZE".to_owned()),
    };
    for sql in filled.chain(known) {
        on_tx!(tx, |c| sqlx::query(AssertSqlSafe(sql))
            .execute(c)
            .await
            .map(drop))
        .expect("filled");
    }
    tx.commit().await.expect("committed");
}

/// How the database would run a statement, in its own words.
async fn plan(db: &Database, (sql, args): (String, Vec<Arg>)) -> String {
    macro_rules! rows {
        ($row:ty, $explain:literal) => {{
            let sql = format!("{} {sql}", $explain);
            let rows: Vec<$row> = on!(db, |c| {
                let mut query = sqlx::query_as(AssertSqlSafe(sql));
                for arg in args {
                    query = match arg {
                        Arg::Int(value) => query.bind(value),
                        Arg::Text(value) => query.bind(value),
                    };
                }
                query.fetch_all(c).await
            })
            .expect("explained");
            rows
        }};
    }
    let lines: Vec<String> = match db {
        Database::Sqlite(_) => rows!((i64, i64, i64, String), "EXPLAIN QUERY PLAN")
            .into_iter()
            .map(|row| row.3)
            .collect(),
        Database::Postgres(_) => rows!((String,), "EXPLAIN")
            .into_iter()
            .map(|row| row.0)
            .collect(),
    };
    lines.join("\n")
}

fn page(after: Option<i64>) -> Page {
    let mut page = PageRequest::parse(50, "", b"", &PageKey::new(&[1; 32])).expect("a page");
    page.after = after.map(Cursor::id);
    page
}

fn by(column: &'static str, descending: bool) -> OrderBy {
    OrderBy { column, descending }
}

fn of_report(sql: impl Into<String>, args: Vec<Arg>) -> (String, Vec<Arg>) {
    (sql.into(), args)
}

async fn on_both<F, Fut>(test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    both_databases(&MIGRATIONS, test).await;
}

/// What is read, the statement, and the indexes that it is to use.
type Expected<'a> = (&'a str, (String, Vec<Arg>), &'a [&'a str]);

/// Asserts that each statement uses one of the indexes, and that none reads a large table whole or sorts one.
async fn each_uses(db: &Database, statements: Vec<Expected<'_>>) {
    const LARGE: [&str; 7] = [
        "orders",
        "order_lines",
        "l",
        "production_runs",
        "service_tickets",
        "changes",
        "idempotency_keys",
    ];
    for (what, statement, indexes) in statements {
        let plan = plan(db, statement).await;
        for index in indexes {
            let any = index.split(" or ").any(|index| plan.contains(index));
            assert!(any, "{what}: not by {index}:\n{plan}");
        }
        for table in LARGE {
            let whole = match db {
                Database::Sqlite(_) => format!("SCAN {table}"),
                Database::Postgres(_) => format!("Seq Scan on {table} "),
            };
            let reads_whole = plan.lines().any(|line| {
                let line = format!("{} ", line.trim_start_matches([' ', '-', '>']));
                line.starts_with(&format!("{} ", whole.trim_end())) && !line.contains(" USING ")
            });
            assert!(!reads_whole, "{what}: {table} whole:\n{plan}");
        }
    }
}

#[tokio::test]
async fn the_reports_of_a_day_read_that_day_by_an_index() {
    on_both(|db| async move {
        fill(&db).await;
        let (from, before) = (Arg::Int(5 * DAY), Arg::Int(6 * DAY));
        let day = |more: &[Arg]| [&[from.clone(), before.clone()], more].concat();
        let euro = Arg::Text("EUR".into());
        let year = report::efficiency_of(366);
        let mut of_year = vec![from.clone(), before.clone(), Arg::Int(0)];
        of_year.extend((1..366).map(|n| Arg::Int(5 * DAY + n * DAY)));
        each_uses(
            &db,
            vec![
                (
                    "TopProducts",
                    of_report(report::TOP_PRODUCTS, day(&[euro.clone(), Arg::Int(10)])),
                    &["orders_by_create_time", "l USING PRIMARY KEY or order_lines_pkey"],
                ),
                (
                    "CustomerLifetimeValue",
                    of_report(
                        report::LIFETIME_VALUE,
                        day(&[euro.clone(), Arg::Int(1), Arg::Int(100)]),
                    ),
                    &["orders_by_create_time"],
                ),
                (
                    "EmployeePerformance",
                    of_report(report::PERFORMANCE, day(&[Arg::Int(0), Arg::Int(51)])),
                    &[
                        // PostgreSQL, which knows how many they are, may take everybody's of that day at once.
                        "production_runs_by_employee_state_and_finish_time or using production_runs_by_state_and_finish_time \
                         or Scan on production_runs_by_state_and_finish_time",
                        "service_tickets_by_employee_state_and_finish_time or using service_tickets_by_state_and_finish_time \
                         or Scan on service_tickets_by_state_and_finish_time",
                    ],
                ),
                (
                    "ProductionEfficiency",
                    of_report(year, of_year),
                    &["production_runs_by_state_and_finish_time"],
                ),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_run_of_a_year_is_told_on_its_own_day() {
    on_both(|db| async move {
        fill(&db).await;
        let day = |text: &str| period::date(text).expect("a date");
        let utc = period::zone("UTC").expect("a zone");
        let year = Period::new(day("1970-01-02"), day("1971-01-02"), utc, 366.days());
        let days = year.expect("366 days").days();
        let made = report::efficiency(&db, &days, None).await.expect("made");
        let counts: Vec<i64> = made.iter().map(|made| made.run_count).collect();
        // The 144th run was the first one of the second day.
        assert_eq!(counts[..137], [144; 137]);
        assert_eq!((counts[137], counts[138..].iter().sum::<i64>()), (129, 0));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_orders_is_found_by_an_index_whatever_it_is_of() {
    on_both(|db| async move {
        fill(&db).await;
        let list =
            |filter: order::Filter, after| order::listing(&filter, by("id", false), &page(after));
        let none = order::Filter::default;
        // The lines of the orders that were found.
        const LINES: &str = "l USING PRIMARY KEY or order_lines_pkey";
        each_uses(
            &db,
            vec![
                (
                    "the ten-thousandth order",
                    list(none(), Some(10_000)),
                    &["INTEGER PRIMARY KEY or orders_pkey", LINES],
                ),
                (
                    "of a state",
                    list(
                        order::Filter {
                            state: Some(OrderState::Placed),
                            ..none()
                        },
                        Some(10_000),
                    ),
                    &["orders_by_state", LINES],
                ),
                (
                    "of a customer",
                    list(
                        order::Filter {
                            customer_id: Some(7),
                            ..none()
                        },
                        None,
                    ),
                    &["orders_by_customer", LINES],
                ),
                (
                    "of a person",
                    list(
                        order::Filter {
                            user_id: Some(7),
                            ..none()
                        },
                        None,
                    ),
                    &["customers_user_id_key", "orders_by_customer", LINES],
                ),
                (
                    "with a product",
                    list(
                        order::Filter {
                            product_id: Some(499),
                            ..none()
                        },
                        None,
                    ),
                    &["order_lines_product_id_order_id_key", LINES],
                ),
                (
                    "with a product, of a customer",
                    list(
                        order::Filter {
                            customer_id: Some(7),
                            product_id: Some(3),
                            ..none()
                        },
                        None,
                    ),
                    &["orders_by_customer", LINES],
                ),
                (
                    "of a day",
                    list(
                        order::Filter {
                            placed_after: Some(130 * DAY),
                            placed_before: Some(131 * DAY),
                            ..none()
                        },
                        None,
                    ),
                    &["orders_by_create_time", LINES],
                ),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_log_is_read_by_what_is_asked_for_and_never_sorted() {
    on_both(|db| async move {
        fill(&db).await;
        let list =
            |filter: change::Filter| change::listing(&filter, by("sequence", true), &page(None));
        let none = change::Filter::default;
        let rare = || change::Filter {
            kind: Some(Kind::Employee),
            ..none()
        };
        let orders = || change::Filter {
            kind: Some(Kind::Order),
            ..none()
        };
        let statements = vec![
            ("the newest", list(none()), &["changes_seq_key"] as &[&str]),
            ("of a rare kind", list(rare()), &["changes_by_kind"]),
            (
                "of a frequent kind",
                list(orders()),
                &["changes_by_kind or changes_seq_key"],
            ),
            (
                "of one order",
                list(change::Filter {
                    resource_id: Some(77),
                    ..orders()
                }),
                &["changes_by_resource"],
            ),
            (
                "a stream of all",
                change::window(&none(), (15_000, 16_000), 20),
                &["changes_seq_key"],
            ),
            (
                "a stream of orders",
                change::window(&orders(), (15_000, 16_000), 20),
                &["changes_by_kind or changes_seq_key"],
            ),
        ];
        for (what, (sql, args), _) in &statements {
            let plan = plan(&db, (sql.clone(), args.clone())).await;
            let sorts = plan.contains("TEMP B-TREE") || plan.contains("Sort Key");
            assert!(!sorts, "{what} is sorted:\n{plan}");
        }
        each_uses(&db, statements).await;
        let own = change::Filter {
            owner: Some(7),
            ..orders()
        };
        each_uses(
            &db,
            vec![
                (
                    "by one person",
                    list(change::Filter {
                        actor: Some("user:7".into()),
                        ..none()
                    }),
                    &["changes_by_actor"],
                ),
                (
                    "of orders, by one person",
                    list(change::Filter {
                        actor: Some("user:7".into()),
                        ..orders()
                    }),
                    &["changes_by_actor"],
                ),
                (
                    "a stream of a customer's orders",
                    change::window(&own, (15_000, 16_000), 20),
                    &[
                        "customers_user_id_key",
                        "changes_by_kind or changes_by_customer or changes_seq_key",
                    ],
                ),
                (
                    "the answers about a customer",
                    of_report(
                        remembered::OF_CUSTOMER,
                        vec![
                            Arg::Int(7),
                            Arg::Text(String::new()),
                            Arg::Text(String::new()),
                            Arg::Int(500),
                        ],
                    ),
                    &["idempotency_keys_by_customer"],
                ),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn people_products_and_tickets_are_found_by_an_index() {
    on_both(|db| async move {
        fill(&db).await;
        let prefix = |text: &str| Prefix::parse(text).expect("a prefix");
        let people = customer::Filter {
            query: prefix("5123"),
            show_deleted: false,
        };
        let products = product::Filter {
            query: prefix("p49"),
            ..product::Filter::default()
        };
        let low = product::Filter {
            low_stock: true,
            ..product::Filter::default()
        };
        let mine = ticket::Filter {
            login: Some(7),
            ..ticket::Filter::default()
        };
        let own = ticket::Filter {
            user_id: Some(7),
            ..ticket::Filter::default()
        };
        let of_customer = ticket::Filter {
            customer_id: Some(7),
            ..ticket::Filter::default()
        };
        each_uses(
            &db,
            vec![
                (
                    "customers",
                    customer::listing(&people, by("id", false), &page(None)),
                    &[
                        "customers_by_name",
                        "customers_by_last_name",
                        "customers_by_email",
                        "customers_by_phone",
                    ],
                ),
                (
                    "products",
                    product::listing(&products, by("id", false), &page(None)),
                    &["products_sku_canonical_key", "products_by_name"],
                ),
                (
                    "what is low in stock",
                    product::listing(&low, by("id", false), &page(None)),
                    // SQLite goes through the products by their ids.
                    &["products_low_in_stock or SCAN products"],
                ),
                (
                    "products by SKU",
                    product::listing(&product::Filter::default(), by("sku", false), &page(None)),
                    &["products_sku_canonical_key"],
                ),
                (
                    "a mechanic's tickets",
                    ticket::listing(&mine, by("id", true), &page(None)),
                    &["service_tickets_by_employee or service_tickets_pkey"],
                ),
                (
                    "a customer's tickets",
                    ticket::listing(&of_customer, by("id", true), &page(None)),
                    &["service_tickets_by_customer"],
                ),
                (
                    "a person's tickets",
                    ticket::listing(&own, by("id", true), &page(None)),
                    &["customers_user_id_key", "service_tickets_by_customer"],
                ),
            ],
        )
        .await;
    })
    .await;
}
