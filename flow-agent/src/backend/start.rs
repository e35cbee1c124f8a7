//! Selects the backend that counts: eBPF if the kernel permits it, otherwise nftables or iptables. Retires what the
//! others left.

use super::iptables::IptablesError;
use super::left::LeftCounters;
use super::{BackendChoice, BackendError, BackendOptions, Started, ebpf, iptables, nftables};
use crate::ledger::reading::{Moment, Unseen};
use crate::ledger::record::BackendKind;

/// Starts the backend of `choice`. Counters that another backend left are stopped first, so that no packet is counted
/// by both. What passes until the new ones count is reported as a gap.
///
/// # Errors
/// Everything that makes the backend fail. `auto` falls back to nftables, and then to iptables, only if the one before is
/// not possible here, and logs why.
pub fn start(
    choice: BackendChoice,
    options: &BackendOptions,
    now: &dyn Fn() -> Moment,
) -> Result<Started, BackendError> {
    match choice {
        BackendChoice::Ebpf => with(BackendKind::Ebpf, options, now),
        BackendChoice::Nftables => with(BackendKind::Nftables, options, now),
        BackendChoice::Iptables => with(BackendKind::Iptables, options, now),
        BackendChoice::Auto => {
            let mut outcome = with(BackendKind::Ebpf, options, now);
            for (former, next) in
                [(BackendKind::Ebpf, BackendKind::Nftables), (BackendKind::Nftables, BackendKind::Iptables)]
            {
                let Some(error) = outcome.as_ref().err().filter(|error| is_for_another(error)) else { break };
                let why = crate::errors::chain(error);
                let help = error.help();
                tracing::warn!(why, help, "{} is not available: trying {}", name(former), name(next));
                outcome = with(next, options, now);
            }
            outcome
        }
    }
}

fn with(kind: BackendKind, options: &BackendOptions, now: &dyn Fn() -> Moment) -> Result<Started, BackendError> {
    let start = |now: &dyn Fn() -> Moment| match kind {
        BackendKind::Ebpf => ebpf::start(options, now()),
        BackendKind::Nftables => nftables::start(options, now),
        BackendKind::Iptables => iptables::start(options, now),
    };
    let mut others = Vec::new();
    for other in [BackendKind::Ebpf, BackendKind::Nftables, BackendKind::Iptables] {
        if other != kind && has_counters(other, options)? {
            others.push(other);
        }
    }
    if others.is_empty() {
        return start(now);
    }
    // The counters of another backend are stopped only once it is known that this one can take over; otherwise they go
    // on counting.
    match kind {
        BackendKind::Ebpf => {
            ebpf::probe(options.count, options.max_ports)?;
            ebpf::look(options)?;
        }
        BackendKind::Nftables => nftables::probe(options)?,
        BackendKind::Iptables => iptables::probe(options)?,
    }
    let stopped_at = now();
    let mut retired = Vec::new();
    let mut from = None;
    let (mut damages, mut detached) = (Vec::new(), Vec::new());
    for other in others {
        let left = find_retired(other, options)?;
        from = from.or((!left.retired.is_empty()).then_some(other));
        retired.extend(left.retired);
        damages.extend(left.why_damaged);
        detached.extend(left.detached);
    }
    let mut started = start(now)?;
    if let Some(from) = from {
        let why = format!("switched from {} to {}", name(from), name(kind));
        started.unseen.extend(on_each_interface(&started, stopped_at, now(), &why));
    }
    let since = options.last_known.unwrap_or(stopped_at);
    for why in damages {
        started.unseen.extend(on_each_interface(&started, since, now(), &why));
    }
    let counted = started.backend.interfaces();
    for (interface, why) in detached.into_iter().filter(|(interface, _)| counted.contains(interface)) {
        started.unseen.push(Unseen { start: since, end: now(), interface, why: why.to_owned() });
    }
    retired.append(&mut started.retired);
    Ok(Started { retired, ..started })
}

/// Whether counters of a backend may have to be stopped before another one counts, or should be there. For eBPF this is
/// not asked, because a look at nothing costs nothing.
fn has_counters(kind: BackendKind, options: &BackendOptions) -> Result<bool, BackendError> {
    match kind {
        BackendKind::Ebpf => Ok(true),
        BackendKind::Nftables => Ok(nftables::has_table(&options.instance) || nftables::is_newest_ours(options)?),
        BackendKind::Iptables => Ok(has_rules(options)? || iptables::is_newest_ours(options)?),
    }
}

fn find_retired(kind: BackendKind, options: &BackendOptions) -> Result<LeftCounters, BackendError> {
    match kind {
        BackendKind::Ebpf => ebpf::find_retired(options),
        BackendKind::Nftables => nftables::find_retired(options),
        BackendKind::Iptables => iptables::find_retired(options),
    }
}

/// A gap on every interface that is counted now.
fn on_each_interface(started: &Started, start: Moment, end: Moment, why: &str) -> Vec<Unseen> {
    let interfaces = started.backend.interfaces().into_iter();
    interfaces.map(|interface| Unseen { start, end, interface, why: why.to_owned() }).collect()
}

fn name(kind: BackendKind) -> &'static str {
    match kind {
        BackendKind::Ebpf => "eBPF",
        BackendKind::Nftables => "nftables",
        BackendKind::Iptables => "iptables",
    }
}

/// Whether this instance has rules. If the host's tables cannot be read, there are no rules of ours that could be
/// removed. But with [`IptablesError::NoIpset`] there are rules that go on counting, and nobody else may count at the
/// same time.
fn has_rules(options: &BackendOptions) -> Result<bool, BackendError> {
    match iptables::survey(&options.instance) {
        Ok(sets) => Ok(!sets.is_empty()),
        Err(BackendError::Iptables(error @ IptablesError::NoIpset)) => Err(error.into()),
        Err(error) => {
            tracing::debug!(error = %crate::errors::chain(&error), "failed to read the rules");
            Ok(false)
        }
    }
}

/// Whether another backend may work where this one failed. A fault in the request, or in what somebody else left,
/// affects all.
fn is_for_another(error: &BackendError) -> bool {
    match error {
        BackendError::Privileges { .. }
        | BackendError::Lacks { .. }
        | BackendError::Load { .. }
        | BackendError::Attach { .. }
        | BackendError::DeviceType { .. }
        | BackendError::Qdisc { .. }
        | BackendError::FilterPlace { .. }
        | BackendError::Path { .. } => true,
        BackendError::Nftables(error) => error.is_of_this_host(),
        BackendError::Full { .. }
        | BackendError::TooManyPorts { .. }
        | BackendError::NoSuchInterface { .. }
        | BackendError::Stacked { .. }
        | BackendError::Pattern { .. }
        | BackendError::Netlink { .. }
        | BackendError::Busy { .. }
        | BackendError::Lock { .. }
        | BackendError::Foreign { .. }
        | BackendError::NewerLayout { .. }
        | BackendError::Untrusted { .. }
        | BackendError::PinnedMap { .. }
        | BackendError::SlotTable { .. }
        | BackendError::SlotInUse { .. }
        | BackendError::CannotRefuse
        | BackendError::TooManyBudgets { .. }
        | BackendError::Iptables(_) => false,
    }
}
