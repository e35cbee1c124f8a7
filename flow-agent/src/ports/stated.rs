//! PURE: the limits that port files state for the owners of ports, as far as they can be applied here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::listed::{Detail, PanelQuota, QuotaPeriod};
use super::wanted::Wanted;
use crate::ledger::calendar;
use crate::ledger::limits::stated::{StatedLimit, StatedLimits};

/// The limits that the files state for the owners of `wanted`, and the owners whose quota begins on another day of the
/// month: that quota is left out, which is worth a warning.
///
/// A quota without a period applies to each billing month. If several ports of an owner state a quota, the largest
/// applies to all of them together, and so does the earliest expiry. A port without an owner, or one that the
/// configuration gives to somebody else, states nothing.
/// to somebody else, states nothing.
pub fn stated(wanted: &Wanted, month_start_day: u32, zone: Tz) -> (StatedLimits, BTreeSet<String>) {
    let mut limits = StatedLimits::new();
    let mut left_out = BTreeSet::new();
    for (port, detail) in &wanted.details {
        let Some(Some(owner)) = wanted.ports.get(port) else { continue };
        let is_files =
            |owners: &super::PortOwners| owners.get(port).is_some_and(|of_file| of_file.as_ref() == Some(owner));
        if !wanted.files.values().any(is_files) {
            continue;
        }
        let quota_bytes = match detail.quota {
            Some(PanelQuota { period: QuotaPeriod::Month { first_day: Some(day) }, .. })
                if u32::from(day) != month_start_day =>
            {
                left_out.insert(owner.clone());
                None
            }
            quota => quota.map(|quota| quota.bytes),
        };
        let expires = last_day(detail, zone);
        if quota_bytes.is_some() || expires.is_some() {
            let limit: &mut StatedLimit = limits.entry(owner.clone()).or_default();
            limit.quota_bytes = limit.quota_bytes.max(quota_bytes);
            limit.expires = [limit.expires, expires].into_iter().flatten().min();
        }
    }
    (limits, left_out)
}

/// What is in force after a look that found `now`, where `before` was in force: a file that cannot be read lifts no
/// limit, so what was stated for the owners in its last good list remains unless another file states something now. A
/// file that could never be read may have been read under another path before, and nothing is lifted.
pub fn in_force(before: &StatedLimits, now: StatedLimits, wanted: &Wanted) -> StatedLimits {
    let remains = |owner: &str| {
        wanted.sources.iter().any(|source| {
            let listed = || wanted.files.get(&source.path).into_iter().flat_map(BTreeMap::values).flatten();
            source.is_lacking || source.is_last_good && listed().any(|listed| listed == owner)
        })
    };
    let mut all: StatedLimits =
        before.iter().filter(|(owner, _)| remains(owner)).map(|(owner, limit)| (owner.clone(), *limit)).collect();
    all.extend(now);
    all
}

/// The last day on which the port may still be used. If it expires at midnight, that is the day before.
fn last_day(detail: &Detail, zone: Tz) -> Option<NaiveDate> {
    let at = detail.expires_at?.checked_sub_signed(TimeDelta::milliseconds(1))?;
    Some(calendar::local(zone, at).date_naive())
}

#[cfg(test)]
mod tests;
