//! What predecessors left in the kernel, and what is done with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::counting::IptablesBackend;
use super::found::{self, Piece};
use super::host::tools::Tools;
use super::model::family::Family;
use super::model::script::Script;
use super::model::set_name::{RuleSetName, instance_tag};
use super::retired::RetiredRules;
use super::saved::last::Last;
use super::set::{self, FamilySet, RuleSet};
use crate::backend::error::iptables::IptablesError;
use crate::backend::interface::Interface;
use crate::backend::predecessors::{Candidate, Fate, Remains, decide};
use crate::backend::{BackendError, BackendOptions, Retired, host};
use crate::ledger::reading::{Moment, Unseen};

pub struct IptablesPredecessors {
    pub sets: BTreeMap<RuleSetName, Vec<Piece>>,
    pub fates: BTreeMap<RuleSetName, Fate>,
    /// Sets whose last bucket has been sealed. If they still exist, somebody restored them from a file.
    finished: BTreeSet<RuleSetName>,
    /// The counters of the newest reading on disk were rules of this boot, and nothing remains of them.
    is_newest_gone: bool,
}

impl IptablesPredecessors {
    /// Looks for predecessors. `tools` are those that would be used now; `None` if no set is to be adopted.
    pub fn find(options: &BackendOptions, path: &OsStr, tools: Option<&[Tools]>) -> Result<Self, BackendError> {
        let sets = found::everywhere(path, &instance_tag(&options.instance))?;
        let mut candidates = Vec::new();
        let mut finished = BTreeSet::new();
        for (name, pieces) in &sets {
            let epoch = found::epoch(name)?;
            let is_newest = options.newest_epoch.as_ref().is_none_or(|newest| *newest == epoch);
            let known = options.known_epochs.contains(&epoch);
            let is_finished = known && !is_newest;
            finished.extend(Some(name.clone()).filter(|_| is_finished));
            let can_go_on = !is_finished && tools.is_some_and(|tools| fits(pieces, tools, options));
            let is_entered = pieces.iter().all(|piece| piece.jumps.iter().all(|jumps| *jumps > 0));
            candidates.push(Candidate {
                known,
                sealed: pieces.iter().any(|piece| piece.marks.sealed),
                remains: remains(&name.id(), &options.known_epochs, pieces.iter().all(Piece::is_blank)),
                preference: can_go_on.then_some(u32::from(is_entered)),
            });
        }
        let fates = decide(&candidates);
        let fates = sets.keys().cloned().zip(fates).collect();
        let newest = options.newest_epoch.as_ref().and_then(|newest| newest.rsplit_once(':'));
        let is_newest_gone =
            found::is_newest_ours(options)? && sets.keys().all(|name| newest.is_none_or(|(_, id)| name.id() != id));
        Ok(Self { sets, fates, finished, is_newest_gone })
    }

    pub fn ids(&self) -> BTreeSet<String> {
        self.sets.keys().map(RuleSetName::id).collect()
    }

    pub fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &RuleSetName> {
        self.fates.iter().filter(move |(_, found)| **found == fate).map(|(name, _)| name)
    }

    pub fn pieces(&self, name: &RuleSetName) -> &[Piece] {
        self.sets.get(name).map_or(&[], Vec::as_slice)
    }

    /// The sets that, as far as is known, went on counting while no agent ran.
    fn went_on(&self) -> impl Iterator<Item = &RuleSetName> {
        let found = self.with_fate(Fate::Adopt).chain(self.with_fate(Fate::Retire));
        found.filter(|name| !self.finished.contains(name))
    }

    /// The ports that are cut by counters which packets enter.
    pub fn cut_ports(&self) -> BTreeSet<u16> {
        let pieces = self.went_on().flat_map(|name| self.pieces(name)).filter(|piece| piece.jumps != [0, 0]);
        pieces.filter_map(|piece| piece.view.as_ref().ok()).flat_map(|view| view.cut.iter().copied()).collect()
    }

    /// The gaps from `since` until `until`, if a family's counters were removed or changed while no agent ran.
    pub fn damaged(&self, new: &IptablesBackend, picked: &[Interface], since: Moment, until: Moment) -> Vec<Unseen> {
        let Some(why) = self.why_damaged(new.set.sides.iter().map(|side| side.tools.family)) else {
            return Vec::new();
        };
        picked.iter().map(|interface| gap(since, until, &interface.name, &why)).collect()
    }

    /// What happened to the counters of these families, if they were removed or changed while no agent ran.
    pub fn why_damaged(&self, families: impl IntoIterator<Item = Family>) -> Option<String> {
        if self.went_on().next().is_none() && !self.is_newest_gone {
            return None;
        }
        let reasons: Vec<String> = families
            .into_iter()
            .filter_map(|family| {
                let pieces =
                    || self.went_on().flat_map(|name| self.pieces(name)).filter(|piece| piece.tools.family == family);
                if pieces().any(|piece| piece.is_entered_first() && piece.view.is_ok()) {
                    return None;
                }
                Some(match pieces().next().map(|piece| (&piece.view, &piece.entrances)) {
                    None => format!("the {} counters were removed while no agent ran", family.name()),
                    Some((Err(damage), _)) => format!("somebody changed the {} counters: {damage}", family.name()),
                    Some((Ok(_), entrances)) => {
                        entrances.iter().find_map(|entrance| found::describe(family, entrance)).unwrap_or_default()
                    }
                })
            })
            .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The gaps since `since` on interfaces that appeared while no agent ran.
    pub fn appeared(&self, new: &IptablesBackend, picked: &[Interface], since: Moment) -> Vec<Unseen> {
        if self.went_on().next().is_none() {
            return Vec::new();
        }
        let known: BTreeSet<&String> = self
            .went_on()
            .flat_map(|name| self.pieces(name))
            .filter_map(|piece| piece.view.as_ref().ok())
            .flat_map(|view| &view.layout.interfaces)
            .collect();
        if known.is_empty() {
            return Vec::new();
        }
        // A literal name may have been added to the configuration just now. A glob was configured before, so the
        // interface is new.
        let appeared = picked.iter().filter(|interface| {
            !known.contains(&interface.name)
                && !new.devices.patterns().name_literally(&interface.name)
                && !host::is_untouched(interface.index)
        });
        let until = new.watch.well_at;
        appeared
            .map(|interface| gap(since, until, &interface.name, "the interface appeared while no agent ran"))
            .collect()
    }

    /// The pieces that packets should no longer enter.
    pub fn leaving(&self) -> impl Iterator<Item = &Piece> {
        let names = self.with_fate(Fate::Retire).chain(self.with_fate(Fate::Discard));
        names.flat_map(|name| self.pieces(name))
    }

    pub fn is_elsewhere(&self, name: &RuleSetName, set: &RuleSet) -> bool {
        let here = |piece: &Piece| set.sides.iter().any(|side| side.tools.place() == piece.tools.place());
        self.pieces(name).iter().any(|piece| !here(piece) && piece.jumps != [0, 0])
    }

    pub fn detach(&self, name: &RuleSetName) -> Result<(), IptablesError> {
        for piece in self.pieces(name) {
            let mut script = Script::default();
            piece.leave(&mut script);
            piece.tools.restore(&script)?;
        }
        Ok(())
    }

    /// Whether a set's counters may be larger than what it really counted. Such a set is not read; the newest
    /// checkpoint of its epoch is the last that is known.
    pub fn is_doubtful(&self, name: &RuleSetName) -> bool {
        self.pieces(name).iter().any(Piece::is_doubtful)
    }

    /// The sets to be read one last time. `interfaces` are those that count now, for sets that do not show their own.
    pub fn retired(&self, interfaces: Option<&[String]>) -> Result<Vec<Box<dyn Retired>>, BackendError> {
        let mut retired: Vec<Box<dyn Retired>> = Vec::new();
        for (name, fate) in &self.fates {
            let stands_still = match fate {
                Fate::Retire => true,
                Fate::Adopt => interfaces.is_none(),
                Fate::Leave | Fate::Discard => false,
            };
            if stands_still && !self.is_doubtful(name) {
                let mut set = RetiredRules::found(name.clone(), found::epoch(name)?, self.pieces(name));
                if self.finished.contains(name) {
                    set.forget_others();
                }
                if set.interfaces.is_empty() {
                    set.interfaces = interfaces.unwrap_or_default().to_vec();
                }
                retired.push(Box::new(set));
            }
        }
        Ok(retired)
    }
}

/// What remains of the set with this id. An epoch is a boot id and a set id. If the files know the set id with another
/// boot id, somebody restored the rules from a file. (If they know the epoch itself, the result does not matter.)
fn remains(id: &str, known_epochs: &BTreeSet<String>, is_blank: bool) -> Remains {
    let has_id = |epoch: &String| epoch.rsplit_once(':').is_some_and(|(_, of_set)| of_set == id);
    match known_epochs.iter().any(has_id) {
        true => Remains::FormerBoot,
        false if is_blank => Remains::Zeros,
        false => Remains::Counters,
    }
}

/// Whether a set can go on counting: it must be intact and settled in every family, belong to the variant in use, and
/// have room for the ports.
fn fits(pieces: &[Piece], tools: &[Tools], options: &BackendOptions) -> bool {
    let is_there = |tools: &Tools| {
        pieces.iter().any(|piece| (piece.tools.family, piece.tools.variant) == (tools.family, tools.variant))
    };
    let views: Option<Vec<_>> = pieces.iter().map(|piece| piece.view.as_ref().ok()).collect();
    let Some([first, others @ ..]) = views.as_deref() else { return false };
    let held = first.layout.ports.union(&options.ports).copied().collect();
    let same = others.iter().all(|view| {
        (&view.layout.dispatch, &view.layout.ports, &view.layout.interfaces, &view.draining)
            == (&first.layout.dispatch, &first.layout.ports, &first.layout.interfaces, &first.draining)
    });
    let is_settled = first.is_settled && others.iter().all(|view| view.is_settled);
    let has_room = first.layout.dispatch.has_room_for(&held);
    // This host may have begun to save its rules across reboots.
    let is_safe = !first.layout.dispatch.is_by_ipsets() || set::refuse_ipsets(tools).is_none();
    pieces.len() == tools.len() && tools.iter().all(is_there) && same && is_settled && has_room && is_safe
}

/// Takes over a set that fits, in its present state.
pub fn adopt(name: &RuleSetName, pieces: &[Piece]) -> Option<RuleSet> {
    let views: Option<Vec<_>> = pieces.iter().map(|piece| Some((piece, piece.view.as_ref().ok()?))).collect();
    let views = views?;
    let (_, first) = views.first()?;
    Some(RuleSet {
        name: name.clone(),
        dispatch: first.layout.dispatch.clone(),
        interfaces: first.layout.interfaces.clone(),
        ports: first.layout.ports.difference(&first.draining).copied().collect(),
        draining: first.draining.clone(),
        sides: views
            .iter()
            .map(|(piece, view)| FamilySet {
                tools: piece.tools.clone(),
                fragments: view.layout.fragments,
                last: Last::of(view),
                doubted: None,
                can_cut: view.layout.can_cut,
            })
            .collect(),
    })
}

/// A span of time that was not measured.
pub fn gap(start: Moment, end: Moment, interface: &str, why: &str) -> Unseen {
    Unseen { start, end, interface: interface.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests;
