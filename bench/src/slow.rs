//! (i) A thousand clients that are slow, in one of three ways: the memory that the gateway takes for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::{Config, LimitArgs, UpstreamConfig, prepare};
use millgate_contract::DESCRIPTORS;
use millgate_platform::SystemEntropy;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Problem;
use crate::double::{Serving, guarded};
use crate::keys::Keys;
use crate::measure::Plan;
use crate::memory::resident_mib;
use crate::table::Report;

const CLIENTS: usize = 1_000;
/// What each of the slow bodies has sent when it becomes slow.
const BODY: usize = 1024 * 1024;
/// How often a slow client sends one more octet, and how often the memory is looked at.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);

/// What a client sends at once; after it, it is slow.
struct Way {
    name: &'static str,
    head: String,
    body: usize,
}

/// Measures, and notes.
pub(crate) async fn measure(keys: &Keys, plan: &Plan, report: &mut Report) -> Result<(), Problem> {
    let double = guarded(keys).await?;
    let (address, _gateway) = gate(&double).await?;
    let bearer = keys.bearer()?.to_str()?.to_owned();
    let ways = [
        Way {
            name: "heads that do not end",
            head: "GET /v1/products/7 HTTP/1.1\r\nhost: bench\r\nx: ".to_owned(),
            body: 0,
        },
        Way {
            name: "bodies that do not end, a MiB sent of each",
            head: format!(
                "POST /v1/products HTTP/1.1\r\nhost: bench\r\nauthorization: {bearer}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                2 * BODY
            ),
            body: BODY,
        },
        Way {
            name: "answers of a thousand products that nobody reads",
            head: format!(
                "GET /v1/products?page_size=1000 HTTP/1.1\r\nhost: bench\r\nauthorization: {bearer}\r\n\r\n"
            ),
            body: 0,
        },
    ];
    for way in ways {
        let before = resident_mib();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let stream = TcpStream::connect(address).await?;
            clients.spawn(slow(stream, way.head.clone(), way.body));
        }
        let all = Instant::now();
        let (mut first, mut most) = (0, 0);
        while all.elapsed() < plan.turn * plan.rounds {
            sleep(LOOK).await;
            most = most.max(resident_mib());
            if all.elapsed() < plan.turn {
                first = most;
            }
        }
        report.note(format!(
            "(i) {CLIENTS} slow clients, {}: resident memory {before} MiB before them, {first} MiB in the first turn, \
             {most} MiB at most",
            way.name
        ));
        clients.shutdown().await;
    }
    Ok(())
}

/// Sends, then an octet now and then; what the gateway says is never read.
async fn slow(mut stream: TcpStream, head: String, body: usize) {
    static SPACES: [u8; 64 * 1024] = [b' '; 64 * 1024];
    // That the gateway hangs up is what may well happen; the place of this client stays empty.
    let mut sent = stream.write_all(head.as_bytes()).await;
    for _ in 0..body / SPACES.len() {
        sent = sent.and(stream.write_all(&SPACES).await);
    }
    while sent.is_ok() {
        sleep(PAUSE).await;
        sent = stream.write_all(b" ").await;
    }
    std::future::pending::<()>().await;
}

/// A gateway as it is by default, before the double.
async fn gate(double: &Serving) -> Result<(SocketAddr, JoinSet<()>), Problem> {
    let folder = tempfile::tempdir()?;
    let descriptors = folder.path().join("descriptors");
    std::fs::write(&descriptors, DESCRIPTORS)?;
    let config = Config {
        descriptors: Some(descriptors),
        more_upstreams: vec![UpstreamConfig {
            prefix: "millgate.factory.v1.ProductService".to_owned(),
            endpoint: format!("http://{}", double.address),
            setting: "bench".to_owned(),
        }],
        limits: LimitArgs::default(),
        ..Config::default()
    };
    let prepared = prepare(config, Arc::new(SystemEntropy))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut running = JoinSet::new();
    running.spawn(async {
        let _until_dropped = prepared.serve(listener, std::future::pending()).await;
    });
    Ok((address, running))
}
