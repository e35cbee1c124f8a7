//! PURE: parses the output of `iptables-save -c` and `ipset save`, and finds our sets of counters in it.

pub mod damage;
pub mod error;
pub mod last;
pub mod members;
pub mod ruleset;
pub mod sets;
pub mod view;
