//! How many streams one address may have open: each holds a connection, here and at the service, for as long as it lives.

use crate::places::{self, Places};
use crate::problem::{Problem, reason};
use crate::upstream::{StreamPlace, Upstream};
use millgate_platform::ClientInfo;
use std::time::Duration;
use tonic::Code;

/// The open streams, by address.
#[derive(Debug, Clone)]
pub struct Streams(Places);

/// A stream's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _address: places::Place,
    /// Where the call is made.
    pub(crate) upstream: StreamPlace,
}

impl Streams {
    /// So many from one address; 0 for any number.
    pub fn new(most: u32) -> Self {
        Self(Places::new(most))
    }

    /// STREAM_LIMIT where the client has as many as it may, or the connections to the service have no room.
    pub(crate) fn admit(&self, client: &ClientInfo, upstream: &Upstream) -> Result<Place, Problem> {
        let upstream = upstream
            .stream_place()
            .ok_or_else(|| refused("there are too many open streams: come again later"))?;
        let address = self.0.take(client.throttle_key(), 1).ok_or_else(|| {
            let most = self.0.most();
            refused(format!(
                "this address has {most} open streams already: end one of them first"
            ))
        })?;
        Ok(Place {
            _address: address,
            upstream,
        })
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem {
        retry: Some(Duration::from_secs(1)),
        ..Problem::new(Code::ResourceExhausted, reason::STREAM_LIMIT, message)
    }
}
