//! The example, as its binary runs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use millgate_guard::testing::{Issuer, assert_access, assert_let_in};
use millgate_guard::{FilePermissions, KeyRing, SharedRing, SystemClock, SystemEntropy};
use pb::note_service_client::NoteServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

mod generated {
    #![allow(missing_docs, unreachable_pub, dead_code, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}
use generated::notes::v1 as pb;

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

struct Running {
    process: Child,
    notes: NoteServiceClient<Channel>,
    channel: Channel,
    issuer: Issuer,
    address: String,
    keys: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

async fn start() -> Running {
    start_with(None).await
}

/// Starts the example, with another one's keys and that one as its archive.
async fn start_with(archive: Option<&Running>) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    match archive {
        Some(archive) => drop(std::fs::copy(&archive.keys, &keys).unwrap()),
        None => KeyRing::create_file(&keys, &SystemEntropy, &SystemClock).unwrap(),
    }
    let ring = KeyRing::load(&keys, FilePermissions::Private).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_guarded-service"));
    command
        .env("NOTES_KEYS", &keys)
        .env("NOTES_LISTEN", "127.0.0.1:0")
        .env_remove("AUTH_ENDPOINT")
        .env_remove("NOTES_ARCHIVE")
        .stdout(Stdio::piped());
    if let Some(archive) = archive {
        command.env("NOTES_ARCHIVE", format!("http://{}", archive.address));
    }
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    Running {
        notes: NoteServiceClient::new(channel.clone()),
        channel,
        issuer: Issuer::over(SharedRing::new(ring), Arc::new(SystemClock)),
        process,
        address,
        keys,
        _folder: folder,
    }
}

fn with<T>(bearer: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let entry = bearer.parse().unwrap();
    request.metadata_mut().insert("authorization", entry);
    request
}

fn reason<T: std::fmt::Debug>(refused: Result<T, Status>) -> String {
    let info = refused.unwrap_err().get_details_error_info();
    info.unwrap_or_else(|| panic!("no ErrorInfo")).reason
}

#[test]
fn every_method_has_the_rule_that_its_authors_have_in_mind() {
    assert_access(
        DESCRIPTORS,
        &[
            ("notes.v1.NoteService/ReadBoard", "public"),
            (
                "notes.v1.NoteService/WriteNote",
                "role author,editor scope notes.write",
            ),
            ("notes.v1.NoteService/ClearBoard", "role editor fresh 300"),
        ],
    );
}

/// The names of callers, and the tokens that they send.
fn callers(issuer: &Issuer) -> [(&'static str, String); 4] {
    [
        ("reader", issuer.user(1, "reader").bearer()),
        ("author", issuer.user(2, "author").bearer()),
        ("editor", issuer.user(3, "editor").bearer()),
        (
            "importer",
            issuer.service("importer", "notes.write").bearer(),
        ),
    ]
}

#[tokio::test]
async fn every_method_lets_in_whom_its_authors_have_in_mind_and_nobody_else() {
    let running = start().await;
    assert_let_in(
        running.channel.clone(),
        DESCRIPTORS,
        &callers(&running.issuer),
        &[
            (
                "notes.v1.NoteService/ReadBoard",
                &["nobody", "reader", "author", "editor", "importer"],
            ),
            (
                "notes.v1.NoteService/WriteNote",
                &["author", "editor", "importer"],
            ),
            ("notes.v1.NoteService/ClearBoard", &["editor"]),
        ],
    )
    .await;
}

#[tokio::test]
#[should_panic(expected = "ClearBoard as author: refused, ROLE_DENIED")]
async fn a_table_that_says_otherwise_than_the_server_fails() {
    let running = start().await;
    assert_let_in(
        running.channel.clone(),
        DESCRIPTORS,
        &callers(&running.issuer),
        &[
            ("notes.v1.NoteService/ReadBoard", &["nobody"]),
            ("notes.v1.NoteService/ClearBoard", &["author", "editor"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_example_runs_and_lets_in_whom_its_proto_names() {
    let running = start().await;
    let (mut notes, issuer) = (running.notes.clone(), &running.issuer);
    let text = || pb::WriteNoteRequest {
        text: "a note".to_owned(),
    };
    assert_eq!(reason(notes.write_note(text()).await), "TOKEN_MISSING");
    let reader = issuer.user(1, "reader").bearer();
    assert_eq!(
        reason(notes.write_note(with(&reader, text())).await),
        "ROLE_DENIED"
    );
    let author = issuer.user(2, "author").bearer();
    notes.write_note(with(&author, text())).await.unwrap();
    let service = issuer.service("importer", "notes.write").bearer();
    notes.write_note(with(&service, text())).await.unwrap();

    let ask = || pb::ReadBoardRequest {};
    let board = notes.read_board(ask()).await.unwrap().into_inner();
    assert_eq!(
        (board.greeting.as_str(), board.notes.len()),
        ("hello, stranger", 2)
    );
    let board = notes
        .read_board(with(&author, ask()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(board.greeting, "hello, user:2");
    let expired = issuer.user(2, "author").expired().bearer();
    assert_eq!(
        reason(notes.read_board(with(&expired, ask())).await),
        "TOKEN_EXPIRED"
    );

    let clear = || pb::ClearBoardRequest {};
    let stale = issuer
        .user(3, "editor")
        .proved_ago(Duration::from_secs(400));
    assert_eq!(
        reason(notes.clear_board(with(&stale.bearer(), clear())).await),
        "FRESH_TOKEN_REQUIRED"
    );
    let editor = issuer.user(3, "editor").bearer();
    let board = notes
        .clear_board(with(&editor, clear()))
        .await
        .unwrap()
        .into_inner();
    assert!(board.notes.is_empty());
}

#[tokio::test]
async fn the_next_service_sees_the_same_caller_and_decides_by_itself() {
    let archive = start().await;
    let board = start_with(Some(&archive)).await;
    let write = async |bearer: &str| {
        let note = pb::WriteNoteRequest {
            text: "a note".to_owned(),
        };
        board.notes.clone().write_note(with(bearer, note)).await
    };
    let reader = board.issuer.user(1, "reader").bearer();
    assert_eq!(reason(write(&reader).await), "ROLE_DENIED");
    let author = board.issuer.user(2, "author").bearer();
    write(&author).await.unwrap();
    let mut notes = archive.notes.clone();
    let read = notes.read_board(pb::ReadBoardRequest {}).await;
    let archived = read.unwrap().into_inner().notes;
    assert_eq!(archived.len(), 1);
    assert_eq!(archived[0].author, "user:2");
}
