//! EDGE kernel: one set of counters: it is made, entered, changed and read here.

use std::collections::BTreeSet;

use super::host::{self, Nft};
use super::listed::NftEntrance;
use super::model::layout::{NftLayout, slots};
use super::model::place::{NftChain, NftSet};
use super::model::transaction::NftTransaction;
use super::model::values::{NftValues, SENTINEL};
use crate::backend::error::nftables::NftablesError;
use crate::backend::iptables::model::family::Family;
use crate::backend::iptables::model::layout::Fragments;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::iptables::saved::damage::{CounterDoubt, SetDamage};

/// How often counters are read again if somebody changed the ruleset in the meantime.
const ATTEMPTS: u32 = 5;

/// A set of counters as we know it.
#[derive(Clone, Debug)]
pub struct NftCounters {
    pub nft: Nft,
    pub layout: NftLayout,
    /// Its values at the last time when it was found to be as it should be.
    pub last: NftValues,
    /// Set when its counters can no longer be trusted, whatever they show later. The set has to be replaced.
    pub doubted: Option<SetDamage>,
    /// The generation of the ruleset in which everything was as it should be.
    verified: Option<u32>,
    /// The handles of the rules through which packets reach the counters; `None` until they are listed after a change.
    handles: Option<Vec<u64>>,
}

/// What the list of the table says about a set of counters.
struct Structure {
    verdict: Result<(), SetDamage>,
    entrance: NftEntrance,
    handles: Vec<u64>,
}

/// The state in which a set of counters was found.
pub struct NftLook {
    /// Its values, if everything is as it should be.
    pub verdict: Result<NftValues, SetDamage>,
    pub entrance: NftEntrance,
}

impl NftCounters {
    /// Makes a set of counters that no packet enters yet. If `anew`, the table is removed first, with all that
    /// somebody made of it.
    ///
    /// # Errors
    /// When the kernel or `nft` refuses. Nothing of the set is left then.
    pub fn make(
        nft: Nft,
        name: RuleSetName,
        interfaces: Vec<String>,
        ports: BTreeSet<u16>,
        anew: bool,
    ) -> Result<Self, NftablesError> {
        let size = slots(ports.len());
        let fragments = if Family::V6.is_present() { Fragments::Reassembled } else { Fragments::Delivered };
        let mut layout =
            NftLayout { name, interfaces, ports, draining: BTreeSet::new(), size, fragments, can_cut: false };
        let make = |layout: &NftLayout| {
            let mut transaction = NftTransaction::on(&layout.table());
            if anew {
                transaction.make_bare_table().delete_table();
            }
            layout.make(&mut transaction);
            nft.apply(&transaction)
        };
        // A refusal may be due to somebody who changed the ruleset in the same moment.
        if let Err(refused) = make(&layout).or_else(|_| make(&layout)) {
            if layout.fragments != Fragments::Reassembled {
                return Err(refused);
            }
            // If something else is wrong, this fails as well.
            layout.fragments = Fragments::Apart;
            make(&layout).map_err(|_| refused)?;
            tracing::warn!(
                "this kernel has no `tproxy` for nftables: incoming IPv6 fragments are not reassembled, and those after \
                 the first are counted as fragment_unmatched"
            );
        }
        let set = Self { nft, layout, last: NftValues::default(), doubted: None, verified: None, handles: None };
        match set.mark().and_then(|()| set.check()) {
            Ok(()) => Ok(set),
            Err(error) => {
                set.abandon();
                Err(error)
            }
        }
    }

    /// A set that was found as it should be, with these values.
    pub fn found(nft: Nft, layout: NftLayout, values: NftValues) -> Self {
        Self { nft, layout, last: values, doubted: None, verified: None, handles: None }
    }

    /// Adds marks that show if somebody zeroes the counters or restores the table.
    fn mark(&self) -> Result<(), NftablesError> {
        let gone = || NftablesError::NotFirst { why: "somebody removed the table of the counters".into() };
        let facts = host::facts(&self.layout.table())?.ok_or_else(gone)?;
        host::add_sentinels(&self.layout, self.layout.sets())?;
        let mut transaction = NftTransaction::on(&self.layout.table());
        transaction.add_chain(&self.layout.chain(NftChain::Table(facts.handle)));
        self.nft.apply(&transaction)
    }

    /// Checks whether this version of nft and this kernel made what was asked for, so that no later inspection takes
    /// that for somebody else's change.
    fn check(&self) -> Result<(), NftablesError> {
        let look = self.clone().look()?;
        look.verdict.map(drop).map_err(|damage| self.nft.unsuitable(damage))
    }

    /// Removes what was made of a set that no packet has entered, and the table if nothing else is in it.
    pub fn abandon(&self) {
        if let Err(error) = remove(&self.nft, &self.layout.name) {
            tracing::warn!(%error, "failed to remove counters: `flow-agent uninstall` removes them");
        }
    }

    /// Directs packets into this set of counters and into no other, in one step.
    ///
    /// # Errors
    /// When `nft` refuses; nothing was changed then.
    pub fn enter(&mut self) -> Result<(), NftablesError> {
        let mut transaction = NftTransaction::on(&self.layout.table());
        self.layout.enter(&mut transaction);
        self.nft.apply(&transaction)?;
        self.handles = None;
        Ok(())
    }

    /// Changes the set in one transaction from the present layout to `layout`, with additional commands.
    ///
    /// # Errors
    /// When `nft` refuses; nothing was changed then.
    pub fn change(
        &mut self,
        layout: NftLayout,
        write: impl FnOnce(&mut NftTransaction, &NftLayout),
    ) -> Result<(), NftablesError> {
        let mut transaction = NftTransaction::on(&layout.table());
        write(&mut transaction, &layout);
        self.nft.apply(&transaction)?;
        self.layout = layout;
        self.handles = None;
        Ok(())
    }

    /// Reads every counter after checking that everything is as it should be, so that no packet can have passed
    /// uncounted.
    ///
    /// # Errors
    /// [`NftablesError::Damaged`] or [`NftablesError::NotFirst`] if something is wrong; others when the counters cannot
    /// be read.
    pub fn read(&mut self) -> Result<NftValues, NftablesError> {
        let NftLook { verdict, entrance } = self.look()?;
        let values = verdict.map_err(|source| NftablesError::Damaged { source: source.into() })?;
        if let Some(why) = describe(&entrance) {
            return Err(NftablesError::NotFirst { why: why.to_owned() });
        }
        self.last = values.clone();
        Ok(values)
    }

    /// Inspects the set. Counters that cannot be trusted now are not trusted later either, because by then they may
    /// have grown beyond the values that they had before somebody touched them. As long as nobody has changed any rule,
    /// only the counters are read, without `nft`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn look(&mut self) -> Result<NftLook, NftablesError> {
        let mut attempt = 1;
        loop {
            let generation = host::generation()?;
            let listed = if self.verified == Some(generation) { None } else { Some(self.list()?) };
            let values = host::values(&self.layout)?;
            if host::generation()? == generation || attempt == ATTEMPTS {
                return Ok(self.judge(listed, values, generation));
            }
            attempt += 1;
        }
    }

    /// The verdict about the structure.
    fn list(&self) -> Result<Structure, NftablesError> {
        let table = self.layout.table();
        let (Some(listed), Some(facts)) = (self.nft.list(&table)?, host::facts(&table)?) else {
            let damage = SetDamage { part: format!("table {table}"), why: "was deleted", doubt: CounterDoubt::Nothing };
            return Ok(Structure { verdict: Err(damage), entrance: NftEntrance::Absent, handles: Vec::new() });
        };
        Ok(Structure {
            verdict: listed.verify(facts, &self.layout),
            entrance: listed.entrance(&self.layout),
            handles: listed.handles(&self.layout),
        })
    }

    fn judge(&mut self, listed: Option<Structure>, values: NftValues, generation: u32) -> NftLook {
        let (structure, entrance) = match listed {
            None => (Ok(()), NftEntrance::Whole),
            Some(Structure { verdict, entrance, handles }) => {
                let is_other = self.handles.as_ref().is_some_and(|known| *known != handles);
                let is_well = verdict.is_ok() && entrance == NftEntrance::Whole;
                let entrance = match is_well && is_other {
                    true => {
                        NftEntrance::Changed("somebody removed the rules that lead to the counters and made them again")
                    }
                    false => entrance,
                };
                if is_well && !is_other {
                    self.handles = Some(handles);
                }
                (verdict, entrance)
            }
        };
        let verdict = structure.and_then(|()| complete(&self.layout, &values)).and_then(|()| self.last.judge(&values));
        let verdict = match (self.doubted.take(), verdict) {
            (Some(doubted), Err(damage)) => Err(doubted.or_worse(damage)),
            (Some(doubted), Ok(())) => Err(doubted),
            (None, verdict) => verdict,
        };
        self.doubted = verdict.as_ref().err().filter(|damage| damage.doubt != CounterDoubt::Nothing).cloned();
        let is_well = verdict.is_ok() && entrance == NftEntrance::Whole;
        self.verified = is_well.then_some(generation);
        NftLook { verdict: verdict.map(|()| values), entrance }
    }

    /// The ports that are counted, without those that drain.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.layout.ports.difference(&self.layout.draining).copied().collect()
    }
}

/// Checks that every counter is there and is ours, and that there is none besides.
///
/// # Errors
/// Names a set that has lost or gained elements.
pub fn complete(layout: &NftLayout, values: &NftValues) -> Result<(), SetDamage> {
    if let Some(port) = values.foreign.first() {
        let why = "was made anew by somebody else";
        return Err(SetDamage { part: format!("the counter of port {port}"), why, doubt: CounterDoubt::All });
    }
    let families = BTreeSet::from([SENTINEL, 2, 10]);
    let ports: BTreeSet<u16> = layout.ports.iter().copied().chain([SENTINEL]).collect();
    let refused: BTreeSet<u16> = values.refused().into_iter().chain([SENTINEL]).collect();
    for set in layout.sets().into_iter().filter(|set| set.has_counters()) {
        let wanted = match set {
            NftSet::Counters(_) => &ports,
            NftSet::OtherPorts(_) | NftSet::OtherIp(_) | NftSet::LateFragments => &families,
            // Which ports have been refused is not known here, but both directions know the same.
            // Without a sentinel, an agent died after it had made the set; nothing can have been refused then.
            NftSet::Blocked(_) if values.cut.is_empty() && values.refused().is_empty() => continue,
            NftSet::Blocked(_) => &refused,
            NftSet::Still | NftSet::Cut => continue,
        };
        let has_all = values.counts.get(&set).is_some_and(|counts| counts.keys().eq(wanted));
        if !has_all {
            let why = "has lost or gained elements or counters";
            return Err(SetDamage { part: format!("set {}", layout.set(set)), why, doubt: CounterDoubt::Nothing });
        }
    }
    if values.still != layout.draining {
        let part = format!("set {}", layout.set(NftSet::Still));
        return Err(SetDamage { part, why: "has lost or gained elements", doubt: CounterDoubt::Nothing });
    }
    Ok(())
}

/// Describes for the log what is wrong with an entrance.
pub fn describe(entrance: &NftEntrance) -> Option<&'static str> {
    match entrance {
        NftEntrance::Whole => None,
        NftEntrance::Changed(why) => Some(why),
        NftEntrance::Absent => Some("somebody removed the chain that leads to the counters"),
    }
}

/// Removes everything of a set of counters that packets no longer enter, and the table if nothing else is in it.
///
/// # Errors
/// When `nft` refuses.
pub fn remove(nft: &Nft, name: &RuleSetName) -> Result<(), NftablesError> {
    let table = super::model::place::table(name.instance());
    let Some(listed) = nft.list(&table)? else { return Ok(()) };
    let mut transaction = NftTransaction::on(&table);
    if listed.names().iter().all(|other| other == name) && !listed.has_foreign_chains() {
        transaction.delete_table();
    } else {
        let (chains, sets) = listed.parts(name);
        transaction.delete(&chains, &sets);
    }
    nft.apply(&transaction)
}
