//! Section state, the hourly log: how far it reaches, which parts do not count, and how it compares with the devices.

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Finding, Section};
use crate::commands::renamed;
use crate::config::Config;
use crate::ledger::block::HourBlock;
use crate::ledger::calendar::local;
use crate::ledger::reconcile::{Compared, Reconciliation, reconcile};
use crate::ledger::record::{BackendKind, CountMode, Quality};
use crate::ledger::units::Human;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{StateDir, StoreError, seals};

/// How many of the newest files are read: the older ones were read when they were new.
const FILES: usize = 2;

/// While an agent runs, a bucket that is overdue by more than this was not written.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// The findings about the hourly log; `runs` says that an agent counts.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn findings(
    state: &StateDir,
    config: &Config,
    now: DateTime<Utc>,
    runs: bool,
) -> Result<Vec<Finding>, StoreError> {
    let dates = hours::dates(state)?;
    let (mut last, mut damages): (Option<Box<HourBlock>>, _) = (None, Vec::new());
    let mut comparisons = Vec::new();
    let mut recent_names = Vec::new();
    let newest = dates.iter().rev().take(FILES).min().zip(dates.last());
    if let Some((first, until)) = newest {
        for hour in Hours::read(state, *first..=*until)? {
            let hour = hour?;
            if let HourItem::Bucket(block) = &hour
                && block.seal.node != config.node
                && !recent_names.contains(&block.seal.node)
            {
                recent_names.push(block.seal.node.clone());
            }
            if let HourItem::Bucket(block) = &hour {
                comparisons.extend(reconcile(block).map(|compared| (block.seal.end, compared)));
            }
            match hour {
                HourItem::Bucket(block) if last.as_ref().is_none_or(|last| block.seal.seq >= last.seal.seq) => {
                    last = Some(block);
                }
                HourItem::Bucket(_) => {}
                HourItem::Damage(damage) => damages.push(damage.to_string()),
                // The agent is writing it, or the next one will repair it when it starts.
                HourItem::Unfinished(_) => {}
            }
        }
    }
    let Some(last) = last else {
        let mut findings = vec![Finding::ok(Section::State, "no complete hour yet")];
        findings.extend(damages.into_iter().map(damaged));
        return Ok(findings);
    };
    let mut findings = vec![newest_bucket(&last, config, now, runs)];
    if !recent_names.is_empty() {
        let former = former_names(state, config, recent_names)?;
        let what = renamed::was_called(&former, &config.node);
        findings.push(Finding::warn(Section::State, what).help(renamed::remedy(&former)));
    }
    let mut of_a_day = Reconciliation::default();
    for (_, compared) in comparisons.iter().filter(|(end, _)| last.seal.end - *end < TimeDelta::days(1)) {
        of_a_day.add(*compared);
    }
    findings.extend((!comparisons.is_empty()).then(|| compared(of_a_day, &last)));
    findings.extend(damages.into_iter().map(damaged));
    Ok(findings)
}

/// All former names of this node, the oldest first, given those in the newest buckets: the main node needs every name
/// under which days were made.
fn former_names(state: &StateDir, config: &Config, recent: Vec<String>) -> Result<Vec<String>, StoreError> {
    let mut names = seals::nodes_of_days(state)?;
    names.retain(|name| *name != config.node && !recent.contains(name));
    names.extend(recent);
    Ok(names)
}

fn newest_bucket(last: &HourBlock, config: &Config, now: DateTime<Utc>, runs: bool) -> Finding {
    let seal = &last.seal;
    let until = local(config.timezone, seal.end.to_utc()).format("%Y-%m-%d %H:%M:%S");
    let seconds = config.count.bucket.seconds();
    let bucket = if seconds == 3_600 { "hour" } else { "bucket" };
    let what = format!("last complete {bucket}: until {until}, {}", seal.quality.name());
    let length = TimeDelta::seconds(seconds.into());
    if runs && now - seal.end.to_utc() > length + PATIENCE {
        return Finding::warn(Section::State, format!("{what}: the next one is overdue"))
            .help("read the agent's log, and check that the disk is not full".to_owned());
    }
    match seal.quality {
        Quality::Gap | Quality::Reset | Quality::Clock => Finding::warn(Section::State, what)
            .help(seal.gaps.first().map(|gap| format!("`{}` was not measured: {}", gap.interface, gap.why))),
        Quality::Restart | Quality::Late | Quality::Import | Quality::Exact => Finding::ok(Section::State, what),
    }
}

/// The difference to the devices, in percent, above which a person should look.
const MOST_OFF_PERCENT: f64 = 0.5;

/// Network cards repeat the headers in each segment of what the kernel handles as one packet, and count them: up to 72
/// of 1,500 bytes. With `count = "ip"` we do not count them.
const MOST_REPEATED_HEADERS_PERCENT: f64 = 5.0;

/// Below this, padded frames and packets in flight between the two readings make too large a difference.
const FEWEST_BYTES: u128 = 10 << 20;

/// The finding about how the buckets of the last day up to `last` compare with what the devices counted.
fn compared(of_a_day: Reconciliation, last: &HourBlock) -> Finding {
    let of = |name: &str, of: Compared| {
        let percent = of.difference_percent().map_or_else(String::new, |percent| format!(" ({percent:+.4} %)"));
        format!("{name} {}, {:+} B{percent}", Human(of.cells_bytes), of.difference_bytes())
    };
    let (incoming, outgoing) = (of("in", of_a_day.incoming), of("out", of_a_day.outgoing));
    let what = format!("the last day's counters, compared with the devices: {incoming}; {outgoing}");
    let least = match (last.seal.backend, last.seal.count) {
        // Packets that are forwarded, or dropped before they reach a socket, pass the device but no rule.
        (Some(BackendKind::Nftables | BackendKind::Iptables), _) => f64::NEG_INFINITY,
        (_, Some(CountMode::Wire)) => -MOST_OFF_PERCENT,
        (_, Some(CountMode::Ip) | None) => -MOST_REPEATED_HEADERS_PERCENT,
    };
    let is_off = |compared: Compared| {
        compared.devices_bytes.max(compared.cells_bytes) >= FEWEST_BYTES
            && compared.difference_percent().is_none_or(|percent| percent > MOST_OFF_PERCENT || percent < least)
    };
    if !is_off(of_a_day.incoming) && !is_off(of_a_day.outgoing) {
        return Finding::ok(Section::State, what);
    }
    Finding::warn(Section::State, what).help(
        "if more than the devices, look for stacked devices that are both counted; if less, for devices that came and \
         went, or traffic that bypasses the kernel"
            .to_owned(),
    )
}

fn damaged(damage: String) -> Finding {
    Finding::warn(Section::State, damage).help("the data in these lines is missing from every sum".to_owned())
}

#[cfg(test)]
mod tests;
