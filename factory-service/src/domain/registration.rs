//! Registrations: a login at the auth service and a profile here, both or neither.
//!
//! A registration is committed before auth is asked. From then on it is PENDING until it is known whether auth has the
//! user: then it is DONE (the profile is made) or UNDONE (there is none). Nothing is ever concluded from silence: while
//! it is not known, it stays PENDING, and the reconciler asks.

/// How far a registration came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistrationState {
    /// Not known yet whether auth has the user.
    Pending,
    /// Both are there.
    Done,
    /// Neither is there.
    Undone,
}

impl RegistrationState {
    /// The state of this name in the database.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "PENDING" => Some(Self::Pending),
            "DONE" => Some(Self::Done),
            "UNDONE" => Some(Self::Undone),
            _ => None,
        }
    }
}

const SECOND: i64 = 1_000_000;

/// As long a call drives its registration alone, microseconds: more than the 10 s that a call may take.
pub(crate) const HOLD: i64 = 15 * SECOND;
/// As long the reconciler leaves a registration alone, microseconds: twice that, so that whatever the call has sent to
/// auth has ended there too.
pub(crate) const GRACE: i64 = 30 * SECOND;
/// When nothing is left of a settled registration, microseconds after it was settled: as long as answers are kept.
pub(crate) const KEPT: i64 = 24 * 3600 * SECOND;

/// After a registration was undone because auth had no user, the reconciler asks again after these times,
/// microseconds: a request that was long under way may have made one late.
const LATE_LOOKS: [i64; 3] = [60 * SECOND, 600 * SECOND, 24 * 3600 * SECOND];

/// After how long a registration that was undone is looked at once more, given how often it was; `None` for no more.
pub(crate) fn late_look(looks: i64) -> Option<i64> {
    usize::try_from(looks)
        .ok()
        .and_then(|looks| LATE_LOOKS.get(looks))
        .copied()
}

/// After how long something is tried again that has failed this often: 5 s, doubled each time, an hour at most.
pub(crate) fn backoff(attempts: i64) -> i64 {
    let doubled = 5 * SECOND * (1_i64 << attempts.clamp(0, 16));
    doubled.min(3600 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_late_look_is_a_day_after() {
        assert_eq!(late_look(0), Some(60 * SECOND));
        assert_eq!(late_look(2), Some(24 * 3600 * SECOND));
        assert_eq!(late_look(3), None);
        assert_eq!(late_look(-1), None);
    }

    #[test]
    fn tries_grow_rarer_but_never_stop() {
        assert_eq!(backoff(0), 5 * SECOND);
        assert_eq!(backoff(1), 10 * SECOND);
        assert_eq!(backoff(i64::MAX), 3600 * SECOND);
        assert!((0..100).all(|attempts| backoff(attempts) <= backoff(attempts + 1)));
    }

    #[test]
    fn a_call_is_over_before_its_registration_is_taken_from_it() {
        let deadline = 10 * SECOND;
        assert!(deadline < HOLD && HOLD < GRACE);
    }
}
