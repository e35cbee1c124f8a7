//! PURE: which of the sets that are found is taken up, which are read a last time, and which are left alone.

use std::collections::BTreeSet;

/// A set that was found, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The set's own part of its epoch.
    pub id: String,
    pub epoch: String,
    /// A bucket of it was sealed, by whatever state directory.
    pub sealed: bool,
    /// It is as it was made, in the tables that would be used now, and has room for the ports.
    pub fits: bool,
    /// Packets enter it, in every family.
    pub entered: bool,
    /// No packet enters it, and it holds nothing: whoever made it died before it counted.
    pub is_blank: bool,
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
    /// Holds nothing: it was never entered, or was billed before this boot, and restored since by whoever keeps rules over
    /// a boot.
    Discard,
}

/// Decides for each candidate, in their order; at most one is adopted.
pub fn decide(candidates: &[Candidate], known_epochs: &BTreeSet<String>) -> Vec<Fate> {
    let mut fates: Vec<Fate> = candidates.iter().map(|candidate| candidate.fate(known_epochs)).collect();
    let goes_on = |entered: bool| {
        let fits = |(candidate, fate): (&Candidate, &Fate)| {
            *fate == Fate::Retire && candidate.fits && candidate.entered == entered
        };
        candidates.iter().zip(&fates).position(fits)
    };
    if let Some(index) = goes_on(true).or_else(|| goes_on(false)) {
        fates[index] = Fate::Adopt;
    }
    fates
}

impl Candidate {
    fn fate(&self, known_epochs: &BTreeSet<String>) -> Fate {
        let of_other_boot = |epoch: &String| epoch.rsplit_once(':').is_some_and(|(_, id)| id == self.id);
        if known_epochs.contains(&self.epoch) {
            Fate::Retire
        } else if known_epochs.iter().any(of_other_boot) {
            Fate::Discard
        } else if self.sealed {
            Fate::Leave
        } else if self.is_blank {
            Fate::Discard
        } else {
            Fate::Retire
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, sealed: bool, fits: bool, entered: bool) -> Candidate {
        Candidate { id: id.into(), epoch: format!("this-boot:{id}"), sealed, fits, entered, is_blank: false }
    }

    fn decide(candidates: &[Candidate], known: &[&str]) -> Vec<Fate> {
        super::decide(candidates, &known.iter().map(|epoch| (*epoch).to_owned()).collect())
    }

    #[test]
    fn the_one_that_packets_enter_goes_on_and_the_others_are_read_a_last_time() {
        let sets = [candidate("1a", true, true, false), candidate("1b", true, true, true)];
        assert_eq!(decide(&sets, &["this-boot:1a", "this-boot:1b"]), [Fate::Retire, Fate::Adopt]);
        assert_eq!(decide(&sets[..1], &["this-boot:1a"]), [Fate::Adopt]);
    }

    #[test]
    fn what_does_not_fit_is_read_a_last_time() {
        assert_eq!(decide(&[candidate("1a", true, false, true)], &["this-boot:1a"]), [Fate::Retire]);
    }

    #[test]
    fn what_was_sealed_and_is_not_known_is_left_alone() {
        assert_eq!(decide(&[candidate("1a", true, true, true)], &["this-boot:1b"]), [Fate::Leave]);
    }

    #[test]
    fn what_was_never_sealed_goes_on_from_zero() {
        assert_eq!(decide(&[candidate("1a", false, true, true)], &[]), [Fate::Adopt]);
    }

    #[test]
    fn what_never_counted_is_no_loss() {
        let blank = Candidate { is_blank: true, ..candidate("1a", false, true, false) };
        assert_eq!(decide(std::slice::from_ref(&blank), &[]), [Fate::Discard]);
        // Its files know it: whoever took its rules away is told of.
        assert_eq!(decide(&[Candidate { fits: false, ..blank }], &["this-boot:1a"]), [Fate::Retire]);
    }

    #[test]
    fn what_a_former_boot_billed_holds_nothing_when_somebody_restores_it() {
        assert_eq!(decide(&[candidate("1a", true, true, true)], &["former-boot:1a"]), [Fate::Discard]);
    }
}
