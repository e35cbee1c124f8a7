//! EDGE files: whether this host keeps its rules over a boot, and whether ours are among them.
//!
//! Rules that ask an ipset which is not there cannot be loaded, and a saved ruleset is loaded whole or not at all: where
//! rules are kept over a boot, ours would keep the host's own from being loaded.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::path::Path;

/// Where distributions keep rules over a boot: Debian and Ubuntu, Arch, Alpine, Red Hat, Gentoo.
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

/// What asks for them to be kept as soon as it is there.
const PROGRAM: &str = "/usr/sbin/netfilter-persistent";

/// Who keeps this host's rules over a boot.
pub fn keeper() -> Option<&'static str> {
    [PROGRAM].into_iter().chain(FILES).find(|path| Path::new(path).exists())
}

/// The files that hold rules of ours which ask ipsets: nothing in them is loaded at the next boot.
pub fn unloadable() -> Vec<&'static str> {
    FILES.into_iter().filter(|file| std::fs::read_to_string(file).is_ok_and(|rules| asks_ipsets(&rules))).collect()
}

fn asks_ipsets(rules: &str) -> bool {
    rules.contains(" -m set --match-set flow-")
}

/// Names such files in the log.
pub fn warn() {
    for file in unloadable() {
        let (what, help) = warning(file);
        tracing::warn!(help, "{what}");
    }
}

/// What is wrong with such a file, and what helps.
pub fn warning(file: &str) -> (String, &'static str) {
    let what = format!("{file} has rules of this agent that ask ipsets: nothing in it is loaded at the next boot");
    (what, "keep the rules again once the agent runs: where rules are kept it makes such as can be loaded")
}

#[cfg(test)]
mod tests;
