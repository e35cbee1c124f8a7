//! PURE: which of the sets that are found is taken up, which are read a last time, and which are left alone.

use std::collections::BTreeSet;

use super::maps::slots::Owners;
use super::pins::layout::SetName;
use crate::ledger::record::CountMode;

/// A set that was found, and what is known of it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub name: SetName,
    /// Its epoch has a baseline in this state directory.
    pub known: bool,
    /// A bucket of it was sealed, by whatever state directory.
    pub sealed: bool,
    /// Its slots; `None` when some of its maps are missing.
    pub owners: Option<Owners>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub count: CountMode,
    pub cpus: u32,
    pub ports: BTreeSet<u16>,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Goes on counting.
    Adopt,
    /// Is read a last time, sealed, and deleted.
    Retire,
    /// Was billed, or may have been, by files that are not here: named, and left alone.
    Leave,
    /// Was never whole: the remains of a start that died.
    Discard,
}

/// Decides for each candidate, in their order; at most one is adopted, the largest that fits.
pub fn decide(candidates: &[Candidate], wanted: &Wanted) -> Vec<Fate> {
    let mut fates: Vec<Fate> = candidates.iter().map(fate).collect();
    let adopted = candidates
        .iter()
        .zip(&fates)
        .enumerate()
        .filter(|(_, (candidate, fate))| **fate == Fate::Retire && candidate.fits(wanted))
        .max_by_key(|(_, (candidate, _))| candidate.name.slots)
        .map(|(index, _)| index);
    if let Some(index) = adopted {
        fates[index] = Fate::Adopt;
    }
    fates
}

fn fate(candidate: &Candidate) -> Fate {
    let billed_elsewhere = candidate.sealed && !candidate.known;
    match &candidate.owners {
        _ if billed_elsewhere => Fate::Leave,
        Some(_) => Fate::Retire,
        None if candidate.known => Fate::Leave,
        None => Fate::Discard,
    }
}

impl Candidate {
    fn fits(&self, wanted: &Wanted) -> bool {
        let same_layout = (self.name.count, self.name.cpus) == (wanted.count, wanted.cpus);
        same_layout && self.owners.as_ref().is_some_and(|owners| owners.have_room_for(&wanted.ports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ebpf::maps::slots::Owner;

    fn candidate(slots: u32, known: bool, sealed: bool) -> Candidate {
        let name = SetName { count: CountMode::Ip, slots, cpus: 2, id: "9f86d081884c7d65".into() };
        let owners = Owners::new(vec![Owner::Free; slots as usize]).unwrap();
        Candidate { name, known, sealed, owners: Some(owners) }
    }

    fn wanted(ports: u16) -> Wanted {
        Wanted { count: CountMode::Ip, cpus: 2, ports: (1..=ports).collect() }
    }

    #[test]
    fn the_largest_that_fits_goes_on_and_the_others_are_read_a_last_time() {
        let sets = [candidate(64, true, true), candidate(80, true, true), candidate(10, true, true)];
        assert_eq!(decide(&sets, &wanted(50)), [Fate::Retire, Fate::Adopt, Fate::Retire]);
        assert_eq!(decide(&sets, &wanted(81)), [Fate::Retire; 3]);
    }

    #[test]
    fn another_mode_or_number_of_cpus_is_another_layout() {
        let set = [candidate(64, true, true)];
        assert_eq!(decide(&set, &Wanted { count: CountMode::Wire, ..wanted(1) }), [Fate::Retire]);
        assert_eq!(decide(&set, &Wanted { cpus: 4, ..wanted(1) }), [Fate::Retire]);
    }

    #[test]
    fn what_was_sealed_and_is_not_known_is_left_alone() {
        assert_eq!(decide(&[candidate(64, false, true)], &wanted(1)), [Fate::Leave]);
    }

    #[test]
    fn what_was_never_sealed_goes_on_from_zero() {
        assert_eq!(decide(&[candidate(64, false, false)], &wanted(1)), [Fate::Adopt]);
    }

    #[test]
    fn remains_are_removed_unless_they_have_a_baseline() {
        let torn = |known, sealed| Candidate { owners: None, ..candidate(64, known, sealed) };
        let sets = [torn(false, false), torn(true, false), torn(false, true), torn(true, true)];
        assert_eq!(decide(&sets, &wanted(1)), [Fate::Discard, Fate::Leave, Fate::Leave, Fate::Leave]);
    }

    #[test]
    fn slots_that_still_drain_take_room() {
        let mut set = candidate(2, true, true);
        set.owners = Some(Owners::new(vec![Owner::Draining(9), Owner::Free]).unwrap());
        assert_eq!(decide(std::slice::from_ref(&set), &wanted(2)), [Fate::Retire]);
        assert_eq!(decide(&[set], &wanted(1)), [Fate::Adopt]);
    }
}
