//! `millgate demo --backdate`: the year, in the database itself.

use std::path::PathBuf;
use std::sync::Arc;

use factory_service::{Backdated, DemoHistory, DemoMarks};
use millgate_platform::SystemClock;

use super::super::Failure;
use super::plan::{PERIODS, Plan, YEAR};
use super::progress::Progress;
use crate::folder::Folder;
use crate::serve::FactoryDatabaseUrl;
use crate::terminal::say;

const MICROS: i64 = 1_000_000;
/// Runs of one transaction: it holds no lock for long.
const RUNS_AT_ONCE: usize = 500;

/// Where the factory's database is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --backdate")]
pub(super) struct Local {
    /// The data folder of `millgate serve`.
    #[arg(
        long,
        env = "MILLGATE_DATA_DIR",
        value_name = "PATH",
        default_value = "./millgate-data"
    )]
    data_dir: PathBuf,

    #[command(flatten)]
    database: FactoryDatabaseUrl,
}

impl Local {
    async fn open(&self, plan: &Plan) -> Result<DemoHistory, Failure> {
        let url = match self.database.resolve()? {
            Some(url) => url,
            None => {
                let file = self.data_dir.join("factory.db");
                if !file.is_file() {
                    return Err(Failure::Refused(format!(
                        "--data-dir (MILLGATE_DATA_DIR): there is no {}",
                        file.display()
                    )));
                }
                Folder::open(&self.data_dir)?.sqlite("factory.db")
            }
        };
        let marks = DemoMarks {
            domain: plan.edition.domain(),
            prefix: plan.edition.to_string(),
        };
        Ok(DemoHistory::open(&url, Arc::new(SystemClock), marks).await?)
    }
}

/// Spreads the demo over the year that ends when it was made.
pub(super) async fn run(local: &Local, plan: &Plan) -> Result<(), Failure> {
    let mut history = local.open(plan).await?;
    let spread = spread(&mut history, plan).await;
    history.close().await;
    let (orders, runs) = spread?;
    say(&format!(
        "demo {}: {orders} orders and {runs} production runs lie in the year before it was made",
        plan.edition
    ))?;
    Ok(())
}

async fn spread(history: &mut DemoHistory, plan: &Plan) -> Result<(u64, u64), Failure> {
    let edition = plan.edition;
    let made = history.made().await?.ok_or_else(|| {
        Failure::Refused(format!(
            "there is no demo {edition} in this database: `--seed` and `--orders` are those that it was made with"
        ))
    })?;
    let begin = made / MICROS - YEAR;
    let micros = |moment: i64| (begin + moment) * MICROS;
    let progress = Progress::of(edition.orders);
    let (mut after, mut moved) = (0, 0);
    loop {
        let batch = history.orders(after).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        let mut backdated = Vec::with_capacity(batch.len());
        for order in batch {
            let number = edition.number_of(&order.notes);
            // An order that somebody placed for a customer of the demo stays where it is.
            let Some(number) = number.filter(|number| *number < edition.orders) else {
                continue;
            };
            let moments = plan.moments(number);
            let ticket = plan.ticket_moment(number, &moments);
            backdated.push(Backdated {
                order,
                moments: moments
                    .iter()
                    .map(|(state, moment)| (*state, micros(*moment)))
                    .collect(),
                ticket: ticket.map(micros),
            });
            progress.step();
            moved += 1;
        }
        history.backdate(&backdated).await?;
    }
    let runs: Vec<(u32, i64)> = (0..PERIODS)
        .flat_map(|period| plan.runs(period))
        .map(|run| (run.product, micros(run.start)))
        .collect();
    let mut runs_moved = 0;
    for batch in runs.chunks(RUNS_AT_ONCE) {
        runs_moved += history.backdate_runs(batch).await?;
    }
    Ok((moved, runs_moved))
}
