//! PURE: the chains, rules and sets that count, the values of their counters, and the transactions that change them.

pub mod layout;
pub mod place;
pub mod transaction;
pub mod values;
