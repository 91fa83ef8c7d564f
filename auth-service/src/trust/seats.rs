//! How many guards may follow one replica.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millgate_platform::{Fault, Reason};

/// Guards that may be connected to one replica.
const ALL: usize = 1000;
/// Of them, those of one service account: whoever stole its secret must not keep the others from learning what was
/// revoked.
const EACH: usize = 100;

/// The seats of a replica.
#[derive(Default)]
pub(crate) struct Seats(Mutex<HashMap<String, usize>>);

/// A guard's seat, given back when this is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    client_id: String,
}

impl Seats {
    /// Takes a seat for a guard of this service account.
    ///
    /// # Errors
    /// STREAM_LIMIT when all are taken, or all of this account.
    pub(crate) fn take(self: &Arc<Self>, client_id: &str) -> Result<Seat, Fault> {
        let mut taken = self.taken();
        let full = |message| Err(Fault::new(Reason::StreamLimit, message));
        if taken.values().sum::<usize>() >= ALL {
            return full("too many guards follow this replica; try another");
        }
        let own = taken.entry(client_id.to_owned()).or_default();
        if *own >= EACH {
            return full("too many guards of this service account follow this replica");
        }
        *own += 1;
        Ok(Seat {
            seats: self.clone(),
            client_id: client_id.to_owned(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(own) = taken.get_mut(&self.client_id) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.client_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(taken: Result<Seat, Fault>) -> Option<Reason> {
        taken.err().map(|fault| fault.reason())
    }

    #[test]
    fn one_account_cannot_take_the_seats_of_the_others() {
        let seats = Arc::new(Seats::default());
        let mut held: Vec<Seat> = (0..EACH).flat_map(|_| seats.take("stolen")).collect();
        assert_eq!(held.len(), EACH);
        assert_eq!(reason(seats.take("stolen")), Some(Reason::StreamLimit));
        assert_eq!(reason(seats.take("factory-service")), None);
        held.pop();
        assert_eq!(reason(seats.take("stolen")), None);
    }

    #[test]
    fn a_replica_has_so_many_seats_and_a_guard_that_leaves_gives_its_own_back() {
        let seats = Arc::new(Seats::default());
        let all: Vec<Seat> = (0..ALL)
            .flat_map(|number| seats.take(&format!("client-{}", number / EACH)))
            .collect();
        assert_eq!(all.len(), ALL);
        assert_eq!(reason(seats.take("another")), Some(Reason::StreamLimit));
        drop(all);
        assert!(seats.taken().is_empty());
        assert_eq!(reason(seats.take("another")), None);
    }
}
