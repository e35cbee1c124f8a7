//! EDGE clock: a set of counters that no longer counts: it is read one last time and then deleted.

use std::time::Instant;

use super::found::FoundCounters;
use super::host::{self, Nft};
use super::model::layout::NftLayout;
use super::model::values::NftValues;
use super::set::{self, NftCounters};
use crate::backend::iptables::saved::damage::CounterDoubt;
use crate::backend::{BackendError, Identity, Retired};
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::record::{BackendKind, CountMode};

/// A set of counters that packets should no longer enter. Parts of it may be missing.
pub struct RetiredCounters {
    nft: Nft,
    layout: NftLayout,
    epoch: String,
    interfaces: Vec<String>,
    /// The last known values.
    last: NftValues,
    /// Whether nothing more can be learnt from the kernel. Packets may still find a way into a set that somebody else
    /// changed, but by then they are counted elsewhere.
    is_final: bool,
    /// When packets were directed to its successor. `None` if that was before this agent started.
    left_at: Option<Instant>,
}

impl RetiredCounters {
    /// A set of which nothing is known except what was found. `interfaces` are those that count now, for a set that
    /// does not show its own.
    pub fn found(nft: Nft, found: FoundCounters, epoch: String, interfaces: &[String]) -> Self {
        let own = found.layout.interfaces.clone();
        Self {
            nft,
            interfaces: if own.is_empty() { interfaces.to_vec() } else { own },
            is_final: found.verdict.is_err(),
            layout: found.layout,
            epoch,
            last: found.values,
            left_at: None,
        }
    }

    /// An intact set that was replaced at `left_at`. It is read once no packet enters it any more.
    pub fn replaced(set: NftCounters, epoch: String, left_at: Instant) -> Self {
        let NftCounters { nft, layout, last, .. } = set;
        let interfaces = layout.interfaces.clone();
        let left_at = Some(left_at);
        Self { nft, layout, epoch, interfaces, last, is_final: false, left_at }
    }

    /// A set that somebody else changed and that was replaced at `left_at`. `found` is what was found of it. It is not
    /// read again.
    pub fn damaged(set: NftCounters, epoch: String, found: &NftValues, left_at: Instant) -> Self {
        let is_doubtful = set.doubted.as_ref().is_some_and(|damage| damage.doubt != CounterDoubt::Nothing);
        let mut retired = Self::replaced(set, epoch, left_at);
        retired.is_final = true;
        if !is_doubtful {
            retired.last = retired.last.or_larger(found);
        }
        retired
    }
}

impl Retired for RetiredCounters {
    fn identity(&self) -> Identity {
        identity(self.epoch.clone())
    }

    fn interfaces(&self) -> Vec<String> {
        self.interfaces.clone()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        // Later packets are in its successor's counters, so the bucket ends at that time however late the set is read.
        let at = self.left_at.map_or_else(now, |left_at| now().before(left_at.elapsed()));
        if !self.is_final {
            let values = host::values(&self.layout)?;
            if self.last.judge(&values).is_ok() {
                self.last = self.last.clone().or_larger(&values);
            }
        }
        let ports = self.last.ports();
        Ok(Reading {
            epoch: self.epoch.clone(),
            at,
            draining: ports.keys().copied().collect(),
            ports: ports.into(),
            others: self.last.others(),
            blocked: self.last.blocked(),
            devices: Vec::new(),
        })
    }

    fn delete(self: Box<Self>) -> Result<(), BackendError> {
        Ok(set::remove(&self.nft, &self.layout.name)?)
    }
}

/// How seals identify counters of nftables. They count as pinned, because the kernel keeps them whether an agent runs
/// or not.
pub fn identity(epoch: String) -> Identity {
    Identity { kind: BackendKind::Nftables, count: CountMode::Ip, epoch, pinned: true }
}
