//! EDGE kernel, processes and files: this host's iptables and ipset programs, and their lock.

pub mod fingerprint;
pub mod kept;
pub mod search_path;
pub mod tools;
pub mod xtables_lock;
