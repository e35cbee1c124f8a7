//! EDGE environment: where the programs of iptables and ipset are looked for.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where the programs are looked for: also where they lie, for a cron job whose path does not say.
pub fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::join_paths(std::env::split_paths(&path).chain(more)).unwrap_or(path)
}
