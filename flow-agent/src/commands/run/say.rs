//! The messages of `run` to the person at the terminal: first what is counted where, then one line per bucket.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;

use crate::backend::Identity;
use crate::commands::output;
use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::{BackendKind, CountMode, Quality};
use crate::ledger::units::{Human, count};
use crate::ports::{PortOwners, spec};

/// Prints a message for the person at the terminal. If stdout is closed, the agent continues all the same.
pub fn tell(text: &str) {
    if let Err(failure) = output::print(&format!("{text}\n")) {
        tracing::debug!("{}", failure.render());
    }
}

/// What is counted where: `counting 3 ports (443, 8000-8001) on eth0 with eBPF …`.
pub fn begin(
    node: &str,
    owners: &PortOwners,
    interfaces: &[String],
    identity: &Identity,
    zone: Tz,
    logs: &Path,
) -> String {
    let ports = count(owners.len(), "port");
    let backend = match identity.kind {
        BackendKind::Ebpf => "eBPF",
        BackendKind::Nftables => "nftables",
        BackendKind::Iptables => "iptables",
    };
    let bytes = match identity.count {
        CountMode::Ip => "IP bytes",
        CountMode::Wire => "IP bytes as on the wire",
    };
    let interfaces = if interfaces.is_empty() { "no interface yet".to_owned() } else { interfaces.join(", ") };
    let mut text = format!("{node}: counting {ports} on {interfaces} with {backend} ({bytes})");
    write!(text, "\n  ports  {}", shortened(&spec::text(owners.keys().copied()))).expect("a String takes all");
    write!(text, "\n  logs   {} (days in {zone})", logs.display()).expect("a String takes all");
    if !identity.pinned {
        text.push_str("\n  the counters are not pinned: traffic is not counted while no agent is running");
    }
    text
}

/// The ports that changed: `ports: +8443 -9000, 51 counted`.
pub fn changed(added: &BTreeSet<u16>, removed: &BTreeSet<u16>, counted: usize) -> String {
    let list = |sign: char, ports: &BTreeSet<u16>| match ports.is_empty() {
        true => String::new(),
        false => format!(" {sign}{}", shortened(&spec::text(ports.iter().copied()))),
    };
    format!("ports:{}{}, {counted} counted", list('+', added), list('-', removed))
}

/// One line per bucket: `14:00 to 15:00  3 ports  1.20 GiB in  3.40 GiB out  exact`.
pub fn bucket(block: &HourBlock) -> String {
    let seal = &block.seal;
    // Rounded for people; the exact figures are in the log.
    let sum = |bytes: fn(Counters) -> u64| {
        Human(block.lines.iter().map(|line| u128::from(bytes(line.counters()))).sum::<u128>()).to_string()
    };
    format!(
        "{} to {}  {}  {} in  {} out  {}",
        instant(&seal.start),
        clock(&seal.end),
        count(block.lines.len(), "port"),
        sum(Counters::in_bytes),
        sum(Counters::out_bytes),
        quality(seal.quality),
    )
}

fn instant(at: &DateTime<FixedOffset>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn clock(at: &DateTime<FixedOffset>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// The name of a quality, with an explanation where it is not obvious.
fn quality(quality: Quality) -> String {
    let meaning = match quality {
        Quality::Exact | Quality::Import => return quality.name().to_owned(),
        Quality::Late => "one reading spans several buckets",
        Quality::Gap => "some time was not measured",
        Quality::Reset => "somebody zeroed counters",
        Quality::Restart => "the counters were lost; known up to the last checkpoint",
        Quality::Clock => "the clock was set, or counters were slow to read",
    };
    format!("{}: {meaning}", quality.name())
}

/// Shortens a list so that it fits on a line.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((at, _)) => {
            let cut = text[..at].rfind(',').unwrap_or(at);
            format!("{}, …", &text[..cut])
        }
    }
}

#[cfg(test)]
mod tests;
