//! The factory service: customers, products, orders and service tickets, behind the guard.
//!
//! One way for every request: `service` parses and replies, `domain` has the rules, `store` has the SQL. What needs two
//! services, a customer's registration and the end of their login, is in `registration`.

mod auth;
mod changes;
mod check;
mod config;
mod demo;
mod domain;
mod prepare;
mod registration;
mod service;
mod store;
mod trust;

pub use check::{Finding, check};
pub use config::{ClientSecret, Config, DatabaseUrl};
pub use demo::{Backdated, DemoHistory, DemoMarks, DemoOrder};
pub use millgate_platform::Ambient;
pub use prepare::{Prepared, prepare};
