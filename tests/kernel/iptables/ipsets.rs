//! Counters in ipsets, where the host has them: what exists only then.

use std::process::Command;
use std::time::Duration;

use flow_agent::backend::iptables::{self, IptablesError};
use flow_agent::backend::{BackendError, BackendOptions};
use flow_agent::clock;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::Variant;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::support::{INSTANCE, inspect, options, read, read_all, send};

fn ipset(arguments: &str) -> String {
    run(Command::new("ipset").args(arguments.split_whitespace()))
}

/// The name of our ipset for this family and this counter.
fn ours(place: &str) -> String {
    let names = ipset("list -name");
    names.lines().find(|name| name.ends_with(&format!("-{place}"))).unwrap().to_owned()
}

fn packets(pair: &Pair, port: u16, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, port), 100, count));
}

/// Whether any rules use ipsets.
fn are_asked() -> bool {
    Variant::everything().contains("--match-set flow-")
}

#[test]
fn a_host_without_them_or_whose_rules_cannot_ask_them_counts_in_a_tree() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            // In the legacy kernel interface, a table stays once it was listed.
            variant.iptables("iptables", "-t mangle -S");
            variant.iptables("ip6tables", "-t mangle -S");
            let before = Variant::everything();
            let count = |variant: &Variant| {
                let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
                packets(&pair, 443, 3);
                assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
                let asked = are_asked();
                drop(backend);
                iptables::uninstall(INSTANCE).unwrap();
                assert_eq!(Variant::everything(), before);
                asked
            };
            assert!(count(&variant));
            variant.refuse("ip6tables-restore", "--match-set");
            assert!(!count(&variant), "what IPv4 had got was taken back");
            // A kernel without ipsets.
            variant.remove("ipset");
            std::os::unix::fs::symlink("/bin/false", variant.program("ipset")).unwrap();
            assert!(!count(&variant));
        });
    }
}

#[test]
fn counters_in_a_tree_go_on_when_ipsets_can_be_had() {
    let (without, with) = (Variant::both(false), Variant::both(true));
    for (without, with) in without.into_iter().zip(with) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let backend = without.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 443, 3);
            let started = with.succeed(backend, &options(&pair, &[443]));
            assert_eq!((started.unseen, started.retired.len()), (vec![], 0));
            let mut backend = started.backend;
            packets(&pair, 443, 5);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 8);
            // New counters are made in the way that the host allows now.
            let mut retired = backend.replace(&[443].into()).unwrap();
            assert_eq!(retired.read(&clock::now).unwrap().ports[&443].udp_in_packets, 8);
            assert!(are_asked());
        });
    }
}

#[test]
fn whoever_empties_them_is_noticed_at_the_next_reading() {
    for variant in Variant::both(true) {
        for what in ["flush", "del"] {
            let Some(pair) = Pair::make() else { return };
            inside(&pair.host, || {
                let mut backend = variant.start(&options(&pair, &[443, 4433])).unwrap().backend;
                packets(&pair, 443, 3);
                packets(&pair, 4433, 2);
                let read_at = read_all(&mut *backend).at;
                match what {
                    "flush" => ipset(&format!("flush {}", ours("ui4"))),
                    _ => ipset(&format!("del {} 443", ours("ui4"))),
                };
                packets(&pair, 443, 5);
                let error = backend.read(&clock::now).unwrap_err();
                assert!(error.to_string().contains("another program changed the counters (IPv4)"), "{error}");
                let mut inspection = inspect(&mut *backend);
                let [told] = inspection.unseen.as_slice() else { panic!("{:?}", inspection.unseen) };
                let part = if what == "flush" { "ipset" } else { "chain" };
                let why = format!("somebody changed the IPv4 counters: {part} flow-");
                assert!(told.why.starts_with(&why), "{}", told.why);
                assert_eq!(told.start, read_at, "all was well when they were read last");
                // What was seen of it is kept.
                let last = inspection.retired.pop().unwrap().read(&clock::now).unwrap();
                assert_eq!((last.ports[&443].udp_in_packets, last.ports[&4433].udp_in_packets), (3, 2));
                packets(&pair, 443, 7);
                assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
            });
        }
    }
}

/// The steps of a change that is not one transaction, each as if the agent had died right after it.
#[test]
fn an_agent_may_die_in_the_midst_of_a_change() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        let deaths: [(&str, u64, fn()); 6] = [
            ("the ipsets of another set were made, and no rules", 2, || {
                let other = ours("ti4").replace("-ti4", "");
                let other = format!("{}1aaaaa", &other[..other.len() - 6]);
                ipset(&format!("create {other}-ti4 bitmap:port range 0-65535 counters"));
            }),
            ("one of four counters was added", 2, || {
                ipset(&format!("add {} 8388 packets 0 bytes 0", ours("ui4")));
            }),
            ("one of two families was changed", 2, || {
                for counter in ["ti4", "to4", "ui4", "uo4"] {
                    ipset(&format!("add {} 8388 packets 0 bytes 0", ours(counter)));
                }
            }),
            ("the rules before are there, and nothing stands still", 2, || {
                ipset(&format!("del {} 4433", ours("still4")));
            }),
            // What it moved was sealed before anything of it was removed.
            ("some counters of a port that drained were removed", 0, || {
                ipset(&format!("del {} 4433", ours("ui4")));
            }),
            ("a port was let go in one of two families, and the rules before are still there", 0, || {
                for counter in ["ti4", "to4", "ui4", "uo4", "still4"] {
                    ipset(&format!("del {} 4433", ours(counter)));
                }
            }),
        ];
        for (name, drained, die) in deaths {
            inside(&pair.host, || {
                let ports = options(&pair, &[443, 8388]);
                let mut backend = variant.start(&options(&pair, &[443, 4433])).unwrap().backend;
                packets(&pair, 443, 3);
                packets(&pair, 4433, 2);
                backend.drain(&[4433].into()).unwrap();
                read_all(&mut *backend);
                die();
                packets(&pair, 443, 5);
                let started = variant.succeed(backend, &ports);
                assert_eq!(started.unseen, [], "{name}");
                let (mut last_of_443, mut last_of_4433) = (0, None);
                for mut retired in started.retired {
                    let last = retired.read(&clock::now).unwrap();
                    let packets = |port| last.ports.get(&port).map(|counters| counters.udp_in_packets);
                    last_of_443 += packets(443).unwrap_or(0);
                    last_of_4433 = last_of_4433.or(packets(4433));
                    retired.delete().unwrap();
                }
                let mut backend = started.backend;
                packets(&pair, 443, 7);
                let live = read_all(&mut *backend);
                assert_eq!(last_of_443 + live.ports[&443].udp_in_packets, 15, "{name}");
                let of_4433 = last_of_4433.or(live.ports.get(&4433).map(|counters| counters.udp_in_packets));
                assert_eq!(of_4433, Some(drained), "{name}");
                drop(backend);
                iptables::uninstall(INSTANCE).unwrap();
                assert_eq!(ipset("list -name"), "", "{name}");
            });
        }
    }
}

#[test]
fn an_agent_that_died_before_it_counted_has_missed_nothing() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            drop(variant.start(&options(&pair, &[443])).unwrap());
            // As if the agent had died after it had called ipset, and before it did anything else.
            for program in ["iptables", "ip6tables"] {
                variant.iptables(program, "-t mangle -F");
                variant.iptables(program, "-t mangle -X");
            }
            let before = ipset("list -name");
            let started = variant.start(&options(&pair, &[443])).unwrap();
            assert_eq!((started.unseen, started.retired.len()), (vec![], 0));
            let left = ipset("list -name");
            assert!(before.lines().all(|name| !left.lines().any(|left| left == name)), "{left}");
        });
    }
}

#[test]
fn whoever_empties_them_while_no_agent_runs_is_told_of() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            for counter in ["ti4", "to4", "ui4", "uo4"] {
                ipset(&format!("flush {}", ours(counter)));
            }
            packets(&pair, 443, 5);
            let started = variant.succeed(backend, &options(&pair, &[443]));
            let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
            assert!(told.why.ends_with(" was emptied"), "{}", told.why);
            let mut backend = started.backend;
            packets(&pair, 443, 7);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
        });
    }
}

#[test]
fn counters_that_outlived_their_rules_are_billed_by_none_but_their_own_history() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 443, 3);
            read_all(&mut *backend);
            backend.sealed().unwrap();
            let known_epochs = [backend.identity().epoch].into();
            drop(backend);
            for program in ["iptables", "ip6tables"] {
                variant.iptables(program, "-t mangle -F");
                variant.iptables(program, "-t mangle -X");
            }
            // A state directory with another history leaves them alone, and reports that.
            let started = variant.start(&options(&pair, &[443])).unwrap();
            assert_eq!((started.retired.len(), started.unadopted.len()), (0, 1));
            drop(started.backend);
            // The one that they belong to reads them a last time.
            let mut started = variant.start(&BackendOptions { known_epochs, ..options(&pair, &[443]) }).unwrap();
            let counted: u64 = started
                .retired
                .iter_mut()
                .map(|retired| retired.read(&clock::now).unwrap().ports[&443].udp_in_packets)
                .sum();
            assert_eq!(counted, 3);
        });
    }
}

#[test]
fn an_ipset_that_somebodys_rule_asks_is_removed_as_soon_as_it_can_be() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            drop(variant.start(&options(&pair, &[443])).unwrap());
            // This is not the first one to be removed. What was removed before it must not be removed again.
            let rule = format!("-p tcp -m set --match-set {} src", ours("to4"));
            variant.iptables("iptables", &format!("-A INPUT {rule}"));
            std::thread::scope(|scope| {
                let removed = scope.spawn(|| inside(&pair.host, || iptables::uninstall(INSTANCE).map(drop)));
                wait_until("the ipset before is removed", Duration::from_secs(5), || {
                    !ipset("list -name").contains("-ti4\n")
                });
                assert!(ipset("list -name").contains("-to4\n"));
                variant.iptables("iptables", &format!("-D INPUT {rule}"));
                removed.join().unwrap().unwrap();
            });
            assert_eq!(ipset("list -name"), "");
        });
    }
}

#[test]
fn counters_that_cannot_be_read_without_ipset_are_left_alone() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            let known_epochs = [backend.identity().epoch].into();
            drop(backend);
            let before = Variant::everything();
            variant.remove("ipset");
            let Err(error) = variant.start(&BackendOptions { known_epochs, ..options(&pair, &[443]) }) else {
                panic!("it started")
            };
            assert!(matches!(error, BackendError::Iptables(IptablesError::NoIpset)), "{error}");
            assert_eq!(Variant::everything(), before);
        });
    }
}

#[test]
fn no_rule_asks_ipsets_where_rules_are_kept_over_a_boot() {
    for variant in Variant::both(true) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            // SAFETY: this thread shares its working directory and its mounts with others, and needs neither.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount("tmpfs", "/etc", "tmpfs", MountFlags::empty(), None).unwrap();

            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 443, 3);
            read_all(&mut *backend);
            assert!(are_asked());
            // Somebody saves the rules as they are now.
            std::fs::create_dir("/etc/iptables").unwrap();
            let kept = run(Command::new(variant.program("iptables-save")).arg("-c"));
            std::fs::write("/etc/iptables/rules.v4", kept).unwrap();
            assert_eq!(iptables::host::kept::unloadable(), ["/etc/iptables/rules.v4"]);
            let mut inspection = inspect(&mut *backend);
            assert_eq!(inspection.unseen, []);
            let mut retired = inspection.retired.pop().unwrap();
            assert_eq!(retired.read(&clock::now).unwrap().ports[&443].udp_in_packets, 3);
            retired.delete().unwrap();
            assert!(!are_asked());
            packets(&pair, 443, 5);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
            // What is saved then can be loaded, because it needs nothing but rules.
            let kept = run(Command::new(variant.program("iptables-save")).arg("-c"));
            std::fs::write("/etc/iptables/rules.v4", kept).unwrap();
            assert!(iptables::host::kept::unloadable().is_empty());
            assert!(inspect(&mut *backend).retired.is_empty());

            // A successor that is started here does not use ipsets either.
            let started = variant.succeed(backend, &options(&pair, &[443]));
            assert_eq!((started.unseen, started.retired.len()), (vec![], 0));
            drop(started.backend);
            iptables::uninstall(INSTANCE).unwrap();
            drop(variant.start(&options(&pair, &[443])).unwrap());
            assert!(!are_asked());
        });
    }
}
