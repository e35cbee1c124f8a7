//! Selects the backend that counts: eBPF if the kernel permits it, otherwise iptables. Retires what the other one left.

use super::iptables::IptablesError;
use super::{BackendChoice, BackendError, BackendOptions, Started, ebpf, iptables};
use crate::ledger::reading::{Moment, Unseen};
use crate::ledger::record::BackendKind;

/// Starts the backend of `choice`. Counters that the other backend left are stopped first, so that no packet is counted
/// by both. What passes until the new ones count is reported as a gap.
///
/// # Errors
/// Everything that makes the backend fail. `auto` falls back to iptables only if eBPF is not possible here, and logs
/// why.
pub fn start(
    choice: BackendChoice,
    options: &BackendOptions,
    now: &dyn Fn() -> Moment,
) -> Result<Started, BackendError> {
    match choice {
        BackendChoice::Ebpf => with_ebpf(options, now),
        BackendChoice::Iptables => with_iptables(options, now),
        BackendChoice::Auto => match with_ebpf(options, now) {
            Err(error) if is_for_iptables(&error) => {
                let why = crate::errors::chain(&error);
                let help = error.help();
                tracing::warn!(why, help, "eBPF is not available: counting with iptables");
                with_iptables(options, now)
            }
            outcome => outcome,
        },
    }
}

fn with_ebpf(options: &BackendOptions, now: &dyn Fn() -> Moment) -> Result<Started, BackendError> {
    if !has_rules(options)? {
        return ebpf::start(options, now());
    }
    // The rules are stopped only once it is known that eBPF can take over; otherwise they go on counting.
    ebpf::probe(options.count, options.max_ports)?;
    ebpf::look(options)?;
    let stopped_at = now();
    let mut retired = iptables::find_retired(options)?;
    let mut started = ebpf::start(options, now())?;
    started.unseen.extend(switched(&started, !retired.is_empty(), BackendKind::Iptables, stopped_at, now()));
    retired.append(&mut started.retired);
    Ok(Started { retired, ..started })
}

fn with_iptables(options: &BackendOptions, now: &dyn Fn() -> Moment) -> Result<Started, BackendError> {
    // The programs are stopped only once it is known that rules can take over; otherwise they go on counting.
    iptables::probe(options)?;
    let stopped_at = now();
    let mut retired = ebpf::find_retired(options)?;
    let mut started = iptables::start(options, now)?;
    started.unseen.extend(switched(&started, !retired.is_empty(), BackendKind::Ebpf, stopped_at, now()));
    retired.append(&mut started.retired);
    Ok(Started { retired, ..started })
}

/// The gap between the two backends, on every interface.
fn switched(started: &Started, was_counting: bool, from: BackendKind, start: Moment, end: Moment) -> Vec<Unseen> {
    if !was_counting {
        return Vec::new();
    }
    let why = match from {
        BackendKind::Ebpf => "switched from eBPF to iptables",
        BackendKind::Iptables => "switched from iptables to eBPF",
    };
    let interfaces = started.backend.interfaces().into_iter();
    interfaces.map(|interface| Unseen { start, end, interface, why: why.to_owned() }).collect()
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

/// Whether iptables may work where eBPF failed. A fault in the request, or in what somebody else left, affects both.
fn is_for_iptables(error: &BackendError) -> bool {
    match error {
        BackendError::Privileges { .. }
        | BackendError::Lacks { .. }
        | BackendError::Load { .. }
        | BackendError::Attach { .. }
        | BackendError::DeviceType { .. }
        | BackendError::Qdisc { .. }
        | BackendError::FilterPlace { .. }
        | BackendError::Path { .. } => true,
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
