//! Events that changed nothing, summed up: whoever sends a flood of calls must not fill the disk with their refusals.
//!
//! Of equal events (the same event, outcome and cause, about the same account or from the same network) the first of a
//! window are kept whole, the rest become one record with their number. The kinds that are told apart in a window are
//! bounded too: what is beyond is counted by event, outcome and cause alone, which are words of ours. What strangers send
//! has a bound of its own, so that it takes nothing from what is told of those who have proved who they are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::DONE;
use crate::domain::audit::Record;
use crate::domain::{Micros, micros};

/// How long equal events are summed up.
const WINDOW: Duration = Duration::from_secs(60);
/// Of equal events, how many are kept whole in a window.
const WHOLE: i64 = 5;
/// Kinds of events that are told apart in a window, of each [`Source`]. With these, a window has at most 256 × (5 + 1)
/// records and one for each word of ours: some 1,600, and 700 MB a day at the very worst.
const KINDS: [usize; 3] = [128, 64, 64];
/// Whole records that wait to be written, while the database is away.
const BUFFER: usize = 4096;

/// What makes events equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    event: String,
    outcome: String,
    cause: String,
    who: Who,
}

/// Who can cause events: an index of [`KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Who has proved who they are.
    Proven,
    /// Whoever knows an account.
    Named,
    /// Anybody.
    Stranger,
}

impl Source {
    fn of(record: &Record) -> Self {
        if !record.actor.is_empty() || record.outcome == DONE {
            Self::Proven
        } else if record.subject.is_some() || !record.client_id.is_empty() {
            Self::Named
        } else {
            Self::Stranger
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(i64),
    Client(String),
    /// An address, or the /64 of an IPv6 one, as the throttles have it.
    Network(Option<IpAddr>),
    /// Beyond the kinds that are told apart.
    Others,
}

impl Kind {
    fn of(record: &Record, network: Option<IpAddr>) -> Self {
        let who = if let Some(id) = record.subject {
            Who::Account(id)
        } else if record.client_id.is_empty() {
            Who::Network(network)
        } else {
            Who::Client(record.client_id.clone())
        };
        Self {
            event: record.event.clone(),
            outcome: record.outcome.clone(),
            cause: record.cause.clone(),
            who,
        }
    }

    /// A record for events that were counted only.
    fn sum(self, time: Micros, occurrences: i64) -> Record {
        let mut record = Record {
            time,
            event: self.event,
            outcome: self.outcome,
            cause: self.cause,
            actor: String::new(),
            subject: None,
            client_id: String::new(),
            session: String::new(),
            address: String::new(),
            request_id: String::new(),
            occurrences,
        };
        match self.who {
            Who::Account(id) => record.subject = Some(id),
            Who::Client(id) => record.client_id = id,
            Who::Network(Some(IpAddr::V6(net))) => record.address = format!("{net}/64"),
            Who::Network(Some(ip)) => record.address = ip.to_string(),
            Who::Network(None) | Who::Others => {}
        }
        record
    }
}

#[derive(Debug, Default)]
struct Count {
    whole: i64,
    summed: i64,
}

/// The events of a window.
#[derive(Debug, Default)]
pub(super) struct Summary {
    began: Option<Micros>,
    counts: HashMap<Kind, Count>,
    /// How many kinds of each source are told apart.
    kinds: [usize; 3],
    /// To be written.
    ready: Vec<Record>,
}

impl Summary {
    /// Takes an event.
    pub(super) fn add(&mut self, record: Record, network: Option<IpAddr>) {
        self.began.get_or_insert(record.time);
        let mut kind = Kind::of(&record, network);
        if !self.counts.contains_key(&kind) {
            let source = Source::of(&record) as usize;
            if self.kinds[source] < KINDS[source] {
                self.kinds[source] += 1;
            } else {
                kind.who = Who::Others;
            }
        }
        let may_be_whole = kind.who != Who::Others && self.ready.len() < BUFFER;
        let count = self.counts.entry(kind).or_default();
        if may_be_whole && count.whole < WHOLE {
            count.whole += 1;
            self.ready.push(record);
        } else {
            count.summed += record.occurrences;
        }
    }

    /// What is to be written now: whole records at once, the sums when their window is over, or when it is `ended`.
    pub(super) fn take(&mut self, now: Micros, ended: bool) -> Vec<Record> {
        let over =
            |began: Micros| ended || now.saturating_sub(began) >= micros(WINDOW) || now < began;
        if self.began.is_some_and(over) && self.ready.len() < BUFFER {
            self.began = None;
            self.kinds = Default::default();
            for (kind, count) in self.counts.drain() {
                if count.summed > 0 {
                    self.ready.push(kind.sum(now, count.summed));
                }
            }
        }
        std::mem::take(&mut self.ready)
    }

    /// Takes back what could not be written; it comes before what has come meanwhile.
    pub(super) fn give_back(&mut self, mut records: Vec<Record>) {
        records.append(&mut self.ready);
        self.ready = records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::tests::record;

    fn refusal(time: Micros, address: &str, subject: Option<i64>) -> Record {
        Record {
            outcome: "refused".into(),
            cause: "wrong_password".into(),
            actor: String::new(),
            address: address.into(),
            subject,
            ..record(time)
        }
    }

    fn total(records: &[Record]) -> i64 {
        records.iter().map(|record| record.occurrences).sum()
    }

    #[test]
    fn a_flood_from_one_network_is_five_records_and_a_number() {
        let mut summary = Summary::default();
        let network = "2001:db8::".parse().ok();
        for last in 0..100_000 {
            let address = format!("2001:db8::{:x}:{:x}", last / 0xffff, last % 0xffff);
            summary.add(refusal(1, &address, None), network);
        }
        assert_eq!(summary.take(2, false).len(), 5);
        let sums = summary.take(2, true);
        assert_eq!(sums.len(), 1);
        assert_eq!(
            (sums[0].occurrences, &*sums[0].address),
            (99_995, "2001:db8::/64")
        );
        assert_eq!(sums[0].request_id, "", "a sum is of no single request");
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_nothing_is_left_uncounted() {
        let mut summary = Summary::default();
        let mut written = Vec::new();
        for number in 0..100_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            summary.add(refusal(1, &address.to_string(), None), Some(address));
            if number % 1_000 == 0 {
                written.extend(summary.take(2, false));
            }
        }
        written.extend(summary.take(2, true));
        assert!(written.len() <= KINDS[2] * 6 + 1, "{}", written.len());
        assert_eq!(total(&written), 100_000);
    }

    #[test]
    fn strangers_take_no_place_from_those_who_are_known() {
        let mut summary = Summary::default();
        for number in 0..1_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            summary.add(refusal(1, "a", None), Some(address));
            summary.add(refusal(1, "a", Some(i64::from(number))), Some(address));
        }
        summary.take(2, false);
        let done = Record {
            actor: "service:factory".into(),
            ..refusal(1, "a", Some(7_000))
        };
        summary.add(done.clone(), None);
        assert_eq!(summary.take(2, false), [done]);
    }

    #[test]
    fn a_window_ends_and_the_next_begins_with_whole_records() {
        let mut summary = Summary::default();
        for _ in 0..7 {
            summary.add(refusal(0, "::1", Some(7)), None);
        }
        assert_eq!(total(&summary.take(micros(WINDOW) - 1, false)), 5);
        let sums = summary.take(micros(WINDOW), false);
        assert_eq!((sums.len(), total(&sums), sums[0].subject), (1, 2, Some(7)));
        summary.add(refusal(micros(WINDOW), "::1", Some(7)), None);
        assert_eq!(total(&summary.take(micros(WINDOW), false)), 1);
        assert!(summary.take(i64::MAX, true).is_empty());
    }

    #[test]
    fn a_database_that_is_away_costs_a_bounded_memory_and_no_count() {
        let mut summary = Summary::default();
        let (mut sent, mut now) = (0, 0);
        for window in 0..200 {
            now = window * micros(WINDOW);
            for number in 0..400_u32 {
                let address = IpAddr::from(number.to_be_bytes());
                summary.add(refusal(now, "a", None), Some(address));
                sent += 1;
            }
            let unwritten = summary.take(now + micros(WINDOW), false);
            summary.give_back(unwritten);
        }
        assert!(
            summary.ready.len() <= BUFFER + KINDS[2] + 1,
            "{}",
            summary.ready.len()
        );
        assert!(summary.counts.len() <= KINDS[2] + 1);
        let mut written = summary.take(now, true);
        written.extend(summary.take(now, true));
        assert_eq!(total(&written), sent);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_sums() {
        let mut summary = Summary::default();
        for _ in 0..6 {
            summary.add(refusal(micros(WINDOW), "::1", None), None);
        }
        assert_eq!(total(&summary.take(0, false)), 6);
    }
}
