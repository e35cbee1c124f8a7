//! Section ports: how many are counted, for whom, what stands in the way, and how much memory it takes.
#![expect(clippy::disallowed_methods, reason = "edge: kernel")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use flow_common::wire;

use super::finding::{Finding, Section};
use crate::config::{BackendChoice, Config};
use crate::ledger::units::Human;
use crate::ports::wanted::{Wanted, Warning};
use crate::ports::{Owners, find, spec};
use crate::store::{self, StateDir};

const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// What is to say of the ports that `config` wants counted.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let last_good = last_good(config);
    match find::find(&config.node, &config.ports, &config.users, config.count.max_ports, &last_good) {
        Ok(wanted) => of(config, &wanted),
        Err(error) => vec![Finding::error(Section::Ports, &error).help(error.help())],
    }
}

/// As `run` would start with; that it is damaged is said of the state directory.
fn last_good(config: &Config) -> BTreeMap<PathBuf, Owners> {
    match store::ports::read(&StateDir::new(&config.state_dir)) {
        Ok(Some(list)) => list.files,
        Ok(None) | Err(_) => BTreeMap::new(),
    }
}

fn of(config: &Config, wanted: &Wanted) -> Vec<Finding> {
    let owned = wanted.ports.values().flatten().count();
    let mut text = spec::text(wanted.ports.keys().copied());
    if text.len() > 60 {
        let cut = text[..60].rfind(',').unwrap_or(0);
        text.truncate(cut);
        text += ",…";
    }
    let colon = if text.is_empty() { "" } else { ": " };
    let (count, plural) = (wanted.ports.len(), if wanted.ports.len() == 1 { "" } else { "s" });
    let what = format!("{count} port{plural}, {owned} with an owner{colon}{text}");
    let mut findings = vec![Finding::ok(Section::Ports, what)];
    findings.extend(wanted.warnings.iter().map(warning));
    if config.count.backend != BackendChoice::Iptables
        && let Some(cpus) = std::fs::read_to_string(POSSIBLE_CPUS).ok().and_then(|text| count_cpus(&text))
    {
        let bytes = map_bytes(cpus, wanted.ports.len(), config.count.max_ports);
        let what = format!("the maps take {} on {cpus} possible CPUs", Human(bytes.into()));
        findings.push(Finding::ok(Section::Ports, what));
    }
    findings
}

fn warning(warning: &Warning) -> Finding {
    Finding::warn(Section::Ports, warning.to_string())
}

/// Bytes of the cells and the port table, all of them resident.
fn map_bytes(cpus: u64, ports: usize, max_ports: u32) -> u64 {
    let ports = u64::try_from(ports).unwrap_or(u64::MAX);
    let slots = (ports + ports.div_ceil(4)).clamp(64, u64::from(max_ports.max(64)));
    let lines = u64::from(wire::lines_for(u32::try_from(slots).expect("at most max_ports, a u32")));
    cpus * lines * size_of::<wire::Line>() as u64 + size_of::<wire::PortSlots>() as u64
}

/// How many CPUs `0-3,8` are.
fn count_cpus(text: &str) -> Option<u64> {
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    text.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_cpus_are_counted() {
        assert_eq!(count_cpus("0-63\n"), Some(64));
        assert_eq!(count_cpus("0\n"), Some(1));
        assert_eq!(count_cpus("0-3,8,10-11\n"), Some(7));
        assert_eq!(count_cpus("\n"), None);
    }

    #[test]
    fn the_maps_take_a_line_for_every_cpu_and_slot() {
        // 1,000 ports take 1,250 slots, and 6 lines more: 64 x 1,256 x 64 + 131,072.
        assert_eq!(map_bytes(64, 1_000, 65_530), 5_275_648);
        // One port takes 64 slots: 2 x 70 x 64 + 131,072.
        assert_eq!(map_bytes(2, 1, 65_530), 140_032);
        // All ports fit into all slots: 1 x 65,536 x 64 + 131,072.
        assert_eq!(map_bytes(1, 65_530, 65_530), 4_325_376);
    }
}
