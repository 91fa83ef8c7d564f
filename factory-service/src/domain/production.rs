//! Production runs: work that becomes stock.

use millgate_platform::{Etag, Fault, FieldFault, Reason};

/// The most pieces that a run plans, produces or spoils: far below where the stock of a product ends.
pub(crate) const MAX_QUANTITY: i64 = 1_000_000_000;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    /// Being made.
    Running,
    /// Made; the pieces are in stock.
    Completed,
    /// Given up.
    Cancelled,
}

/// The verbs that end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunVerb {
    /// Running to completed.
    Complete,
    /// Running to cancelled.
    Cancel,
}

impl RunState {
    /// Every state.
    pub(crate) const ALL: [Self; 3] = [Self::Running, Self::Completed, Self::Cancelled];

    /// The name in the database and in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The machine: where the verb leads from here, if it may be used.
    pub(crate) fn after(self, verb: RunVerb) -> Option<Self> {
        match (self, verb) {
            (Self::Running, RunVerb::Complete) => Some(Self::Completed),
            (Self::Running, RunVerb::Cancel) => Some(Self::Cancelled),
            (Self::Completed | Self::Cancelled, _) => None,
        }
    }

    /// The verbs that may be used now.
    pub(crate) fn verbs(self) -> Vec<RunVerb> {
        RunVerb::ALL
            .into_iter()
            .filter(|verb| self.after(*verb).is_some())
            .collect()
    }
}

impl RunVerb {
    /// Every verb.
    pub(crate) const ALL: [Self; 2] = [Self::Complete, Self::Cancel];

    /// The name in `next_actions` and in the HTTP path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancel => "cancel",
        }
    }
}

/// The run to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is made.
    pub product_id: i64,
    /// Who makes it.
    pub employee_id: Option<i64>,
    /// How many pieces are planned.
    pub planned: i64,
    /// When it was started, where that was said; microseconds since the epoch.
    pub start_time: Option<i64>,
}

impl Plan {
    /// When the run starts: now, where nothing else was said.
    ///
    /// # Errors
    /// FIELD_INVALID for a start in the future: a plan is not yet a run.
    pub(crate) fn start(&self, now: i64) -> Result<i64, Fault> {
        let start = self.start_time.unwrap_or(now);
        if start > now {
            return Err(Fault::field("run.start_time", "must not be in the future"));
        }
        Ok(start)
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Good pieces.
    pub produced: i64,
    /// Spoilt pieces.
    pub scrap: i64,
}

/// A production run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its id.
    pub id: i64,
    /// What is made.
    pub product_id: i64,
    /// Who makes it.
    pub employee_id: Option<i64>,
    /// How many pieces are planned.
    pub planned: i64,
    /// What came of it; nothing while it is running.
    pub outcome: Outcome,
    /// Where it stands.
    pub state: RunState,
    /// When it was started, microseconds since the epoch.
    pub start_time: i64,
    /// When it was completed or cancelled.
    pub finish_time: Option<i64>,
    /// Counts its moves.
    pub revision: i64,
    /// When it was written down.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
}

impl Run {
    /// Ends the run.
    ///
    /// # Errors
    /// ETAG_MISMATCH when it is not the revision that the caller read, STATE_CONFLICT when it is not running.
    pub(crate) fn apply(
        &mut self,
        verb: RunVerb,
        outcome: Outcome,
        etag: &str,
        now: i64,
    ) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        self.state = self.state.after(verb).ok_or_else(|| {
            let message = format!(
                "a run that is {} does not take `{}`; allowed: none",
                self.state.as_str(),
                verb.as_str()
            );
            Fault::new(Reason::StateConflict, message)
                .with_metadata("state", self.state.as_str())
                .with_metadata("allowed", "none")
        })?;
        self.outcome = outcome;
        self.finish_time = Some(now);
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }
}

/// A number of pieces, from `least`.
///
/// # Errors
/// AMOUNT_OUT_OF_RANGE above [`MAX_QUANTITY`], FIELD_INVALID below `least`.
pub(crate) fn quantity(pieces: i64, least: i64) -> Result<i64, FieldFault> {
    if pieces < least {
        return Err(format!("must be {least} or more").into());
    }
    if pieces > MAX_QUANTITY {
        let message = format!("must be at most {MAX_QUANTITY}");
        return Err(FieldFault::new(Reason::AmountOutOfRange, message));
    }
    Ok(pieces)
}

/// What whoever names no run is told.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(
        Reason::ProductionRunNotFound,
        format_args!("production run {id}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Outcome = Outcome {
        produced: 0,
        scrap: 0,
    };

    fn run() -> Run {
        Run {
            id: 1,
            product_id: 1,
            employee_id: None,
            planned: 10,
            outcome: NOTHING,
            state: RunState::Running,
            start_time: 1,
            finish_time: None,
            revision: 1,
            create_time: 1,
            update_time: 1,
        }
    }

    #[test]
    fn a_run_ends_once() {
        for first in RunVerb::ALL {
            for second in RunVerb::ALL {
                let mut run = run();
                run.apply(first, NOTHING, "1", 2).expect("ended");
                let ended = run.clone();
                let refused = run.apply(second, NOTHING, "", 3).expect_err("once");
                assert_eq!(refused.reason(), Reason::StateConflict);
                assert_eq!(run, ended, "nothing changed");
                assert!(run.state.verbs().is_empty());
            }
        }
    }

    #[test]
    fn a_stale_etag_ends_nothing() {
        let mut run = run();
        let refused = run.apply(RunVerb::Complete, NOTHING, "9", 2);
        assert_eq!(refused.expect_err("stale").reason(), Reason::EtagMismatch);
        assert_eq!(run, self::run());
    }

    #[test]
    fn a_quantity_is_bounded_on_both_sides() {
        assert_eq!(quantity(1, 1).expect("fine"), 1);
        assert_eq!(quantity(MAX_QUANTITY, 1).expect("fine"), MAX_QUANTITY);
        let reason = |pieces, least| quantity(pieces, least).expect_err("refused").reason;
        assert_eq!(reason(0, 1), Reason::FieldInvalid);
        assert_eq!(reason(-1, 0), Reason::FieldInvalid);
        assert_eq!(reason(MAX_QUANTITY + 1, 0), Reason::AmountOutOfRange);
    }

    #[test]
    fn a_run_starts_now_or_earlier() {
        let plan = |start_time| Plan {
            product_id: 1,
            employee_id: None,
            planned: 1,
            start_time,
        };
        assert_eq!(plan(None).start(9).expect("now"), 9);
        assert_eq!(plan(Some(3)).start(9).expect("earlier"), 3);
        assert_eq!(
            plan(Some(10)).start(9).expect_err("later").reason(),
            Reason::FieldInvalid
        );
    }
}
