//! PURE: the chains, rules and ipsets that count, and the commands that create and change them.

pub mod cutting;
pub mod family;
pub mod flow;
pub mod ipset;
pub mod layout;
pub mod pace;
pub mod place;
pub mod rule;
pub mod script;
pub mod set_name;
pub mod shape;
