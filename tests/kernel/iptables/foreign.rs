//! What others do to the rules: firewalls that reload, and administrators who flush rules, zero them, or insert their
//! own first.

use std::process::Command;

use flow_agent::backend::{Backend, BackendOptions, iptables};
use flow_agent::clock;
use flow_agent::ledger::reading::Unseen;

use super::Variant;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside, run};
use crate::support::{INSTANCE, inspect, options, read, read_all, send};

/// Rules as ufw and Docker make them, and some of an administrator's own.
const FOREIGN: &str = include_str!("../../fixtures/iptables/foreign.rules");

fn install_foreign(variant: &Variant) {
    variant.restore("iptables-restore", &["--noflush"], FOREIGN);
}

fn packets(pair: &Pair, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
}

/// Inspects once, and expects exactly one report, about the WAN.
fn told(backend: &mut dyn Backend) -> (Unseen, Vec<Box<dyn flow_agent::backend::Retired>>) {
    let inspection = inspect(&mut *backend);
    let [unseen] = inspection.unseen.as_slice() else { panic!("{:?}", inspection.unseen) };
    assert_eq!(unseen.interface, "wan");
    (unseen.clone(), inspection.retired)
}

#[test]
fn uninstall_leaves_every_ruleset_as_it_was() {
    for variant in Variant::all() {
        for foreign in [false, true] {
            let Some(pair) = Pair::make() else { return };
            inside(&pair.host, || {
                if foreign {
                    install_foreign(&variant);
                } else if variant.name == "legacy" {
                    // A legacy table that was used once cannot be given back.
                    for program in ["iptables", "ip6tables"] {
                        variant.iptables(program, "-t filter -L");
                    }
                }
                if variant.name == "legacy" {
                    variant.iptables("ip6tables", "-t filter -L");
                }
                let before = Variant::everything();
                let mut backend = variant.start(&options(&pair, &[443, 4433])).unwrap().backend;
                assert_ne!(Variant::everything(), before);
                backend.sealed().unwrap();
                super::limits::cut(&mut *backend, 443);
                assert!(Variant::everything().contains("-drop -j DROP"));
                let retired = backend.replace(&(8000..8100).collect()).unwrap();
                super::limits::cut(&mut *backend, 8000);
                drop((backend, retired));
                let removed = iptables::uninstall(INSTANCE).unwrap();
                // Two sets in two families.
                assert_eq!(removed.len(), 4, "{removed:?}");
                assert_eq!(Variant::everything(), before, "{} foreign: {foreign}", variant.name);
                assert_eq!(iptables::uninstall(INSTANCE).unwrap(), [""; 0]);
            });
        }
    }
}

#[test]
fn tables_that_were_made_for_us_and_are_used_meanwhile_stay() {
    let Some(nft) = Variant::both(true).into_iter().next() else { return };
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        drop(nft.start(&options(&pair, &[443])).unwrap());
        nft.iptables("iptables", "-t mangle -A INPUT -p tcp --dport 22 -j MARK --set-mark 1");
        iptables::uninstall(INSTANCE).unwrap();
        let left = run(Command::new("nft").args(["list", "ruleset"]));
        assert!(left.contains("tcp dport 22") && left.contains("chain INPUT"), "{left}");
        assert!(!left.contains("flow-") && !left.contains("ip6") && !left.contains("OUTPUT"), "{left}");
    });
}

#[test]
fn uninstall_is_refused_while_an_agent_runs() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            let error = iptables::uninstall(INSTANCE).unwrap_err().to_string();
            assert!(error.starts_with("another agent counts on `wan`: process "), "{error}");
            packets(&pair, 3);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        });
    }
}

#[test]
fn a_flush_is_noticed_and_the_counters_are_made_anew() {
    for variant in Variant::all() {
        let flush = [
            // What an administrator types, and what firewalld and others do when they reload.
            vec!["iptables -t mangle -F"],
            vec!["iptables -t mangle -F", "iptables -t mangle -X"],
            vec!["iptables -t mangle -F", "iptables -t mangle -X", "ip6tables -t mangle -F", "ip6tables -t mangle -X"],
        ];
        for commands in flush {
            let Some(pair) = Pair::make() else { return };
            inside(&pair.host, || {
                let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
                packets(&pair, 3);
                assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
                let well_at = clock::now();
                let epoch = backend.identity().epoch;
                for command in &commands {
                    let (program, arguments) = command.split_once(' ').unwrap();
                    variant.iptables(program, arguments);
                }
                packets(&pair, 5);
                assert!(backend.read(&clock::now).is_err());
                let (unseen, mut retired) = told(&mut *backend);
                assert!(unseen.start.boot_ns <= well_at.boot_ns && unseen.end.boot_ns > well_at.boot_ns);
                assert!(unseen.why.starts_with("somebody changed the IPv4 counters: chain flow-"), "{}", unseen.why);
                let [old] = retired.as_mut_slice() else { panic!("{}", retired.len()) };
                // What was known before is not lost.
                let last = old.read(&clock::now).unwrap();
                assert_eq!((last.epoch, last.ports[&443].udp_in_packets), (epoch.clone(), 3));
                assert_ne!(backend.identity().epoch, epoch);
                packets(&pair, 7);
                assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
                retired.pop().unwrap().delete().unwrap();
                assert_eq!(inspect(&mut *backend).unseen, []);
                assert_eq!(iptables::survey(INSTANCE).unwrap().len(), 1);
            });
        }
    }
}

#[test]
fn a_flush_of_the_whole_ruleset_is_noticed_and_the_counters_are_made_anew() {
    let Some(nft) = Variant::both(true).into_iter().next() else { return };
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let before = Variant::everything();
        let mut backend = nft.start(&options(&pair, &[443])).unwrap().backend;
        packets(&pair, 3);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        run(Command::new("nft").args(["flush", "ruleset"]));
        packets(&pair, 5);
        let (_, mut retired) = told(&mut *backend);
        assert_eq!(retired[0].read(&clock::now).unwrap().ports[&443].udp_in_packets, 3);
        retired.pop().unwrap().delete().unwrap();
        packets(&pair, 7);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
        drop(backend);
        iptables::uninstall(INSTANCE).unwrap();
        assert_eq!(Variant::everything(), before);
    });
}

#[test]
fn a_plain_flush_or_zeroing_of_the_filter_table_does_not_touch_the_counters() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 3);
            for arguments in ["-F", "-X", "-Z"] {
                variant.iptables("iptables", arguments);
            }
            assert_eq!(inspect(&mut *backend).unseen, []);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        });
    }
}

#[test]
fn a_rule_that_comes_first_is_noticed_and_we_are_first_again() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 3);
            read_all(&mut *backend);
            let epoch = backend.identity().epoch;
            variant.iptables("iptables", "-t mangle -I INPUT -p udp --dport 443 -j ACCEPT");
            packets(&pair, 5);
            assert!(backend.read(&clock::now).is_err());
            let (unseen, retired) = told(&mut *backend);
            assert_eq!(unseen.why, "another IPv4 rule came before the counters: -p udp -m udp --dport 443 -j ACCEPT");
            assert!(retired.is_empty());
            packets(&pair, 7);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 10);
            assert_eq!(backend.identity().epoch, epoch);
            assert_eq!(inspect(&mut *backend).unseen, []);
            // It belongs to them, so it stays.
            assert!(Variant::everything().contains("dport 443 -j ACCEPT"));
        });
    }
}

#[test]
fn somebodys_zeroing_ends_the_epoch_and_nothing_is_counted_twice() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 5);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
            variant.iptables("iptables", "-t mangle -Z");
            // More than before, so the counter alone would not show it.
            packets(&pair, 6);
            let (unseen, mut retired) = told(&mut *backend);
            let why = unseen.why;
            assert!(why.starts_with("somebody changed the IPv4 counters: chain flow-"), "{why}");
            assert!(why.contains("-trip was zeroed or emptied; the interfaces moved "), "{why}");
            // This zeroes the counters of rules, but not those of ipsets.
            let known = if variant.has_ipset { 11 } else { 5 };
            assert_eq!(retired[0].read(&clock::now).unwrap().ports[&443].udp_in_packets, known);
            retired.pop().unwrap().delete().unwrap();
            packets(&pair, 3);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn one_family_is_judged_by_itself() {
    for variant in Variant::both(false) {
        let Some(pair) = Pair::make() else { return };
        let packets6 = |count| inside(&pair.peer, || send(PEER6, (HOST6, 443), 100, count));
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 5);
            packets6(4);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 9);
            variant.iptables("iptables", "-t mangle -Z");
            packets(&pair, 2);
            // The sum of both grows, although one of them is lower than before.
            packets6(40);
            let (_, mut retired) = told(&mut *backend);
            // Nobody touched the IPv6 counters, so all of their packets are known.
            assert_eq!(retired[0].read(&clock::now).unwrap().ports[&443].udp_in_packets, 5 + 44);
        });
    }
}

#[test]
fn restored_rules_are_noticed_though_no_counter_has_less_than_before() {
    // In the legacy kernel interface, restored rules cannot be distinguished from those that were there.
    let Some(nft) = Variant::both(false).into_iter().next() else { return };
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend = nft.start(&options(&pair, &[443])).unwrap().backend;
        packets(&pair, 5);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        packets(&pair, 1);
        let saved = run(Command::new(nft.program("iptables-save")).arg("-c"));
        packets(&pair, 7);
        nft.restore("iptables-restore", &["-c"], &saved);
        packets(&pair, 2);
        let (unseen, mut retired) = told(&mut *backend);
        assert!(unseen.why.contains(" was restored into a new table"), "{}", unseen.why);
        assert_eq!(retired[0].read(&clock::now).unwrap().ports[&443].udp_in_packets, 5);
        retired.pop().unwrap().delete().unwrap();
        packets(&pair, 3);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        // Now the rules of the former set come back, and packets pass both sets. The present one misses nothing.
        nft.restore("iptables-restore", &["-n", "-c"], &saved);
        assert_eq!(inspect(&mut *backend).unseen, []);
        assert_eq!(iptables::survey(INSTANCE).unwrap().iter().filter(|set| set.live).count(), 1);
        packets(&pair, 4);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
    });
}

#[test]
fn former_rules_that_come_back_while_no_agent_runs_are_not_counted_again() {
    for variant in Variant::both(false) {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 5);
            backend.sealed().unwrap();
            let former = backend.identity().epoch;
            let saved = run(Command::new(variant.program("iptables-save")).arg("-c"));
            backend.replace(&[443, 8388].into()).unwrap().delete().unwrap();
            packets(&pair, 3);
            backend.sealed().unwrap();
            let newest = backend.identity().epoch;
            drop(backend);
            variant.restore("iptables-restore", &["-c"], &saved);
            packets(&pair, 7);
            let known_epochs = [former.clone(), newest.clone()].into();
            let options = BackendOptions { known_epochs, newest_epoch: Some(newest.clone()), ..options(&pair, &[443]) };
            let started = variant.start(&options).unwrap();
            let live = started.backend.identity().epoch;
            assert!(live != former && live != newest, "{live}");
        });
    }
}

#[test]
fn another_agents_rules_before_ours_hide_nothing() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            pair.join("second", "second-peer");
            let mut ours = variant.start(&options(&pair, &[443])).unwrap().backend;
            let other = BackendOptions {
                instance: "another".into(),
                interfaces: vec!["second".into()],
                ..options(&pair, &[443])
            };
            let mut theirs = variant.start(&other).unwrap().backend;
            packets(&pair, 5);
            for _ in 0..2 {
                assert_eq!(inspect(&mut *ours).unseen, []);
                assert_eq!(inspect(&mut *theirs).unseen, []);
            }
            assert_eq!(read(&mut *ours, 443).udp_in_packets, 5);
            assert!(read(&mut *theirs, 443).is_zero());
            drop(theirs);
            iptables::uninstall("another").unwrap();
            assert_eq!(inspect(&mut *ours).unseen, []);
        });
    }
}

#[test]
fn foreign_rules_are_not_touched_while_we_count() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            install_foreign(&variant);
            let foreign = || {
                let saved = Variant::everything();
                let lines = saved.lines().filter(|line| !line.contains("flow-") || line.contains("flow-control"));
                let rules: Vec<String> = lines.filter(|line| line.contains("-A ")).map(str::to_owned).collect();
                rules
            };
            let before = foreign();
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            packets(&pair, 4);
            backend.add(&[4433].into()).unwrap();
            backend.drain(&[443].into()).unwrap();
            backend.release(&[443].into()).unwrap();
            backend.replace(&[443].into()).unwrap().delete().unwrap();
            assert_eq!(foreign(), before);
            let mut saved = run(Command::new(variant.program("iptables-save")).args(["-t", "mangle"]));
            saved.retain(|c| c != '"');
            let input: Vec<&str> = saved.lines().filter(|line| line.starts_with("-A INPUT")).collect();
            assert_eq!(input.len(), 2, "{saved}");
            assert!(input[0].starts_with("-A INPUT -j flow-"), "{saved}");
        });
    }
}
