//! How many of something one address may have at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places that are taken, by address.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Places, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
    count: usize,
}

impl Places {
    /// So many for one address; 0 for any number.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            taken: Arc::default(),
        }
    }

    /// How many one address may have; 0 for any number.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// So many places; `None` where the address would have more than it may.
    pub(crate) fn take(&self, address: IpAddr, count: usize) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = taken.get(&address).copied().unwrap_or_default();
        let would_have = has.saturating_add(count);
        if self.most > 0 && would_have > self.most {
            return None;
        }
        taken.insert(address, would_have);
        Some(Place {
            taken: Arc::clone(&self.taken),
            address,
            count,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= self.count;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let held = [places.take(one, 1), places.take(one, 1)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(one, 1).is_none() && places.take(other, 1).is_some());
        drop(held);
        assert!(places.take(one, 1).is_some());
        assert!(
            places.taken.lock().unwrap().is_empty(),
            "nothing is kept of those who have none"
        );
        let any = Places::new(0);
        let many: Vec<_> = (0..100).map(|_| any.take(one, 1)).collect();
        assert!(many.iter().all(Option::is_some));
    }
}
