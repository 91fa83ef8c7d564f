//! (g) Refresh and IssueServiceToken against loops of the same statements.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_contract::auth::v1 as pb;
use millgate_guard::{Clock as _, SystemClock};
use millgate_platform::{Database, Tx, on, on_tx};
use ring::digest;
use tokio::sync::Mutex;

use super::statements::{
    COUNT_UP, FORGET, HOLD_POSTGRES, HOLD_SQLITE, INSERT, LOOK_UP, PERSON, SECRETS, SERVICE, USE_UP,
};
use super::world::{Auth, CLIENT_ID, CLIENT_SECRET, caller, log_in};
use crate::Problem;
use crate::client::{slot, told};
use crate::keys::Keys;
use crate::load::{Load, Outcome};
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::rpc::Doubled;
use crate::table::{Aim, Compared};

/// Measures on one database.
pub(crate) async fn measure(
    auth: &Auth,
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let database = auth.database;
    let products: Arc<[i64]> = (1..=1_000).collect();
    let double = Doubled::by_millgate(keys).await?;
    let mut all = (Vec::new(), Vec::new());
    for (call, statements, load) in [
        (
            "Refresh",
            refresh_loop(auth, plan).await?,
            refreshes(auth, plan).await?,
        ),
        (
            "IssueServiceToken",
            service_loop(auth),
            service_tokens(auth),
        ),
    ] {
        let both = double.behind(&statements, &products)?;
        let subjects = vec![
            Subject::new(
                format!("(g) the statements of {call} in a loop, {database}"),
                statements,
            ),
            Subject::new(format!("(g) {call}, {database}"), load),
            Subject::new(
                format!("(g) the statements of {call} and a double in a row, {database}"),
                both,
            ),
        ];
        let measured = interleaved(subjects, plan).await;
        all.1.push(Compared {
            name: format!("(g) rate of {call} / of the loop, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[0]),
            aim: Aim::AtLeast(0.7),
        });
        all.1.push(Compared {
            name: format!("(g) rate of {call} / of both in a row, {database}"),
            ratio: Ratio::of_rates(&measured[1], &measured[2]),
            aim: Aim::None,
        });
        all.0.extend(measured);
    }
    Ok(all)
}

/// A chain of refreshes for each of the calls that are under way at once.
async fn refreshes(auth: &Auth, plan: &Plan) -> Result<Load, Problem> {
    let mut chains = Vec::new();
    for number in 0..plan.concurrency as u64 {
        let tokens = log_in(&auth.admin, number, auth.person(number)).await?;
        chains.push(Mutex::new(tokens.refresh_token));
    }
    let (client, chains) = (auth.admin.clone(), Arc::new(chains));
    Ok(Load::calls(move |number| {
        let (client, chains) = (client.clone(), chains.clone());
        async move {
            let mut token = chains[slot(number, chains.len())].lock().await;
            let request = pb::RefreshRequest {
                refresh_token: token.clone(),
            };
            let answer = caller(&client, number).refresh(request).await;
            *token = answer
                .map_err(|status| told(&status))?
                .into_inner()
                .refresh_token;
            Ok(())
        }
    }))
}

/// What stands in the database for a chain.
struct Chain {
    session: String,
    user: i64,
    hash: Vec<u8>,
    number: i64,
}

/// The same chains, by statements.
async fn refresh_loop(auth: &Auth, plan: &Plan) -> Result<Load, Problem> {
    let mut chains = Vec::new();
    for number in 0..plan.concurrency as u64 {
        let tokens = log_in(&auth.admin, number, auth.person(number)).await?;
        let bytes = URL_SAFE_NO_PAD.decode(&tokens.refresh_token)?;
        let secret = bytes.get(..32).ok_or("a short token")?;
        let session = tokens.session_id;
        let user: i64 = on!(auth.pool, |c| sqlx::query_scalar(
            "SELECT user_id FROM sessions WHERE id = $1"
        )
        .bind(&session)
        .fetch_one(c)
        .await)?;
        chains.push(Mutex::new(Chain {
            session,
            user,
            hash: sha256(secret),
            number: 1,
        }));
    }
    let (pool, chains) = (auth.pool.clone(), Arc::new(chains));
    Ok(Load::calls(move |number| {
        let (pool, chains) = (pool.clone(), chains.clone());
        async move {
            let mut chain = chains[slot(number, chains.len())].lock().await;
            turn(&pool, &mut chain)
                .await
                .map_err(|problem| problem.to_string())
        }
    }))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

async fn turn(pool: &Database, chain: &mut Chain) -> Result<(), Problem> {
    let now = SystemClock.now_micros();
    let child = sha256(&chain.hash);
    let mut tx = pool.begin().await?;
    let hold = match &tx {
        Tx::Sqlite(_) => HOLD_SQLITE.as_str(),
        Tx::Postgres(_) => HOLD_POSTGRES.as_str(),
    };
    on_tx!(tx, |c| {
        sqlx::query(hold)
            .bind(&chain.session)
            .fetch_one(&mut *c)
            .await?;
        sqlx::query(PERSON.as_str())
            .bind(chain.user)
            .fetch_one(&mut *c)
            .await?;
        sqlx::query(LOOK_UP)
            .bind(&chain.hash)
            .bind(&child)
            .fetch_one(&mut *c)
            .await?;
        sqlx::query(USE_UP)
            .bind(&chain.hash)
            .bind(now)
            .execute(&mut *c)
            .await?;
        sqlx::query(INSERT)
            .bind(&child)
            .bind(&chain.session)
            .bind(now)
            .bind(chain.number + 1)
            .execute(&mut *c)
            .await?;
        sqlx::query(COUNT_UP)
            .bind(&chain.session)
            .bind(now)
            .execute(&mut *c)
            .await?;
        sqlx::query(FORGET)
            .bind(&chain.session)
            .bind(chain.number)
            .execute(&mut *c)
            .await
            .map(drop)
    })?;
    tx.commit().await?;
    chain.hash = child;
    chain.number += 1;
    Ok(())
}

fn service_tokens(auth: &Auth) -> Load {
    let client = auth.admin.clone();
    Load::calls(move |number| {
        let mut auth = caller(&client, number);
        async move {
            let request = pb::IssueServiceTokenRequest {
                client_id: CLIENT_ID.to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
                scope: String::new(),
            };
            let answer = auth.issue_service_token(request).await;
            answer.map(drop).map_err(|status| told(&status))
        }
    })
}

fn service_loop(auth: &Auth) -> Load {
    let pool = auth.pool.clone();
    Load::calls(move |_| {
        let pool = pool.clone();
        async move { service_statements(&pool).await }
    })
}

async fn service_statements(pool: &Database) -> Outcome {
    let text = |error: sqlx::Error| error.to_string();
    let now = SystemClock.now_micros();
    on!(pool, |c| sqlx::query(SERVICE.as_str())
        .bind(CLIENT_ID)
        .fetch_one(c)
        .await
        .map(drop))
    .map_err(text)?;
    on!(pool, |c| sqlx::query(SECRETS)
        .bind(CLIENT_ID)
        .bind(now)
        .fetch_all(c)
        .await
        .map(drop))
    .map_err(text)
}
