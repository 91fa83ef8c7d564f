//! (f) Ten times more logins than can be served: what becomes of them, and of everybody else.

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use millgate_contract::auth::v1::WhoAmIRequest;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::Code;

use super::logins::logins;
use super::world::{Auth, PASSWORD, caller, login};
use crate::Problem;
use crate::client::{Client, told};
use crate::load::Slice;
use crate::measure::{Measured, Plan, Ratio};
use crate::memory::resident_mib;
use crate::table::{Aim, Compared, Report};

/// How many times more are offered than are served.
const TIMES: f64 = 10.0;
/// Callers of WhoAmI, and how long each rests between two calls: a service that is used, but not busy.
const CALLERS: u64 = 4;
const REST: Duration = Duration::from_millis(10);
/// How often new logins begin.
const TICK: Duration = Duration::from_millis(2);
/// Memory of one hash, in MiB.
const HASH_MIB: u64 = 19;

/// What one turn of the flood came to.
#[derive(Default)]
struct Flood {
    served: Slice,
    refused: Slice,
    memory: u64,
}

/// Measures on one database.
pub(crate) async fn measure(auth: &Auth, plan: &Plan, report: &mut Report) -> Result<(), Problem> {
    let database = auth.database;
    let mut rows = [
        "WhoAmI, quiet",
        "WhoAmI, ten times the logins offered",
        "logins that were served meanwhile",
        "logins that were refused with OVERLOADED",
    ]
    .map(|name| Measured::new(format!("(f) {name}, {database}")));
    let [quiet, loud, served, refused] = &mut rows;

    let mut warm_up = who_am_i(&auth.admin, plan.warm_up()).await;
    quiet.take_failures(&mut warm_up);
    let capacity = logins(auth).run(plan.concurrency, plan.turn).await;
    let offered = TIMES * per_second(&capacity);
    let before = resident_mib();
    let mut memory = 0;
    for _ in 0..plan.rounds {
        quiet.take_round(who_am_i(&auth.admin, plan.turn).await);
        let (calls, flood) = tokio::join!(
            who_am_i(&auth.admin, plan.turn),
            flood(auth, offered, plan.turn)
        );
        loud.take_round(calls);
        served.take_round(flood.served);
        refused.take_round(flood.refused);
        memory = memory.max(flood.memory);
    }
    let compared = vec![Compared {
        name: format!("(f) p99 of WhoAmI, flooded / quiet, {database}"),
        ratio: Ratio::of_p99s(&rows[1], &rows[0]),
        aim: Aim::AtMost(2.0),
    }];
    report.note(format!(
        "(f) {database}: {offered:.0} logins a second were offered. Resident memory, client included: {before} MiB \
         before, {memory} MiB at most; {} hashes at once take {} MiB",
        available_parallelism()?,
        u64::try_from(available_parallelism()?.get())? * HASH_MIB,
    ));
    report.add((rows.into(), compared));
    Ok(())
}

fn per_second(slice: &Slice) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of calls is far below 2^52"
    )]
    let count = slice.ok as f64;
    count / slice.elapsed.as_secs_f64()
}

/// WhoAmI, now and then, until the time is up.
async fn who_am_i(client: &Client, time: Duration) -> Slice {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move {
            let mut slice = Slice::default();
            while begun.elapsed() < time {
                let request = client.request(WhoAmIRequest {});
                let call = Instant::now();
                let answer = caller(&client, number).who_am_i(request).await;
                let outcome = answer.map(drop).map_err(|status| told(&status));
                slice.note(outcome, 1, call.elapsed());
                sleep(REST).await;
            }
            slice
        });
    }
    let mut all = Slice::default();
    while let Some(ended) = callers.join_next().await {
        match ended {
            Ok(slice) => all.add(slice),
            Err(error) => all.note(Err(error.to_string()), 1, Duration::ZERO),
        }
    }
    all.elapsed = begun.elapsed();
    all
}

/// Begins so many logins a second, whatever becomes of those before, and waits for the answers of all.
async fn flood(auth: &Auth, offered: f64, time: Duration) -> Flood {
    let begun = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all = Flood::default();
    let mut under_way = JoinSet::new();
    let mut number = 0_u64;
    while begun.elapsed() < time {
        ticks.tick().await;
        while begun.elapsed().as_secs_f64() * offered > f64_of(number) {
            number += 1;
            let (client, name) = (auth.admin.clone(), auth.person(number).to_owned());
            under_way.spawn(async move {
                let call = Instant::now();
                let answer = caller(&client, number)
                    .login(login(&name, PASSWORD))
                    .await
                    .map(drop);
                (answer, call.elapsed())
            });
        }
        all.memory = all.memory.max(resident_mib());
        while let Some(ended) = under_way.try_join_next() {
            all.take(ended);
        }
    }
    while let Some(ended) = under_way.join_next().await {
        all.take(ended);
    }
    all.served.elapsed = begun.elapsed();
    all.refused.elapsed = begun.elapsed();
    all
}

impl Flood {
    fn take(
        &mut self,
        ended: Result<(Result<(), tonic::Status>, Duration), tokio::task::JoinError>,
    ) {
        match ended {
            Ok((Ok(()), took)) => self.served.note(Ok(()), 1, took),
            Ok((Err(status), took))
                if status.code() == Code::ResourceExhausted
                    && status.message().contains("too many passwords") =>
            {
                self.refused.note(Ok(()), 1, took);
            }
            Ok((Err(status), took)) => self.refused.note(Err(told(&status)), 1, took),
            Err(error) => self.refused.note(Err(error.to_string()), 1, Duration::ZERO),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of calls is far below 2^52"
)]
fn f64_of(number: u64) -> f64 {
    number as f64
}
