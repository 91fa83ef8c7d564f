//! `millgate products`: the products as a CSV file.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::google::r#type::Money;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Failure;
use super::connect::{Line, Remote, session_at};
use super::users::request_id;
use crate::terminal::{complain, say};

/// Rows that are read ahead of the service.
const AHEAD: usize = 64;
const NANOS_DIGITS: usize = 9;

/// The commands on products.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes and changes products by the rows of a CSV file.
    ///
    /// The first line names the columns: sku, name, unit_price and currency are needed; description, on_hand, state
    /// (active or inactive), tax_rate_basis_points and reorder_threshold may be left out. A row is the product as it is
    /// to be; an empty on_hand leaves the stock as it is. Nothing is sent of a file with a column that is not one of
    /// these, or with rows that cannot be read: all of them are told.
    Import {
        /// The file.
        file: PathBuf,
        /// Writes nothing, and tells what would be written.
        #[arg(long)]
        dry_run: bool,
        /// Goes on with an import that was cut off: the id that it told.
        #[arg(long, value_name = "UUID")]
        request_id: Option<String>,
        #[command(flatten)]
        factory: Factory,
        #[command(flatten)]
        remote: Remote,
    },
    /// Writes every product into a CSV file, which can be imported again.
    Export {
        /// The file. It is there when it is whole, and not before.
        file: PathBuf,
        #[command(flatten)]
        factory: Factory,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Where the products are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Factory {
    /// The factory service.
    #[arg(
        long = "factory",
        env = "MILLGATE_FACTORY",
        value_name = "URL",
        default_value = "http://127.0.0.1:50052"
    )]
    endpoint: String,
}

impl Factory {
    /// The setting, as messages name it, and where the service is.
    pub(crate) fn at(&self) -> (&'static str, &str) {
        ("--factory (MILLGATE_FACTORY)", &self.endpoint)
    }
}

/// A row of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    sku: String,
    name: String,
    #[serde(default)]
    description: String,
    unit_price: String,
    currency: String,
    #[serde(default)]
    on_hand: Option<i64>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    tax_rate_basis_points: Option<i32>,
    #[serde(default)]
    reorder_threshold: Option<i64>,
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Import {
            file,
            dry_run,
            request_id: asked,
            factory,
            remote,
        } => {
            let opened = File::open(&file).map_err(|error| named(&file, &error))?;
            let id = asked.unwrap_or_else(request_id);
            session_at(&remote, factory.at(), async |line| {
                import(line, opened, dry_run, id).await
            })
            .await
        }
        Command::Export {
            file,
            factory,
            remote,
        } => {
            session_at(&remote, factory.at(), async |line| {
                export(line, &file).await
            })
            .await
        }
    }
}

async fn import(line: Line, file: File, dry_run: bool, id: String) -> Result<(), Failure> {
    let (file, rows) = tokio::task::spawn_blocking(move || readable(file))
        .await
        .map_err(|error| Failure::Refused(error.to_string()))??;
    if !dry_run {
        complain(&format!(
            "should this break off, go on with --request-id {id}"
        ));
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let first = pb::ImportProductsRequest {
        dry_run,
        request_id: if dry_run { String::new() } else { id.clone() },
        row: None,
    };
    let mut reading = tokio::task::spawn_blocking(move || read(file, rows, first, sender));
    let mut products = ProductServiceClient::new(line);
    let mut call = Box::pin(products.import_products(ReceiverStream::new(receiver)));
    let sent = tokio::select! {
        sent = &mut call => sent.map_err(Failure::from),
        read = &mut reading => match read {
            Ok(Ok(())) => call.await.map_err(Failure::from),
            Ok(Err(Unreadable { failure, stream })) => {
                // The call is given up, and its stream never ends: an end would say that this was all, and could go out
                // before the call is taken back. It breaks with the connection, when this process ends.
                drop(call);
                std::mem::forget(stream);
                Err(failure)
            }
            Err(error) => Err(Failure::Refused(error.to_string())),
        },
    };
    if sent.is_err() && !dry_run {
        complain(&format!(
            "what is written stays; go on with --request-id {id}"
        ));
    }
    let report = sent?.into_inner();
    for fault in &report.faults {
        let plain = |text: &str| text.replace(|c: char| c.is_control(), "\u{fffd}");
        let (sku, field) = (plain(&fault.sku), plain(&fault.field));
        say(&format!(
            "row {} ({sku}): {} {field} {}",
            fault.row, fault.reason, fault.description
        ))?;
    }
    let would = if dry_run { "nothing was written: " } else { "" };
    say(&format!(
        "{would}{} rows, {} made, {} changed, {} as they were, {} refused",
        report.rows, report.created, report.updated, report.unchanged, report.refused
    ))?;
    if report.refused == 0 {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{} rows were refused",
        report.refused
    )))
}

/// The columns that there are; the first ones are needed.
const COLUMNS: [&str; 9] = [
    "sku",
    "name",
    "unit_price",
    "currency",
    "description",
    "on_hand",
    "state",
    "tax_rate_basis_points",
    "reorder_threshold",
];
const NEEDED: usize = 4;
/// The most rows that are told one by one: nobody reads more.
const MOST_TOLD: u64 = 100;

fn reader(file: &File) -> csv::Reader<&File> {
    csv::ReaderBuilder::new()
        .trim(csv::Trim::Headers)
        .from_reader(file)
}

/// Reads the whole file before any of it is sent, and tells of every row that cannot be read. Gives the file, at its
/// beginning, and how many rows it has.
fn readable(mut file: File) -> Result<(File, u64), Failure> {
    let mut rows = reader(&file);
    let header = rows
        .headers()
        .map_err(|error| Failure::Refused(format!("the first line: {error}")))?;
    columns(header).map_err(|why| Failure::Refused(format!("the first line: {why}")))?;
    let (mut count, mut bad) = (0, 0);
    for row in rows.deserialize::<Row>() {
        count += 1;
        let Err(why) = row.map_err(|error| error.to_string()).and_then(message) else {
            continue;
        };
        bad += 1;
        if bad <= MOST_TOLD {
            complain(&format!("row {count}: {why}"));
        }
    }
    drop(rows);
    if bad > 0 {
        return Err(Failure::Refused(format!(
            "{bad} of {count} rows cannot be read; nothing was sent"
        )));
    }
    file.rewind()?;
    Ok((file, count))
}

/// A misspelt column would else be one that was left out, and every row would be set to what stands for nothing.
fn columns(header: &csv::StringRecord) -> Result<(), String> {
    let known = COLUMNS.join(", ");
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name) {
            let name: String = name.chars().take(64).collect();
            return Err(format!("there is no column `{name}`; there are {known}"));
        }
        if header.iter().take(at).any(|before| before == name) {
            return Err(format!("`{name}` comes twice"));
        }
    }
    match COLUMNS[..NEEDED]
        .iter()
        .find(|needed| !header.iter().any(|name| name == **needed))
    {
        None => Ok(()),
        Some(missing) => Err(format!("`{missing}` is missing")),
    }
}

/// A row that cannot be read, in a file that has changed since it was [`readable`], and the stream, which has not ended.
struct Unreadable {
    failure: Failure,
    stream: mpsc::Sender<pb::ImportProductsRequest>,
}

/// Reads the file row by row.
fn read(
    file: File,
    rows: u64,
    first: pb::ImportProductsRequest,
    stream: mpsc::Sender<pb::ImportProductsRequest>,
) -> Result<(), Unreadable> {
    // On standard error, and only where that is a terminal.
    let progress = ProgressBar::new(rows);
    let mut rows = reader(&file);
    if stream.blocking_send(first).is_err() {
        return Ok(());
    }
    for (number, row) in (1_u64..).zip(rows.deserialize::<Row>()) {
        let parsed = row.map_err(|error| error.to_string()).and_then(message);
        let row = match parsed {
            Ok(row) => row,
            Err(why) => {
                let failure = Failure::Refused(format!("row {number}: {why}"));
                return Err(Unreadable { failure, stream });
            }
        };
        let request = pb::ImportProductsRequest {
            row: Some(row),
            ..Default::default()
        };
        if stream.blocking_send(request).is_err() {
            // The service has ended the call, and says why.
            return Ok(());
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(())
}

fn message(row: Row) -> Result<pb::ImportProductsRow, String> {
    let state = match row.state.to_ascii_lowercase().as_str() {
        "" => pb::ProductState::Unspecified,
        "active" => pb::ProductState::Active,
        "inactive" => pb::ProductState::Inactive,
        _ => return Err("state: must be active or inactive".to_owned()),
    };
    Ok(pb::ImportProductsRow {
        unit_price: Some(money(&row.unit_price, &row.currency)?),
        sku: row.sku,
        name: row.name,
        description: row.description,
        on_hand: row.on_hand,
        state: state.into(),
        tax_rate_basis_points: row.tax_rate_basis_points.unwrap_or_default(),
        reorder_threshold: row.reorder_threshold.unwrap_or_default(),
    })
}

/// `12.34`, exactly.
fn money(text: &str, currency: &str) -> Result<Money, String> {
    let bad = || "unit_price: must be an amount, such as 12.34".to_owned();
    let (units, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(units) || !digits(decimals) || decimals.len() > NANOS_DIGITS {
        return Err(bad());
    }
    Ok(Money {
        currency_code: currency.trim().to_owned(),
        units: units.parse().map_err(|_| bad())?,
        nanos: format!("{decimals:0<NANOS_DIGITS$}")
            .parse()
            .map_err(|_| bad())?,
    })
}

/// As few decimals as say it.
fn amount(money: &Money) -> String {
    let nanos = format!("{:09}", money.nanos);
    match nanos.trim_end_matches('0') {
        "" => money.units.to_string(),
        decimals => format!("{}.{decimals:0<2}", money.units),
    }
}

async fn export(line: Line, file: &Path) -> Result<(), Failure> {
    let mut products = ProductServiceClient::new(line)
        .export_products(pb::ExportProductsRequest {})
        .await?
        .into_inner();
    let part = file.with_added_extension("part");
    let opened = File::create(&part).map_err(|error| named(&part, &error))?;
    let mut rows = csv::Writer::from_writer(opened);
    // On standard error, and only where that is a terminal.
    let progress = ProgressBar::no_length();
    let mut count = 0_u64;
    while let Some(told) = products.message().await? {
        let Some(product) = told.product else {
            continue;
        };
        rows.serialize(row(product))
            .map_err(|error| Failure::Refused(format!("{}: {error}", part.display())))?;
        count += 1;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let mut written = rows
        .into_inner()
        .map_err(|error| Failure::Refused(format!("{}: {error}", part.display())))?;
    written.flush()?;
    written.sync_all()?;
    std::fs::rename(&part, file).map_err(|error| named(file, &error))?;
    say(&format!("{count} products in {}", file.display()))?;
    Ok(())
}

fn row(product: pb::Product) -> Row {
    let state = match product.state() {
        pb::ProductState::Inactive => "inactive",
        pb::ProductState::Active | pb::ProductState::Unspecified => "active",
    };
    let price = product.unit_price.unwrap_or_default();
    Row {
        unit_price: amount(&price),
        currency: price.currency_code,
        sku: product.sku,
        name: product.name,
        description: product.description,
        on_hand: Some(product.on_hand),
        state: state.to_owned(),
        tax_rate_basis_points: Some(product.tax_rate_basis_points),
        reorder_threshold: Some(product.reorder_threshold),
    }
}

fn named(file: &Path, error: &std::io::Error) -> Failure {
    Failure::Refused(format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_goes_in_and_comes_out_exactly() {
        for (text, units, nanos, out) in [
            ("12.34", 12, 340_000_000, "12.34"),
            ("5", 5, 0, "5"),
            ("0.5", 0, 500_000_000, "0.50"),
            ("1.001", 1, 1_000_000, "1.001"),
        ] {
            let money = money(text, "EUR").expect("an amount");
            assert_eq!((money.units, money.nanos), (units, nanos), "{text}");
            assert_eq!(amount(&money), out);
        }
        for bad in [
            "",
            "-1",
            "1,5",
            "1.",
            ".5",
            "1e3",
            "1.0000000001",
            "99999999999999999999",
        ] {
            assert!(money(bad, "EUR").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_column_that_is_misspelt_is_no_column_that_is_left_out() {
        let header = |names: &[&str]| columns(&csv::StringRecord::from(names.to_vec()));
        let needed = ["sku", "name", "unit_price", "currency"];
        assert_eq!(header(&needed), Ok(()));
        assert_eq!(header(&COLUMNS), Ok(()));
        for wrong in ["State", "on-hand", "", "price", "name"] {
            let with = [&needed[..], &[wrong]].concat();
            let why = header(&with).expect_err(wrong);
            assert!(why.contains(&format!("`{wrong}`")), "{why}");
        }
        for missing in 0..needed.len() {
            let mut left = needed.to_vec();
            let missing = left.remove(missing);
            let why = header(&left).expect_err(missing);
            assert!(why.contains(missing), "{why}");
        }
    }

    #[test]
    fn a_row_may_leave_out_what_is_not_needed() {
        let file = "sku,name,unit_price,currency,on_hand\nM8,\"Bolt, long\",1.50,EUR,\n";
        let mut rows = csv::Reader::from_reader(file.as_bytes());
        let row: Row = rows.deserialize().next().expect("a row").expect("readable");
        let row = message(row).expect("good");
        assert_eq!((row.name.as_str(), row.on_hand), ("Bolt, long", None));
    }
}
