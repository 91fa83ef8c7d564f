//! The flags.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::measure::Plan;

/// Measures what Millgate costs: ratios between what it serves and what the same work costs bare, taken in one run, in
/// turns.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Args {
    /// How long every subject is measured, in seconds, all its turns together.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,

    /// How many turns every subject has. An odd number has a round in the middle.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,

    /// How many calls are under way at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// Which measurements: all of them by default.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "a,b,c,d,e,f,g,h,i,j,k"
    )]
    only: Vec<Which>,

    /// How many logins of each kind (h) compares.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) arm: u32,

    /// How many orders (j) has.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) orders: u32,

    /// Log as the services do, on standard error, e.g. `info`: a line for every call. Off by default.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// The guard's verification against a raw HMAC-SHA256.
    A,
    /// An authenticated call without a database against a bare tonic server.
    B,
    /// GetProduct against its SELECT.
    C,
    /// PlaceOrder against its statements.
    D,
    /// Logins against raw argon2id.
    E,
    /// WhoAmI while ten times more logins are offered than can be served.
    F,
    /// Refresh and IssueServiceToken against their statements.
    G,
    /// Whether the time of a refused login tells why it was refused.
    H,
    /// The gateway against the RPCs behind it.
    I,
    /// ListOrders, its first page and its ten thousandth.
    J,
    /// The exchanges with PostgreSQL that a call takes.
    K,
}

impl Args {
    /// Whether this one was asked for.
    pub(crate) fn wants(&self, which: Which) -> bool {
        self.only.is_empty() || self.only.contains(&which)
    }

    /// How to measure.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            rounds: self.rounds,
            turn: Duration::from_secs(self.seconds.into()) / self.rounds,
            concurrency: self.concurrency.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_unless_some_is_named() {
        let args = Args::try_parse_from(["bench"]).expect("defaults");
        assert!(args.wants(Which::A) && args.wants(Which::D));
        let args = Args::try_parse_from(["bench", "--only", "a,c"]).expect("a list");
        assert!(args.wants(Which::A) && !args.wants(Which::B) && args.wants(Which::C));
    }

    #[test]
    fn the_turns_of_a_subject_share_its_seconds() {
        let args = Args::try_parse_from(["bench", "--seconds", "3", "--rounds", "6"]);
        let plan = args.expect("flags").plan();
        assert_eq!((plan.rounds, plan.turn), (6, Duration::from_millis(500)));
    }

    #[test]
    fn a_plan_without_time_or_callers_is_refused() {
        for flags in [
            ["--seconds", "0"],
            ["--rounds", "0"],
            ["--concurrency", "0"],
            ["--only", "z"],
        ] {
            assert!(Args::try_parse_from([&["bench"], &flags[..]].concat()).is_err());
        }
    }
}
