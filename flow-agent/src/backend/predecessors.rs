//! PURE: decides about the sets of counters that a start finds: one goes on counting, some are read one last time, and
//! some are left alone.

/// A set of counters that was found, and what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The files of this state directory have a reading of the set's epoch.
    pub known: bool,
    /// A bucket of it has been sealed, by an agent with this state directory or another.
    pub sealed: bool,
    pub remains: Remains,
    /// `None` if it cannot go on counting, because its layout or size does not fit the configuration. Among those that
    /// can, the one with the highest number is adopted; among equal ones, the first.
    pub preference: Option<u32>,
}

/// What remains of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Counters that can be read.
    Counters,
    /// Only parts, left by a start that died before it counted. There is nothing to read.
    Nothing,
    /// Counters that are zero and were never fed.
    Zeros,
    /// Counters of an earlier boot that were restored from a file. Their bytes were billed during that boot.
    FormerBoot,
}

/// What is done with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on counting.
    Adopt,
    /// It is read one last time, sealed, and deleted.
    Retire,
    /// It was or may have been billed in a log that is not in this state directory. It is reported and left alone.
    Leave,
    /// It holds nothing that was not billed already. It is deleted.
    Discard,
}

/// Decides for each candidate, in the given order. At most one is adopted.
pub fn decide(candidates: &[Candidate]) -> Vec<Fate> {
    let mut fates: Vec<Fate> = candidates.iter().map(fate).collect();
    let preference = |index: &usize| (fates[*index] == Fate::Retire).then_some(candidates[*index].preference).flatten();
    // `max_by_key` returns the last of equal candidates, so the order is reversed to get the first.
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
