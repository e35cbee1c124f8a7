//! EDGE files: whether this host saves its rules across reboots, and whether ours are among the saved ones.
//!
//! Rules that use a missing ipset cannot be loaded, and a saved ruleset is loaded as a whole or not at all. So if rules
//! are saved, our rules with ipsets would prevent the host's own rules from being loaded.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::path::Path;

/// Files in which distributions save rules: Debian and Ubuntu, Arch, Alpine, Red Hat, Gentoo.
const FILES: [&str; 10] = [
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/iptables/iptables.rules",
    "/etc/iptables/ip6tables.rules",
    "/etc/iptables/rules-save",
    "/etc/iptables/rules6-save",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
    "/var/lib/iptables/rules-save",
    "/var/lib/ip6tables/rules-save",
];

/// If this program is installed, rules are meant to be saved, even if no file exists yet.
const PROGRAM: &str = "/usr/sbin/netfilter-persistent";

/// The program or file that shows that this host saves its rules.
pub fn keeper() -> Option<&'static str> {
    [PROGRAM].into_iter().chain(FILES).find(|path| Path::new(path).exists())
}

/// The files that contain rules of ours with ipsets. Nothing in them would be loaded at the next boot.
pub fn unloadable() -> Vec<&'static str> {
    FILES.into_iter().filter(|file| std::fs::read_to_string(file).is_ok_and(|rules| asks_ipsets(&rules))).collect()
}

fn asks_ipsets(rules: &str) -> bool {
    rules.contains(" -m set --match-set flow-")
}

/// Logs a warning for each such file.
pub fn warn() {
    for file in unloadable() {
        let (what, help) = warning(file);
        tracing::warn!(help, "{what}");
    }
}

/// The warning about such a file, and the advice.
pub fn warning(file: &str) -> (String, &'static str) {
    let what = format!("{file} has rules of this agent that need ipsets: at the next boot, nothing in it will load");
    (what, "save the rules again while the agent is running: it then uses rules that load at boot")
}

#[cfg(test)]
mod tests;
