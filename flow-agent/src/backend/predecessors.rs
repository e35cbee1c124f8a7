//! PURE: what becomes of the sets of counters that are found at a start: one goes on, others are read a last time, and some
//! are left alone.

/// A set of counters that was found, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The files of this state directory have a reading of its epoch.
    pub known: bool,
    /// A bucket of it was sealed, by whatever state directory.
    pub sealed: bool,
    pub remains: Remains,
    /// `None`: it cannot go on, for it does not have the layout or the room that is asked for now. Of those that can, the
    /// one with the highest number does, and of equal ones the first.
    pub preference: Option<u32>,
}

/// What is left of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Counters that can be read.
    Counters,
    /// Parts of a start that died before it counted: there is nothing to read.
    Nothing,
    /// Counters that were never fed, and are zero.
    Zeros,
    /// Counters of a former boot, which was billed, restored since from a file.
    FormerBoot,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on counting.
    Adopt,
    /// It is read a last time, sealed, and deleted.
    Retire,
    /// It was billed, or may have been, by files that are not here: it is named, and left alone.
    Leave,
    /// It holds nothing that was not billed: it is deleted.
    Discard,
}

/// Decides for each candidate, in their order; at most one is adopted.
pub fn decide(candidates: &[Candidate]) -> Vec<Fate> {
    let mut fates: Vec<Fate> = candidates.iter().map(fate).collect();
    let preference = |index: &usize| (fates[*index] == Fate::Retire).then_some(candidates[*index].preference).flatten();
    // Of equal ones `max_by_key` takes the last, which is the first of the reversed.
    let adopted = (0..candidates.len()).rev().filter(|index| preference(index).is_some()).max_by_key(preference);
    if let Some(index) = adopted {
        fates[index] = Fate::Adopt;
    }
    fates
}

fn fate(candidate: &Candidate) -> Fate {
    match (candidate.known, candidate.sealed, candidate.remains) {
        (true, _, Remains::Nothing) => Fate::Leave,
        (true, _, Remains::Counters | Remains::Zeros | Remains::FormerBoot) => Fate::Retire,
        (false, _, Remains::FormerBoot) => Fate::Discard,
        (false, true, Remains::Counters | Remains::Zeros | Remains::Nothing) => Fate::Leave,
        (false, false, Remains::Zeros | Remains::Nothing) => Fate::Discard,
        (false, false, Remains::Counters) => Fate::Retire,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Candidate = Candidate { known: true, sealed: true, remains: Remains::Counters, preference: Some(1) };

    #[test]
    fn the_most_preferred_goes_on_and_the_others_are_read_a_last_time() {
        let preferred = |preference| Candidate { preference, ..KNOWN };
        let sets = [preferred(Some(64)), preferred(Some(80)), preferred(Some(10))];
        assert_eq!(decide(&sets), [Fate::Retire, Fate::Adopt, Fate::Retire]);
        assert_eq!(decide(&[KNOWN, KNOWN]), [Fate::Adopt, Fate::Retire]);
        assert_eq!(decide(&[preferred(None), preferred(Some(0))]), [Fate::Retire, Fate::Adopt]);
    }

    #[test]
    fn a_set_that_cannot_go_on_is_read_a_last_time() {
        assert_eq!(decide(&[Candidate { preference: None, ..KNOWN }]), [Fate::Retire]);
    }

    #[test]
    fn a_sealed_set_of_another_state_directory_is_left_alone() {
        for remains in [Remains::Counters, Remains::Zeros, Remains::Nothing] {
            assert_eq!(decide(&[Candidate { known: false, remains, ..KNOWN }]), [Fate::Leave], "{remains:?}");
        }
    }

    #[test]
    fn a_set_that_was_never_sealed_goes_on_from_zero() {
        assert_eq!(decide(&[Candidate { known: false, sealed: false, ..KNOWN }]), [Fate::Adopt]);
    }

    #[test]
    fn zeros_are_no_loss_unless_the_files_know_them() {
        let zeros = Candidate { known: false, sealed: false, remains: Remains::Zeros, preference: None };
        assert_eq!(decide(&[zeros]), [Fate::Discard]);
        // Whoever removed the rules of a known set is to be told of.
        assert_eq!(decide(&[Candidate { known: true, ..zeros }]), [Fate::Retire]);
    }

    #[test]
    fn unreadable_parts_are_removed_unless_their_bytes_were_billed() {
        let parts = |known, sealed| Candidate { known, sealed, remains: Remains::Nothing, preference: None };
        let sets = [parts(false, false), parts(true, false), parts(false, true), parts(true, true)];
        assert_eq!(decide(&sets), [Fate::Discard, Fate::Leave, Fate::Leave, Fate::Leave]);
    }

    #[test]
    fn counters_of_a_former_boot_hold_nothing_that_was_not_billed() {
        let former = Candidate { known: false, remains: Remains::FormerBoot, ..KNOWN };
        assert_eq!(decide(&[former]), [Fate::Discard]);
    }
}
