//! The rules of the factory: parsed values, state machines, who sees what. No tonic, no SQL.

pub(crate) mod access;
pub(crate) mod change;
pub(crate) mod contact;
pub(crate) mod customer;
pub(crate) mod employee;
pub(crate) mod ledger;
pub(crate) mod money;
pub(crate) mod name;
pub(crate) mod order;
pub(crate) mod paging;
pub(crate) mod period;
pub(crate) mod placement;
pub(crate) mod product;
pub(crate) mod production;
pub(crate) mod rate;
pub(crate) mod registration;
pub(crate) mod text;
pub(crate) mod ticket;
