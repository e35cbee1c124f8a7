use rustix::thread::CapabilitySet;

use super::*;

fn refused(what: &str) -> BackendError {
    let source = io::Error::from_raw_os_error(libc::EPERM);
    BackendError::Load { what: what.into(), source: Box::new(source) }
}

fn privileges(effective: CapabilitySet, locked_memory_is_limited: bool) -> Privileges {
    Privileges { effective: Some(effective), of_the_machine: true, locked_memory_is_limited }
}

#[test]
fn a_refusal_is_explained_by_what_is_missing() {
    let two = CapabilitySet::BPF | CapabilitySet::NET_ADMIN;
    let explained = explain(refused("program ingress_eth"), &privileges(two, true));
    assert_eq!(explained.to_string(), "not permitted to count with eBPF; missing: CAP_PERFMON");
    let cause = std::error::Error::source(&explained).unwrap();
    assert_eq!(cause.to_string(), "failed to load the eBPF program ingress_eth");
}

#[test]
fn where_nothing_is_missing_the_refusal_stands_alone() {
    let explained = explain(refused("program ingress_eth"), &privileges(CapabilitySet::all(), true));
    assert!(matches!(explained, BackendError::Load { .. }));
    assert!(explained.help().unwrap().starts_with("no capability is missing"));
}

#[test]
fn maps_are_refused_for_locked_memory_too() {
    let explained = explain(refused(MAPS), &privileges(CapabilitySet::all(), true));
    assert!(explained.to_string().contains("RLIMIT_MEMLOCK"), "{explained}");
    let unlimited = explain(refused(MAPS), &privileges(CapabilitySet::all(), false));
    assert!(matches!(unlimited, BackendError::Load { .. }));
}

#[test]
fn a_program_that_is_too_large_for_the_verifiers_suspicion_is_explained() {
    let source = io::Error::from_raw_os_error(libc::E2BIG);
    let error = BackendError::Load { what: "program ingress_eth".into(), source: Box::new(source) };
    let two = privileges(CapabilitySet::BPF | CapabilitySet::NET_ADMIN, false);
    assert!(matches!(explain(error, &two), BackendError::Privileges { missing, .. } if missing == ["CAP_PERFMON"]));
}

#[test]
fn a_kernel_without_the_call_lacks_it_whatever_the_caller_has() {
    let source = io::Error::from_raw_os_error(libc::ENOSYS);
    let error = BackendError::Load { what: "programs".into(), source: Box::new(source) };
    let explained = explain(error, &privileges(CapabilitySet::empty(), true));
    assert_eq!(explained.to_string(), "this kernel has no eBPF (it was built without CONFIG_BPF_SYSCALL)");
}

#[test]
fn an_error_that_has_nothing_to_do_with_privileges_stays_as_it_is() {
    let source = io::Error::from_raw_os_error(libc::ENOBUFS);
    let error = BackendError::Netlink { action: "list devices", source };
    let none = privileges(CapabilitySet::empty(), true);
    assert!(matches!(explain(error, &none), BackendError::Netlink { .. }));
}
