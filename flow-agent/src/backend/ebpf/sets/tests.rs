use super::super::maps::slots::Occupant;
use super::*;
use crate::backend::AttachPlace;
use crate::ledger::record::CountMode;

const CPUS: u32 = 2;

fn wanted(ports: u16) -> BackendOptions {
    BackendOptions {
        instance: "test".into(),
        bpffs: "/nowhere".into(),
        interfaces: Vec::new(),
        count: CountMode::Ip,
        ports: (1..=ports).collect(),
        max_ports: 10,
        known_epochs: std::collections::BTreeSet::new(),
        newest_epoch: None,
        counted_before: std::collections::BTreeSet::new(),
        last_known: None,
        allow_stacked: false,
        place: AttachPlace::Auto,
        log: false,
    }
}

fn name(slots: u32) -> MapSetName {
    MapSetName { count: CountMode::Ip, slots, cpus: CPUS, id: "9f86d081884c7d65".into() }
}

fn fits_free(slots: u32, options: &BackendOptions, cpus: u32) -> bool {
    fits(&name(slots), &SlotOwners::new(vec![Occupant::Free; slots as usize]).unwrap(), options, cpus)
}

#[test]
fn another_mode_or_number_of_cpus_is_another_layout() {
    assert!(fits_free(64, &wanted(64), CPUS) && !fits_free(64, &wanted(65), CPUS));
    assert!(!fits_free(64, &BackendOptions { count: CountMode::Wire, ..wanted(1) }, CPUS));
    assert!(!fits_free(64, &wanted(1), 4));
}

#[test]
fn slots_that_still_drain_take_room() {
    let owners = SlotOwners::new(vec![Occupant::Draining(9), Occupant::Free]).unwrap();
    assert!(!fits(&name(2), &owners, &wanted(2), CPUS) && fits(&name(2), &owners, &wanted(1), CPUS));
}
