//! Section agent: how exactly the limits of this node's users are kept, where the agent enforces them by readings.

use std::thread;
use std::time::Duration;

use super::finding::{Finding, Section};
use crate::backend::iptables::{self, overshoot};
use crate::backend::nftables;
use crate::clock;
use crate::commands::ask;
use crate::config::Config;
use crate::ledger::now::Now;
use crate::ledger::record::BackendKind;
use crate::store::{StateDir, instance};

/// The time between two answers, whose difference gives a rate.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// 1 Gbit/s.
const LINK_BYTES_PER_SEC: u64 = 125_000_000;

/// The finding where rules refuse packets: how many bytes may pass beyond a quota. With eBPF none do.
pub(super) fn findings(config: &Config) -> Option<Finding> {
    let limited: Vec<&str> =
        config.users.iter().filter(|user| user.is_limited_on(&config.node)).map(|user| user.name.as_str()).collect();
    if limited.is_empty() {
        return None;
    }
    let now = ask::now(config).ok().flatten();
    let by_rules = match &now {
        Some(now) => now.backend != BackendKind::Ebpf,
        None => config.count.backend.is_by_rules(),
    };
    if !by_rules {
        return None;
    }
    let cost = cost_of_a_reading(config)?;
    let fastest = now.and_then(|before| {
        thread::sleep(ASK_AGAIN_AFTER);
        fastest(&before, &ask::now(config).ok().flatten()?, &limited)
    });
    let (finding, help) = (say(fastest, cost), "eBPF cuts exactly to the byte: `backend = \"ebpf\"`".to_owned());
    Some(finding.help(Some(help)))
}

/// How long reading this instance's rules takes; `None` if there are none yet.
fn cost_of_a_reading(config: &Config) -> Option<Duration> {
    let id = instance::read(&StateDir::new(&config.state_dir)).ok().flatten()?;
    let cost_of = |has_sets: fn(&str) -> bool| {
        let begun_at = clock::now().boot_ns;
        has_sets(&id).then(|| Duration::from_nanos(clock::now().boot_ns.saturating_sub(begun_at)))
    };
    cost_of(|id| nftables::survey(id).is_ok_and(|sets| !sets.is_empty()))
        .or_else(|| cost_of(|id| iptables::survey(id).is_ok_and(|sets| !sets.is_empty())))
}

/// The limited user whose ports moved most between two answers, with the rate in bytes a second.
fn fastest(before: &Now, after: &Now, limited: &[&str]) -> Option<(String, u64)> {
    let millis = u64::try_from((after.at - before.at).num_milliseconds()).ok().filter(|millis| *millis > 0)?;
    let moved = |now: &Now, ports: &[u16]| -> u64 {
        let of_user = now.ports.iter().filter(|port| ports.contains(&port.port));
        of_user.filter_map(|port| port.total).map(|total| total.bytes()).fold(0, u64::saturating_add)
    };
    let of_limited = after.users.iter().filter(|user| limited.contains(&user.user.as_str()));
    let rates = of_limited.map(|user| {
        let bytes = moved(after, &user.ports).saturating_sub(moved(before, &user.ports));
        (user.user.clone(), bytes.saturating_mul(1_000) / millis)
    });
    rates.max_by_key(|(_, rate)| *rate)
}

fn say(fastest: Option<(String, u64)>, cost: Duration) -> Finding {
    let at_a_gigabit = overshoot(LINK_BYTES_PER_SEC, cost);
    let measured = fastest.map_or_else(String::new, |(user, rate)| {
        format!("at the current {rate} B/s of {user}, up to {} bytes may pass beyond a quota; ", overshoot(rate, cost))
    });
    let what = format!("limits are enforced by readings: {measured}at 1 Gbit/s, up to {at_a_gigabit} bytes");
    Finding::ok(Section::Agent, what)
}

#[cfg(test)]
mod tests;
