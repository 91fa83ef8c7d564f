//! A wire to PostgreSQL that counts what goes over it: every `Sync` and every simple `Query` is answered before the next
//! is sent, so each is a round trip.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::Problem;
use crate::double::Serving;

/// What makes a statement the publisher's of the changes, which works beside the calls.
const PUBLISHER: [&str; 4] = [
    "seq IS NULL",
    "max(seq)",
    "pg_advisory_xact_lock",
    "pg_notify",
];

/// Round trips, by what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Statements of calls, by their first words.
    pub(crate) statements: BTreeMap<String, u64>,
    /// A statement that is prepared, once on a connection.
    pub(crate) prepared: u64,
    /// A bare `Sync`: the pool takes a connection back, behind the answer.
    pub(crate) returned: u64,
    /// Statements of the publisher.
    pub(crate) publishing: u64,
}

/// A wire that is open until this is dropped.
pub(crate) struct Wire {
    url: String,
    tally: Arc<Mutex<Tally>>,
    _serving: Serving,
}

/// Where the server listens.
#[derive(Debug, Clone)]
enum Server {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Wire {
    /// Opens one to a database.
    pub(crate) async fn to(url: &str) -> Result<Self, Problem> {
        let options: PgConnectOptions = url.parse()?;
        let port = options.get_port();
        let server = match options.get_socket() {
            Some(folder) => Server::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => Server::Tcp(options.get_host().to_owned(), port),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let accepting = accept(listener, server, tally.clone());
        Ok(Self {
            url: through(url, address).ok_or("the URL of the database has no name in it")?,
            tally,
            _serving: Serving::of(address, accepting),
        })
    }

    /// The database at its near end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What went over it so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The URL with another address, and without TLS, which nobody could count in.
fn through(url: &str, address: SocketAddr) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, name) = rest.split_once('/')?;
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let name = name.split('?').next()?;
    Some(format!(
        "{scheme}://{user}@{address}/{name}?sslmode=disable"
    ))
}

async fn accept(listener: TcpListener, server: Server, tally: Arc<Mutex<Tally>>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        // A small packet that waits for others would be told as a slow server.
        let _ = near.set_nodelay(true);
        let (server, tally) = (server.clone(), tally.clone());
        connections.spawn(async move {
            // Whoever loses their connection sees it themselves.
            let _ = match server {
                Server::Unix(path) => join(near, UnixStream::connect(path).await, tally).await,
                Server::Tcp(host, port) => {
                    join(near, TcpStream::connect((host, port)).await, tally).await
                }
            };
        });
    }
}

async fn join<S>(
    near: TcpStream,
    far: std::io::Result<S>,
    tally: Arc<Mutex<Tally>>,
) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(far?);
    let forth = async {
        let mut reader = Reader::default();
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = from_client.read(&mut bytes).await?;
            if count == 0 {
                return to_server.shutdown().await;
            }
            reader.read(
                &bytes[..count],
                &mut tally.lock().unwrap_or_else(PoisonError::into_inner),
            );
            to_server.write_all(&bytes[..count]).await?;
        }
    };
    let back = tokio::io::copy(&mut from_server, &mut to_client);
    tokio::try_join!(forth, back).map(drop)
}

/// Reads the messages of one client (the PostgreSQL manual, "Frontend/Backend Protocol").
#[derive(Debug, Default)]
struct Reader {
    unread: Vec<u8>,
    /// Whether the first message, which has no kind, is behind us.
    is_started: bool,
    /// Prepared statements by their names.
    known: HashMap<String, String>,
    /// The statement that the next `Execute` runs.
    bound: Option<String>,
    /// What was executed since the last `Sync`.
    executed: Vec<String>,
    has_prepared: bool,
    /// The statements of the open transaction.
    transaction: Option<Vec<String>>,
}

impl Reader {
    fn read(&mut self, bytes: &[u8], tally: &mut Tally) {
        self.unread.extend_from_slice(bytes);
        loop {
            let head = usize::from(self.is_started);
            let Some(length) = self.unread.get(head..head + 4) else {
                return;
            };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            if self.unread.len() < head + length {
                return;
            }
            let message: Vec<u8> = self.unread.drain(..head + length).collect();
            if self.is_started {
                self.message(message[0], &message[5..], tally);
            }
            self.is_started = true;
        }
    }

    fn message(&mut self, kind: u8, body: &[u8], tally: &mut Tally) {
        let mut texts = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mut text = || texts.next().unwrap_or_default().into_owned();
        match kind {
            // Parse: the statement's name, its text.
            b'P' => {
                let name = text();
                self.known.insert(name, text());
                self.has_prepared = true;
            }
            // Bind: the portal's name, the statement's.
            b'B' => {
                text();
                self.bound = self.known.get(&text()).cloned();
            }
            // Execute.
            b'E' => self.executed.extend(self.bound.clone()),
            b'S' => {
                match std::mem::take(&mut self.executed) {
                    done if !done.is_empty() => done
                        .into_iter()
                        .for_each(|statement| self.done(statement, tally)),
                    _ if self.has_prepared => tally.prepared += 1,
                    _ => tally.returned += 1,
                }
                self.has_prepared = false;
            }
            // A simple query.
            b'Q' => {
                let statement = text();
                self.done(statement, tally);
            }
            _ => {}
        }
    }

    /// A statement by itself, or within its transaction, is told when it is whole.
    fn done(&mut self, statement: String, tally: &mut Tally) {
        let begins = statement.starts_with("BEGIN");
        let ends = statement.starts_with("COMMIT") || statement.starts_with("ROLLBACK");
        let mut statements = self.transaction.take().unwrap_or_default();
        let is_open = begins || !statements.is_empty();
        statements.push(statement);
        if is_open && !ends {
            self.transaction = Some(statements);
            return;
        }
        let is_publishing = statements
            .iter()
            .any(|statement| PUBLISHER.iter().any(|mark| statement.contains(mark)));
        for statement in statements {
            if is_publishing {
                tally.publishing += 1;
            } else {
                *tally.statements.entry(first_words(&statement)).or_default() += 1;
            }
        }
    }
}

/// Enough to know a statement by.
fn first_words(statement: &str) -> String {
    let words = statement.split_whitespace().take(3);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    /// A client that has said hello.
    fn talk(messages: &[Vec<u8>]) -> Tally {
        let hello = [&8_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes()].concat();
        let said = [hello, messages.concat()].concat();
        let (mut reader, mut tally) = (Reader::default(), Tally::default());
        // However it is cut on the way.
        for bytes in said.chunks(3) {
            reader.read(bytes, &mut tally);
        }
        tally
    }

    #[test]
    fn a_prepared_statement_is_one_round_trip_each_time_and_one_more_at_first() {
        let parse = framed(b'P', b"s1\0SELECT id, sku FROM products\0\0\0");
        let sync = framed(b'S', b"");
        let run = [
            framed(b'B', b"\0s1\0"),
            framed(b'E', b"\0\0\0\0\0"),
            sync.clone(),
        ]
        .concat();
        let tally = talk(&[parse, sync.clone(), run.clone(), sync.clone(), run, sync]);
        assert_eq!(tally.prepared, 1);
        assert_eq!(tally.returned, 2);
        let statements: Vec<_> = tally.statements.into_iter().collect();
        assert_eq!(statements, [("SELECT id, sku".to_owned(), 2)]);
    }

    #[test]
    fn a_transaction_is_the_publishers_when_one_statement_in_it_is() {
        let query = |sql: &str| framed(b'Q', &[sql.as_bytes(), b"\0"].concat());
        let tally = talk(&[
            query("BEGIN"),
            query("SELECT pg_advisory_xact_lock(7)"),
            query("COMMIT"),
            query("BEGIN"),
            query("INSERT INTO orders"),
            query("COMMIT"),
        ]);
        assert_eq!(tally.publishing, 3);
        assert_eq!(tally.statements.values().sum::<u64>(), 3);
    }

    #[test]
    fn the_url_leads_through_the_wire() {
        let near = SocketAddr::from(([127, 0, 0, 1], 7));
        for (url, expected) in [
            (
                "postgres://a:b@localhost/x?host=/run",
                "postgres://a:b@127.0.0.1:7/x?sslmode=disable",
            ),
            (
                "postgres://a@h:1/x",
                "postgres://a@127.0.0.1:7/x?sslmode=disable",
            ),
        ] {
            assert_eq!(through(url, near).as_deref(), Some(expected));
        }
    }
}
