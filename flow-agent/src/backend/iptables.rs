//! EDGE kernel: counters in rules of iptables, where eBPF is not to be had.
//!
//! A set of counters is a few chains in each family, entered by one jump at the head of `INPUT` and `OUTPUT`. They pick
//! the counted interfaces, and TCP or UDP. What counts a port is then the member of an ipset, found at once; or, where a
//! host has no ipsets, a rule, found by a tree of port ranges. Whatever happens, the packet comes back to the rule after
//! the jump as it was. Nothing here accepts or marks, and nothing drops but one rule, which is there only while a user has a
//! budget with `on_quota = "drop"` or an end: it is entered before anything is counted.
//!
//! Three rooms: [`model`] says what is written, [`saved`] reads what the host's programs print, and [`host`] runs those
//! programs. The files beside them are the life cycle of a set of counters: it is found or made, counts, and is retired.

mod counting;
mod cutting;
mod found;
pub mod host;
mod inspect;
mod instances;
pub mod model;
mod predecessors;
mod retired;
pub mod saved;
mod set;
mod start;
mod uninstall;

pub use super::error::iptables::IptablesError;
pub use instances::instances;
pub use model::pace::overshoot;
pub use model::set_name::instance_tag;
pub use start::{find_retired, probe, start, start_with};
pub use uninstall::{SurveyedRules, survey, survey_tag, uninstall, uninstall_tag};
