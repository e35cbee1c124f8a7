//! What predecessors left in the kernel, and what is done with it.

use std::collections::BTreeSet;

use super::counting::NftablesBackend;
use super::found::{self, FoundCounters};
use super::host::Nft;
use super::listed::NftEntrance;
use super::retired::RetiredCounters;
use super::set::{self, NftCounters, describe};
use crate::backend::interface::Interface;
use crate::backend::iptables::model::set_name::instance_tag;
use crate::backend::left::COUNTERS_GONE;
use crate::backend::predecessors::{Candidate, Fate, Remains, decide};
use crate::backend::{BackendError, BackendOptions, Retired, host};
use crate::ledger::reading::{Moment, Unseen};

/// A set of counters that a start found, with what is done with it.
pub struct NftPredecessor {
    pub found: FoundCounters,
    pub epoch: String,
    pub fate: Fate,
    /// Its last bucket has been sealed. If it still exists, somebody restored it from a file, or an older release that
    /// does not know nftables counted with another backend. What it has counted since is in later buckets.
    is_finished: bool,
}

pub struct NftPredecessors {
    pub nft: Nft,
    pub sets: Vec<NftPredecessor>,
    /// The counters of the newest reading on disk were ours and of this boot, and nothing remains of them.
    is_newest_gone: bool,
}

impl NftPredecessors {
    /// Looks for predecessors. If `may_adopt` is not set, none is to go on counting.
    pub fn find(options: &BackendOptions, nft: Nft, may_adopt: bool) -> Result<Self, BackendError> {
        let found = found::everything(&nft, &instance_tag(&options.instance))?;
        let epochs = found.iter().map(FoundCounters::epoch).collect::<Result<Vec<_>, _>>()?;
        let is_finished = |epoch: &String| {
            let is_newest = options.newest_epoch.as_ref().is_none_or(|newest| newest == epoch);
            options.known_epochs.contains(epoch) && !is_newest
        };
        let candidate = |(found, epoch): (&FoundCounters, &String)| Candidate {
            known: options.known_epochs.contains(epoch),
            sealed: found.is_sealed,
            remains: remains(epoch, &options.known_epochs, found.is_blank()),
            preference: (may_adopt && !is_finished(epoch) && fits(found, options))
                .then_some(u32::from(found.is_entered)),
        };
        let candidates: Vec<Candidate> = found.iter().zip(&epochs).map(candidate).collect();
        let fates = decide(&candidates);
        let is_newest_gone =
            found::is_newest_ours(options)? && epochs.iter().all(|epoch| Some(epoch) != options.newest_epoch.as_ref());
        let sets = found.into_iter().zip(epochs).zip(fates);
        let sets =
            sets.map(|((found, epoch), fate)| NftPredecessor { is_finished: is_finished(&epoch), found, epoch, fate });
        Ok(Self { nft, sets: sets.collect(), is_newest_gone })
    }

    pub fn ids(&self) -> BTreeSet<String> {
        self.sets.iter().map(|set| set.found.name().id()).collect()
    }

    pub fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &NftPredecessor> {
        self.sets.iter().filter(move |set| set.fate == fate)
    }

    /// The sets that, as far as is known, went on counting while no agent ran.
    fn went_on(&self) -> impl Iterator<Item = &NftPredecessor> {
        self.sets.iter().filter(|set| matches!(set.fate, Fate::Adopt | Fate::Retire) && !set.is_finished)
    }

    /// The ports that are cut by counters which packets enter.
    pub fn cut_ports(&self) -> BTreeSet<u16> {
        let live = self.went_on().filter(|set| set.found.is_entered);
        live.flat_map(|set| set.found.values.cut.iter().copied()).collect()
    }

    /// The gaps from `since` until `until`, if counters were removed or changed while no agent ran.
    pub fn damaged(&self, picked: &[Interface], since: Moment, until: Moment) -> Vec<Unseen> {
        let Some(why) = self.why_damaged() else { return Vec::new() };
        picked.iter().map(|interface| gap(since, until, &interface.name, &why)).collect()
    }

    /// What happened to the counters, if they were removed or changed while no agent ran.
    pub fn why_damaged(&self) -> Option<String> {
        if self.went_on().next().is_none() && !self.is_newest_gone {
            return None;
        }
        let is_well = |set: &NftPredecessor| set.found.verdict.is_ok() && is_entered_whole(&set.found);
        if self.went_on().any(is_well) {
            return None;
        }
        Some(match self.went_on().next().map(|set| (&set.found.verdict, &set.found.entrance)) {
            None => COUNTERS_GONE.to_owned(),
            Some((Err(damage), _)) => format!("somebody changed the counters: {damage}"),
            Some((Ok(()), entrance)) => describe(entrance).unwrap_or("no packet reached the counters").to_owned(),
        })
    }

    /// The gaps since `since` on interfaces that appeared while no agent ran.
    pub fn appeared(&self, new: &NftablesBackend, picked: &[Interface], since: Moment) -> Vec<Unseen> {
        let known: BTreeSet<&String> = self.went_on().flat_map(|set| &set.found.layout.interfaces).collect();
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
        let why = "the interface appeared while no agent ran";
        appeared.map(|interface| gap(since, new.well_at, &interface.name, why)).collect()
    }

    /// Removes the sets that hold nothing, those whose last bucket is sealed, and those whose counters cannot be
    /// trusted: the newest checkpoint of their epoch is the last that is known.
    pub fn discard(&self) {
        let is_useless = |set: &&NftPredecessor| match set.fate {
            Fate::Discard => true,
            Fate::Retire => set.found.is_doubtful() || set.is_finished,
            Fate::Adopt | Fate::Leave => false,
        };
        for gone in self.sets.iter().filter(is_useless) {
            // No packet enters it any more, so it does no harm. Somebody's rule may refer to it.
            if let Err(error) = set::remove(&self.nft, gone.found.name()) {
                tracing::warn!(error = %crate::errors::chain(&error), "former counters could not be removed");
            }
        }
    }

    /// The sets to be read one last time. `interfaces` are those that count now; `None` if no set goes on counting.
    pub fn retired(self, interfaces: Option<&[String]>) -> Vec<Box<dyn Retired>> {
        let mut retired: Vec<Box<dyn Retired>> = Vec::new();
        for NftPredecessor { found, epoch, fate, is_finished } in self.sets {
            let stands_still = match fate {
                Fate::Retire => true,
                Fate::Adopt => interfaces.is_none(),
                Fate::Leave | Fate::Discard => false,
            };
            if stands_still && !found.is_doubtful() && !is_finished {
                let nft = self.nft.clone();
                retired.push(Box::new(RetiredCounters::found(nft, found, epoch, interfaces.unwrap_or_default())));
            }
        }
        retired
    }
}

/// Whether all packets of its interfaces enter it.
pub fn is_entered_whole(found: &FoundCounters) -> bool {
    found.entrance == NftEntrance::Whole && (found.is_entered || found.layout.interfaces.is_empty())
}

/// What remains of the set of this epoch. If the files know its id with another boot id, somebody restored it from a
/// file.
fn remains(epoch: &str, known_epochs: &BTreeSet<String>, is_blank: bool) -> Remains {
    let id = |epoch: &str| epoch.rsplit_once(':').map(|(_, id)| id.to_owned());
    match known_epochs.iter().any(|known| id(known) == id(epoch)) {
        true => Remains::FormerBoot,
        false if is_blank => Remains::Zeros,
        false => Remains::Counters,
    }
}

/// Whether a set can go on counting: it must be intact, and have room for the ports.
fn fits(found: &FoundCounters, options: &BackendOptions) -> bool {
    let held = found.layout.ports.union(&options.ports).count();
    found.verdict.is_ok() && found.entrance != NftEntrance::Absent && held <= found.layout.capacity() as usize
}

/// Takes over a set that fits, in its present state.
pub fn adopt(nft: &Nft, found: &FoundCounters) -> NftCounters {
    NftCounters::found(nft.clone(), found.layout.clone(), found.values.clone())
}

/// A span of time that was not measured.
fn gap(start: Moment, end: Moment, interface: &str, why: &str) -> Unseen {
    Unseen { start, end, interface: interface.to_owned(), why: why.to_owned() }
}
