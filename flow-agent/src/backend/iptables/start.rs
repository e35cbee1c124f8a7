//! Starts the backend: finds what predecessors left, takes it over, and counts.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::counting::{IptablesBackend, Watch, new_name, refuse_too_many};
use super::found::{self, Piece};
use super::host::kept;
use super::host::search_path::search_path;
use super::host::tools::Tools;
use super::model::family::Family;
use super::model::flow::Direction;
use super::model::pace::Pace;
use super::model::rule;
use super::model::script::Script;
use super::model::set_name::RuleSetName;
use super::predecessors::{IptablesPredecessors, adopt, gap};
use super::set::{FamilySet, RuleSet};
use crate::backend::error::iptables::IptablesError;
use crate::backend::followed::ChosenDevices;
use crate::backend::interface::Interface;
use crate::backend::interfaces::Patterns;
use crate::backend::left::LeftCounters;
use crate::backend::predecessors::Fate;
use crate::backend::{Backend as _, BackendError, BackendOptions, Started, host};
use crate::ledger::blocked::Blocked;
use crate::ledger::reading::Moment;
use crate::ledger::record::CountMode;

/// Starts counting, or continues where a predecessor of this instance stopped. What can be checked in advance is
/// checked before anything changes.
///
/// # Errors
/// When a literally named interface is absent; when another agent counts; when iptables or ip6tables is missing;
/// without privileges; when somebody holds the lock for too long; when there are chains of a newer release; when the
/// kernel refuses.
pub fn start(options: &BackendOptions, now: &dyn Fn() -> Moment) -> Result<Started, BackendError> {
    start_with(options, now, &search_path())
}

/// Like [`start`], with the programs found in `path`.
///
/// # Errors
/// Like [`start`].
pub fn start_with(options: &BackendOptions, now: &dyn Fn() -> Moment, path: &OsStr) -> Result<Started, BackendError> {
    let begun_at = now();
    let StartContext { chosen, tools, before } = StartContext::look(options, path)?;
    kept::warn();
    let devices = chosen.hold(&options.instance, begun_at)?;
    let mut taken = before.ids();
    taken.extend(options.known_epochs.iter().filter_map(|epoch| epoch.rsplit_once(':')).map(|(_, id)| id.to_owned()));
    let new = IptablesBackend {
        instance: options.instance.clone(),
        max_ports: options.max_ports,
        epoch: String::new(),
        set: before.current(options, tools, chosen.names(), &mut taken)?,
        devices,
        watch: Watch { well_at: begun_at, moved: 0, fingerprints: None, is_reported: false },
        sealed: false,
        pace: Pace::default(),
        lifted: Blocked::default(),
        taken,
    };
    let mut started = before.go_on(new, options, &chosen.picked, now)?;
    started.unseen.extend(chosen.nothing_counted(options.last_known, begun_at));
    Ok(started)
}

/// Checks whether rules could count what the options require, as far as that is possible without making any.
///
/// # Errors
/// Everything that makes [`start`] fail before it changes anything.
pub fn probe(options: &BackendOptions) -> Result<(), BackendError> {
    StartContext::look(options, &search_path()).map(drop)
}

/// What a start finds. Collecting it changes nothing.
struct StartContext {
    chosen: ChosenDevices,
    tools: Vec<Tools>,
    before: IptablesPredecessors,
}

impl StartContext {
    fn look(options: &BackendOptions, path: &OsStr) -> Result<Self, BackendError> {
        if options.count == CountMode::Wire {
            return Err(IptablesError::WireBytes.into());
        }
        refuse_too_many(options.ports.len(), options.max_ports)?;
        let patterns = Patterns::parse(&options.interfaces)?.for_rules().allow_stacked(options.allow_stacked);
        let chosen = ChosenDevices::choose(patterns, &options.counted_before, |name| Ok(refuse_name(name)?))?;
        let tools = Tools::in_use(path)?;
        let before = IptablesPredecessors::find(options, path, Some(&tools))?;
        Ok(Self { chosen, tools, before })
    }
}

/// Removes the jumps into the counters of this instance that its files know or that were never sealed, and returns
/// those sets, for a start of another backend. Other sets are left alone. Also returns what happened to the counters, if
/// they were removed or changed while no agent ran.
///
/// # Errors
/// When a table that this host uses cannot be read or changed. Without iptables there are no sets, which is not an
/// error.
pub fn find_retired(options: &BackendOptions) -> Result<LeftCounters, BackendError> {
    let before = IptablesPredecessors::find(options, &search_path(), None)?;
    let why_damaged = before.why_damaged(Family::BOTH.into_iter().filter(|family| family.is_present()));
    for (name, fate) in &before.fates {
        match fate {
            Fate::Retire | Fate::Adopt if before.is_doubtful(name) => {
                before.pieces(name).iter().try_for_each(Piece::delete)?;
            }
            Fate::Retire | Fate::Adopt => before.detach(name)?,
            Fate::Discard => before.pieces(name).iter().try_for_each(Piece::delete)?,
            Fate::Leave => {}
        }
    }
    Ok(LeftCounters { retired: before.retired(None)?, why_damaged, ..LeftCounters::default() })
}

/// Fails if the interface's name cannot be written in a rule.
///
/// # Errors
/// [`IptablesError::InterfaceName`].
fn refuse_name(interface: &str) -> Result<(), IptablesError> {
    if rule::can_name(interface) {
        return Ok(());
    }
    Err(IptablesError::InterfaceName { interface: interface.to_owned() })
}

impl IptablesPredecessors {
    /// The set that counts from now on: an adopted one in its present state, or a new one that is not entered yet.
    fn current(
        &self,
        options: &BackendOptions,
        tools: Vec<Tools>,
        interfaces: Vec<String>,
        taken: &mut BTreeSet<String>,
    ) -> Result<RuleSet, BackendError> {
        if let Some(set) = self.with_fate(Fate::Adopt).find_map(|name| adopt(name, self.pieces(name))) {
            return Ok(set);
        }
        let all: Vec<&Piece> = self.sets.values().flatten().collect();
        let name = new_name(&options.instance, taken);
        let mut set = RuleSet::make(name, tools, interfaces, options.ports.clone(), &all)?;
        set.go_on_cutting(&self.cut_ports());
        Ok(set)
    }

    /// Directs packets into the current set and out of all others, in one transaction for each table.
    fn go_on(
        &self,
        mut new: IptablesBackend,
        options: &BackendOptions,
        picked: &[Interface],
        now: &dyn Fn() -> Moment,
    ) -> Result<Started, BackendError> {
        new.epoch = found::epoch(&new.set.name)?;
        let begun_at = new.watch.well_at;
        let last_known = options.last_known.unwrap_or(begun_at);
        let mut unseen = self.appeared(&new, picked, last_known);

        // Sets in other tables are left first, so that packets are missed rather than counted twice.
        let elsewhere: Vec<&RuleSetName> =
            self.with_fate(Fate::Retire).filter(|name| self.is_elsewhere(name, &new.set)).collect();
        let left_at = now();
        for name in &elsewhere {
            self.detach(name)?;
        }
        // If the set's epoch is known, no ports are added here; see `BackendOptions::ports`.
        let known = options.known_epochs.contains(&new.epoch);
        let change = Change::plan(&new.set, picked, &options.ports, known);
        for side in &new.set.sides {
            let mut script = Script::default();
            for piece in self.leaving().filter(|piece| piece.tools.place() == side.tools.place()) {
                piece.leave(&mut script);
            }
            change.write(&mut script, &new.set, side);
            let piece = self.pieces(&new.set.name).iter().find(|piece| piece.tools.place() == side.tools.place());
            if !piece.is_some_and(Piece::is_entered_first) {
                let jumps = piece.map_or([0, 0], |piece| piece.jumps);
                for (direction, jumps) in Direction::BOTH.into_iter().zip(jumps) {
                    script.enter_first(&new.set.name, direction, jumps);
                }
            }
            if let Err(error) = side.tools.restore(&script) {
                if self.sets.is_empty() {
                    new.set.abandon();
                }
                return Err(error.into());
            }
        }
        change.apply(&mut new.set);
        host::grace();
        // Damaged counters are not read again, so what they still counted is part of a gap.
        unseen.extend(self.damaged(&new, picked, last_known, now()));
        new.watch.moved = new.devices.moved();
        if !elsewhere.is_empty() {
            let why = "the counters moved to another kind of table";
            unseen.extend(new.set.interfaces.iter().map(|name| gap(left_at, now(), name, why)));
        }
        let doubtful = self.with_fate(Fate::Retire).filter(|name| self.is_doubtful(name));
        for name in self.with_fate(Fate::Discard).chain(doubtful) {
            for piece in self.pieces(name) {
                let is_left = new.set.sides.iter().any(|side| side.tools.place() == piece.tools.place())
                    || elsewhere.contains(&name);
                if is_left { piece.clone().left().delete()? } else { piece.delete()? }
            }
        }
        if known {
            new.sealed()?;
        }
        let unadopted = self.with_fate(Fate::Leave).map(|name| format!("{name}*").into()).collect();
        let retired = self.retired(Some(&new.set.interfaces))?;
        Ok(Started { backend: Box::new(new), retired, unseen, unadopted })
    }
}

/// The changes that an adopted set needs. For a set that was made by this start there are none.
struct Change {
    interfaces: Vec<String>,
    added: BTreeSet<u16>,
    gone: BTreeSet<u16>,
}

impl Change {
    fn plan(set: &RuleSet, picked: &[Interface], ports: &BTreeSet<u16>, known: bool) -> Self {
        let held: BTreeSet<u16> = set.ports.union(&set.draining).copied().collect();
        let added = if known { BTreeSet::new() } else { ports.difference(&held).copied().collect() };
        Self {
            interfaces: picked.iter().map(|interface| interface.name.clone()).collect(),
            added,
            gone: set.ports.difference(ports).copied().collect(),
        }
    }

    fn write(&self, script: &mut Script, set: &RuleSet, side: &FamilySet) {
        let layout = side.layout(set);
        if self.interfaces != set.interfaces {
            script.follow(&layout, &self.interfaces);
        }
        script.shield(&layout, &self.gone, &set.draining).add(&layout, &self.added);
    }

    fn apply(self, set: &mut RuleSet) {
        set.interfaces = self.interfaces;
        set.ports.retain(|port| !self.gone.contains(port));
        set.ports.extend(self.added);
        set.set_draining(set.draining.iter().copied().chain(self.gone).collect());
    }
}
