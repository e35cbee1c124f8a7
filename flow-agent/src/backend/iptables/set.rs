//! EDGE kernel: one set of counters in all families: it is made, entered, changed and read here.

use std::collections::{BTreeMap, BTreeSet};

use super::found::{self, Piece};
use super::host::kept;
use super::host::tools::{Quiet, Tools};
use super::model::family::Family;
use super::model::flow::Direction;
use super::model::layout::{Dispatch, Fragments, Layout};
use super::model::place::{ChainPlace, Made};
use super::model::script::Script;
use super::model::set_name::RuleSetName;
use super::model::shape::Shape;
use super::saved::damage::{CounterDoubt, SetDamage};
use super::saved::last::{self, Last};
use super::saved::sets::{self, Entrance};
use super::saved::view::VerifiedSet;
use crate::backend::error::iptables::IptablesError;
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::reading::Moment;

/// A set of counters as we know it, with its place in the kernel.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub name: RuleSetName,
    pub dispatch: Dispatch,
    /// Sorted by name.
    pub interfaces: Vec<String>,
    pub ports: BTreeSet<u16>,
    pub draining: BTreeSet<u16>,
    /// One part for each family.
    pub sides: Vec<FamilySet>,
}

/// The part of a set in one family's table.
#[derive(Clone, Debug)]
pub struct FamilySet {
    pub tools: Tools,
    pub fragments: Fragments,
    /// Its values at the last time when it was found to be as it should be.
    pub last: Last,
    /// Set when its counters can no longer be trusted, whatever they show later. The set has to be replaced.
    pub doubted: Option<SetDamage>,
    /// Whether it has the chains that refuse what budgets do not allow.
    pub can_cut: bool,
}

/// The result of reading one side.
pub struct FamilyReading {
    /// Its counters, if everything is as it should be.
    pub verdict: Result<Last, SetDamage>,
    /// In the order of [`Direction::BOTH`].
    pub entrances: [Entrance; 2],
    /// Other sets of this instance that packets enter. Only somebody else can have made those jumps.
    pub strays: Vec<RuleSetName>,
}

/// The sums over all families.
pub struct Numbers {
    pub at: Moment,
    pub ports: BTreeMap<u16, Counters>,
    pub others: Others,
    /// Refused bytes and packets, which are counted nowhere else.
    pub blocked: Blocked,
}

impl RuleSet {
    /// Makes a set that no packet enters yet. It uses ipsets if this host has them and they are safe to use, and
    /// otherwise only rules. `before` holds the pieces that this instance has already.
    ///
    /// # Errors
    /// When the kernel or a program refuses. Nothing of the set is left then.
    pub fn make(
        name: RuleSetName,
        tools: Vec<Tools>,
        interfaces: Vec<String>,
        ports: BTreeSet<u16>,
        before: &[&Piece],
    ) -> Result<Self, IptablesError> {
        let tree = Dispatch::FlowClass(Shape::balanced(&ports));
        let set = Self { name, dispatch: tree, interfaces, ports, draining: BTreeSet::new(), sides: Vec::new() };
        match refuse_ipsets(&tools) {
            None => {
                let with_ipsets = Self { dispatch: Dispatch::Ipsets { shielded: false }, ..set.clone() };
                match with_ipsets.made(&tools, before) {
                    Ok(set) => return Ok(set),
                    Err(error @ IptablesError::Locked { .. }) => return Err(error),
                    // If something else is wrong, it will also fail without ipsets.
                    Err(error) => tracing::info!(%error, "ports are looked up in a tree of rules, not in ipsets"),
                }
            }
            Some(why) => tracing::info!(why, "ports are looked up in a tree of rules, not in ipsets"),
        }
        set.made(&tools, before)
    }

    fn made(mut self, tools: &[Tools], before: &[&Piece]) -> Result<Self, IptablesError> {
        for tools in tools {
            if let Err(error) = self.make_side(tools.clone(), before) {
                // The ipsets may have been made although the rules were refused.
                if let Ok(Some(piece)) = self.piece(tools)
                    && let Err(error) = piece.delete()
                {
                    tracing::debug!(%error, "failed to remove ipsets");
                }
                self.abandon();
                return Err(error);
            }
        }
        Ok(self)
    }

    fn make_side(&mut self, tools: Tools, before: &[&Piece]) -> Result<(), IptablesError> {
        // If only ipsets remain of a set, the marks that show what was made for it are gone.
        let is_here = |piece: &&&Piece| piece.tools.place() == tools.place() && piece.has_chains();
        let here: Vec<_> = before.iter().filter(is_here).collect();
        let made = match here.as_slice() {
            [] => found::to_be_made(&tools)?,
            pieces => pieces.iter().fold(Made::default(), |made, piece| made.or(piece.marks.made)),
        };
        let make = |fragments| {
            let mut script = Script::default();
            script.make(&self.layout(tools.family, fragments, false), &[ChainPlace::Made(made)]);
            tools.restore(&script)
        };
        let fragments = match tools.family {
            Family::V4 => {
                make(Fragments::Delivered)?;
                Fragments::Delivered
            }
            Family::V6 => match make(Fragments::Reassembled) {
                Ok(()) => Fragments::Reassembled,
                Err(refused) => {
                    // If something else is wrong, this fails as well.
                    make(Fragments::Apart).map_err(|_| {
                        tracing::debug!("also failed without reassembly");
                        refused
                    })?;
                    tracing::warn!(
                        "this host has no `-m socket`: incoming IPv6 fragments are not reassembled, and those after \
                         the first are counted as fragment_unmatched"
                    );
                    Fragments::Apart
                }
            },
        };
        self.mark(&tools)?;
        self.sides.push(FamilySet { tools, fragments, last: Last::default(), doubted: None, can_cut: false });
        Ok(())
    }

    /// Adds marks that show if somebody zeroes the set's counters or restores the table.
    fn mark(&self, tools: &Tools) -> Result<(), IptablesError> {
        let mut script = Script::default();
        match tools.table_handle()? {
            Some(handle) => {
                tools.restore(script.mark_table(&self.name, handle))?;
                tools.count_one(&self.name.chain(&ChainPlace::Tripwire))
            }
            None => tools.restore(script.lay_tripwire(&self.name)),
        }
    }

    /// Removes what was made of a set that no packet has entered.
    pub fn abandon(&self) {
        for side in &self.sides {
            let removed = self.piece(&side.tools).and_then(|piece| piece.map_or(Ok(()), |piece| piece.delete()));
            if let Err(error) = removed {
                tracing::warn!(
                    family = side.tools.family.name(), %error,
                    "failed to remove chains: `flow-agent uninstall` removes them"
                );
            }
        }
    }

    /// The set's piece in the table of `tools`. `None` if there is nothing.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn piece(&self, tools: &Tools) -> Result<Option<Piece>, IptablesError> {
        let quiet = Quiet::wait(&[tools])?;
        let pieces = found::pieces(tools, &quiet, self.name.instance())?;
        Ok(pieces.into_iter().find(|piece| piece.name == self.name))
    }

    /// The set in the form of one side's rules, with all of its counters.
    fn layout(&self, family: Family, fragments: Fragments, can_cut: bool) -> Layout {
        Layout {
            name: self.name.clone(),
            family,
            interfaces: self.interfaces.clone(),
            dispatch: self.dispatch.clone(),
            ports: self.ports.union(&self.draining).copied().collect(),
            fragments,
            can_cut,
        }
    }

    /// Changes every side in a transaction of its own. If one fails, the changes of those before it are undone with
    /// `back`.
    ///
    /// # Errors
    /// When a side refuses.
    pub fn change(
        &self,
        change: impl Fn(&mut Script, &Layout),
        back: impl Fn(&mut Script, &Layout),
    ) -> Result<(), IptablesError> {
        for (index, side) in self.sides.iter().enumerate() {
            let mut script = Script::default();
            change(&mut script, &side.layout(self));
            let Err(error) = side.tools.restore(&script) else { continue };
            for side in &self.sides[..index] {
                let mut script = Script::default();
                back(&mut script, &side.layout(self));
                if let Err(error) = side.tools.restore(&script) {
                    tracing::error!(family = side.tools.family.name(), %error, "failed to undo a change");
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Reads every counter after checking that everything is as it should be, so that no packet can have passed
    /// uncounted.
    ///
    /// # Errors
    /// [`IptablesError::Damaged`] or [`IptablesError::NotFirst`] if something is wrong; other errors when the rules
    /// cannot be read.
    pub fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Numbers, IptablesError> {
        let quiet = Quiet::wait(&self.tools())?;
        let at = now();
        let mut numbers = Numbers::at(at);
        let mut lasts = Vec::new();
        for index in 0..self.sides.len() {
            let family = self.sides[index].tools.family;
            let FamilyReading { verdict, entrances, .. } = self.look(index, &quiet)?;
            lasts.push(
                verdict.map_err(|source| IptablesError::Damaged { family: family.name(), source: source.into() })?,
            );
            if let Some(why) = entrances.iter().find_map(|entrance| found::describe(family, entrance)) {
                return Err(IptablesError::NotFirst { why });
            }
        }
        for last in &lasts {
            numbers.add(last);
        }
        self.keep(lasts);
        Ok(numbers)
    }

    /// Inspects one side. Counters that cannot be trusted now are not trusted later either, because by then they may
    /// have grown beyond the values that they had before somebody touched them.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn look(&mut self, side: usize, quiet: &Quiet) -> Result<FamilyReading, IptablesError> {
        let FamilySet { tools, doubted, .. } = &self.sides[side];
        let look = tools.save(quiet, self.name.instance(), |table| {
            let entrances = Direction::BOTH.map(|direction| sets::entrance(table, &self.name, direction));
            let strays = sets::sets(table).into_keys().filter(|name| {
                *name != self.name
                    && name.instance() == self.name.instance()
                    && Direction::BOTH.iter().any(|direction| sets::jumps(table, name, *direction) > 0)
            });
            let view = VerifiedSet::read(table, tools.family, &self.name);
            let verdict = view.and_then(|view| self.verify(&self.sides[side], view));
            let verdict = match (doubted.clone(), verdict) {
                (Some(doubted), Err(damage)) => Err(doubted.or_worse(damage)),
                (Some(doubted), Ok(_)) => Err(doubted),
                (None, verdict) => verdict,
            };
            FamilyReading { verdict, entrances, strays: strays.collect() }
        })?;
        if let Err(damage) = &look.verdict
            && damage.doubt != CounterDoubt::Nothing
        {
            self.sides[side].doubted = Some(damage.clone());
        }
        Ok(look)
    }

    /// Remembers the values of all sides, which were found to be as they should be.
    pub fn keep(&mut self, lasts: Vec<Last>) {
        self.sides.iter_mut().zip(lasts).for_each(|(side, last)| side.last = last);
    }

    /// Compares an intact set with our last version of it and with its former values.
    fn verify(&self, side: &FamilySet, view: VerifiedSet) -> Result<Last, SetDamage> {
        let same = view.layout == side.layout(self) && view.draining == self.draining && view.is_settled;
        if !same {
            let part = format!("chain {}", self.name.chain(&ChainPlace::Entry(Direction::Ingress)));
            // If rules of this set were restored, ports may have counters from an earlier use of the port.
            return Err(SetDamage { part, why: "matches other ports or interfaces", doubt: CounterDoubt::All });
        }
        last::judge(&side.last, &view)?;
        Ok(Last::of(&view))
    }

    /// Records that exactly these ports are frozen, after every side was changed accordingly.
    pub fn set_draining(&mut self, draining: BTreeSet<u16>) {
        if let Dispatch::Ipsets { shielded } = &mut self.dispatch {
            *shielded = !draining.is_empty();
        }
        self.draining = draining;
    }

    /// Records that the counters of `ports` were removed, so that new ones start at zero.
    pub fn forget(&mut self, ports: &BTreeSet<u16>) {
        for side in &mut self.sides {
            side.last.ports.retain(|port, _| !ports.contains(port));
            side.last.blocked.retain(|port, _| !ports.contains(port));
            side.last.cut.retain(|port| !ports.contains(port));
        }
    }

    pub fn tools(&self) -> Vec<&Tools> {
        self.sides.iter().map(|side| &side.tools).collect()
    }
}

/// The reason not to put counters into ipsets. `None` if there is none.
pub fn refuse_ipsets(tools: &[Tools]) -> Option<String> {
    if !tools.iter().all(Tools::has_ipset) {
        return Some("`ipset` is not installed".to_owned());
    }
    let keeper = kept::keeper()?;
    Some(format!("rules are saved across reboots here ({keeper}), and those that use ipsets cannot be loaded then"))
}

impl FamilySet {
    /// The set in the form that this side has.
    pub fn layout(&self, set: &RuleSet) -> Layout {
        set.layout(self.tools.family, self.fragments, self.can_cut)
    }
}

impl Numbers {
    /// No counters yet.
    pub fn at(at: Moment) -> Self {
        Self { at, ports: BTreeMap::new(), others: Others::default(), blocked: Blocked::default() }
    }

    /// Adds the values of one part.
    pub fn add(&mut self, last: &Last) {
        for (port, counters) in &last.ports {
            let sum = self.ports.entry(*port).or_default();
            // Real traffic never reaches 2^64 bytes, but somebody may restore counters with invented values.
            *sum = sum.saturating_add(*counters);
        }
        self.others = self.others.saturating_add(last.others);
        self.blocked.add(&last.blocked.iter().map(|(port, flow)| (*port, *flow)).collect());
    }
}
