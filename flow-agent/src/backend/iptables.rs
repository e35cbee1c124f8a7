//! EDGE kernel: the iptables backend, which counts with rules where eBPF is not available.
//!
//! A set of counters consists of a few chains in each address family, entered by a jump at the head of `INPUT` and one
//! at the head of `OUTPUT`. The chains select the counted interfaces, then TCP and UDP. A port's counter is a member of
//! an ipset, which is found in a single lookup; on hosts without ipsets it is a rule, found through a tree of port
//! ranges. In any case the packet returns unchanged to the rule after the jump. Our rules never accept or mark a
//! packet, and only one of them can drop. It exists only while a user has a budget with `on_quota = "drop"` or an
//! expiry date, and cut packets reach it before anything is counted.
//!
//! The code has three parts: [`model`] defines what is written, [`saved`] parses what the host's programs print, and
//! [`host`] runs those programs. The other files implement the life cycle of a set of counters: it is found or made, it
//! counts, and it is retired.

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
pub(super) use counting::{new_name, refuse_too_many};
pub use found::is_newest_ours;
pub use instances::instances;
pub use model::pace::overshoot;
pub use model::set_name::instance_tag;
pub use start::{find_retired, probe, start, start_with};
pub use uninstall::{SurveyedRules, survey, survey_tag, uninstall, uninstall_tag};
