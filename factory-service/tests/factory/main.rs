//! The factory service from the outside: real `prepare` and `serve` on port 0, the real guard, real tokens, SQLite and
//! PostgreSQL. Only the auth service is a double, because these tests break it at every point.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says which database it is on"
)]

mod auth_double;
mod customers;
mod orders;
mod orders_race;
mod products;
mod registration;
mod start;
mod tickets;
mod world;
