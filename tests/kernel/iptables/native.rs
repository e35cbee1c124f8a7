//! What others do to the table of nftables, and what remains of it.

use std::process::Command;

use flow_agent::backend::{Backend, BackendError, BackendOptions};
use flow_agent::clock;
use flow_agent::ledger::reading::Unseen;

use super::Variant;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::support::{inspect, options, read, read_all, send};

/// Rules of an administrator, in tables of their own.
const FOREIGN: &str = "add table inet fw
add set inet fw ports { type inet_service; counter; elements = { 443, 8388 }; }
add chain inet fw input { type filter hook input priority 0; policy accept; }
add rule inet fw input udp dport @ports counter accept
add table ip flow-x
add chain ip flow-x output { type filter hook output priority -200; }";

fn nft(commands: &str) -> String {
    run(Command::new("nft").arg(commands))
}

/// The name of our table.
fn table() -> String {
    let tables = nft("list tables");
    let ours = tables.lines().filter_map(|line| line.strip_prefix("table inet ")).find(|name| name.len() == 11);
    ours.unwrap().to_owned()
}

fn packets(pair: &Pair, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
}

/// Runs `test` in the host of a new pair.
fn in_host(test: impl Fn(&Variant, &Pair) + Sync + Send) {
    let (Some(native), Some(pair)) = (Variant::native(), Pair::make()) else { return };
    inside(&pair.host, || test(&native, &pair));
}

/// Inspects once, and expects exactly one report, about the WAN.
fn told(backend: &mut dyn Backend) -> (Unseen, Vec<Box<dyn flow_agent::backend::Retired>>) {
    let inspection = inspect(&mut *backend);
    let [unseen] = inspection.unseen.as_slice() else { panic!("{:?}", inspection.unseen) };
    assert_eq!(unseen.interface, "wan");
    (unseen.clone(), inspection.retired)
}

#[test]
fn uninstall_leaves_the_ruleset_as_it_was() {
    for foreign in ["", FOREIGN] {
        in_host(|native, pair| {
            nft(foreign);
            let before = Variant::everything();
            let mut backend = native.start(&options(pair, &[443, 4433])).unwrap().backend;
            assert_ne!(Variant::everything(), before);
            backend.sealed().unwrap();
            super::limits::cut(&mut *backend, 443);
            assert!(Variant::everything().contains(" drop\n"));
            let retired = backend.replace(&(8000..8100).collect()).unwrap();
            super::limits::cut(&mut *backend, 8000);
            assert!(native.uninstall().unwrap_err().to_string().starts_with("another agent counts on `wan`: process "));
            drop((backend, retired));
            assert_eq!(native.uninstall().unwrap().len(), 1);
            assert_eq!(Variant::everything(), before);
            assert_eq!(native.uninstall().unwrap(), [""; 0]);
        });
    }
}

#[test]
fn what_somebody_does_to_the_table_is_noticed_and_the_counters_are_made_anew() {
    for (what, why) in [
        ("flush ruleset", "was deleted"),
        ("delete table inet TABLE", "was deleted"),
        ("flush table inet TABLE", "has lost or gained rules"),
        ("add table inet TABLE { flags dormant; }", "was switched off"),
        ("add rule inet TABLE SET-rest-in accept", "has lost or gained rules"),
        ("insert rule inet TABLE SET-in udp dport 443 accept", "has lost or gained rules"),
        ("delete element inet TABLE SET-ui { 443 }", "has lost or gained elements"),
        ("add element inet TABLE SET-to { 9 }", "port 9 was made anew by somebody else"),
        ("flush chain inet TABLE input; delete chain inet TABLE input", ""),
        (
            "flush chain inet TABLE output; delete chain inet TABLE output; flush chain inet TABLE input",
            "removed the chain",
        ),
        (
            "flush chain inet TABLE input; delete chain inet TABLE input; \
             add chain inet TABLE input { type filter hook input priority 0; }",
            "removed the chain",
        ),
        // These count packets twice.
        (
            "add chain inet TABLE mine { type filter hook input priority 5; }; \
             add rule inet TABLE mine udp dport @SET-ui accept",
            "counts packets twice",
        ),
        ("insert rule inet TABLE SET-in udp dport @SET-ui", "has lost or gained rules"),
        ("insert rule inet TABLE input iifname wan jump SET-in", "counts packets twice"),
    ] {
        in_host(|native, pair| {
            let mut backend = native.start(&options(pair, &[443])).unwrap().backend;
            packets(pair, 3);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
            let (well_at, epoch) = (clock::now(), backend.identity().epoch);
            let [set] = native.sets().try_into().unwrap();
            let command = what.replace("TABLE", &table()).replace("SET", set.trim_end_matches("-*"));
            nft(&command);
            packets(pair, 5);
            assert!(backend.read(&clock::now).is_err(), "{what}");
            let (unseen, mut retired) = told(&mut *backend);
            assert!(unseen.start.boot_ns <= well_at.boot_ns && unseen.end.boot_ns > well_at.boot_ns);
            assert!(unseen.why.contains(why), "{what}: {}", unseen.why);
            let [old] = retired.as_mut_slice() else { panic!("{what}: {}", retired.len()) };
            // What was known before is not lost, and what was counted correctly since then may be known.
            let last = old.read(&clock::now).unwrap();
            assert_eq!(last.epoch, epoch);
            assert!([3, 8].contains(&last.ports[&443].udp_in_packets), "{what}: {:?}", last.ports[&443]);
            assert_ne!(backend.identity().epoch, epoch);
            packets(pair, 7);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 7, "{what}");
            // A set to which somebody's rule refers cannot be deleted; that changes nothing for the new one.
            let deleted = retired.pop().unwrap().delete();
            assert_eq!(deleted.is_ok(), !what.contains("mine"), "{what}: {deleted:?}");
            assert_eq!(inspect(&mut *backend).unseen, [], "{what}");
            assert_eq!(native.sets().len(), if deleted.is_ok() { 1 } else { 2 }, "{what}");
        });
    }
}

#[test]
fn a_rule_before_the_counters_is_reported_before_it_is_removed() {
    for what in ["flush chain inet TABLE input", "insert rule inet TABLE input udp dport 443 accept"] {
        in_host(|native, pair| {
            let mut backend = native.start(&options(pair, &[443])).unwrap().backend;
            packets(pair, 3);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
            nft(&what.replace("TABLE", &table()));
            packets(pair, 5);
            let found = backend.inspect(clock::now()).unwrap();
            assert!(found.is_broken && found.retired.is_empty() && found.unseen.len() == 1);
            packets(pair, 5);
            let epoch = backend.identity().epoch;
            let (unseen, retired) = told(&mut *backend);
            assert!(unseen.why.starts_with("somebody removed") || unseen.why.starts_with("another rule"));
            assert!(retired.is_empty());
            packets(pair, 7);
            // The counters are complete, so they continue.
            assert_eq!((read(&mut *backend, 443).udp_in_packets, backend.identity().epoch), (10, epoch));
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn rules_that_were_removed_and_made_again_between_two_inspections_are_noticed() {
    in_host(|native, pair| {
        let mut backend = native.start(&options(pair, &[443])).unwrap().backend;
        packets(pair, 3);
        assert_eq!(inspect(&mut *backend).unseen, []);
        let [set] = native.sets().try_into().unwrap();
        nft(&format!("flush chain inet {} input", table()));
        packets(pair, 5);
        nft(&format!("add rule inet {} input iifname wan goto {}in", table(), set.trim_end_matches('*')));
        assert!(backend.read(&clock::now).is_err());
        assert!(backend.inspect(clock::now()).unwrap().is_broken);
        let (unseen, retired) = told(&mut *backend);
        assert!(unseen.why.contains("made them again") && retired.is_empty(), "{}", unseen.why);
        packets(pair, 7);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 10);
        assert_eq!(inspect(&mut *backend).unseen, []);
    });
}

#[test]
fn whoever_empties_one_of_the_smaller_sets_is_noticed_and_every_port_counts_again() {
    for set in ["bi", "bo", "still"] {
        in_host(|native, pair| {
            let mut backend = native.start(&options(pair, &[443, 4433])).unwrap().backend;
            super::limits::cut(&mut *backend, 4433);
            backend.drain(&[443].into()).unwrap();
            read_all(&mut *backend);
            let [name] = native.sets().try_into().unwrap();
            nft(&format!("flush set inet {} {}{set}", table(), name.trim_end_matches('*')));
            let (unseen, retired) = told(&mut *backend);
            assert!(unseen.why.contains("has lost or gained elements"), "{set}: {}", unseen.why);
            retired.into_iter().for_each(|retired| retired.delete().unwrap());
            // The port that is cut stays cut, and the other one can be removed and added again.
            inside(&pair.peer, || send(PEER4, (HOST4, 4433), 100, 5));
            assert_eq!(read(&mut *backend, 4433).udp_in_packets, 0, "{set}");
            backend.release(&[443].into()).unwrap();
            backend.add(&[443].into()).unwrap();
            packets(pair, 7);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 7, "{set}");
            assert_eq!(inspect(&mut *backend).unseen, [], "{set}");
        });
    }
}

#[test]
fn ports_stay_cut_while_somebody_damages_the_counters_and_no_agent_runs() {
    in_host(|native, pair| {
        let options = options(pair, &[443]);
        let mut backend = native.start(&options).unwrap().backend;
        super::limits::cut(&mut *backend, 443);
        let [name] = native.sets().try_into().unwrap();
        nft(&format!("add rule inet {} {}rest-in accept", table(), name.trim_end_matches('*')));
        let mut started = native.succeed(backend, &options);
        assert_eq!(started.unseen.len(), 1);
        packets(pair, 5);
        assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 0);
    });
}

#[test]
fn a_set_whose_last_bucket_was_sealed_is_never_billed_again() {
    in_host(|native, pair| {
        // An older release that does not know nftables counted with another backend meanwhile.
        let options = options(pair, &[443]);
        let mut backend = native.start(&options).unwrap().backend;
        packets(pair, 3);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        let former = backend.identity().epoch;
        drop(backend);
        packets(pair, 5);
        let newest = "0".repeat(36) + ":" + &"0".repeat(16);
        let known_epochs = [former, newest.clone()].into();
        let options = BackendOptions { known_epochs, newest_epoch: Some(newest), ..options };
        let mut started = native.start(&options).unwrap();
        assert_eq!((started.retired.len(), native.sets().len()), (0, 1));
        packets(pair, 7);
        assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 7);
    });
}

#[test]
fn a_ruleset_that_is_restored_with_its_counters_is_not_counted_twice() {
    in_host(|native, pair| {
        let mut backend = native.start(&options(pair, &[443])).unwrap().backend;
        packets(pair, 3);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
        packets(pair, 2);
        let saved = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(saved.path(), format!("flush ruleset\n{}", nft("list ruleset"))).unwrap();
        packets(pair, 5);
        run(Command::new("nft").arg("-f").arg(saved.path()));
        packets(pair, 9);
        // 14 packets now, more than the 3 that were known, but 5 are there twice.
        let (unseen, mut retired) = told(&mut *backend);
        assert!(unseen.why.contains("was deleted and restored"), "{}", unseen.why);
        assert_eq!(retired[0].read(&clock::now).unwrap().ports[&443].udp_in_packets, 3);
        packets(pair, 7);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
        retired.pop().unwrap().delete().unwrap();
        assert_eq!(inspect(&mut *backend).unseen, []);
        // The same while no agent runs.
        let last_known = clock::now();
        std::fs::write(saved.path(), format!("flush ruleset\n{}", nft("list ruleset"))).unwrap();
        run(Command::new("nft").arg("-f").arg(saved.path()));
        let options = BackendOptions { last_known: Some(last_known), ..options(pair, &[443]) };
        let mut started = native.succeed(backend, &options);
        let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
        assert!(told.start == last_known && told.why.contains("was deleted and restored"), "{}", told.why);
        packets(pair, 1);
        assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 1);
        assert_eq!((started.retired.len(), native.sets().len()), (0, 1));
    });
}

#[test]
fn what_was_taken_away_while_no_agent_ran_is_told() {
    for (what, goes_on) in [
        ("flush chain inet TABLE input", true),
        ("flush ruleset", false),
        ("delete table inet TABLE", false),
        ("flush table inet TABLE", false),
        ("flush chain inet TABLE output; delete chain inet TABLE output", false),
        (
            "flush chain inet TABLE input; delete chain inet TABLE input; \
             add chain inet TABLE input { type filter hook input priority 0; }",
            false,
        ),
    ] {
        in_host(|native, pair| {
            let options = options(pair, &[443]);
            let mut backend = native.start(&options).unwrap().backend;
            packets(pair, 3);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 3);
            let last_known = clock::now();
            let newest_epoch = Some(backend.identity().epoch);
            let options = BackendOptions { last_known: Some(last_known), newest_epoch, ..options };
            nft(&what.replace("TABLE", &table()));
            packets(pair, 7);
            let mut started = native.succeed(backend, &options);
            let [told] = started.unseen.as_slice() else { panic!("{what}: {:?}", started.unseen) };
            assert_eq!((told.start, told.interface.as_str()), (last_known, "wan"), "{}", told.why);
            packets(pair, 5);
            let passed = if goes_on { 8 } else { 5 };
            assert_eq!(read(&mut *started.backend, 443).udp_in_packets, passed, "{what}");
            for retired in &mut started.retired {
                // Without the chain of outgoing packets, incoming ones were counted further.
                let counted = if what.contains("delete chain inet TABLE output") { 10 } else { 3 };
                assert_eq!(retired.read(&clock::now).unwrap().ports[&443].udp_in_packets, counted);
            }
            started.retired.into_iter().for_each(|retired| retired.delete().unwrap());
            assert_eq!(inspect(&mut *started.backend).unseen, []);
        });
    }
}

#[test]
fn a_newer_layout_stops_the_start_and_nothing_is_touched() {
    in_host(|native, pair| {
        let options = options(pair, &[443]);
        drop(native.start(&options).unwrap());
        let [name] = native.sets().try_into().unwrap();
        nft(&format!("add chain inet {} {}", table(), name.replace("-1", "-2").replace('*', "in")));
        let before = Variant::everything();
        let Err(error) = native.start(&options) else { panic!("it started") };
        assert!(matches!(error, BackendError::NewerLayout { layout: 2, known: 1, .. }), "{error}");
        assert_eq!(Variant::everything(), before);
    });
}

#[test]
fn ten_thousand_ports_are_set_up_and_read_quickly() {
    in_host(|native, pair| {
        let ports: Vec<u16> = (10_000..20_000).collect();
        let begun_at = std::time::Instant::now();
        let mut backend = native.start(&options(pair, &ports)).unwrap().backend;
        let set_up = begun_at.elapsed();
        inside(&pair.peer, || send(PEER4, (HOST4, 19_999), 100, 3));
        assert_eq!(read(&mut *backend, 19_999).udp_in_packets, 3);
        let begun_at = std::time::Instant::now();
        assert_eq!(read_all(&mut *backend).ports.len(), 10_000);
        eprintln!("10,000 ports: set up in {set_up:?}, read in {:?}", begun_at.elapsed());
        backend.replace(&(10_000..11_000).collect()).unwrap().delete().unwrap();
        read_all(&mut *backend);
        let begun_at = std::time::Instant::now();
        assert_eq!(read_all(&mut *backend).ports.len(), 1_000);
        eprintln!("1,000 ports: read in {:?}", begun_at.elapsed());
    });
}
