//! (e) Logins against raw argon2id of the same cost, as many at once as there are cores.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::world::{Auth, PASSWORD, log_in};
use crate::Problem;
use crate::load::Load;
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

/// KiB, passes, lanes: what the service computes when nothing is set.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Measures on one database.
pub(crate) async fn measure(
    auth: &Auth,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let database = auth.database;
    let subjects = vec![
        Subject::new("(e) argon2id, one on each core", raw()?),
        Subject::new(format!("(e) Login, {database}"), logins(auth)),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = vec![Compared {
        name: format!("(e) rate of Login / of argon2id, {database}"),
        ratio: Ratio::of_rates(&measured[1], &measured[0]),
        aim: Aim::AtLeast(0.95),
    }];
    Ok((measured, compared))
}

/// Logins of one person after the other.
pub(super) fn logins(auth: &Auth) -> Load {
    let (client, people) = (auth.admin.clone(), auth.people.clone());
    Load::calls(move |number| {
        let (client, people) = (client.clone(), people.clone());
        async move {
            let name = &people[crate::client::slot(number, people.len())];
            log_in(&client, number, name).await.map(drop)
        }
    })
}

fn raw() -> Result<Load, Problem> {
    let params = Params::new(COST.0, COST.1, COST.2, None).map_err(|error| error.to_string())?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let cores = available_parallelism()?.get();
    let turns = Arc::new(Semaphore::new(cores));
    // Kept from one hash to the next, as the service does: new pages cost, too.
    let blocks = vec![Block::default(); argon.params().block_count()];
    let memory = Arc::new(Mutex::new(vec![blocks; cores]));
    Ok(Load::calls(move |number| {
        let (argon, turns, memory) = (argon.clone(), turns.clone(), memory.clone());
        async move {
            let turn = turns.acquire_owned().await;
            let turn = turn.map_err(|error| error.to_string())?;
            let hashed = spawn_blocking(move || {
                let mut output = [0; 32];
                let salt = u128::from(number).to_be_bytes();
                let mut blocks = taken(&memory).pop().ok_or("more hashes than cores")?;
                let password = PASSWORD.as_bytes();
                let done =
                    argon.hash_password_into_with_memory(password, &salt, &mut output, &mut blocks);
                taken(&memory).push(blocks);
                drop(turn);
                done.map_err(|error| error.to_string())
            });
            hashed.await.map_err(|error| error.to_string())?
        }
    }))
}

fn taken<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
