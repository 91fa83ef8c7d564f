//! How much memory an import of many products takes: the real binary's, as the kernel counts it.
//!
//! `FACTORY_IMPORT_ROWS` says how many rows they are (5000 where it is not said).

use std::time::{Duration, Instant};

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_platform::testing::{PostgresDatabase, sqlite_url};
use tonic::transport::{Channel, Endpoint};

use crate::crashes::{Factory, setting};
use crate::world::{money, with_token};

/// As much more as the second import may need, KiB. Five thousand rows of this length are twice as much.
const MOST: i64 = 8 * 1024;
const DESCRIPTION: usize = 2000;
const WARM: u64 = 1000;

fn rows(first: u64, count: u64) -> impl Iterator<Item = pb::ImportProductsRequest> + Send {
    (first..first + count).map(|number| pb::ImportProductsRequest {
        row: Some(pb::ImportProductsRow {
            sku: format!("P{number}"),
            name: format!("Product {number}"),
            description: "x".repeat(DESCRIPTION),
            unit_price: Some(money("EUR", 1, 0)),
            on_hand: Some(3),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// The most memory that the process has had, KiB.
fn peak(factory: &Factory) -> i64 {
    let status = format!("/proc/{}/status", factory.child.id());
    let status = std::fs::read_to_string(status).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|text| text.parse().ok()).expect("a number")
}

async fn import(channel: &Channel, token: &str, first: u64, count: u64) {
    let stream = tokio_stream::iter(rows(first, count));
    let request = with_token(stream, token);
    let report = ProductServiceClient::new(channel.clone())
        .import_products(request)
        .await
        .expect("imported")
        .into_inner();
    assert_eq!(report.created.unsigned_abs(), count);
}

async fn in_bounded_memory(url: String) {
    let folder = tempfile::tempdir().expect("a folder");
    let factory = Factory::start(folder.path().to_owned(), url);
    let endpoint = Endpoint::from_shared(format!("http://{}", factory.listen));
    let channel = endpoint.expect("an endpoint").connect_lazy();
    let life = Duration::from_secs(3600);
    let token = factory.issuer().user(1, "admin").lives(life).token();
    while tokio::net::TcpStream::connect(&factory.listen)
        .await
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    import(&channel, &token, 0, WARM).await;
    let (before, begun) = (peak(&factory), Instant::now());
    let count = setting("FACTORY_IMPORT_ROWS", 5000);
    import(&channel, &token, WARM, count).await;
    let (after, took) = (peak(&factory), begun.elapsed());
    let mut products = ProductServiceClient::new(channel)
        .export_products(with_token(pb::ExportProductsRequest {}, &token))
        .await
        .expect("exported")
        .into_inner();
    let mut exported = 0;
    while products.message().await.expect("a product").is_some() {
        exported += 1;
    }
    eprintln!("{count} rows in {took:?}: {before} KiB became {after}");
    assert_eq!(exported, WARM + count);
    assert!(after - before < MOST, "{before} KiB became {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_many_rows_needs_no_more_memory_than_one_of_few() {
    let (url, _folder) = sqlite_url();
    eprintln!("-- on SQLite");
    in_bounded_memory(url).await;
    if let Some(database) = PostgresDatabase::create().await {
        eprintln!("-- on PostgreSQL");
        in_bounded_memory(database.url().to_owned()).await;
        database.remove().await;
    }
}
