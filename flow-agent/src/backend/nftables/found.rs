//! EDGE kernel: finds the sets of counters in the table of an instance, whoever left them.

use super::host::{self, Nft};
use super::listed::NftEntrance;
use super::model::layout::NftLayout;
use super::model::place::{NftSet, table};
use super::model::values::NftValues;
use super::set::complete;
use crate::backend::error::nftables::NftablesError;
use crate::backend::iptables::model::set_name::{LAYOUT, RuleSetName};
use crate::backend::iptables::saved::damage::{CounterDoubt, SetDamage};
use crate::backend::{BackendError, BackendOptions, host as kernel};

/// A set of counters that was found.
#[derive(Clone, Debug)]
pub struct FoundCounters {
    /// Its interfaces are those whose packets enter it, and its ports are those that have any counter.
    pub layout: NftLayout,
    /// Whether it is as we made it.
    pub verdict: Result<(), SetDamage>,
    pub entrance: NftEntrance,
    pub is_sealed: bool,
    /// Its values, whether it is intact or not.
    pub values: NftValues,
    /// Whether any packets enter it.
    pub is_entered: bool,
}

impl FoundCounters {
    pub fn name(&self) -> &RuleSetName {
        &self.layout.name
    }

    /// Whether no packet can enter it and it has counted nothing.
    pub fn is_blank(&self) -> bool {
        !self.is_entered && self.values.is_zero()
    }

    /// Whether its counters may be larger than what was really counted.
    pub fn is_doubtful(&self) -> bool {
        self.verdict.as_ref().is_err_and(|damage| damage.doubt != CounterDoubt::Nothing)
    }

    /// The epoch: the id of this boot, which no counters outlive, and the id in the names of its chains.
    ///
    /// # Errors
    /// When the kernel's boot id cannot be read.
    pub fn epoch(&self) -> Result<String, BackendError> {
        epoch(self.name())
    }
}

/// The epoch of a set of counters; see [`FoundCounters::epoch`]. The letter tells it from those of the iptables backend.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn epoch(name: &RuleSetName) -> Result<String, BackendError> {
    Ok(format!("{}:n{}", kernel::boot_id()?, name.id()))
}

/// All sets of counters of the instance with this tag.
///
/// # Errors
/// [`BackendError::NewerLayout`] for a set made by a newer release; others when the table cannot be read.
pub fn everything(nft: &Nft, tag: &str) -> Result<Vec<FoundCounters>, BackendError> {
    let table = table(tag);
    let (Some(listed), Some(facts)) = (nft.list(&table)?, host::facts(&table)?) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for name in listed.names().into_iter().filter(|name| name.instance() == tag) {
        if !name.is_known() {
            let (layout, known) = (name.layout().into(), LAYOUT.into());
            return Err(BackendError::NewerLayout { path: format!("{table}/{name}*").into(), layout, known });
        }
        let mut layout = listed.shape(&name);
        layout.interfaces = listed.interfaces(&name);
        layout.draining = still(&layout)?;
        let values = host::values(&layout)?;
        layout.ports = values.held();
        let verdict = listed.verify(facts, &layout).and_then(|()| complete(&layout, &values)).and_then(|()| {
            // Sentinels that were zeroed show even without former values.
            NftValues::default().judge(&values)
        });
        found.push(FoundCounters {
            verdict,
            entrance: listed.entrance(&layout),
            is_sealed: listed.is_sealed(&name),
            is_entered: listed.is_entered(&name),
            values,
            layout,
        });
    }
    Ok(found)
}

fn still(layout: &NftLayout) -> Result<std::collections::BTreeSet<u16>, NftablesError> {
    Ok(host::members(layout, NftSet::Still)?.unwrap_or_default())
}

/// Whether the newest reading on disk is of counters that we made since this boot.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn is_newest_ours(options: &BackendOptions) -> Result<bool, BackendError> {
    let prefix = format!("{}:n", kernel::boot_id()?);
    let id = options.newest_epoch.as_ref().and_then(|newest| newest.strip_prefix(&prefix));
    Ok(id.is_some_and(RuleSetName::is_id))
}
