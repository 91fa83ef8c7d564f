//! How many streams one address may have open: each holds a connection, here and at the service, for as long as it lives.

use crate::problem::{Problem, reason};
use crate::upstream::Upstream;
use millgate_platform::ClientInfo;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;

/// The open streams, by address.
#[derive(Debug, Clone)]
pub struct Streams {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A stream's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
    _upstream: OwnedSemaphorePermit,
}

impl Streams {
    /// So many from one address; 0 for any number.
    pub fn new(most: u32) -> Self {
        Self {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            open: Arc::default(),
        }
    }

    /// STREAM_LIMIT where the client has as many as it may, or the connections to the service have no room.
    pub(crate) fn admit(&self, client: &ClientInfo, upstream: &Upstream) -> Result<Place, Problem> {
        let upstream = upstream
            .stream_place()
            .ok_or_else(|| refused("there are too many open streams: come again later"))?;
        let address = client.throttle_key();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if self.most > 0 && *count >= self.most {
            let most = self.most;
            return Err(refused(format!(
                "this address has {most} open streams already: end one of them first"
            )));
        }
        *count += 1;
        Ok(Place {
            open: Arc::clone(&self.open),
            address,
            _upstream: upstream,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem {
        retry: Some(Duration::from_secs(1)),
        ..Problem::new(Code::ResourceExhausted, reason::STREAM_LIMIT, message)
    }
}
