//! Products and their stock.

use millgate_contract::factory::v1 as pb;
use prost_types::FieldMask;
use tonic::Code;

use crate::world::{is_refused, metadata, money, ok, on_both, refused, uuid, with_token};

fn new(sku: &str) -> pb::Product {
    pb::Product {
        sku: sku.to_owned(),
        name: "Bolt".to_owned(),
        unit_price: Some(money("EUR", 1, 0)),
        ..pb::Product::default()
    }
}

fn create(product: pb::Product) -> pb::CreateProductRequest {
    pb::CreateProductRequest {
        product: Some(product),
        request_id: String::new(),
    }
}

#[tokio::test]
async fn a_product_goes_in_and_comes_out_with_its_stock_in_the_ledger() {
    on_both(|world| async move {
        let product = world.product("M8", 10).await;
        assert_eq!(
            (product.on_hand, product.reserved, product.available),
            (10, 0, 10)
        );
        assert_eq!(product.state(), pb::ProductState::Active);
        assert_eq!(
            (product.unit_price.clone(), product.etag.as_str()),
            (Some(money("EUR", 1, 500_000_000)), "1")
        );
        assert_eq!(world.get_product(product.id).await, product);
        world.stock_adds_up().await;
        world.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_of_a_product_is_named_at_once_and_nothing_is_written() {
    on_both(|world| async move {
        let mut bad = new("not a sku");
        bad.name = String::new();
        bad.unit_price = Some(money("EUR", 1, 5));
        bad.on_hand = -1;
        bad.state = 99;
        let answer = world
            .products()
            .create_product(world.staff(create(bad)))
            .await;
        let fields = [
            "product.sku",
            "product.name",
            "product.unit_price",
            "product.on_hand",
            "product.state",
        ];
        is_refused(answer, "FIELD_INVALID", &fields);
        let mut bad = new("M8");
        bad.id = 7;
        bad.reserved = 1;
        let answer = world
            .products()
            .create_product(world.staff(create(bad)))
            .await;
        is_refused(
            answer,
            "FIELD_NOT_WRITABLE",
            &["product.id", "product.reserved"],
        );
        let mut bad = new("M8");
        bad.on_hand = i64::MAX;
        bad.unit_price = Some(money("EUR", i64::MAX, 0));
        let answer = world
            .products()
            .create_product(world.staff(create(bad)))
            .await;
        is_refused(
            answer,
            "AMOUNT_OUT_OF_RANGE",
            &["product.unit_price", "product.on_hand"],
        );
        let nothing = pb::CreateProductRequest::default();
        is_refused(
            world.products().create_product(world.staff(nothing)).await,
            "FIELD_INVALID",
            &["product"],
        );
        assert_eq!(world.count("SELECT count(*) FROM products").await, 0);
        assert_eq!(world.count("SELECT count(*) FROM stock_movements").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_sku_is_taken_whatever_its_case_and_stays_taken_by_a_deleted_product() {
    on_both(|world| async move {
        let product = world.product("AB-1", 0).await;
        let again = || world.staff(create(new("ab-1")));
        assert_eq!(
            refused(world.products().create_product(again()).await).reason,
            "SKU_TAKEN"
        );
        let delete = pb::DeleteProductRequest {
            id: product.id,
            ..Default::default()
        };
        ok(world.products().delete_product(world.staff(delete)).await);
        let refusal = refused(world.products().create_product(again()).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "SKU_TAKEN")
        );
        assert_eq!(world.count("SELECT count(*) FROM products").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_customer_reads_products_but_saves_none() {
    on_both(|world| async move {
        let product = world.product("M8", 1).await;
        let read = world.customer(7, pb::GetProductRequest { id: product.id });
        assert_eq!(ok(world.products().get_product(read).await).sku, "M8");
        let answer = world
            .products()
            .create_product(world.customer(7, create(new("M9"))))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let answer = world.products().create_product(create(new("M9"))).await;
        assert_eq!(refused(answer).reason, "TOKEN_MISSING");
        let forged = with_token(create(new("M9")), "not.a.token");
        assert_eq!(
            refused(world.products().create_product(forged).await).reason,
            "TOKEN_INVALID"
        );
        let answer = world
            .products()
            .create_product(world.service("products.read", create(new("M9"))))
            .await;
        assert_eq!(refused(answer).reason, "SCOPE_DENIED");
        assert_eq!(world.count("SELECT count(*) FROM products").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_product_is_seen_by_staff_only_and_comes_back() {
    on_both(|world| async move {
        let product = world.product("M8", 1).await;
        let delete = pb::DeleteProductRequest {
            id: product.id,
            ..Default::default()
        };
        let deleted = ok(world
            .products()
            .delete_product(world.staff(delete.clone()))
            .await);
        assert!(deleted.delete_time.is_some());
        let get = pb::GetProductRequest { id: product.id };
        assert_eq!(
            refused(world.products().get_product(world.customer(7, get)).await).reason,
            "PRODUCT_NOT_FOUND"
        );
        assert!(
            ok(world.products().get_product(world.staff(get)).await)
                .delete_time
                .is_some()
        );
        let again = world.products().delete_product(world.staff(delete)).await;
        assert_eq!(refused(again).reason, "PRODUCT_NOT_FOUND");

        let all = pb::ListProductsRequest {
            show_deleted: true,
            ..Default::default()
        };
        let answer = world
            .products()
            .list_products(world.customer(7, all.clone()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        assert_eq!(
            ok(world.products().list_products(world.staff(all)).await)
                .products
                .len(),
            1
        );
        let live = pb::ListProductsRequest::default();
        assert!(
            ok(world.products().list_products(world.staff(live)).await)
                .products
                .is_empty()
        );

        let back = pb::UndeleteProductRequest {
            id: product.id,
            ..Default::default()
        };
        assert_eq!(
            ok(world
                .products()
                .undelete_product(world.staff(back.clone()))
                .await)
            .delete_time,
            None
        );
        assert_eq!(
            refused(world.products().undelete_product(world.staff(back)).await).reason,
            "STATE_CONFLICT"
        );
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_what_the_mask_names_and_a_stale_etag_writes_nothing() {
    on_both(|world| async move {
        let product = world.product("M8", 5).await;
        let update = |change: pb::Product, paths: &[&str]| pb::UpdateProductRequest {
            product: Some(pb::Product {
                id: product.id,
                ..change
            }),
            update_mask: Some(FieldMask {
                paths: paths.iter().map(ToString::to_string).collect(),
            }),
        };
        let renamed = pb::Product {
            name: "Nut".into(),
            description: "kept out".into(),
            ..Default::default()
        };
        let renamed = ok(world
            .products()
            .update_product(world.staff(update(renamed, &["name"])))
            .await);
        assert_eq!(
            (
                renamed.name.as_str(),
                renamed.description.as_str(),
                renamed.etag.as_str()
            ),
            ("Nut", "", "2")
        );
        assert_eq!((renamed.sku.as_str(), renamed.on_hand), ("M8", 5));

        let stale = pb::Product {
            name: "Old".into(),
            etag: product.etag.clone(),
            ..Default::default()
        };
        let answer = world
            .products()
            .update_product(world.staff(update(stale, &[])))
            .await;
        let refusal = refused(answer);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Aborted, "ETAG_MISMATCH")
        );
        for (path, reason) in [
            ("on_hand", "FIELD_NOT_WRITABLE"),
            ("id", "FIELD_NOT_WRITABLE"),
            ("colour", "UNKNOWN_FIELD"),
            ("unit_price.units", "UNKNOWN_FIELD"),
        ] {
            let answer = world
                .products()
                .update_product(world.staff(update(new("M9"), &[path])))
                .await;
            assert_eq!(refused(answer).reason, reason, "{path}");
        }
        let mut products = world.products();
        let answer = products
            .update_product(world.staff(update(Default::default(), &["unit_price", "state"])));
        is_refused(
            answer.await,
            "FIELD_INVALID",
            &["product.unit_price", "product.state"],
        );
        assert_eq!(world.get_product(product.id).await, renamed);
    })
    .await;
}

#[tokio::test]
async fn a_stock_never_falls_below_what_is_reserved_or_grows_past_its_bound() {
    on_both(|world| async move {
        let product = world.product("M8", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        world.placed(customer.id, product.id, 4).await;
        let adjust = |delta: i64| {
            let reason = "count".to_owned();
            world.staff(pb::AdjustStockRequest {
                id: product.id,
                delta,
                reason,
                ..Default::default()
            })
        };
        let answer = world.products().adjust_stock(adjust(-7)).await;
        assert_eq!(metadata(&answer, "reserved").as_deref(), Some("4"));
        assert_eq!(refused(answer).reason, "OUT_OF_STOCK");
        assert_eq!(
            refused(world.products().adjust_stock(adjust(-11)).await).reason,
            "OUT_OF_STOCK"
        );
        let answer = world
            .products()
            .adjust_stock(adjust(1_000_000_000_000))
            .await;
        assert_eq!(refused(answer).reason, "AMOUNT_OUT_OF_RANGE");
        is_refused(
            world.products().adjust_stock(adjust(i64::MIN)).await,
            "AMOUNT_OUT_OF_RANGE",
            &["delta"],
        );
        is_refused(
            world.products().adjust_stock(adjust(0)).await,
            "FIELD_INVALID",
            &["delta"],
        );
        assert_eq!(world.get_product(product.id).await.on_hand, 10);
        let down = ok(world.products().adjust_stock(adjust(-6)).await);
        assert_eq!((down.on_hand, down.reserved, down.available), (4, 4, 0));
        let delete = pb::DeleteProductRequest {
            id: product.id,
            ..Default::default()
        };
        assert_eq!(
            refused(world.products().delete_product(world.staff(delete)).await).reason,
            "REFERENCED"
        );
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_id_gives_the_first_answer_again_and_moves_the_stock_once() {
    on_both(|world| async move {
        let product = world.product("M8", 10).await;
        let request = pb::AdjustStockRequest {
            id: product.id,
            delta: 5,
            reason: "delivery".to_owned(),
            request_id: uuid(),
            ..Default::default()
        };
        let first = ok(world
            .products()
            .adjust_stock(world.staff(request.clone()))
            .await);
        let again = ok(world
            .products()
            .adjust_stock(world.staff(request.clone()))
            .await);
        assert_eq!((first.on_hand, &first), (15, &again));
        let other = pb::AdjustStockRequest {
            delta: 6,
            ..request.clone()
        };
        let refusal = refused(world.products().adjust_stock(world.staff(other)).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "REQUEST_ID_REUSED")
        );
        let bad = pb::AdjustStockRequest {
            request_id: "1".to_owned(),
            ..request
        };
        is_refused(
            world.products().adjust_stock(world.staff(bad)).await,
            "FIELD_INVALID",
            &["request_id"],
        );
        assert_eq!(world.get_product(product.id).await.on_hand, 15);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn pages_hold_every_product_once_in_each_order_and_tokens_do_not_travel() {
    on_both(|world| async move {
        for sku in ["c", "A", "b", "D", "e"] {
            world.product(sku, 1).await;
        }
        for (order_by, expected) in [
            ("", "cAbDe"),
            ("id desc", "eDbAc"),
            ("sku", "AbcDe"),
            ("sku desc", "eDcbA"),
        ] {
            let mut skus = String::new();
            let mut request = pb::ListProductsRequest {
                page_size: 2,
                order_by: order_by.to_owned(),
                ..Default::default()
            };
            loop {
                let page = ok(world
                    .products()
                    .list_products(world.staff(request.clone()))
                    .await);
                assert!(page.products.len() <= 2);
                skus.extend(page.products.iter().map(|product| product.sku.as_str()));
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            assert_eq!(skus, expected, "{order_by:?}");
        }
        let first = pb::ListProductsRequest {
            page_size: 2,
            ..Default::default()
        };
        let token = ok(world
            .products()
            .list_products(world.staff(first.clone()))
            .await)
        .next_page_token;
        let next = pb::ListProductsRequest {
            page_token: token,
            ..first
        };
        for other in [
            world.staff(pb::ListProductsRequest {
                query: "a".into(),
                ..next.clone()
            }),
            world.staff(pb::ListProductsRequest {
                order_by: "sku".into(),
                ..next.clone()
            }),
            world.admin(next.clone()),
        ] {
            assert_eq!(
                refused(world.products().list_products(other).await).reason,
                "PAGE_TOKEN_INVALID"
            );
        }
        let bad = pb::ListProductsRequest {
            page_size: -1,
            ..Default::default()
        };
        is_refused(
            world.products().list_products(world.staff(bad)).await,
            "FIELD_INVALID",
            &["page_size"],
        );
        let bad = pb::ListProductsRequest {
            order_by: "name".into(),
            state: 9,
            query: "\0".into(),
            ..Default::default()
        };
        let answer = world.products().list_products(world.staff(bad)).await;
        is_refused(answer, "FIELD_INVALID", &["query", "state", "order_by"]);
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_what_begins_with_it_whatever_the_case() {
    on_both(|world| async move {
        for sku in ["Bolt-1", "bolt-2", "Nut-1", "bo_lt", "bo%lt"] {
            if !sku.contains('%') {
                world.product(sku, 1).await;
            }
        }
        for (query, expected) in [
            ("BOLT", 2),
            ("nut", 1),
            ("olt", 0),
            ("bo_", 1),
            ("bo%", 0),
            ("product b", 3),
            ("", 4),
        ] {
            let request = pb::ListProductsRequest {
                query: query.to_owned(),
                ..Default::default()
            };
            let found = ok(world.products().list_products(world.staff(request)).await)
                .products
                .len();
            assert_eq!(found, expected, "{query:?}");
        }
        let inactive = pb::ListProductsRequest {
            state: 2,
            ..Default::default()
        };
        assert!(
            ok(world.products().list_products(world.staff(inactive)).await)
                .products
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_batch_comes_in_the_order_asked_for_all_or_none() {
    on_both(|world| async move {
        let (a, b) = (world.product("a", 1).await, world.product("b", 1).await);
        let get =
            |ids: &[i64]| world.customer(7, pb::BatchGetProductsRequest { ids: ids.to_vec() });
        let found = ok(world
            .products()
            .batch_get_products(get(&[b.id, a.id, b.id]))
            .await)
        .products;
        assert_eq!(found, [b.clone(), a.clone(), b.clone()]);
        let answer = world
            .products()
            .batch_get_products(get(&[a.id, 999, 998]))
            .await;
        is_refused(answer, "PRODUCT_NOT_FOUND", &["ids[1]", "ids[2]"]);
        is_refused(
            world.products().batch_get_products(get(&[])).await,
            "FIELD_INVALID",
            &["ids"],
        );
        is_refused(
            world.products().batch_get_products(get(&[0, -1])).await,
            "FIELD_INVALID",
            &["ids[0]", "ids[1]"],
        );
        is_refused(
            world.products().batch_get_products(get(&[1; 1001])).await,
            "FIELD_INVALID",
            &["ids"],
        );
    })
    .await;
}
