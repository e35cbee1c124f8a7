//! EDGE kernel: counters in rules of iptables, where eBPF is not to be had.
//!
//! A set of counters is a few chains in each family, entered by one jump at the head of `INPUT` and `OUTPUT`. They pick
//! the counted interfaces, and TCP or UDP. What counts a port is then the member of an ipset, found at once; or, where a
//! host has no ipsets, a rule, found by a tree of port ranges. Whatever happens, the packet comes back to the rule after
//! the jump as it was. Nothing here accepts, drops or marks.
//!
//! The pure half: `names`, `shape`, `layout`, `rule` and `script` say what is written, `parse`, `ipset`, `saved` and `view`
//! what is read, `plan` what becomes of what is found, `damage` what is still believed of counters that somebody else touched.

mod counting;
pub mod damage;
mod error;
mod fingerprint;
mod found;
mod inspect;
mod instances;
pub mod ipset;
pub mod kept;
pub mod layout;
pub mod names;
pub mod parse;
mod plan;
mod predecessors;
pub(super) mod process;
mod retired;
pub mod rule;
pub mod saved;
pub mod script;
mod set;
pub mod shape;
mod start;
pub(super) mod tools;
mod uninstall;
pub mod view;
mod xtables_lock;

pub use error::IptablesError;
pub use instances::instances;
pub use names::instance_tag;
pub(super) use start::search_path;
pub use start::{find_retired, probe, start, start_with};
pub use uninstall::{SurveyedSet, survey, survey_tag, uninstall, uninstall_tag};
