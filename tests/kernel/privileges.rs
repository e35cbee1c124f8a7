//! Privileges: which ones suffice for counting with eBPF, and the message if one is missing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::agent::files;
use crate::common::daemon::in_netns;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::support::{is_guarded, kernel_series, own_machine, send, sets_of_all_instances};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-agent");
const UNIT: &str = include_str!("../../flow-agent/packaging/flow-agent.service");

const THREE: [&str; 3] = ["bpf", "net_admin", "perfmon"];

/// Who runs the agent, and what that user may do.
struct Who<'a> {
    user: u32,
    /// In the notation of setpriv; `None` for all capabilities.
    capabilities: Option<&'a [&'a str]>,
    /// How many bytes of memory may be locked; `None` for no limit.
    locked_memory: Option<u64>,
}

const ROOT: Who<'_> = Who { user: 0, capabilities: None, locked_memory: None };

/// A directory with a configuration that counts port 443, and everything needed to run the agent there.
struct Place<'a> {
    pair: &'a Pair,
    dir: tempfile::TempDir,
}

impl<'a> Place<'a> {
    fn new(pair: &'a Pair) -> Self {
        let dir = tempfile::Builder::new().prefix("flow-agent-privileges").tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let config = format!(
            "node = \"node\"\ntimezone = \"UTC\"\nstate_dir = {state_dir:?}\nbpffs = {:?}\n[ports]\nwatch = [443]\n",
            pair.bpffs
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        Self { pair, dir }
    }

    /// Gives `user` everything that the agent needs to own: the bpffs, the directory, and a copy of the program.
    fn give_to(&self, user: u32) {
        fs::copy(PROGRAM, self.program()).unwrap();
        fs::set_permissions(self.program(), fs::Permissions::from_mode(0o755)).unwrap();
        for path in [self.dir.path(), &self.pair.bpffs] {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }

    fn program(&self) -> std::path::PathBuf {
        self.dir.path().join("flow-agent")
    }

    /// Takes one reading as `who`, with the counters of `backend`.
    fn run_once(&self, who: &Who<'_>, backend: &str) -> Output {
        let program = if who.user == 0 { Path::new(PROGRAM) } else { &self.program() };
        // The directory of the locks belongs to whoever runs agents. The one that this test mounts over it is private.
        fs::create_dir_all("/run/flow-agent").unwrap();
        let script = format!("mount -t tmpfs -o mode=0700,uid={} locks /run/flow-agent && exec \"$@\"", who.user);
        let mut command = in_netns(&self.pair.host, "unshare");
        command.args(["--mount", "--", "sh", "-c", &script, "sh"]);
        // Kernels before 5.11 count maps towards the limit, and how much of it is left to this process depends on which
        // tests it ran before. Later kernels do not, and there a host may forbid raising the limit, as many containers
        // do.
        let unlimited = || (kernel_series() < (5, 11)).then(|| "unlimited".to_owned());
        if let Some(limit) = who.locked_memory.map(|bytes| bytes.to_string()).or_else(unlimited) {
            command.args(["prlimit", &format!("--memlock={limit}:{limit}"), "--"]);
        }
        command.arg("setpriv");
        if let Some(capabilities) = who.capabilities {
            let set = capabilities.iter().fold("-all".to_owned(), |set, capability| format!("{set},+{capability}"));
            command.arg(format!("--bounding-set={set}")).arg(format!("--inh-caps={set}"));
            if who.user != 0 {
                command.arg(format!("--ambient-caps={set}"));
            }
        }
        if who.user != 0 {
            command.arg(format!("--reuid={}", who.user)).arg(format!("--regid={}", who.user)).arg("--clear-groups");
        }
        command.arg(program).args(["run", "--once", "--backend", backend, "--interface", "wan", "--config"]);
        command.arg(self.dir.path().join("config.toml")).stdin(Stdio::null()).output().unwrap()
    }

    /// Asserts that two readings as `who`, the second with counters that the first left behind, count what passed
    /// between them.
    fn assert_counts(&self, who: &Who<'_>) {
        self.assert_counts_with(who, "ebpf", "ebpf");
    }

    /// Like `assert_counts`, with the backend that is chosen for `backend`, which must be `expected`. Returns the
    /// output of the first run.
    fn assert_counts_with(&self, who: &Who<'_>, backend: &str, expected: &str) -> String {
        let first = self.run_once(who, backend);
        assert_eq!(first.status.code(), Some(0), "{}", said(&first));
        inside(&self.pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let second = self.run_once(who, backend);
        assert_eq!(second.status.code(), Some(0), "{}", said(&second));
        let mut lines = Vec::new();
        for file in files(&self.dir.path().join("state/hourly")) {
            let text = fs::read_to_string(file).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        let counted: u64 = lines.iter().filter_map(|line| line["udp_in_bytes"].as_u64()).sum();
        // 5 x (20 + 8 + 100)
        assert_eq!(counted, 640);
        let seals: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "seal").collect();
        assert!(seals.iter().all(|seal| seal["backend"] == expected && seal["pinned"] == true), "{seals:?}");
        said(&first)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn root_and_the_three_capabilities_count() {
    for capabilities in [None, Some(&THREE[..])] {
        for backend in ["ebpf", "auto"] {
            let Some(pair) = Pair::make() else { return };
            Place::new(&pair).assert_counts_with(&Who { capabilities, ..ROOT }, backend, "ebpf");
        }
    }
}

#[test]
fn what_is_missing_is_said_and_nothing_is_left_behind() {
    for (capabilities, missing) in [
        (&["bpf", "net_admin"][..], "CAP_PERFMON"),
        (&["net_admin", "perfmon"], "CAP_BPF"),
        (&["bpf", "perfmon"], "CAP_NET_ADMIN"),
        (&["net_admin"], "CAP_BPF, CAP_PERFMON"),
        (&[], "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"),
    ] {
        let Some(pair) = Pair::make() else { return };
        let refused = Place::new(&pair).run_once(&Who { capabilities: Some(capabilities), ..ROOT }, "ebpf");
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(4), "{said}");
        let error = said.split_once("error: ").expect("it says why").1;
        let expected = format!("not permitted to count with eBPF; missing: {missing}\n  caused by: ");
        assert!(error.starts_with(&expected), "{said}");
        assert!(
            error.ends_with("help: run as root, or grant what is missing; or use --backend nftables or iptables\n"),
            "{said}"
        );
        let sets = sets_of_all_instances(&pair);
        assert!(sets.is_empty(), "{sets:?}");
    }
}

#[test]
fn auto_counts_with_rules_where_only_ebpf_is_not_permitted_and_says_why() {
    for (capabilities, missing) in [
        (&["bpf", "net_admin", "net_raw"][..], "CAP_PERFMON"),
        (&["net_admin", "net_raw", "perfmon"], "CAP_BPF"),
        (&["net_admin", "net_raw"], "CAP_BPF, CAP_PERFMON"),
    ] {
        let Some(pair) = Pair::make() else { return };
        let who = Who { capabilities: Some(capabilities), ..ROOT };
        let said = Place::new(&pair).assert_counts_with(&who, "auto", "nftables");
        assert!(said.contains("eBPF is not available: trying nftables"), "{said}");
        assert!(said.contains(&format!("not permitted to count with eBPF; missing: {missing}: ")), "{said}");
        let sets = sets_of_all_instances(&pair);
        assert!(sets.is_empty(), "{sets:?}");
    }
}

#[test]
fn auto_says_what_either_way_of_counting_lacks_where_none_is_permitted() {
    for (capabilities, missing) in [
        (&["bpf", "perfmon"][..], "CAP_NET_ADMIN"),
        (&["bpf"], "CAP_NET_ADMIN, CAP_PERFMON"),
        (&[], "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"),
    ] {
        let Some(pair) = Pair::make() else { return };
        let who = Who { capabilities: Some(capabilities), ..ROOT };
        let refused = Place::new(&pair).run_once(&who, "auto");
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains(&format!("not permitted to count with eBPF; missing: {missing}: ")), "{said}");
        assert!(said.ends_with("help: run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW\n"), "{said}");
        let sets = sets_of_all_instances(&pair);
        assert!(sets.is_empty(), "{sets:?}");
    }
}

/// It makes no difference to us whether the kernel excludes users without CAP_BPF from eBPF altogether.
#[test]
fn what_others_may_do_with_ebpf_is_the_same_to_us() {
    const SETTING: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";
    // 1 cannot be changed any more. The tests on a guarded kernel run with it.
    if is_guarded() || !own_machine("what others may do with eBPF") {
        return;
    }
    for value in ["0", "2"] {
        fs::write(SETTING, value).unwrap();
        let Some(pair) = Pair::make() else { return };
        Place::new(&pair).assert_counts(&Who { capabilities: Some(&THREE), ..ROOT });
        let Some(pair) = Pair::make() else { return };
        let refused =
            Place::new(&pair).run_once(&Who { capabilities: Some(&["net_admin", "perfmon"]), ..ROOT }, "ebpf");
        assert!(said(&refused).contains("not permitted to count with eBPF; missing: CAP_BPF\n"), "{}", said(&refused));
    }
}

/// The tests are run a second time on a hardened host, and this checks that it is one.
#[test]
fn everything_that_can_guard_ebpf_does_where_it_is_asked_for() {
    if !is_guarded() {
        eprintln!("NOT HERE: a guarded kernel; `cargo xtask test --kernels` has machines for it");
        return;
    }
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap();
    assert!(lockdown.contains("[confidentiality]"), "{lockdown}");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap().trim(), "1");
}

#[test]
fn an_ordinary_user_with_the_three_capabilities_counts() {
    let Some(pair) = Pair::make() else { return };
    let place = Place::new(&pair);
    let user = 64_321;
    place.give_to(user);
    place.assert_counts(&Who { user, capabilities: Some(&THREE), ..ROOT });
}

/// What the unit requests from systemd suffices: only its capabilities, and its limit of locked memory or the default
/// of kernels before 5.16. Kernels before 5.11 count maps towards that limit.
#[test]
fn what_the_unit_is_given_is_enough() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let set = value("CapabilityBoundingSet").expect("the unit bounds its capabilities").to_lowercase();
    let capabilities: Vec<&str> = set.split(' ').map(|name| name.strip_prefix("cap_").unwrap()).collect();
    let locked_memory = match value("LimitMEMLOCK") {
        Some("infinity") => None,
        Some(other) => panic!("LimitMEMLOCK={other}"),
        None => Some(65_536),
    };
    let Some(pair) = Pair::make() else { return };
    Place::new(&pair).assert_counts(&Who { capabilities: Some(&capabilities), locked_memory, ..ROOT });
}

/// Before Linux 5.11, maps count towards the limit of locked memory, which the three capabilities cannot raise.
#[test]
fn a_limit_of_locked_memory_is_no_limit_or_is_named() {
    let Some(pair) = Pair::make() else { return };
    let place = Place::new(&pair);
    let limited = Who { capabilities: Some(&THREE), locked_memory: Some(65_536), ..ROOT };
    if kernel_series() >= (5, 11) {
        return place.assert_counts(&limited);
    }
    let refused = place.run_once(&limited, "ebpf");
    let said = said(&refused);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("missing: a higher locked memory limit (RLIMIT_MEMLOCK, in systemd"), "{said}");
}
