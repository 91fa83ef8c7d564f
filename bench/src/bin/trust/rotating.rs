//! Whether anybody notices: rotations under load, and an auth service that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::Problem;
use crate::house::{Elsewhere, House, service_token};

/// Callers at once.
const CALLERS: usize = 4;
/// How long a caller uses a token of ten seconds.
const KEEPS: Duration = Duration::from_secs(5);
/// A rotation that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

impl Counts {
    fn count(&self, good: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(u64::from(!good), Ordering::Relaxed);
    }
}

/// Rotates again and again while callers call both services.
pub(crate) async fn measure(kind: &str, house: &House, rotations: usize) -> Result<(), Problem> {
    let counts = Arc::new(Counts::default());
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let auth = house.auth.clone();
            let users = UserServiceClient::new(house.channel.clone());
            let (elsewhere, counts) = (house.elsewhere.clone(), counts.clone());
            tokio::spawn(async move {
                while !counts.over.load(Ordering::Relaxed) {
                    let Ok(token) = service_token(&auth).await else {
                        counts.count(false);
                        continue;
                    };
                    let token = token.access_token.expose_secret().to_owned();
                    let begun = Instant::now();
                    while begun.elapsed() < KEEPS && !counts.over.load(Ordering::Relaxed) {
                        counts.count(elsewhere.takes(&token));
                        let mut users = users.clone();
                        let request = with(&token, pb::ListUsersRequest::default());
                        counts.count(users.list_users(request).await.is_ok());
                    }
                }
            })
        })
        .collect();
    let mut trust = TrustServiceClient::new(house.channel.clone());
    let begun = Instant::now();
    for _ in 0..rotations {
        let admin = house.login("admin").await?.access_token;
        let key = trust
            .rotate_key(with(&admin, pb::RotateKeyRequest::default()))
            .await?
            .into_inner();
        let asked = Instant::now();
        loop {
            let admin = house.login("admin").await?.access_token;
            let keys = trust
                .list_keys(with(&admin, pb::ListKeysRequest {}))
                .await?
                .into_inner();
            let signs =
                |it: &pb::Key| it.key_id == key.key_id && it.state() == pb::KeyState::Active;
            if keys.keys.iter().any(signs) {
                break;
            }
            if asked.elapsed() > PATIENCE {
                return Err("a rotation is stuck".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let took = begun.elapsed();
    counts.over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await?;
    }
    tell(
        &format!("{kind}: {rotations} rotations in {took:.1?}"),
        &counts,
    )
}

/// Goes on at the other service while the auth service is away.
pub(crate) async fn away(kind: &str, house: House, long: Duration) -> Result<(), Problem> {
    let mut tokens = Vec::new();
    for number in 0..20 {
        tokens.push(house.person(&format!("away{number}")).await?.access_token);
    }
    let (elsewhere, tasks) = house.stop_auth().await?;
    let counts = Counts::default();
    let begun = Instant::now();
    while begun.elapsed() < long {
        ask(&elsewhere, &tokens, &counts);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    tell(&format!("{kind}: auth away for {long:?}"), &counts)
}

fn ask(elsewhere: &Elsewhere, tokens: &[String], counts: &Counts) {
    for token in tokens {
        counts.count(elsewhere.takes(token));
    }
}

fn tell(what: &str, counts: &Counts) -> Result<(), Problem> {
    let (calls, refused) = (
        counts.calls.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
    );
    println!("{what}: {calls} honest calls, {refused} refused");
    match refused {
        0 => Ok(()),
        _ => Err("honest calls were refused".into()),
    }
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(entry) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", entry);
    }
    request
}
