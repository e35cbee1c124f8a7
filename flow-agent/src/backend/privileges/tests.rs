use super::*;

fn with(effective: CapabilitySet) -> Privileges {
    Privileges { effective: Some(effective), of_the_machine: true, locked_memory_is_limited: false }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(with(CapabilitySet::empty()).missing(FOR_EBPF), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
    let two = with(CapabilitySet::BPF | CapabilitySet::NET_ADMIN);
    assert_eq!(two.missing(FOR_EBPF), ["CAP_PERFMON"]);
    assert!(with(CapabilitySet::all()).missing(FOR_EBPF).is_empty());
}

#[test]
fn the_limit_of_locked_memory_is_one_of_old_kernels() {
    assert!(holds_maps_against_limit("5.10.0-46-cloud-amd64"));
    assert!(!holds_maps_against_limit("5.11.0") && !holds_maps_against_limit("6.18.15"));
    assert!(!holds_maps_against_limit("a kernel without a number"));
}

#[test]
fn roots_old_right_holds_for_all_but_the_network() {
    assert_eq!(with(CapabilitySet::SYS_ADMIN).missing(FOR_EBPF), ["CAP_NET_ADMIN"]);
}

#[test]
fn root_of_a_user_namespace_is_not_root() {
    let contained = Privileges { of_the_machine: false, ..with(CapabilitySet::all()) };
    assert_eq!(contained.missing(FOR_EBPF).len(), 3);
}

#[test]
fn rights_that_cannot_be_read_are_none() {
    let unknown = Privileges { effective: None, ..with(CapabilitySet::all()) };
    assert_eq!(unknown.missing(FOR_EBPF).len(), 3);
}
