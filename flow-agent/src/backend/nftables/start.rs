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
use crate::backend::left::{COUNTERS_GONE, LeftCounters};
use crate::backend::predecessors::Fate;
use crate::backend::{Backend as _, BackendError, BackendOptions, Started, host as kernel};
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
    say_others(&nft, &options.instance, &chosen.names());
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

/// Warns of tables of other state directories on these interfaces. Packets that they refuse never reach the users but
/// may have been counted here.
fn say_others(nft: &Nft, instance: &str, interfaces: &[String]) {
    let own = instance_tag(instance);
    for tag in super::uninstall::instances().into_iter().filter(|tag| *tag != own) {
        let found = found::everything(nft, &tag).unwrap_or_default();
        let shared =
            |found: &found::FoundCounters| found.layout.interfaces.iter().any(|name| interfaces.contains(name));
        if found.iter().any(shared) {
            tracing::warn!(
                table = super::model::place::table(&tag),
                "another state directory has counters for the same interfaces, which may also refuse packets; if no \
                 agent uses it any more, `flow-agent uninstall --all` removes them"
            );
        }
    }
}

/// Checks whether nftables can count what the options require. Unless there are counters already, some are made that no
/// packet enters, because only that shows what `nft` and the kernel are capable of.
///
/// # Errors
/// Everything that makes [`start`] fail before packets enter its counters.
pub fn probe(options: &BackendOptions) -> Result<(), BackendError> {
    let NftStart { nft, before, .. } = NftStart::look(options, &search_path())?;
    if before.sets.is_empty() {
        let name = new_name(&options.instance, &mut BTreeSet::new());
        NftCounters::make(nft, name, Vec::new(), BTreeSet::new(), false)?.abandon();
    }
    Ok(())
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

/// Fails if the interface's name cannot be written in a rule. A `*` at the end would match others too, and an `@` at the
/// start makes it the name of a set.
fn refuse_name(interface: &str) -> Result<(), NftablesError> {
    if rule::can_name(interface) && !interface.ends_with('*') && !interface.starts_with('@') {
        return Ok(());
    }
    Err(NftablesError::InterfaceName { interface: interface.to_owned() })
}

/// Directs packets out of the counters of this instance that its files know or that were never sealed, and returns
/// those sets, for a start of another backend. Other sets are left alone. Also returns what happened to the counters, if
/// they were removed or changed while no agent ran.
///
/// # Errors
/// When there is a table of this instance, and it cannot be read or changed. Without nf_tables there is none, which is
/// not an error.
pub fn find_retired(options: &BackendOptions) -> Result<LeftCounters, BackendError> {
    if !super::uninstall::has_table(&options.instance) {
        let why_damaged = found::is_newest_ours(options)?.then(|| COUNTERS_GONE.to_owned());
        return Ok(LeftCounters { why_damaged, ..LeftCounters::default() });
    }
    let before = NftPredecessors::find(options, Nft::find(&search_path())?, false)?;
    let leaving = before.sets.iter().filter(|set| set.fate != Fate::Leave);
    if leaving.filter(|set| set.found.is_entered).count() > 0 {
        let table = super::model::place::table(&instance_tag(&options.instance));
        let listed = before.nft.list(&table)?.unwrap_or_default();
        let mut transaction = NftTransaction::on(&table);
        // Somebody may have removed one of the chains.
        for direction in Direction::BOTH.into_iter().filter(|direction| listed.has_entry_chain(*direction)) {
            transaction.rewrite(base_chain(direction), []);
        }
        before.nft.apply(&transaction)?;
        kernel::grace();
    }
    let why_damaged = before.why_damaged();
    before.discard();
    Ok(LeftCounters { retired: before.retired(None), why_damaged, ..LeftCounters::default() })
}

impl NftPredecessors {
    /// Whether there is a table that packets cannot enter, so that it has to be made anew, and nothing in it that is left
    /// alone. What its counters hold has been read.
    fn is_table_useless(&self) -> Result<bool, NftablesError> {
        if self.with_fate(Fate::Leave).next().is_some() {
            return Ok(false);
        }
        let Some(first) = self.sets.first() else { return Ok(false) };
        let facts = host::facts(&first.found.layout.table())?;
        Ok(facts.is_some_and(|facts| facts.is_dormant) || first.found.entrance == super::listed::NftEntrance::Absent)
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
        self.discard();
        if known {
            new.sealed()?;
        }
        let unadopted = self.with_fate(Fate::Leave).map(|set| format!("{}*", set.found.name()).into()).collect();
        let retired = self.retired(Some(&new.set.layout.interfaces));
        Ok(Started { backend: Box::new(new), retired, unseen, unadopted })
    }
}
