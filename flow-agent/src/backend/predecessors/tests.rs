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
    // If somebody removed the rules of a known set, that has to be reported.
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
