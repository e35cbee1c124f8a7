//! EDGE kernel: the nftables backend, which counts with sets in a table of our own, on hosts with `nft`.
//!
//! An instance has one table of the family `inet`, whose chains at the hooks `input` and `output` see the packets of
//! both address families, before the mangle table. They select the counted interfaces. A port's counter is an element
//! of one of four named sets (TCP and UDP, in and out), which is found in a single lookup. Our rules never accept or
//! mark a packet. Only one can drop; it exists while a user has a budget with `on_quota = "drop"` or an expiry date,
//! and cut packets reach it before anything is counted.
//!
//! All changes are transactions of `nft -j -f -`. The structure of the table is read by `nft -j list table`, but only
//! after the ruleset has changed; the counters are read over netlink, because `nft` takes ten times as long to print
//! them.
//!
//! What names, epochs and budgets mean is shared with the iptables backend, whose life cycle this one follows.

mod counting;
mod cutting;
mod found;
mod host;
mod inspect;
mod listed;
mod model;
mod predecessors;
mod retired;
mod set;
mod start;
mod uninstall;

pub use super::error::nftables::NftablesError;
pub use found::is_newest_ours;
pub use host::tried;
pub use start::{find_retired, probe, start, start_with};
pub use uninstall::{SurveyedTable, has_table, instances, survey, survey_tag, uninstall, uninstall_tag};
