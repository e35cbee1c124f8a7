//! PURE: what `iptables-save -c` and `ipset save` print, and what it says of our sets of counters.

pub mod damage;
pub mod error;
pub mod last;
pub mod members;
pub mod ruleset;
pub mod sets;
pub mod view;
