use super::*;
use crate::backend::AttachPlace;

fn options(ports: &[u16], known: &[&str]) -> BackendOptions {
    BackendOptions {
        instance: "test".into(),
        bpffs: "/nowhere".into(),
        interfaces: Vec::new(),
        count: CountMode::Ip,
        max_ports: 10,
        ports: ports.iter().copied().collect(),
        known_epochs: known.iter().map(|epoch| (*epoch).to_owned()).collect(),
        newest_epoch: None,
        counted_before: BTreeSet::new(),
        last_known: None,
        allow_stacked: false,
        place: AttachPlace::Auto,
        log: false,
    }
}

fn now() -> Moment {
    Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: 0 }
}

fn bytes(tcp_in_bytes: u64) -> Counters {
    Counters { tcp_in_bytes, tcp_in_packets: 1, ..Counters::default() }
}

#[test]
fn counters_outlive_the_backend_but_not_a_reboot() {
    let script = Script::new(4);
    let started = script.start(&options(&[443], &[])).unwrap();
    script.pass(443, bytes(100));
    drop(started);
    script.pass(443, bytes(20));
    let mut backend = script.start(&options(&[443], &["scripted-1"])).unwrap().backend;
    assert_eq!(backend.read(&now).unwrap().ports[&443].tcp_in_bytes, 120);
    drop(backend);
    script.reboot();
    let mut backend = script.start(&options(&[443], &["scripted-1"])).unwrap().backend;
    let reading = backend.read(&now).unwrap();
    assert_eq!((reading.epoch.as_str(), reading.ports[&443]), ("scripted-2", Counters::default()));
}

#[test]
fn a_drained_port_stands_until_it_is_released_or_added_again() {
    let script = Script::new(4);
    let mut backend = script.start(&options(&[443], &[])).unwrap().backend;
    script.pass(443, bytes(100));
    backend.drain(&[443].into()).unwrap();
    script.pass(443, bytes(7));
    let reading = backend.read(&now).unwrap();
    assert_eq!((reading.ports[&443].tcp_in_bytes, reading.others.other_ports.in_bytes), (100, 7));
    assert_eq!(reading.draining, [443].into());
    backend.add(&[443].into()).unwrap();
    script.pass(443, bytes(1));
    assert_eq!(backend.read(&now).unwrap().ports[&443].tcp_in_bytes, 101);
    backend.drain(&[443].into()).unwrap();
    backend.release(&[443].into()).unwrap();
    assert!(backend.read(&now).unwrap().ports.is_empty());
}

#[test]
fn sealed_counters_that_nobody_knows_are_named_and_left() {
    let script = Script::new(4);
    script.start(&options(&[443], &[])).unwrap().backend.sealed().unwrap();
    let started = script.start(&options(&[443], &[])).unwrap();
    assert_eq!(started.unadopted, [std::path::PathBuf::from("scripted-1")]);
    assert_eq!(started.backend.identity().epoch, "scripted-2");
}

#[test]
fn destroyed_counters_come_back_as_retired_and_new_ones_begin_at_zero() {
    let script = Script::new(4);
    let mut backend = script.start(&options(&[443], &[])).unwrap().backend;
    script.pass(443, bytes(100));
    script.destroy();
    let mut inspection = backend.inspect(now()).unwrap();
    let last = inspection.retired[0].read(&now).unwrap();
    assert_eq!((last.epoch.as_str(), last.ports[&443].tcp_in_bytes), ("scripted-1", 100));
    let first = backend.read(&now).unwrap();
    assert_eq!((first.epoch.as_str(), first.ports[&443].tcp_in_bytes), ("scripted-2", 0));
}

#[test]
fn a_fault_comes_once() {
    let script = Script::new(1);
    let mut backend = script.start(&options(&[1], &[])).unwrap().backend;
    assert!(matches!(backend.add(&[2].into()), Err(BackendError::Full { wanted: 2, slots: 1 })));
    script.fail_next(Operation::Read);
    assert!(backend.read(&now).is_err());
    assert!(backend.read(&now).is_ok());
    let retired = backend.replace(&[1, 2].into()).unwrap();
    assert_eq!(script.retired_epochs(), ["scripted-1"]);
    retired.delete().unwrap();
    assert!(script.retired_epochs().is_empty());
}
