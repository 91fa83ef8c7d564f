//! Products that come and go as streams.

use millgate_contract::factory::v1 as pb;
use tonic::{Request, Response, Status};

use crate::world::{World, money, ok, on_both, refused, uuid};

fn row(sku: &str, units: i64, on_hand: Option<i64>) -> pb::ImportProductsRow {
    pb::ImportProductsRow {
        sku: sku.to_owned(),
        name: format!("Product {sku}"),
        unit_price: Some(money("EUR", units, 0)),
        on_hand,
        ..Default::default()
    }
}

/// The messages of an import: how, and then the rows.
fn messages(
    dry_run: bool,
    request_id: &str,
    rows: Vec<pb::ImportProductsRow>,
) -> Vec<pb::ImportProductsRequest> {
    let how = pb::ImportProductsRequest {
        dry_run,
        request_id: request_id.to_owned(),
        row: None,
    };
    let rows = rows.into_iter().map(|row| pb::ImportProductsRequest {
        row: Some(row),
        ..Default::default()
    });
    std::iter::once(how).chain(rows).collect()
}

async fn import(
    world: &World,
    messages: Vec<pb::ImportProductsRequest>,
) -> Result<Response<pb::ImportProductsResponse>, Status> {
    let request = Request::new(tokio_stream::iter(messages));
    let (mut metadata, extensions, stream) = request.into_parts();
    metadata.clone_from(world.staff(()).metadata());
    let request = Request::from_parts(metadata, extensions, stream);
    world.products().import_products(request).await
}

async fn exported(world: &World) -> Vec<pb::Product> {
    let request = world.staff(pb::ExportProductsRequest {});
    let mut stream = ok(world.products().export_products(request).await);
    let mut products = Vec::new();
    while let Some(message) = stream.message().await.expect("a product") {
        products.push(message.product.expect("a product"));
    }
    products
}

fn told(report: &pb::ImportProductsResponse) -> [i64; 5] {
    [
        report.rows,
        report.created,
        report.updated,
        report.unchanged,
        report.refused,
    ]
}

#[tokio::test]
async fn rows_make_and_change_products_and_a_bad_row_stops_no_other() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.profile("Ada Lovelace").await;
        world.placed(ada.id, bolt.id, 4).await;
        let gone = world.product("gone", 1).await;
        let delete = pb::DeleteProductRequest {
            id: gone.id,
            ..Default::default()
        };
        ok(world.products().delete_product(world.staff(delete)).await);
        let rows = vec![
            row("nut", 1, Some(5)),
            row("BOLT", 2, Some(12)),
            row("", 1, None),
            row("gone", 1, None),
            row("bolt", 2, Some(3)),
            row("washer", -1, None),
            row("pin", 3, None),
            row("nut", 1, None),
        ];
        let dry = ok(import(&world, messages(true, "", rows.clone())).await);
        assert_eq!(told(&dry), [8, 2, 1, 1, 4]);
        assert!(dry.dry_run);
        assert_eq!(world.count("SELECT count(*) FROM products").await, 2);
        assert_eq!(world.get_product(bolt.id).await.on_hand, 10);

        let report = ok(import(&world, messages(false, "", rows)).await);
        assert_eq!(told(&report), [8, 2, 1, 1, 4]);
        let faults: Vec<_> = report
            .faults
            .iter()
            .map(|fault| (fault.row, fault.field.as_str(), fault.reason.as_str()))
            .collect();
        assert_eq!(
            faults,
            [
                (3, "sku", "FIELD_INVALID"),
                (4, "", "SKU_TAKEN"),
                (5, "", "OUT_OF_STOCK"),
                (6, "unit_price", "FIELD_INVALID"),
            ]
        );
        let left = exported(&world).await;
        let left: Vec<_> = left
            .iter()
            .map(|product| (product.sku.as_str(), product.on_hand, product.reserved))
            .collect();
        assert_eq!(left, [("BOLT", 12, 4), ("nut", 5, 0), ("pin", 0, 0)]);
        world.stock_adds_up().await;
        let changes =
            "SELECT count(*) FROM changes WHERE verb IN ('create', 'import') AND kind = 'products'";
        assert_eq!(world.count(changes).await, 5);
    })
    .await;
}

#[tokio::test]
async fn an_import_goes_on_where_it_was_cut_off_and_is_done_once() {
    on_both(|world| async move {
        let rows: Vec<_> = (0..450)
            .map(|n| row(&format!("P{n}"), 1, Some(1)))
            .collect();
        let id = uuid();
        // The connection breaks after 250 rows: of the second batch nothing was written.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let request = Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let (mut metadata, extensions, stream) = request.into_parts();
        metadata.clone_from(world.staff(()).metadata());
        let mut products = world.products();
        let call = tokio::spawn(async move {
            let request = Request::from_parts(metadata, extensions, stream);
            products.import_products(request).await
        });
        for message in messages(false, &id, rows[..250].to_vec()) {
            sender.send(message).await.expect("taken");
        }
        world.comes_to("SELECT count(*) FROM products", 200).await;
        call.abort();
        drop(sender);
        let world = world
            .crash_and_restart(std::time::Duration::from_secs(1))
            .await;
        assert_eq!(world.count("SELECT count(*) FROM products").await, 200);
        let calls = (0..4).map(|_| import(&world, messages(false, &id, rows.clone())));
        let mut reports = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            reports.push(ok(call.await));
        }
        assert!(
            reports
                .iter()
                .all(|report| told(report) == [450, 450, 0, 0, 0])
        );
        let changes = "SELECT count(*) FROM changes WHERE kind = 'products'";
        assert_eq!(world.count(changes).await, 450);
        // Other rows, fewer, or more under the same id are another import.
        let mut other = rows.clone();
        other[3].name = "Another".into();
        let more = [rows.clone(), vec![row("Q", 1, None)]].concat();
        for rows in [
            other,
            rows[..200].to_vec(),
            rows[..10].to_vec(),
            more,
            Vec::new(),
        ] {
            let refusal = refused(import(&world, messages(false, &id, rows)).await);
            assert_eq!(refusal.reason, "REQUEST_ID_REUSED");
        }
        assert_eq!(world.count("SELECT count(*) FROM products").await, 450);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_import_sent_at_once_by_many_every_row_is_written_once() {
    on_both(|world| async move {
        let world = std::sync::Arc::new(world);
        let rows: Vec<_> = (0..450)
            .map(|n| row(&format!("P{n}"), 1, Some(1)))
            .collect();
        let id = uuid();
        let calls: Vec<_> = (0..32)
            .map(|_| {
                let (world, messages) = (world.clone(), messages(false, &id, rows.clone()));
                tokio::spawn(async move { ok(import(&world, messages).await) })
            })
            .collect();
        for call in calls {
            assert_eq!(told(&call.await.expect("an answer")), [450, 450, 0, 0, 0]);
        }
        assert_eq!(world.count("SELECT count(*) FROM changes").await, 450);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_report_names_no_more_rows_than_it_may() {
    on_both(|world| async move {
        let rows = (0..1500).map(|_| row("no good", 1, None)).collect();
        let report = ok(import(&world, messages(false, "", rows)).await);
        assert_eq!(told(&report), [1500, 0, 0, 0, 1500]);
        assert_eq!(report.faults.len(), 500);
        let twice = [
            messages(true, "", Vec::new()),
            messages(false, &uuid(), Vec::new()),
        ];
        let refusal = refused(import(&world, twice.concat()).await);
        assert_eq!(refusal.reason, "FIELD_INVALID");
        let heavy = pb::ImportProductsRow {
            description: "x".repeat(70_000),
            ..row("heavy", 1, None)
        };
        let heavy = messages(false, "", vec![heavy]);
        assert_eq!(
            refused(import(&world, heavy).await).reason,
            "MESSAGE_TOO_LARGE"
        );
        let bad = messages(false, "no uuid", Vec::new());
        assert_eq!(refused(import(&world, bad).await).fields, ["request_id"]);
    })
    .await;
}
