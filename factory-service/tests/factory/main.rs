//! The factory service from the outside: real `prepare` and `serve` on port 0, the real guard, real tokens, SQLite and
//! PostgreSQL. Only the auth service is a double, because these tests break it at every point.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says which database it is on"
)]

mod auth_double;
mod binary;
mod changes;
mod crashes;
mod customer_end;
mod customers;
mod doors;
mod employees;
mod idempotency;
mod import_memory;
mod leaks;
mod order_amounts;
mod order_lists;
mod order_verbs;
mod order_watch;
mod orders;
mod orders_race;
mod product_import;
mod product_lists;
mod product_past;
mod production;
mod products;
mod registration;
mod registration_crash;
mod reports;
mod sound;
mod start;
mod stock;
mod tickets;
mod tickets_at_work;
mod world;
