//! Lists of products: pages, filters, batches.

use millgate_contract::factory::v1 as pb;

use crate::world::{is_refused, ok, on_both, refused};

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
