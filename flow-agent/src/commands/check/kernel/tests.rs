use super::*;
use rustix::thread::CapabilitySet;

use crate::backend::privileges::Capability;
use crate::commands::check::finding::Status;

fn facts(release: &str, capabilities: &[Capability]) -> Facts {
    let effective = capabilities.iter().fold(CapabilitySet::empty(), |all, (capability, _)| all | *capability);
    let privileges = Privileges { effective: Some(effective), of_the_machine: true, locked_memory_is_limited: false };
    Facts { release: release.to_owned(), privileges, is_bpffs: true, realtime: false, jit: true }
}

const ALL: [Capability; 3] = FOR_EBPF;

fn lines(facts: &Facts, backend: BackendChoice) -> Vec<String> {
    let findings = judge(facts, backend, Path::new("/sys/fs/bpf"));
    findings.iter().map(|finding| format!("{:?}: {}", finding.status, finding.what)).collect()
}

#[test]
fn the_release_decides_the_hook() {
    for (release, expected) in [
        ("6.18.15+deb14-cloud-amd64", "Ok: 6.18.15+deb14-cloud-amd64: eBPF on TCX"),
        ("6.6.0", "Ok: 6.6.0: eBPF on TCX"),
        ("6.5.13", "Ok: 6.5.13: eBPF on clsact"),
        ("5.10.0-46-amd64", "Ok: 5.10.0-46-amd64: eBPF on clsact"),
        ("5.4.0", "Warn: 5.4.0: eBPF is supported from kernel 5.10"),
    ] {
        assert_eq!(lines(&facts(release, &ALL), BackendChoice::Auto)[0], expected);
    }
    assert!(lines(&facts("5.4.0", &ALL), BackendChoice::Ebpf)[0].starts_with("Fail"));
}

#[test]
fn a_kernel_that_refuses_is_a_failure_unless_rules_can_count() {
    let refusal = || Err(BackendError::Lacks { what: "eBPF" });
    assert_eq!(tried(BackendChoice::Ebpf, Ok(())).status, Status::Ok);
    assert_eq!(tried(BackendChoice::Ebpf, refusal()).status, Status::Fail);
    let warned = tried(BackendChoice::Auto, refusal());
    assert_eq!(
        (warned.status, warned.what.as_str()),
        (Status::Warn, "this kernel has no eBPF; `auto` falls back to nftables or iptables")
    );
}

#[test]
fn missing_capabilities_are_named_and_auto_can_do_without_some() {
    let only_net = facts("6.18.0", &[NET_ADMIN]);
    let status = |facts: &Facts, backend| capabilities(facts, backend).status;
    assert_eq!(capabilities(&only_net, BackendChoice::Ebpf).what, "missing: CAP_BPF, CAP_PERFMON");
    assert_eq!(status(&only_net, BackendChoice::Ebpf), Status::Fail);
    assert_eq!(status(&only_net, BackendChoice::Auto), Status::Warn);
    assert_eq!(status(&only_net, BackendChoice::Iptables), Status::Ok);
    assert_eq!(status(&facts("6.18.0", &[]), BackendChoice::Auto), Status::Fail);
    assert_eq!(status(&facts("6.18.0", &ALL), BackendChoice::Ebpf), Status::Ok);
    let old_right = facts("6.18.0", &[SYS_ADMIN, NET_ADMIN]);
    assert_eq!(status(&old_right, BackendChoice::Ebpf), Status::Ok);
}

#[test]
fn root_of_a_user_namespace_is_not_root() {
    let mut contained = facts("6.18.0", &ALL);
    contained.privileges.of_the_machine = false;
    let finding = capabilities(&contained, BackendChoice::Auto);
    assert_eq!(finding.status, Status::Fail);
    assert!(finding.what.ends_with("(this is a user namespace, but those of the host are needed)"), "{}", finding.what);
}

#[test]
fn without_bpffs_counters_end_with_the_agent_unless_it_can_mount_it() {
    let none = Facts { is_bpffs: false, ..facts("6.18.0", &ALL) };
    assert_eq!(pins(&none, Path::new("/x")).help.unwrap(), "mount -t bpf -o mode=0700 bpf /x");
    let root = Facts { is_bpffs: false, ..facts("6.18.0", &[SYS_ADMIN]) };
    assert_eq!(pins(&root, Path::new("/x")).what, "`/x` is not a bpffs mount: `run` mounts it");
}

#[test]
fn this_kernel_is_understood() {
    let facts = Facts::read(Path::new("/proc"));
    assert!(series(&facts.release).is_some() && facts.privileges.effective.is_some() && !facts.is_bpffs);
}
