//! EDGE kernel: counters in rules of iptables, where eBPF is not to be had.

pub mod layout;
pub mod names;
pub mod parse;
pub mod rule;
pub mod saved;
pub mod script;
pub mod shape;
pub mod view;
