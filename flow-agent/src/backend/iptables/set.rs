//! EDGE kernel: one set of counters in all families: made, entered, changed and read.

use std::collections::{BTreeMap, BTreeSet};

use super::error::IptablesError;
use super::found::{self, Piece};
use super::kept;
use super::layout::{Dispatch, Fragments, Layout};
use super::names::{Direction, Made, Place, SetName};
use super::saved;
use super::script::Script;
use super::shape::Shape;
use super::tools::{Family, Quiet, Tools};
use super::view::{Damage, View};
use crate::ledger::counters::{Counters, Others};
use crate::ledger::reading::Moment;

/// A set of counters as we know it, and where it lies.
#[derive(Clone, Debug)]
pub struct Set {
    pub name: SetName,
    pub dispatch: Dispatch,
    /// Sorted.
    pub interfaces: Vec<String>,
    pub ports: BTreeSet<u16>,
    pub draining: BTreeSet<u16>,
    /// One for each family.
    pub sides: Vec<Side>,
}

/// The part of a set that lies in one family's table.
#[derive(Clone, Debug)]
pub struct Side {
    pub tools: Tools,
    pub fragments: Fragments,
    /// What it counted when it was last read.
    pub last: Last,
}

/// The last that is known of a part of a set.
#[derive(Clone, Debug, Default)]
pub struct Last {
    pub ports: BTreeMap<u16, Counters>,
    pub others: Others,
}

/// What was read.
pub struct Numbers {
    pub at: Moment,
    pub ports: BTreeMap<u16, Counters>,
    pub others: Others,
}

impl Set {
    /// Makes a set that no packet enters yet: of ipsets, where this host has them and they are safe to use, else of rules
    /// alone. `before` are the pieces that this instance has already.
    ///
    /// # Errors
    /// When the kernel or a program refuses: nothing is left of it.
    pub fn make(
        name: SetName,
        tools: Vec<Tools>,
        interfaces: Vec<String>,
        ports: BTreeSet<u16>,
        before: &[&Piece],
    ) -> Result<Self, IptablesError> {
        let tree = Dispatch::Tree(Shape::balanced(&ports));
        let set = Self { name, dispatch: tree, interfaces, ports, draining: BTreeSet::new(), sides: Vec::new() };
        match refuse_ipsets(&tools) {
            None => {
                let with_ipsets = Self { dispatch: Dispatch::Ipsets { shielded: false }, ..set.clone() };
                match with_ipsets.made(&tools, before) {
                    Ok(set) => return Ok(set),
                    Err(error @ IptablesError::Locked { .. }) => return Err(error),
                    // What else is wrong is wrong without them, too.
                    Err(error) => tracing::info!(%error, "ports are found by a tree of rules, not by ipsets"),
                }
            }
            Some(why) => tracing::info!(why, "ports are found by a tree of rules, not by ipsets"),
        }
        set.made(&tools, before)
    }

    fn made(mut self, tools: &[Tools], before: &[&Piece]) -> Result<Self, IptablesError> {
        for tools in tools {
            if let Err(error) = self.make_side(tools.clone(), before) {
                // Its ipsets may be there, though its rules were refused.
                if let Ok(Some(piece)) = self.piece(tools)
                    && let Err(error) = piece.delete()
                {
                    tracing::debug!(%error, "ipsets stay");
                }
                self.abandon();
                return Err(error);
            }
        }
        Ok(self)
    }

    fn make_side(&mut self, tools: Tools, before: &[&Piece]) -> Result<(), IptablesError> {
        // What is left of a set whose chains are gone does not tell any more what was made for it.
        let is_here = |piece: &&&Piece| piece.tools.place() == tools.place() && piece.has_chains();
        let here: Vec<_> = before.iter().filter(is_here).collect();
        let made = match here.as_slice() {
            [] => found::to_be_made(&tools)?,
            pieces => pieces.iter().fold(Made::default(), |made, piece| made.or(piece.marks.made)),
        };
        let make = |fragments| {
            let mut script = Script::default();
            script.make(&self.layout(tools.family, fragments), &[Place::Made(made)]);
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
                    // Whatever else was wrong is wrong still.
                    make(Fragments::Apart).map_err(|_| {
                        tracing::debug!("nor without reassembly");
                        refused
                    })?;
                    tracing::warn!(
                        "this host has no `-m socket`: IPv6 fragments that come in are not reassembled; those after \
                         the first are counted as fragment_unmatched"
                    );
                    Fragments::Apart
                }
            },
        };
        self.sides.push(Side { tools, fragments, last: Last::default() });
        Ok(())
    }

    /// Takes back what was made of a set that no packet entered.
    pub fn abandon(&self) {
        for side in &self.sides {
            let removed = self.piece(&side.tools).and_then(|piece| piece.map_or(Ok(()), |piece| piece.delete()));
            if let Err(error) = removed {
                tracing::warn!(family = side.tools.family.name(), %error, "chains stay: `flow-agent uninstall` removes them");
            }
        }
    }

    /// What is found of a side; `None` when nothing is.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn piece(&self, tools: &Tools) -> Result<Option<Piece>, IptablesError> {
        let quiet = Quiet::wait(&[tools])?;
        let pieces = found::pieces(tools, &quiet, self.name.instance())?;
        Ok(pieces.into_iter().find(|piece| piece.name == self.name))
    }

    /// The set as the rules of a side have it, with all of its counters.
    pub fn layout(&self, family: Family, fragments: Fragments) -> Layout {
        Layout {
            name: self.name.clone(),
            family,
            interfaces: self.interfaces.clone(),
            dispatch: self.dispatch.clone(),
            ports: self.ports.union(&self.draining).copied().collect(),
            fragments,
        }
    }

    /// Changes every side, one transaction each; when one refuses, those before it are changed back.
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
                    tracing::error!(family = side.tools.family.name(), %error, "not changed back");
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Reads every counter, after having seen that everything is as it should be: nothing unseen has passed it.
    ///
    /// # Errors
    /// [`IptablesError::Damaged`] or [`IptablesError::NotFirst`] when it is not; when it cannot be read.
    pub fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Numbers, IptablesError> {
        let quiet = Quiet::wait(&self.tools())?;
        let at = now();
        let mut numbers = Numbers { at, ports: BTreeMap::new(), others: Others::default() };
        let mut lasts = Vec::new();
        for side in &self.sides {
            let family = side.tools.family;
            let (view, entrances) = side.tools.save(&quiet, self.name.instance(), |table| {
                let entrances = Direction::BOTH.map(|direction| saved::entrance(table, &self.name, direction));
                (View::read(table, family, &self.name), entrances)
            })?;
            let view = view.and_then(|view| self.verify(side, view));
            let view = view.map_err(|source| IptablesError::Damaged { family: family.name(), source })?;
            if let Some(why) = entrances.iter().find_map(|entrance| found::describe(family, entrance)) {
                return Err(IptablesError::NotFirst { why });
            }
            lasts.push(Last { ports: view.counters, others: view.others });
        }
        for last in &lasts {
            numbers.add(last);
        }
        self.sides.iter_mut().zip(lasts).for_each(|(side, last)| side.last = last);
        Ok(numbers)
    }

    /// A whole set may still not be the one that we made last.
    pub fn verify(&self, side: &Side, view: View) -> Result<View, Damage> {
        let same = view.layout == side.layout(self) && view.draining == self.draining && view.is_settled;
        let entry = || format!("chain {}", self.name.chain(&Place::Entry(Direction::In)));
        same.then_some(view).ok_or_else(|| Damage { part: entry(), why: "leads to other ports or interfaces" })
    }

    /// These ports stand still from now on, and no others: every side was changed so.
    pub fn set_draining(&mut self, draining: BTreeSet<u16>) {
        if let Dispatch::Ipsets { shielded } = &mut self.dispatch {
            *shielded = !draining.is_empty();
        }
        self.draining = draining;
    }

    pub fn tools(&self) -> Vec<&Tools> {
        self.sides.iter().map(|side| &side.tools).collect()
    }
}

/// Why counters should not lie in ipsets; `None` where they may.
pub fn refuse_ipsets(tools: &[Tools]) -> Option<String> {
    if !tools.iter().all(Tools::has_ipset) {
        return Some("`ipset` is not installed".to_owned());
    }
    let keeper = kept::keeper()?;
    Some(format!("rules are kept over a boot here ({keeper}), and those that ask ipsets cannot be loaded then"))
}

impl Side {
    /// The set as this side has it.
    pub fn layout(&self, set: &Set) -> Layout {
        set.layout(self.tools.family, self.fragments)
    }
}

impl Numbers {
    /// Adds what one part counted.
    pub fn add(&mut self, last: &Last) {
        for (port, counters) in &last.ports {
            let sum = self.ports.entry(*port).or_default();
            let pairs = sum.to_array().into_iter().zip(counters.to_array());
            // 2^64 bytes are out of reach, but not of somebody who restores counters of his own making.
            let mut numbers = pairs.map(|(a, b)| a.saturating_add(b));
            *sum = Counters::from_array(std::array::from_fn(|_| numbers.next().unwrap_or_default()));
        }
        self.others = self.others.checked_add(last.others).unwrap_or(last.others);
    }
}
