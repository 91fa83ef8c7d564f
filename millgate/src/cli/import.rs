//! `millgate users import`: a file of accounts, a row at a time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use auth_service::import::{BadRow, Format, Reader, RoleNames};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::import_users_request::Part;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::Failure;
use super::connect::{Line, Remote, session};
use super::output::{self, Output};
use super::users::{Role, request_id};

/// A file of accounts to take over; docs/import.md has its columns.
#[derive(clap::Args)]
pub(crate) struct Import {
    /// CSV with a header, or JSON lines.
    file: PathBuf,
    /// How the file is written; by its name (`.csv`, `.jsonl`, `.ndjson`) when it is not said.
    #[arg(long)]
    format: Option<FileFormat>,
    /// Checks everything and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The role of rows that say none; without it they are refused.
    #[arg(long)]
    default_role: Option<Role>,
    /// What a role of the other system is called here, such as `staff=user`; can be given several times.
    #[arg(long = "map-role", value_name = "OLD=NEW")]
    roles: Vec<String>,
    /// Passes over rows whose name is taken, instead of refusing them.
    #[arg(long)]
    skip_taken: bool,
    /// Goes on with an import that broke off: the id that it told.
    #[arg(long, value_name = "ID")]
    import_id: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FileFormat {
    /// The first row names the columns.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// Rows that are read ahead of the network.
const AHEAD: usize = 256;
/// Rows that cannot be read, of which the line is told; the rest is counted.
const TOLD: usize = 1000;

/// Takes a file over.
pub(crate) async fn run(import: Import) -> Result<(), Failure> {
    let usage = |wrong: String| Failure::Usage(wrong);
    let shown = import.file.display().to_string();
    let format = match import.format {
        Some(FileFormat::Csv) => Format::Csv,
        Some(FileFormat::Jsonl) => Format::JsonLines,
        None => Format::of_name(&shown)
            .ok_or_else(|| usage(format!("{shown}: which format is it? --format says so")))?,
    };
    let roles = RoleNames::parse(import.roles.iter().map(String::as_str))
        .map_err(|error| usage(format!("--map-role: {error}")))?;
    let id = import.import_id.clone().unwrap_or_else(request_id);
    let options = pb::ImportOptions {
        import_id: id.clone(),
        dry_run: import.dry_run,
        default_role: import
            .default_role
            .map_or(pb::Role::Unspecified, pb::Role::from)
            .into(),
        on_conflict: if import.skip_taken {
            pb::ImportConflict::Skip
        } else {
            pb::ImportConflict::Refuse
        }
        .into(),
    };
    let source = Source::open(&import.file, format, roles)?;
    let (report, rows) = session(&import.remote, async |line| {
        send(line, options, source).await
    })
    .await
    .map_err(|failure| match failure {
        Failure::Refused(why) => Failure::Refused(format!(
            "{why}\n  to go on with the same file: --import-id {id}"
        )),
        usage @ Failure::Usage(_) => usage,
    })?;
    tell(import.output, &report, &rows)?;
    let lost = report.refused.saturating_add(rows.count());
    match (rows.broken, lost) {
        (Some(why), _) => Err(Failure::Refused(format!(
            "{shown}: {why}\n  what stands before that was taken; to go on: --import-id {id}"
        ))),
        (None, 0) => Ok(()),
        (None, lost) => Err(Failure::Refused(format!("{lost} rows were not taken"))),
    }
}

/// A file and how far it is read.
struct Source {
    reader: Reader<Watched>,
    bar: ProgressBar,
}

impl Source {
    fn open(path: &Path, format: Format, roles: RoleNames) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::Refused(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let bar = ProgressBar::new(file.metadata().map_or(0, |found| found.len()));
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left")
        {
            bar.set_style(style);
        }
        let watched = Watched {
            file,
            bar: bar.clone(),
        };
        let reader =
            Reader::new(watched, format, roles).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { reader, bar })
    }
}

/// Moves the bar along.
struct Watched {
    file: File,
    bar: ProgressBar,
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.bar.inc(u64::try_from(read).unwrap_or_default());
        Ok(read)
    }
}

/// What could not be read of the file.
#[derive(Debug, Default)]
struct Unread {
    bad: Vec<BadRow>,
    left_out: i64,
    /// Why the rest was not read.
    broken: Option<String>,
}

impl Unread {
    fn add(&mut self, row: BadRow) {
        if self.bad.len() < TOLD {
            self.bad.push(row);
        } else {
            self.left_out += 1;
        }
    }

    fn count(&self) -> i64 {
        let told = i64::try_from(self.bad.len()).unwrap_or(i64::MAX);
        told.saturating_add(self.left_out)
    }
}

async fn send(
    line: Line,
    options: pb::ImportOptions,
    source: Source,
) -> Result<(pb::ImportUsersResponse, Unread), Failure> {
    let (rows, ahead) = mpsc::channel(AHEAD);
    let Source { reader, bar } = source;
    let reading = tokio::task::spawn_blocking(move || read(options, reader, &rows));
    let mut users = UserServiceClient::new(line);
    let report = users
        .import_users(Request::new(ReceiverStream::new(ahead)))
        .await;
    bar.finish_and_clear();
    // The server's word first: where it ended the stream, the reader only found nobody to read for.
    let report = report?.into_inner();
    let unread = reading
        .await
        .map_err(|error| Failure::Refused(error.to_string()))?;
    Ok((report, unread))
}

fn read(
    options: pb::ImportOptions,
    reader: Reader<Watched>,
    rows: &mpsc::Sender<pb::ImportUsersRequest>,
) -> Unread {
    let mut unread = Unread::default();
    let message = |part| pb::ImportUsersRequest { part: Some(part) };
    if rows.blocking_send(message(Part::Options(options))).is_err() {
        return unread;
    }
    for row in reader {
        match row {
            Ok(Ok(user)) => {
                if rows.blocking_send(message(Part::User(user))).is_err() {
                    break;
                }
            }
            Ok(Err(bad)) => unread.add(bad),
            Err(fault) => {
                unread.broken = Some(fault.to_string());
                break;
            }
        }
    }
    unread
}

fn tell(output: Output, report: &pb::ImportUsersResponse, unread: &Unread) -> Result<(), Failure> {
    let mut value = output::json("ImportUsersResponse", report)?;
    if let Some(members) = value.as_object_mut() {
        let bad = unread.bad.iter();
        let bad = bad.map(|row| json!({"line": row.line.to_string(), "field": row.field, "description": row.description}));
        members.insert("unreadable".to_owned(), bad.collect());
        let left_out = unread.left_out.to_string();
        members.insert("unreadable_left_out".to_owned(), left_out.into());
    }
    output.value(&value, || words(report, unread))
}

fn words(report: &pb::ImportUsersResponse, unread: &Unread) -> String {
    let mut words = String::new();
    for row in &unread.bad {
        words.push_str(&format!("{row}\n"));
    }
    for error in &report.errors {
        words.push_str(&format!(
            "line {}: {}: {}: {}\n",
            error.line, error.field, error.reason, error.description
        ));
    }
    let more = unread.left_out.saturating_add(report.errors_left_out);
    if more > 0 {
        words.push_str(&format!("and {more} more\n"));
    }
    for format in &report.formats {
        words.push_str(&format!("{}: {}\n", format.format, format.count));
    }
    let (would, made) = if report.dry_run {
        ("would have been ", "nothing was written")
    } else {
        ("", "")
    };
    words.push_str(&format!(
        "{} rows: {} {would}made, {} passed over, {} refused, {} unreadable, {} done before\n{made}",
        report.read,
        report.created,
        report.skipped,
        report.refused,
        unread.count(),
        report.resumed,
    ));
    words.trim_end().to_owned()
}
