//! The gateway over real HTTP, in front of a real tonic server whose answers each test writes.

mod connections;
mod guarded;
mod headers;
mod hostile;
mod messages;
mod refusals;
mod routes;
mod support;
mod transcoding;
