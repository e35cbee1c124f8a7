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
mod tests;
