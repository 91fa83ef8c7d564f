//! How much memory the bodies of all requests and answers may hold at once. Each has its own limit, but slow clients could
//! hold a thousand of them.

use crate::places::{Place, Places};
use crate::problem::{Problem, reason};
use millgate_platform::ClientInfo;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Code;

/// Counted in such pieces; what is smaller than one costs hardly more than its connection, and is not counted.
pub(crate) const UNIT: usize = 64 * 1024;

/// The memory that is left.
#[derive(Debug, Clone)]
pub struct Memory {
    units: Arc<Semaphore>,
    shares: Places,
}

/// Some of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _units: OwnedSemaphorePermit,
    _share: Place,
}

impl Memory {
    /// So many bytes, of which one address may hold a quarter, and the largest body in any case.
    pub fn new(bytes: u32, largest: usize) -> Self {
        let largest = u32::try_from(largest.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = (bytes / u32::try_from(UNIT).unwrap_or(u32::MAX)).max(largest);
        Self {
            units: Arc::new(Semaphore::new(units as usize)),
            shares: Places::new((units / 4).max(largest).max(1)),
        }
    }

    /// Memory for so many more bytes; OVERLOADED where there is none.
    pub(crate) fn take(&self, client: &ClientInfo, bytes: usize) -> Result<Option<Held>, Problem> {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        if units == 0 {
            return Ok(None);
        }
        let share = self.shares.take(client.throttle_key(), units as usize);
        let share = share.ok_or_else(|| overloaded("of this address"))?;
        let units = Arc::clone(&self.units).try_acquire_many_owned(units);
        let units = units.map_err(|_| overloaded("of all clients"))?;
        Ok(Some(Held {
            _units: units,
            _share: share,
        }))
    }
}

fn overloaded(whose: &str) -> Problem {
    Problem {
        retry: Some(Duration::from_secs(1)),
        ..Problem::new(
            Code::ResourceExhausted,
            reason::OVERLOADED,
            format!("there are too many large bodies {whose} under way: come again later"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientInfo {
        ClientInfo {
            address: [192, 0, 2, last].into(),
            user_agent: String::new(),
        }
    }

    #[test]
    fn one_address_holds_a_quarter_and_all_hold_no_more_than_there_is() {
        let memory = Memory::new(16 * 64 * 1024, 2 * UNIT);
        let take = |last, units: usize| memory.take(&client(last), units * UNIT);
        let mut held = vec![take(1, 3).unwrap(), take(1, 1).unwrap()];
        assert_eq!(take(1, 1).unwrap_err().reason, "OVERLOADED");
        assert!(
            memory.take(&client(1), UNIT - 1).unwrap().is_none(),
            "small ones go on"
        );
        held.extend((2..5).map(|last| take(last, 4).unwrap()));
        assert_eq!(take(9, 1).unwrap_err().reason, "OVERLOADED");
        held.remove(0);
        assert!(take(9, 1).is_ok());
        assert!(memory.shares.take([192, 0, 2, 1].into(), 3).is_some());
    }

    #[test]
    fn the_largest_body_always_has_room_by_itself() {
        let memory = Memory::new(0, 10 * UNIT);
        let one = memory.take(&client(1), 10 * UNIT).unwrap();
        assert!(memory.take(&client(2), UNIT).is_err());
        drop(one);
        assert!(memory.take(&client(2), UNIT).is_ok());
    }
}
