//! EDGE kernel, processes and files: the programs of iptables and ipset on this host, and their lock.

pub mod fingerprint;
pub mod kept;
pub mod search_path;
pub mod tools;
pub mod xtables_lock;
