//! What the schema itself promises, on both databases: the last line when a rule of ours has a hole.

use std::future::Future;

use millgate_platform::testing::{both_databases, sorted_by_a_language};
use millgate_platform::{Database, Fault, Reason, Tx, on_tx, violated};
use sqlx::AssertSqlSafe;

use super::change::{self, Owned, Shown};
use super::{MIGRATIONS, customer, email, login, placing, product, registration};
use crate::domain::access::{Actor, Owner, Sight};
use crate::domain::change::{Author, Kind, Subject};
use crate::domain::contact::{Email, Phone};
use crate::domain::customer::CustomerFields;
use crate::domain::money::{Currency, Money};
use crate::domain::name::Name;
use crate::domain::placement::{Line, Placement, Totals, WantedLines};
use crate::domain::product::{ProductFields, ProductState, Sku};
use crate::domain::rate::BasisPoints;
use crate::store::placing::{Buyer, NewOrder};

async fn on_both<F, Fut>(test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    both_databases(&MIGRATIONS, test).await;
}

fn price() -> Money {
    let euro = Currency::parse("EUR").expect("a currency");
    Money::of_minor(150, euro).expect("a price")
}

async fn a_product(tx: &mut Tx, sku: &str, on_hand: i64) -> i64 {
    let fields = ProductFields {
        sku: Sku::parse(sku).expect("a SKU"),
        name: "Bolt".into(),
        description: String::new(),
        unit_price: price(),
        state: ProductState::Active,
        tax_rate: BasisPoints::default(),
        reorder_threshold: 0,
    };
    product::insert(tx, &fields, on_hand, 1)
        .await
        .expect("a product")
        .id
}

fn profile(address: &str) -> CustomerFields {
    CustomerFields {
        name: Name::stored("Ada".into(), "Lovelace".into()),
        email: Email::parse(address).expect("an address"),
        phone: Phone::default(),
        shipping_address: String::new(),
        notes: String::new(),
    }
}

fn actor() -> Actor {
    Actor {
        key: "user:1".into(),
        session: "s".into(),
    }
}

/// The constraint that refuses a statement, and then nothing of it is there.
async fn refused_by(db: &Database, sql: String) -> String {
    let mut tx = db.begin().await.expect("begun");
    let done = on_tx!(tx, |c| sqlx::query(AssertSqlSafe(sql))
        .execute(c)
        .await
        .map(drop));
    let error = done.expect_err("refused");
    violated(&error)
        .map(|broken| broken.constraint.into_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn the_database_itself_refuses_a_stock_that_cannot_be() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        let id = a_product(&mut tx, "M8", 10).await;
        tx.commit().await.expect("committed");
        for (change, constraint) in [
            ("on_hand = -1", "products_on_hand_not_negative"),
            ("reserved = 11", "products_reserved_on_hand"),
            ("reserved = -1", "products_reserved_not_negative"),
            ("on_hand = 1000000000001", "products_on_hand_bounded"),
            ("unit_price_minor = -1", "products_unit_price_not_negative"),
            ("state = 'SOLD'", "products_state_known"),
        ] {
            let refused =
                refused_by(&db, format!("UPDATE products SET {change} WHERE id = {id}")).await;
            // A negative stock also is less than what is reserved: either name is right.
            assert!(
                refused == constraint || refused == "products_reserved_on_hand",
                "{change}: {refused}"
            );
        }
        let left = product::get(&db, id, Sight::All)
            .await
            .expect("read")
            .expect("there");
        assert_eq!((left.on_hand, left.reserved), (10, 0));
    })
    .await;
}

#[tokio::test]
async fn a_reservation_past_the_stock_is_out_of_stock_even_when_nobody_checked() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        let id = a_product(&mut tx, "M8", 10).await;
        let ada = customer::insert(&mut tx, &profile("ada@example.com"), None, 1)
            .await
            .expect("a customer");
        tx.commit().await.expect("committed");
        let line = Line {
            product_id: id,
            sku: "M8".into(),
            name: "Bolt".into(),
            unit_price: price(),
            quantity: 11,
            discount_rate: BasisPoints::default(),
            discount: price().less(price()),
            line_total: price().times(11).expect("in range"),
            tax_rate: BasisPoints::default(),
            tax: price().less(price()),
        };
        let placement = Placement {
            totals: Totals {
                subtotal: line.line_total,
                tax: line.tax,
                total: line.line_total,
            },
            lines: vec![line],
        };
        let buyer = Buyer {
            customer_id: ada.id,
            shipping_address: String::new(),
        };
        let new = NewOrder {
            buyer: &buyer,
            placement: &placement,
            notes: "",
        };
        let mut tx = db.begin().await.expect("begun");
        let fault = placing::place(&mut tx, &new, &actor(), 2)
            .await
            .expect_err("refused");
        assert_eq!(fault.reason(), Reason::OutOfStock);
        drop(tx);
        let left = product::get(&db, id, Sight::All)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(left.reserved, 0);
    })
    .await;
}

#[tokio::test]
async fn five_hundred_lines_are_offered_in_the_order_of_their_ids_and_placed() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        let mut ids = Vec::new();
        for i in 0..500 {
            ids.push(a_product(&mut tx, &format!("P{i}"), 3).await);
        }
        let ada = customer::insert(&mut tx, &profile("ada@example.com"), Some(7), 1)
            .await
            .expect("a customer");
        let mut fields = millgate_platform::Fields::new();
        let wanted = WantedLines::parse(ids.iter().rev().map(|id| (*id, 2)), true, &mut fields);
        fields.finish().expect("good lines");
        let wanted = wanted.expect("good lines");
        let (found, offers) = placing::offers(&mut tx, Owner::User(7), &wanted)
            .await
            .expect("offers");
        assert_eq!(found.customer_id, ada.id);
        assert_eq!(
            offers
                .iter()
                .map(|offer| offer.product_id)
                .collect::<Vec<_>>(),
            ids
        );
        let placement = Placement::price(&wanted, &offers).expect("priced");
        let new = NewOrder {
            buyer: &found,
            placement: &placement,
            notes: "",
        };
        let order = placing::place(&mut tx, &new, &actor(), 2)
            .await
            .expect("placed");
        tx.commit().await.expect("committed");
        let order = super::order::get(&db, order.id, Sight::All)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(order.lines, placement.lines);
        let last = product::get(&db, ids[499], Sight::All)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(last.reserved, 2);
    })
    .await;
}

#[tokio::test]
async fn an_address_has_one_holder_be_it_profile_or_registration() {
    on_both(|db| async move {
        let address = Email::parse("Ada@Example.com").expect("an address");
        let mut tx = db.begin().await.expect("begun");
        let fields = profile("ada@example.com");
        let ada = customer::insert(&mut tx, &fields, None, 1)
            .await
            .expect("a customer");
        email::take(&mut tx, &address, email::Holder::Customer(ada.id), "email")
            .await
            .expect("free");
        tx.commit().await.expect("committed");

        let begin = async |id: &str| {
            let new = registration::NewRegistration {
                id,
                request_id: Some("22222222-2222-4222-8222-222222222222"),
                body_hash: b"hash",
                fields: &fields,
            };
            let times = registration::Times {
                now: 1,
                held_until: 5,
                check_time: 10,
            };
            let mut tx = db.begin().await?;
            if !registration::insert(&mut tx, &new, times).await? {
                return Ok(false);
            }
            email::take(
                &mut tx,
                &fields.email,
                email::Holder::Registration(new.id),
                "email",
            )
            .await?;
            tx.commit().await?;
            Ok::<_, Fault>(true)
        };
        assert_eq!(
            begin("one").await.expect_err("taken").reason(),
            Reason::EmailTaken
        );
        let mut tx = db.begin().await.expect("begun");
        email::release(&mut tx, email::Holder::Customer(ada.id))
            .await
            .expect("released");
        tx.commit().await.expect("committed");
        assert!(begin("two").await.expect("free"));
        assert!(!begin("three").await.expect("the same request"));
    })
    .await;
}

#[tokio::test]
async fn of_replicas_one_takes_what_is_due() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        login::add(&mut tx, 7, 100, 1).await.expect("added");
        login::add(&mut tx, 7, 100, 1).await.expect("added once");
        tx.commit().await.expect("committed");
        assert!(login::due(&db, 99, 10).await.expect("read").is_empty());
        assert_eq!(login::due(&db, 100, 10).await.expect("read"), [(7, 0)]);
        let takes = [
            login::take(&db, 7, 100, 200).await,
            login::take(&db, 7, 100, 200).await,
        ];
        assert_eq!(takes.map(|taken| taken.expect("written")), [true, false]);
        assert_eq!(login::due(&db, 200, 10).await.expect("read"), [(7, 1)]);
    })
    .await;
}

#[tokio::test]
async fn names_are_sorted_and_searched_by_code_point_on_both_databases() {
    both_databases(&MIGRATIONS, |db| async move {
        assert_eq!(sorted_by_a_language(&db).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_change_is_let_through_by_the_same_filters_in_memory_and_in_the_database() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        let mut customers = Vec::new();
        for (address, user) in [("a@example.com", Some(7)), ("b@example.com", None)] {
            let made = customer::insert(&mut tx, &profile(address), user, 1).await;
            customers.push(made.expect("a customer").id);
        }
        let owners = [None, Some(customers[0]), Some(customers[1])];
        for number in 0..36_usize {
            let author = Author {
                actor: Actor {
                    key: ["user:1", "user:2"][number % 2].into(),
                    session: String::new(),
                },
                act: String::new(),
                request_id: String::new(),
            };
            let subject = Subject {
                kind: [Kind::Order, Kind::Ticket][number / 2 % 2],
                id: [4, 5, 6][number / 4 % 3],
                customer_id: owners[number / 12],
            };
            let verb = ["create", "cancel"][number % 2];
            change::insert(&mut tx, &author, subject, verb, &Shown::default(), 1)
                .await
                .expect("inserted");
        }
        tx.commit().await.expect("committed");
        assert_eq!(change::publish(&db).await.expect("published"), 36);
        let all = change::all_between(&db, (0, 36), 100).await.expect("read");
        assert_eq!(all.len(), 36);
        for number in 0..32 {
            let set = |bit: u32| number >> bit & 1 == 1;
            let filter = change::Filter {
                kind: set(0).then_some(Kind::Order),
                resource_id: set(1).then_some(5),
                actor: set(2).then(|| "user:2".to_owned()),
                verb: set(3).then(|| "cancel".to_owned()),
                owner: set(4).then_some(7),
            };
            let admitted = all.iter().filter(|new| filter.admits(new));
            let admitted: Vec<_> = admitted.map(|new| new.change.seq).collect();
            let found = change::between(&db, &filter, (0, 36), 100).await;
            let found = found.expect("read").into_iter().map(|change| change.seq);
            assert_eq!(admitted, found.collect::<Vec<_>>(), "{filter:?}");
            assert!(!admitted.is_empty(), "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_erasure_reaches_every_change_of_the_customer_published_or_not_and_no_others() {
    on_both(|db| async move {
        let mut tx = db.begin().await.expect("begun");
        let mut ids = Vec::new();
        for address in ["a@example.com", "b@example.com"] {
            let made = customer::insert(&mut tx, &profile(address), None, 1).await;
            ids.push(made.expect("a customer").id);
        }
        tx.commit().await.expect("committed");
        let shown = r#"{"id":"1","notes":"ring twice","shipping_address":"Elm Street 1"}"#;
        let filled = |first: i64, last: i64| {
            let (seq, owner) = match db {
                Database::Sqlite(_) => ("n", ids[0]),
                Database::Postgres(_) => ("NULL", ids[0]),
            };
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) \
                 INSERT INTO changes (seq, time, actor, session, act, request_id, kind, resource_id, customer_id, verb, \
                 before_json, after_json) SELECT {seq}, n, 'user:1', '', '', '', \
                 CASE WHEN n % 2 = 0 THEN 'orders' ELSE 'tickets' END, n, {owner} + n / 6000, 'create', NULL, '{shown}' \
                 FROM numbers"
            )
        };
        // More than one statement takes; on PostgreSQL the second half has no number yet.
        for (first, last, is_published) in [(1, 3_000, true), (3_001, 6_100, false)] {
            let mut tx = db.begin().await.expect("begun");
            on_tx!(tx, |c| sqlx::query(AssertSqlSafe(filled(first, last)))
                .execute(c)
                .await
                .map(drop))
            .expect("filled");
            tx.commit().await.expect("committed");
            if is_published {
                assert_eq!(change::publish(&db).await.expect("published"), last);
            }
        }
        let mut tx = db.begin().await.expect("begun");
        change::erase(&mut tx, ids[0]).await.expect("erased");
        tx.commit().await.expect("committed");
        assert_eq!(change::publish(&db).await.expect("published"), 6_100);
        let all = change::all_between(&db, (0, 6_100), 10_000).await;
        let all = all.expect("read");
        assert_eq!(all.len(), 6_100);
        for Owned { change, .. } in all {
            let after = change.after.expect("it shows something");
            let is_others = change.resource_id >= 6_000;
            let is_order = change.kind == "orders";
            let said = (after.contains("Elm Street"), after.contains("ring"));
            // A ticket has no such members, so nothing of it is taken here.
            let expected = if is_others || !is_order { (true, true) } else { (false, false) };
            assert_eq!(said, expected, "{}: {after}", change.resource_id);
            assert!(after.contains("\"id\""), "{after}");
        }
    })
    .await;
}
