//! Products and their stock.

use millgate_contract::factory::v1 as pb;
use prost_types::FieldMask;
use tonic::Code;

use crate::world::{is_refused, money, ok, on_both, refused, with_token};

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
            (Some(money("EUR", 1, 500_000_000)), "1-0")
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
            &["product.sku", "product.name", "product.unit_price"],
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
            ("Nut", "", "2-0")
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
