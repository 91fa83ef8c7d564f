//! The real binary under random commands from many clients, killed again and again: what must never be, is not.
//!
//! `FACTORY_CRASH_SECONDS` says how long each database is treated so (8 where it is not said), `FACTORY_CRASH_SEED` with
//! which commands.

mod commands;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::change_service_client::ChangeServiceClient;
use millgate_guard::testing::Issuer;
use millgate_guard::{FilePermissions, KeyRing, SharedRing, SystemClock, SystemEntropy};
use millgate_platform::testing::{PostgresDatabase, sqlite_url};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::world::with_token;
use commands::{client, furnish};

const CLIENTS: u64 = 8;
/// The longest that a factory lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// The binary on its database, which is killed and started again on the same port.
pub(crate) struct Factory {
    folder: PathBuf,
    url: String,
    pub(crate) listen: String,
    pub(crate) child: Child,
}

impl Factory {
    pub(crate) fn start(folder: PathBuf, url: String) -> Self {
        let keys = folder.join("keys.json");
        KeyRing::create_file(&keys, &SystemEntropy, &SystemClock).expect("a ring");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = free.local_addr().expect("an address").to_string();
        drop(free);
        let child = Self::spawn(&folder, &url, &listen);
        Self {
            folder,
            url,
            listen,
            child,
        }
    }

    fn command(folder: &PathBuf, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory-service"));
        command
            .current_dir(folder)
            .env("FACTORY_DATABASE_URL", url)
            .env("FACTORY_CLIENT_SECRET", "secret")
            .stderr(Stdio::null());
        command
    }

    fn spawn(folder: &PathBuf, url: &str, listen: &str) -> Child {
        Self::command(folder, url)
            .args(["--listen", listen, "--keys", "keys.json"])
            .args(["--calls-per-second", "0"])
            .spawn()
            .expect("started")
    }

    /// Kill -9, a look at what it left, and a new start.
    fn crash(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        self.check();
        self.child = Self::spawn(&self.folder, &self.url, &self.listen);
    }

    /// Asks the binary's own check whether the database is as it must be.
    fn check(&self) {
        let found = Self::command(&self.folder, &self.url)
            .arg("check")
            .output()
            .expect("checked");
        let told = String::from_utf8_lossy(&found.stdout);
        assert!(found.status.success(), "{told}");
    }

    pub(crate) fn issuer(&self) -> Issuer {
        let ring = KeyRing::load(&self.folder.join("keys.json"), FilePermissions::Private);
        Issuer::over(
            SharedRing::new(ring.expect("a ring")),
            Arc::new(SystemClock),
        )
    }
}

impl Drop for Factory {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clients share, and what they count.
struct Shared {
    channel: Channel,
    token: String,
    /// The newest order, ticket and run: commands go to any of them.
    newest: [AtomicI64; 3],
    customers: Mutex<Vec<i64>>,
    mechanic: AtomicI64,
    products: Mutex<Vec<i64>>,
    over: AtomicBool,
    commands: AtomicU64,
    done: AtomicU64,
    placed: AtomicU64,
    again: AtomicU64,
}

/// Places in [`Shared::newest`].
const ORDERS: usize = 0;
const TICKETS: usize = 1;
const RUNS: usize = 2;

impl Shared {
    fn made(&self, kind: usize, id: i64) {
        self.newest[kind].fetch_max(id, Ordering::Relaxed);
    }

    /// The id of some order, ticket or run, or of one that is not there yet.
    fn some(&self, kind: usize, random: &mut Random) -> i64 {
        let newest = self.newest[kind].load(Ordering::Relaxed);
        signed(random(newest.unsigned_abs() + 1)) + 1
    }

    fn some_customer(&self, random: &mut Random) -> i64 {
        one_of(&self.customers, random)
    }

    fn some_product(&self, random: &mut Random) -> i64 {
        one_of(&self.products, random)
    }

    /// Sends a request until it is answered: after a crash nobody knows whether it was done, and its `request_id` finds
    /// out.
    async fn answered<Q, A, F, Fut>(&self, message: Q, call: F) -> Result<A, Status>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        self.commands.fetch_add(1, Ordering::Relaxed);
        loop {
            let request = with_token(message.clone(), &self.token);
            match call(self.channel.clone(), request).await {
                Ok(answer) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
                Err(status) if is_refusal(&status) => return Err(status),
                Err(_) => {
                    self.again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Whether this is the factory's own word, and not the silence of a dead process.
fn is_refusal(status: &Status) -> bool {
    let expected = [
        Code::FailedPrecondition,
        Code::NotFound,
        Code::Aborted,
        Code::AlreadyExists,
    ];
    let own = expected.contains(&status.code());
    let silent = [
        Code::Unavailable,
        Code::Unknown,
        Code::Cancelled,
        Code::Internal,
    ];
    // A connection that broke is told as any of these by the client itself; the factory's INTERNAL carries its reason.
    let details = tonic_types::StatusExt::get_error_details(status);
    assert!(
        own || (silent.contains(&status.code()) && !is_internal(&details)),
        "{status:?}"
    );
    own
}

fn is_internal(details: &tonic_types::ErrorDetails) -> bool {
    let info = details.error_info();
    info.is_some_and(|info| info.reason == "INTERNAL")
}

/// Gives a number below another.
type Random = Box<dyn FnMut(u64) -> u64 + Send>;

fn numbers(seed: u64) -> Random {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Box::new(move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    })
}

fn one_of(ids: &Mutex<Vec<i64>>, random: &mut Random) -> i64 {
    let ids = ids.lock().expect("not poisoned");
    ids[usize::try_from(random(ids.len() as u64)).expect("small")]
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("small")
}

/// Watches every change from the first one on, over every crash; gives the numbers in the order in which they came.
async fn watcher(shared: Arc<Shared>, last: Arc<AtomicI64>) -> Vec<i64> {
    let mut seen: Vec<i64> = Vec::new();
    loop {
        let from_sequence = seen.last().copied().unwrap_or(0) + 1;
        let request = pb::WatchChangesRequest {
            from_sequence,
            ..Default::default()
        };
        let mut changes = ChangeServiceClient::new(shared.channel.clone());
        if let Ok(stream) = changes
            .watch_changes(with_token(request, &shared.token))
            .await
        {
            let mut stream = stream.into_inner();
            while let Ok(Ok(Some(told))) =
                tokio::time::timeout(Duration::from_millis(500), stream.message()).await
            {
                seen.push(told.change.expect("a change").sequence);
            }
        }
        let end = last.load(Ordering::Relaxed);
        if end > 0 && seen.last().is_some_and(|seen| *seen >= end) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

async fn treat(url: String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut factory = Factory::start(folder.path().to_owned(), url);
    let endpoint = Endpoint::from_shared(format!("http://{}", factory.listen));
    let life = Duration::from_secs(12 * 3600);
    let shared = Arc::new(Shared {
        channel: endpoint.expect("an endpoint").connect_lazy(),
        token: factory.issuer().user(1, "admin").lives(life).token(),
        newest: Default::default(),
        customers: Mutex::default(),
        mechanic: AtomicI64::new(0),
        products: Mutex::default(),
        over: AtomicBool::new(false),
        commands: AtomicU64::new(0),
        done: AtomicU64::new(0),
        placed: AtomicU64::new(0),
        again: AtomicU64::new(0),
    });
    furnish(&shared).await;
    let seed = setting("FACTORY_CRASH_SEED", 1);
    let last = Arc::new(AtomicI64::new(0));
    let watching = tokio::spawn(watcher(shared.clone(), last.clone()));
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|number| tokio::spawn(client(shared.clone(), seed * 1000 + number)))
        .collect();
    let long = Duration::from_secs(setting("FACTORY_CRASH_SECONDS", 8));
    let (begun, mut random, mut crashes) = (Instant::now(), numbers(seed), 0);
    while begun.elapsed() < long {
        // In the middle of the work, however slow the machine is: but not for ever.
        let (enough, up) = (
            shared.done.load(Ordering::Relaxed) + 20 + random(80),
            Instant::now(),
        );
        while shared.done.load(Ordering::Relaxed) < enough && up.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::task::block_in_place(|| factory.crash());
        crashes += 1;
    }
    shared.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("an end without surprise");
    }
    tokio::task::block_in_place(|| factory.check());
    let list = pb::ListChangesRequest {
        page_size: 1,
        ..Default::default()
    };
    // What was committed last is published a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let newest = shared
        .answered(list, |channel, request| async move {
            ChangeServiceClient::new(channel)
                .list_changes(request)
                .await
        })
        .await
        .expect("the newest");
    let newest = newest.changes[0].sequence;
    last.store(newest, Ordering::Relaxed);
    let seen = watching.await.expect("an end without surprise");
    assert!(
        seen.iter().copied().eq(1..=newest),
        "the watcher saw every change once and in order"
    );
    for kind in [ORDERS, TICKETS, RUNS] {
        assert!(
            shared.newest[kind].load(Ordering::Relaxed) > 0,
            "nothing was shown"
        );
    }
    let placed = "SELECT count(*) FROM changes WHERE kind = 'orders' AND verb = 'create'";
    let placed = crate::leaks::number(&factory.url, placed).await;
    assert_eq!(
        placed.unsigned_abs(),
        shared.placed.load(Ordering::Relaxed),
        "as many orders as requests"
    );
    eprintln!(
        "{} commands ({} done, {} sent again after silence), {crashes} crashes survived, {newest} changes seen",
        shared.commands.load(Ordering::Relaxed),
        shared.done.load(Ordering::Relaxed),
        shared.again.load(Ordering::Relaxed),
    );
    assert!(crashes > 0 && placed > 0, "nothing was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_many_clients_do_and_whenever_it_is_killed_what_must_never_be_is_not() {
    let (url, _folder) = sqlite_url();
    eprintln!("-- on SQLite");
    treat(url).await;
    if let Some(database) = PostgresDatabase::create().await {
        eprintln!("-- on PostgreSQL");
        treat(database.url().to_owned()).await;
        database.remove().await;
    }
}
