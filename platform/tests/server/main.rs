//! A real server, and what it answers to good and to hostile clients.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connections;
mod limits;
mod logs;
mod malformed;
mod onward;
mod secure;
mod shutdown;
mod surface;
mod time;
mod workshop;
