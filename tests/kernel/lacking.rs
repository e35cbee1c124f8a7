//! Kernels that lack something that counting with eBPF needs: the message, and what counts instead.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::have_program;
use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside};
use crate::support::{own_machine, send, sets_of_all_instances};

/// A wrapper that lets a shell prepare private mounts for the agent and then become the agent.
fn after(preparation: &str) -> Vec<String> {
    let script = format!("{preparation} && exec \"$@\"");
    ["unshare", "--mount", "--", "sh", "-c", &script, "sh"].map(str::to_owned).into()
}

/// A wrapper under which every call of `name` fails, as on a kernel that does not have it or does not permit it.
fn failing(name: &str, error: &str) -> Vec<String> {
    let (trace, inject) = (format!("trace={name}"), format!("inject={name}:error={error}"));
    // The tracer is a grandchild, so that the process that we started becomes the agent.
    let tracer = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"];
    [&tracer[..], &["-e", &trace, "-e", &inject]].concat().into_iter().map(str::to_owned).collect()
}

/// The message and the exit code of an agent that must not start.
fn refusal(node: &Node, wrapper: &[String], arguments: &[&str]) -> (Option<i32>, String) {
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let output = node.command_under(&wrapper, &[&["run", "--once", "--backend", "ebpf"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Lets `auto` count what passes between two readings. Returns the output of the first agent.
fn assert_auto_counts(pair: &Pair, wrapper: &[String], arguments: &[&str], backend: &str) -> String {
    let node = Node::new(pair, &[443], "");
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let once = || {
        let output = node.command_under(&wrapper, &[&["run", "--once", "--backend", "auto"], arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    let said = once();
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
    once();
    // 5 x (20 + 8 + 100)
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 640);
    let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    assert!(seals.iter().all(|seal| seal["backend"] == backend && seal["pinned"] == true), "{seals:?}");
    said
}

#[test]
fn a_kernel_that_does_not_tell_its_types_lets_it_count() {
    let Some(pair) = Pair::make() else { return };
    let types = "/sys/kernel/btf";
    let hide = format!("if [ -e {types} ]; then mount -t tmpfs none {types}; fi && test ! -e {types}/vmlinux");
    assert_auto_counts(&pair, &after(&hide), &[], "ebpf");
}

#[test]
fn without_bpffs_it_counts_as_long_as_it_lives_and_says_so() {
    let Some(pair) = Pair::make().filter(|_| have_program("strace", "kernels without bpffs")) else { return };
    let mut node = Node::new(&pair, &[443], "");
    let unmount = after(&format!("umount {}", pair.bpffs.display()));
    let wrapper = [unmount, failing("mount", "ENODEV")].concat();
    node.start_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>(), &["--backend", "auto"]);
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
    node.stop();
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 640);
    let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    assert!(seals.iter().all(|seal| seal["backend"] == "ebpf" && seal["pinned"] == false), "{seals:?}");
    let log = node.log();
    let why = format!("failed to mount bpffs on {}", pair.bpffs.display());
    assert!(log.contains(&why) && log.contains("No such device"), "{log}");
    assert!(log.contains("the counters are not pinned: traffic is not counted while no agent is running"), "{log}");
}

#[test]
fn where_ebpf_is_not_there_or_forbidden_auto_counts_with_rules_and_says_why() {
    for (error, check, expected) in [
        (
            "ENOSYS",
            " this kernel has no eBPF (it was built without CONFIG_BPF_SYSCALL)",
            "error: this kernel has no eBPF (it was built without CONFIG_BPF_SYSCALL)\n  help: use --backend nftables or iptables, \
             or a kernel that has it\n",
        ),
        // As a container's filter for system calls does.
        (
            "EPERM",
            " failed to load the eBPF maps: ",
            "error: failed to load the eBPF programs\n  caused by: Operation not permitted (os error 1)\n  help: no \
             capability is missing; check the kernel log (`dmesg`), or use --backend nftables or iptables\n",
        ),
    ] {
        let Some(pair) = Pair::make().filter(|_| have_program("strace", "kernels without eBPF")) else { return };
        let wrapper = failing("bpf", error);
        let (code, said) = refusal(&Node::new(&pair, &[443], ""), &wrapper, &[]);
        assert_eq!((code, said.as_str()), (Some(4), expected));
        assert_eq!(sets_of_all_instances(&pair), [""; 0]);
        let (first, _) = expected.strip_prefix("error: ").unwrap().split_once('\n').unwrap();
        let said = assert_auto_counts(&pair, &wrapper, &[], "nftables");
        assert!(said.contains("eBPF is not available: trying nftables") && said.contains(first), "{said}");
        let without_nft = [after("mount --bind /dev/null /usr/sbin/nft"), wrapper.clone()].concat();
        let pair_without_nft = Pair::make().unwrap();
        let said = assert_auto_counts(&pair_without_nft, &without_nft, &[], "iptables");
        assert!(said.contains("nftables is not available: trying iptables") && said.contains(first), "{said}");
        assert!(said.contains("`nft` is not installed"), "{said}");
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let checked = Node::new(&pair, &[443], "").command_under(&wrapper, &["check"]);
        let checked = String::from_utf8(checked.stdout).unwrap();
        let told = |line: &str| line.contains(check) && line.ends_with("; `auto` falls back to nftables or iptables");
        assert!(checked.lines().any(told), "{checked}");
    }
}

/// While this exists, the kernel does not find a module.
struct Without(&'static str);

impl Without {
    const RULE: &str = "/etc/modprobe.d/without.conf";

    fn module(name: &'static str) -> Self {
        fs::create_dir_all(Path::new(Self::RULE).parent().unwrap()).unwrap();
        fs::write(Self::RULE, format!("install {name} exit 1\n")).unwrap();
        // The namespaces of earlier tests use it, and may not have disappeared yet.
        wait_until("the module is unloaded", Duration::from_secs(30), || {
            let removed = Command::new("modprobe").args(["-q", "-r", name]).status().unwrap();
            removed.success() && !Path::new("/sys/module").join(name).exists()
        });
        Self(name)
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(Self::RULE) {
            eprintln!("{} stays away: {error}", self.0);
        }
    }
}

#[test]
fn without_clsact_auto_counts_with_rules_and_says_why() {
    if !own_machine("kernels without clsact") {
        return;
    }
    for (module, what) in
        [("sch_ingress", "`clsact` qdisc (module sch_ingress)"), ("cls_bpf", "`bpf` filter (module cls_bpf)")]
    {
        let _without = Without::module(module);
        let Some(pair) = Pair::make() else { return };
        let here = ["env".to_owned()];
        // Even a kernel with TCX must behave as if it had none.
        let (code, said) = refusal(&Node::new(&pair, &[443], ""), &here, &["--attach", "clsact"]);
        let expected = format!(
            "error: this kernel has no {what}\n  help: use --backend nftables or iptables, or a kernel that has it\n"
        );
        assert_eq!((code, said), (Some(4), expected));
        assert_eq!(sets_of_all_instances(&pair), [""; 0]);
        assert!(!pair.host_tc(&["qdisc", "show", "dev", WAN]).contains("clsact"));
        let said = assert_auto_counts(&pair, &here, &["--attach", "clsact"], "nftables");
        assert!(said.contains("trying nftables") && said.contains(what), "{said}");
    }
}
