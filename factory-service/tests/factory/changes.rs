//! The log of changes, and the streams of it.

use std::collections::HashSet;
use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use tonic::{Code, Streaming};

use crate::leaks::whole_database;
use crate::world::{World, is_refused, ok, on_both, order_of, refused, uuid, with_token};

type Watch = Streaming<pb::WatchChangesResponse>;

async fn watch(world: &World, from_sequence: i64, resource_kind: &str) -> Watch {
    let request = pb::WatchChangesRequest {
        from_sequence,
        resource_kind: resource_kind.to_owned(),
    };
    ok(world.changes().watch_changes(world.staff(request)).await)
}

/// The next change of a stream; there must be one soon.
async fn next(watch: &mut Watch) -> pb::Change {
    let told = tokio::time::timeout(Duration::from_secs(20), watch.message()).await;
    let told = told.expect("in time").expect("a change");
    told.expect("not the end").change.expect("a change")
}

async fn list(world: &World, request: pb::ListChangesRequest) -> Vec<pb::Change> {
    ok(world.changes().list_changes(world.staff(request)).await).changes
}

/// Waits until so many changes are published.
async fn published(world: &World, count: i64) {
    let sql = "SELECT coalesce(max(seq), 0) FROM changes";
    world.comes_to(sql, count).await;
}

fn text(shown: &Option<prost_types::Struct>, member: &str) -> Option<String> {
    match shown.as_ref()?.fields.get(member)?.kind.as_ref()? {
        prost_types::value::Kind::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[tokio::test]
async fn every_write_leaves_who_what_when_and_by_which_request() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let update = pb::UpdateProductRequest {
            product: Some(pb::Product {
                id: bolt.id,
                name: "Long bolt".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut request = world.staff(update);
        let id = "22222222-2222-4222-8222-222222222222";
        let entry = id.parse().expect("a header");
        request.metadata_mut().insert("x-request-id", entry);
        ok(world.products().update_product(request).await);
        published(&world, 2).await;
        let changes = list(&world, pb::ListChangesRequest::default()).await;
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.sequence, change.verb.as_str()))
            .collect();
        assert_eq!(told, [(2, "update"), (1, "create")], "the newest first");
        let [update, create] = &changes[..] else {
            panic!("two changes");
        };
        assert_eq!(update.actor, "user:2");
        assert_eq!(update.request_id, id);
        assert!(!update.session.is_empty() && update.time.is_some());
        assert_eq!(
            (update.resource_kind.as_str(), update.resource_id),
            ("products", bolt.id)
        );
        assert_eq!(
            text(&update.before, "name").as_deref(),
            Some("Product bolt")
        );
        assert_eq!(text(&update.after, "name").as_deref(), Some("Long bolt"));
        assert_eq!(create.before, None);
        assert_eq!(text(&create.after, "on_hand").as_deref(), Some("10"));
    })
    .await;
}

#[tokio::test]
async fn a_refused_write_leaves_no_change() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 1).await;
        let ada = world.profile("Ada Lovelace").await;
        let order = order_of(ada.id, &[(bolt.id, 2)]);
        let refusal = refused(world.orders().place_order(world.staff(order)).await);
        assert_eq!(refusal.reason, "OUT_OF_STOCK");
        let request = pb::UpdateProductRequest {
            product: Some(pb::Product {
                id: bolt.id,
                name: "Nut".into(),
                etag: "99".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let refusal = refused(world.products().update_product(world.staff(request)).await);
        assert_eq!(refusal.reason, "ETAG_MISMATCH");
        assert_eq!(world.count("SELECT count(*) FROM changes").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_customer_reads_no_changes_and_bad_filters_are_named_at_once() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let request = world.customer(ada.user_id, pb::ListChangesRequest::default());
        let refusal = refused(world.changes().list_changes(request).await);
        assert_eq!(refusal.reason, "ROLE_DENIED");
        let request = world.customer(ada.user_id, pb::WatchChangesRequest::default());
        let refusal = refused(world.changes().watch_changes(request).await);
        assert_eq!(refusal.reason, "ROLE_DENIED");
        let request = world.service("orders.read", pb::ListChangesRequest::default());
        let refusal = refused(world.changes().list_changes(request).await);
        assert_eq!(refusal.reason, "SCOPE_DENIED");
        let bad = pb::ListChangesRequest {
            resource_kind: "logins".into(),
            resource_id: -1,
            actor: "\0".into(),
            order_by: "time".into(),
            ..Default::default()
        };
        is_refused(
            world.changes().list_changes(world.staff(bad)).await,
            "FIELD_INVALID",
            &["resource_kind", "resource_id", "actor", "order_by"],
        );
        for from_sequence in [-1, 1_000_000] {
            let bad = pb::WatchChangesRequest {
                from_sequence,
                ..Default::default()
            };
            is_refused(
                world.changes().watch_changes(world.staff(bad)).await,
                "FIELD_INVALID",
                &["from_sequence"],
            );
        }
    })
    .await;
}

#[tokio::test]
async fn changes_are_listed_by_what_they_are_page_by_page() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 100).await;
        let ada = world.profile("Ada Lovelace").await;
        let order = world.placed(ada.id, bolt.id, 1).await;
        let confirm = pb::ConfirmOrderRequest {
            id: order.id,
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.admin(confirm)).await);
        published(&world, 4).await;
        let of_order = pb::ListChangesRequest {
            resource_kind: "orders".into(),
            resource_id: order.id,
            order_by: "sequence".into(),
            page_size: 1,
            ..Default::default()
        };
        let first = ok(world
            .changes()
            .list_changes(world.staff(of_order.clone()))
            .await);
        assert_eq!(first.changes[0].verb, "create");
        let second = pb::ListChangesRequest {
            page_token: first.next_page_token,
            ..of_order
        };
        let second = ok(world.changes().list_changes(world.staff(second)).await);
        assert_eq!(second.changes[0].verb, "confirm");
        assert_eq!(text(&second.changes[0].after, "lines"), None);
        assert_eq!(second.next_page_token, "");
        let by_admin = pb::ListChangesRequest {
            actor: "user:1".into(),
            ..Default::default()
        };
        assert_eq!(list(&world, by_admin).await.len(), 1);
        let created = pb::ListChangesRequest {
            verb: "create".into(),
            ..Default::default()
        };
        assert_eq!(list(&world, created).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_page_of_changes_is_read_a_few_at_a_time_and_is_whole_all_the_same() {
    on_both(|world| async move {
        for i in 0..45 {
            world.product(&format!("P{i}"), 1).await;
        }
        published(&world, 45).await;
        let mut seen = Vec::new();
        let mut page_token = String::new();
        for expected in [43, 2] {
            let request = pb::ListChangesRequest {
                page_size: 43,
                page_token: page_token.clone(),
                ..Default::default()
            };
            let page = ok(world.changes().list_changes(world.staff(request)).await);
            assert_eq!(page.changes.len(), expected);
            seen.extend(page.changes.iter().map(|change| change.sequence));
            page_token = page.next_page_token;
        }
        assert_eq!(page_token, "");
        assert_eq!(seen, (1..=45).rev().collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_at_once_a_watcher_sees_every_change_once_and_in_order() {
    on_both(|world| async move {
        let mut products = Vec::new();
        for i in 0..10 {
            products.push(world.product(&format!("P{i}"), 1000).await.id);
        }
        let mut first = watch(&world, 0, "").await;
        let writers: Vec<_> = (0..20)
            .map(|writer| {
                let (mut client, product) = (world.products(), products[writer % 10]);
                let token = world.issuer.user(2, "user").token();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let adjust = pb::AdjustStockRequest {
                            id: product,
                            delta: 1,
                            reason: "count".into(),
                            ..Default::default()
                        };
                        ok(client.adjust_stock(with_token(adjust, &token)).await);
                    }
                })
            })
            .collect();
        // Half-way, and then from where it was cut off: on another stream.
        let mut seen = Vec::new();
        while seen.len() < 100 {
            seen.push(next(&mut first).await);
        }
        drop(first);
        let last = seen.last().expect("some").sequence;
        let mut second = watch(&world, last + 1, "").await;
        while seen.len() < 210 {
            seen.push(next(&mut second).await);
        }
        for writer in writers {
            writer.await.expect("written");
        }
        let numbers: Vec<i64> = seen.iter().map(|change| change.sequence).collect();
        assert_eq!(
            numbers,
            (1..=210).collect::<Vec<_>>(),
            "each once, in order"
        );
        // In the order in which they took effect: the stock of each product grows by one at every change.
        for product in products {
            let stock: Vec<_> = seen
                .iter()
                .filter(|change| change.resource_id == product)
                .filter_map(|change| text(&change.after, "on_hand"))
                .collect();
            let grown: Vec<_> = (1000..=1020).map(|count: i64| count.to_string()).collect();
            assert_eq!(stock, grown);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_commits_late_is_never_skipped() {
    on_both(|world| async move {
        if world.url.starts_with("sqlite:") {
            // There is one writer: nobody else commits while a transaction is open.
            return;
        }
        use sqlx::Connection as _;
        let mut late = sqlx::PgConnection::connect(&world.url)
            .await
            .expect("the database");
        let mut open = late.begin().await.expect("begun");
        // It has its row, and its id, before everybody else.
        sqlx::query(
            "INSERT INTO changes (time, actor, session, act, request_id, kind, resource_id, verb) \
             VALUES (1, 'user:9', '', '', '', 'products', 77, 'create')",
        )
        .execute(&mut *open)
        .await
        .expect("inserted");
        let mut watch = watch(&world, 0, "").await;
        let bolt = world.product("bolt", 1).await;
        let first = next(&mut watch).await;
        assert_eq!((first.sequence, first.resource_id), (1, bolt.id));
        open.commit().await.expect("committed");
        let second = next(&mut watch).await;
        assert_eq!((second.sequence, second.resource_id), (2, 77));
        let id_of =
            "SELECT count(*) FROM changes a JOIN changes b ON a.id < b.id AND a.seq > b.seq";
        assert_eq!(world.count(id_of).await, 1, "its id is the smaller one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_after_a_crash_without_loss_or_repeat() {
    on_both(|world| async move {
        let mut seen = HashSet::new();
        let mut stream = watch(&world, 0, "products").await;
        for i in 0..5 {
            world.product(&format!("P{i}"), 1).await;
        }
        for _ in 0..3 {
            assert!(seen.insert(next(&mut stream).await.sequence));
        }
        let last = seen.iter().max().copied().expect("some");
        let world = world.crash_and_restart(Duration::from_secs(1)).await;
        for i in 5..10 {
            world.product(&format!("P{i}"), 1).await;
        }
        let mut stream = watch(&world, last + 1, "products").await;
        while seen.len() < 10 {
            assert!(seen.insert(next(&mut stream).await.sequence), "a repeat");
        }
        assert_eq!(seen, (1..=10).collect::<HashSet<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_a_caller_has_only_so_many() {
    on_both(|world| async move {
        let mut stream = watch(&world, 0, "").await;
        let mut others = Vec::new();
        for _ in 0..9 {
            others.push(watch(&world, 0, "").await);
        }
        let request = world.staff(pb::WatchChangesRequest::default());
        let refusal = refused(world.changes().watch_changes(request).await);
        assert_eq!(refusal.reason, "STREAM_LIMIT");
        world.clock.advance(Duration::from_secs(3600));
        let told = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
        let status = told.expect("in time").expect_err("ended");
        assert_eq!(status.code(), Code::Unauthenticated);
        let reason = tonic_types::StatusExt::get_error_details(&status);
        let reason = reason.error_info().map(|info| info.reason.clone());
        assert_eq!(reason.as_deref(), Some("TOKEN_EXPIRED"));
    })
    .await;
}

#[tokio::test]
async fn an_erasure_is_in_the_log_and_what_it_erased_is_not() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.registered("Ada Lovelace").await;
        let open = pb::OpenTicketRequest {
            description: "SECRET of Ada".into(),
            request_id: uuid(),
            ..Default::default()
        };
        let ticket = ok(world
            .tickets()
            .open_ticket(world.customer(ada.user_id, open))
            .await);
        let cancel = pb::CancelTicketRequest {
            id: ticket.id,
            ..Default::default()
        };
        ok(world.tickets().cancel_ticket(world.staff(cancel)).await);
        let order = world.placed(ada.id, bolt.id, 1).await;
        let cancel = pb::CancelOrderRequest {
            id: order.id,
            reason: "SECRET reason".into(),
            ..Default::default()
        };
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        let erase = pb::EraseCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        ok(world.customers().erase_customer(world.admin(erase)).await);
        let left = whole_database(&world).await;
        assert!(!left.contains("SECRET") && !left.contains("Ada"));
        published(&world, 7).await;
        let changes = list(&world, pb::ListChangesRequest::default()).await;
        let verbs: Vec<_> = changes.iter().map(|change| change.verb.as_str()).collect();
        let all = [
            "erase", "cancel", "create", "cancel", "create", "register", "create",
        ];
        assert_eq!(verbs, all);
        assert_eq!(changes[0].actor, "user:1");
        // The order stays countable, in the log as well.
        let total = &changes[2].after.as_ref().expect("the order").fields;
        assert!(total.contains_key("total") && total.contains_key("lines"));
    })
    .await;
}

#[tokio::test]
async fn no_write_without_a_row_in_the_log() {
    on_both(|world| async move {
        // The log cannot be written: then neither can anything else.
        world.product("bolt", 10).await;
        world.execute("ALTER TABLE changes RENAME TO lost").await;
        let product = pb::Product {
            sku: "nut".into(),
            name: "Nut".into(),
            unit_price: Some(crate::world::money("EUR", 1, 0)),
            ..Default::default()
        };
        let create = pb::CreateProductRequest {
            product: Some(product),
            ..Default::default()
        };
        refused(world.products().create_product(world.staff(create)).await);
        assert_eq!(world.count("SELECT count(*) FROM products").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_pool_of_one_connection_serves_requests_and_streams() {
    on_both(|world| async move {
        let world = world.restarted_with(&["--database-connections", "1"]).await;
        let mut stream = watch(&world, 0, "").await;
        let bolt = world.product("bolt", 1).await;
        assert_eq!(next(&mut stream).await.resource_id, bolt.id);
    })
    .await;
}
