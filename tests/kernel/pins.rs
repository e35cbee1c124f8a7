//! The pins and the counters of others stay untouched.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use flow_agent::backend::{AttachPlace, BackendError, BackendOptions, ebpf};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside, run};
use crate::support::{
    INSTANCE, inspect, options, pinned_sets, pins, places, read, read_all, refusal, send, start, succeed,
};

fn distrusted(options: &BackendOptions) -> String {
    match refusal(options) {
        BackendError::Untrusted { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn directories_that_others_could_have_made_are_refused() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let top = pair.bpffs.join("flow-agent");
        let elsewhere = pair.bpffs.join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &top).unwrap();
        assert_eq!(distrusted(&options), "it is a symlink");
        std::fs::remove_file(&top).unwrap();

        std::fs::create_dir(&top).unwrap();
        std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(distrusted(&options), "its mode 750 gives others access");
        std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o700)).unwrap();
        chown(&top, Some(65_534), None).unwrap();
        assert_eq!(distrusted(&options), "it belongs to user 65534");
        chown(&top, Some(0), None).unwrap();

        std::fs::set_permissions(&pair.bpffs, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(distrusted(&options), "its mode 777 lets others replace its contents");
        std::fs::set_permissions(&pair.bpffs, std::fs::Permissions::from_mode(0o1777)).unwrap();
        start(&options).unwrap();
    });
}

#[test]
fn a_foreign_map_under_our_name_is_refused_before_it_is_mapped() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        drop(start(&options).unwrap());
        let [set] = pinned_sets(&pair).try_into().unwrap();
        let cells = pins(&pair).join(set).join("CELLS");
        std::fs::remove_file(&cells).unwrap();
        let create = |map_type: &str, value: &str, entries: &str| {
            let mut command = Command::new("bpftool");
            command.args(["map", "create"]).arg(&cells);
            run(command.args(["type", map_type, "key", "4", "value", value, "entries", entries, "name", "x"]));
        };
        create("hash", "64", "140");
        assert!(matches!(refusal(&options), BackendError::PinnedMap { what: "type", .. }));
        std::fs::remove_file(&cells).unwrap();
        create("array", "64", "2");
        assert!(matches!(refusal(&options), BackendError::PinnedMap { what: "entries", found: 2, .. }));
    });
}

#[test]
fn a_second_agent_is_told_who_is_there() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let first = start(&options(&pair, &[443])).unwrap();
        let second = BackendOptions { instance: "second-instance".into(), ..options(&pair, &[443]) };
        match refusal(&second) {
            BackendError::Busy { interface, holder } => {
                assert_eq!(interface, WAN);
                assert_eq!(holder, format!("process {} of instance {INSTANCE}", std::process::id()));
            }
            other => panic!("{other}"),
        }
        // After it was killed its counter still counts, and is found through its pins.
        drop(first);
        match refusal(&second) {
            BackendError::Foreign { interface, owner, .. } => {
                assert_eq!((interface.as_str(), owner), (WAN, format!("instance {INSTANCE}")));
            }
            other => panic!("{other}"),
        }
        // Another bpffs hides the pins, but not the programs.
        let other = Pair::make().unwrap();
        let hidden = BackendOptions { bpffs: other.bpffs.clone(), ..second.clone() };
        assert!(matches!(refusal(&hidden), BackendError::Foreign { .. }));
        ebpf::uninstall(&pair.bpffs, INSTANCE).unwrap();
        start(&second).unwrap();
    });
}

#[test]
fn a_second_agent_on_clsact_is_told_who_is_there() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        drop(start(&BackendOptions { place: AttachPlace::Clsact, ..options(&pair, &[443]) }).unwrap());
        let second = BackendOptions { instance: "second-instance".into(), ..options(&pair, &[443]) };
        for place in [AttachPlace::Clsact, AttachPlace::Tcx] {
            match refusal(&BackendOptions { place, ..second.clone() }) {
                BackendError::Foreign { owner, .. } => assert_eq!(owner, format!("instance {INSTANCE}")),
                other => panic!("{other}"),
            }
        }
    });
}

#[test]
fn two_agents_share_a_host_when_they_count_different_interfaces() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.join("wan2", "lan2");
        let _first = start(&options(&pair, &[443])).unwrap();
        let second = BackendOptions {
            instance: "second-instance".into(),
            interfaces: vec!["wan2".into()],
            ..options(&pair, &[443])
        };
        start(&second).unwrap();
    });
}

#[test]
fn uninstalling_leaves_nothing_of_ours_and_everything_of_others() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = BackendOptions { place, ..options(&pair, &[443]) };
            let started = start(&options).unwrap();
            let survey = ebpf::survey(&pair.bpffs, INSTANCE).unwrap();
            assert_eq!(survey.sets[0].ports, [443].into());
            assert_eq!(survey.attachments.iter().filter(|attachment| attachment.live).count(), 2);
            assert!(matches!(ebpf::uninstall(&pair.bpffs, INSTANCE), Err(BackendError::Busy { .. })));
            drop(started);
            let removed = ebpf::uninstall(&pair.bpffs, INSTANCE).unwrap();
            let kind = if place == AttachPlace::Clsact { "filter" } else { "link" };
            assert_eq!(removed[..2], [format!("{kind} on wan (ingress)"), format!("{kind} on wan (egress)")]);
            assert!(!pair.bpffs.join("flow-agent").exists());
            assert!(!pair.host_tc(&["qdisc", "show", "dev", WAN]).contains("clsact"));
            assert_eq!(ebpf::uninstall(&pair.bpffs, INSTANCE).unwrap(), [] as [String; 0]);
        });
    }
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        // A qdisc of somebody else stays although it is empty. A filter of somebody else keeps a qdisc that we made.
        pair.join("wan2", "lan2");
        pair.host_tc(&["qdisc", "add", "dev", WAN, "clsact"]);
        let interfaces = vec![WAN.into(), "wan2".into()];
        drop(start(&BackendOptions { place: AttachPlace::Clsact, interfaces, ..options(&pair, &[443]) }).unwrap());
        pair.host_tc(&[
            "filter", "add", "dev", "wan2", "ingress", "prio", "7", "u32", "match", "u32", "0", "0", "classid", "1:1",
        ]);
        ebpf::uninstall(&pair.bpffs, INSTANCE).unwrap();
        for device in [WAN, "wan2"] {
            assert!(pair.host_tc(&["qdisc", "show", "dev", device]).contains("clsact"), "{device}");
        }
        assert!(pair.host_tc(&["filter", "show", "dev", "wan2", "ingress"]).contains("u32"));
    });
}

#[test]
fn bpffs_is_mounted_where_it_is_not_and_for_us_alone() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let bpffs = pair.bpffs.with_file_name("other");
        let _mounted = Unmount(bpffs.clone());
        let started = start(&BackendOptions { bpffs: bpffs.clone(), ..options(&pair, &[443]) }).unwrap();
        assert!(started.backend.identity().pinned);
        assert_eq!(std::fs::metadata(&bpffs).unwrap().permissions().mode() & 0o777, 0o700);
        drop(started);
        ebpf::uninstall(&bpffs, INSTANCE).unwrap();
    });
}

/// Unmounts what the agent has mounted.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // If this fails, nothing more can be done in a destructor.
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn without_bpffs_it_counts_as_long_as_it_lives_and_says_so() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            // Nothing can be mounted on a file.
            let bpffs = pair.bpffs.with_file_name("file");
            std::fs::write(&bpffs, "").unwrap();
            let options = BackendOptions { place, bpffs, ..options(&pair, &[443]) };
            let mut backend = start(&options).unwrap().backend;
            assert!(!backend.identity().pinned);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            let mut retired = backend.replace(&[443, 4433].into()).unwrap();
            assert_eq!(retired.read(&flow_agent::clock::now).unwrap().ports[&443].udp_in_packets, 5);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
            drop(backend);
            assert!(!pair.host_tc(&["filter", "show", "dev", WAN, "ingress"]).contains("bpf"));
            // Nothing of it prevents the next agent from starting, whoever that is.
            start(&BackendOptions { instance: "second-instance".into(), ..options }).unwrap();
        });
    }
}

#[test]
fn three_capabilities_are_enough() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let three = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
            let sets = CapabilitySets { effective: three, permitted: three, inheritable: CapabilitySet::empty() };
            // Only of this thread, which ends with the test.
            set_capabilities(None, sets).unwrap();
            let options = BackendOptions { place, ..options(&pair, &[443]) };
            let backend = start(&options).unwrap().backend;
            let mut started = succeed(backend, &options);
            assert_eq!(started.unseen, []);
            assert_eq!(inspect(&mut *started.backend).unseen, []);
            started.backend.replace(&[443, 4433].into()).unwrap().delete().unwrap();
            assert_eq!(read_all(&mut *started.backend).ports.len(), 2);
            drop(started);
            ebpf::uninstall(&pair.bpffs, INSTANCE).unwrap();
        });
    }
}

#[test]
fn without_capabilities_the_error_says_which() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        let error = refusal(&options(&pair, &[443]));
        assert!(error.to_string().ends_with("missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"), "{error}");
    });
}
