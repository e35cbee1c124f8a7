//! EDGE environment: where to look for the iptables and ipset programs.

use std::ffi::OsString;
use std::path::PathBuf;

/// The value of `PATH` with the directories for system programs appended, because a cron job's `PATH` may lack them.
pub fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::join_paths(std::env::split_paths(&path).chain(more)).unwrap_or(path)
}
