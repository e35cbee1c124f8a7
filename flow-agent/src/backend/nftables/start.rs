//! Starts the backend: finds what predecessors left, takes it over, and counts.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::counting::{NftablesBackend, freeze};
use super::found;
use super::host::{self, Nft};
use super::model::layout::NftLayout;
use super::model::place::base_chain;
use super::model::transaction::NftTransaction;
use super::predecessors::{NftPredecessors, adopt, is_entered_whole};
use super::set::NftCounters;
use crate::backend::error::nftables::NftablesError;
use crate::backend::followed::ChosenDevices;
use crate::backend::interfaces::Patterns;
use crate::backend::iptables::host::search_path::search_path;
use crate::backend::iptables::model::flow::Direction;
use crate::backend::iptables::model::pace::Pace;
use crate::backend::iptables::model::rule;
use crate::backend::iptables::model::set_name::instance_tag;
use crate::backend::iptables::{new_name, refuse_too_many};
use crate::backend::predecessors::Fate;
use crate::backend::{Backend as _, BackendError, BackendOptions, Retired, Started, host as kernel};
use crate::ledger::blocked::Blocked;
use crate::ledger::reading::Moment;
use crate::ledger::record::CountMode;

/// Starts counting, or continues where a predecessor of this instance stopped. What can be checked in advance is
/// checked before anything changes.
///
/// # Errors
/// When a literally named interface is absent; when another agent counts; when `nft` is missing; without privileges;
/// when there are counters of a newer release; when the kernel refuses.
pub fn start(options: &BackendOptions, now: &dyn Fn() -> Moment) -> Result<Started, BackendError> {
    start_with(options, now, &search_path())
}

/// Like [`start`], with `nft` found in `path`.
///
/// # Errors
/// Like [`start`].
pub fn start_with(options: &BackendOptions, now: &dyn Fn() -> Moment, path: &OsStr) -> Result<Started, BackendError> {
    let begun_at = now();
    let NftStart { chosen, nft, before } = NftStart::look(options, path)?;
    let devices = chosen.hold(&options.instance, begun_at)?;
    let mut taken = before.ids();
    let ids = options.known_epochs.iter().filter_map(|epoch| epoch.rsplit_once(":n"));
    taken.extend(ids.map(|(_, id)| id.to_owned()));
    let set = match before.with_fate(Fate::Adopt).next() {
        Some(adopted) => adopt(&nft, &adopted.found),
        None => {
            let name = new_name(&options.instance, &mut taken);
            let anew = before.is_table_useless()?;
            let mut set = NftCounters::make(nft, name, chosen.names(), options.ports.clone(), anew)?;
            set.go_on_cutting(&before.cut_ports());
            set
        }
    };
    let new = NftablesBackend {
        instance: options.instance.clone(),
        max_ports: options.max_ports,
        epoch: found::epoch(&set.layout.name)?,
        set,
        devices,
        well_at: begun_at,
        moved: 0,
        is_reported: false,
        sealed: false,
        pace: Pace::default(),
        lifted: Blocked::default(),
        taken,
    };
    let mut started = before.go_on(new, options, &chosen, now)?;
    started.unseen.extend(chosen.nothing_counted(options.last_known, begun_at));
    Ok(started)
}

/// Checks whether nftables could count what the options require, as far as that is possible without making anything.
///
/// # Errors
/// Everything that makes [`start`] fail before it changes anything.
pub fn probe(options: &BackendOptions) -> Result<(), BackendError> {
    NftStart::look(options, &search_path()).map(drop)
}

/// What a start finds. Collecting it changes nothing.
struct NftStart {
    chosen: ChosenDevices,
    nft: Nft,
    before: NftPredecessors,
}

impl NftStart {
    fn look(options: &BackendOptions, path: &OsStr) -> Result<Self, BackendError> {
        if options.count == CountMode::Wire {
            return Err(NftablesError::WireBytes.into());
        }
        refuse_too_many(options.ports.len(), options.max_ports)?;
        let patterns = Patterns::parse(&options.interfaces)?.for_rules().allow_stacked(options.allow_stacked);
        let chosen = ChosenDevices::choose(patterns, &options.counted_before, |name| Ok(refuse_name(name)?))?;
        let nft = Nft::find(path)?;
        // Shows a missing privilege, or a kernel without nf_tables.
        host::generation()?;
        let before = NftPredecessors::find(options, nft.clone(), true)?;
        Ok(Self { chosen, nft, before })
    }
}

/// Fails if the interface's name cannot be written in a rule. A `*` at the end would match others too.
fn refuse_name(interface: &str) -> Result<(), NftablesError> {
    if rule::can_name(interface) && !interface.ends_with('*') {
        return Ok(());
    }
    Err(NftablesError::InterfaceName { interface: interface.to_owned() })
}

/// Directs packets out of the counters of this instance that its files know or that were never sealed, and returns
/// those sets, for a start of another backend. Other sets are left alone.
///
/// # Errors
/// When there is a table of this instance, and it cannot be read or changed. Without nf_tables there is none, which is
/// not an error.
pub fn find_retired(options: &BackendOptions) -> Result<Vec<Box<dyn Retired>>, BackendError> {
    if !super::uninstall::has_table(&options.instance) {
        return Ok(Vec::new());
    }
    let before = NftPredecessors::find(options, Nft::find(&search_path())?, false)?;
    let leaving = before.sets.iter().filter(|set| matches!(set.fate, Fate::Retire | Fate::Adopt));
    if leaving.filter(|set| set.found.is_entered).count() > 0 {
        let table = super::model::place::table(&instance_tag(&options.instance));
        let mut transaction = NftTransaction::on(&table);
        for direction in Direction::BOTH {
            transaction.rewrite(base_chain(direction), []);
        }
        before.nft.apply(&transaction)?;
        kernel::grace();
    }
    before.discard()?;
    Ok(before.retired(None))
}

impl NftPredecessors {
    /// Whether there is a table that cannot be used, and nothing in it that is left alone.
    fn is_table_useless(&self) -> Result<bool, NftablesError> {
        let is_useless = self.sets.iter().all(|set| set.fate == Fate::Discard || set.found.verdict.is_err())
            && self.with_fate(Fate::Leave).next().is_none();
        let Some(first) = self.sets.first() else { return Ok(false) };
        let facts = host::facts(&first.found.layout.table())?;
        let is_off =
            facts.is_some_and(|facts| facts.is_dormant) || first.found.entrance == super::listed::NftEntrance::Absent;
        Ok(is_useless && is_off)
    }

    /// Directs packets into the current set and out of all others, in one transaction.
    fn go_on(
        self,
        mut new: NftablesBackend,
        options: &BackendOptions,
        chosen: &ChosenDevices,
        now: &dyn Fn() -> Moment,
    ) -> Result<Started, BackendError> {
        let last_known = options.last_known.unwrap_or(new.well_at);
        let mut unseen = self.appeared(&new, &chosen.picked, last_known);
        // If the set's epoch is known, no ports are added here; see `BackendOptions::ports`.
        let known = options.known_epochs.contains(&new.epoch);
        let before = &new.set.layout;
        let added: BTreeSet<u16> =
            if known { BTreeSet::new() } else { options.ports.difference(&before.ports).copied().collect() };
        let gone: BTreeSet<u16> = new.set.ports().difference(&options.ports).copied().collect();
        let layout = NftLayout {
            interfaces: chosen.names(),
            ports: before.ports.union(&added).copied().collect(),
            draining: before.draining.union(&gone).copied().collect(),
            ..before.clone()
        };
        let adopted = self.with_fate(Fate::Adopt).next();
        let is_entered = adopted.is_some_and(|set| is_entered_whole(&set.found) && set.found.is_entered)
            && layout.interfaces == before.interfaces;
        let changed = new.set.change(layout, |transaction, layout| {
            freeze(transaction, layout, &gone);
            layout.add_ports(transaction, &added);
            if !is_entered {
                layout.enter(transaction);
            }
        });
        if let Err(error) = changed {
            if adopted.is_none() {
                new.set.abandon();
            }
            return Err(error.into());
        }
        kernel::grace();
        // Damaged counters are not read again, so what they still counted is part of a gap.
        unseen.extend(self.damaged(&chosen.picked, last_known, now()));
        new.moved = new.devices.moved();
        self.discard()?;
        if known {
            new.sealed()?;
        }
        let unadopted = self.with_fate(Fate::Leave).map(|set| format!("{}*", set.found.name()).into()).collect();
        let retired = self.retired(Some(&new.set.layout.interfaces));
        Ok(Started { backend: Box::new(new), retired, unseen, unadopted })
    }
}
