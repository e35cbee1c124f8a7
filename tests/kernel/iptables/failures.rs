//! What is missing, refused or locked: it is reported clearly or waited for, and nothing is lost.

use std::fs::File;
use std::time::{Duration, Instant};

use flow_agent::backend::{BackendError, BackendOptions, iptables};
use flow_agent::exit::Failure;
use flow_agent::ledger::record::CountMode;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::Variant;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::support::{as_observed, inspect, options, read, read_all, rounds, send};

fn refusal(variant: &Variant, options: &BackendOptions) -> BackendError {
    match variant.start(options) {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

/// The error as the program shows it.
fn shown(error: BackendError) -> String {
    let failure = Failure::from(error);
    assert_eq!(failure.code as u8, 4);
    failure.render()
}

#[test]
fn missing_programs_are_named() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            variant.remove("ip6tables-save");
            assert_eq!(
                shown(refusal(&variant, &options)),
                "error: `ip6tables-save` is not installed\n  help: install iptables with ip6tables-save, or boot \
                 without IPv6; otherwise its traffic is not counted or billed"
            );
            variant.remove("iptables-restore");
            assert_eq!(
                shown(refusal(&variant, &options)),
                "error: `iptables-restore` is not installed\n  help: install iptables, or use --backend ebpf or \
                 nftables"
            );
            assert_eq!(Variant::everything(), "");
        });
    }
}

#[test]
fn a_missing_privilege_is_named_and_nothing_is_left() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let before = Variant::everything();
            let error = std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    // SAFETY: the raw system calls change only this thread, which ends here.
                    let results = unsafe {
                        [
                            libc::syscall(libc::SYS_setgroups, 0, 0),
                            libc::syscall(libc::SYS_setresgid, 65534, 65534, 65534),
                            libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534),
                        ]
                    };
                    assert_eq!(results, [0; 3]);
                    refusal(&variant, &options(&pair, &[443]))
                });
                thread.join().unwrap()
            });
            let shown = shown(error);
            assert!(shown.contains("Permission denied") || shown.contains("Operation not permitted"), "{shown}");
            assert!(shown.ends_with("help: run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW"), "{shown}");
            assert_eq!(Variant::everything(), before);
        });
    }
}

#[test]
fn what_rules_cannot_do_is_refused() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let wire = BackendOptions { count: CountMode::Wire, ..options(&pair, &[443]) };
            assert!(shown(refusal(&variant, &wire)).starts_with("error: count = \"wire\" needs eBPF"));
            let absent = BackendOptions { interfaces: vec!["eth9".into()], ..options(&pair, &[443]) };
            assert!(shown(refusal(&variant, &absent)).starts_with("error: interface `eth9` does not exist"));
            pair.join("odd+", "odd-peer");
            let odd = BackendOptions { interfaces: vec!["odd+".into()], ..options(&pair, &[443]) };
            assert!(shown(refusal(&variant, &odd)).starts_with("error: interface `odd+` has a name"));
            assert_eq!(Variant::everything(), "");
        });
    }
}

/// Gives the calling thread a lock file of iptables that no other process uses.
fn own_lock(pair: &Pair) -> File {
    let file = File::create(pair.bpffs.with_file_name("xtables.lock")).unwrap();
    let shared = File::options().append(true).create(true).open("/run/xtables.lock").unwrap();
    drop(shared);
    // SAFETY: this thread shares its working directory and its mounts with others, and needs neither.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount_bind(pair.bpffs.with_file_name("xtables.lock"), "/run/xtables.lock").unwrap();
    file
}

#[test]
fn a_lock_that_somebody_holds_delays_and_loses_nothing() {
    let held = Duration::from_secs(5);
    for variant in Variant::all().into_iter().filter(|variant| variant.name == "legacy") {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let lock = own_lock(&pair);
            let while_held = |work: &mut dyn FnMut()| {
                lock.lock().unwrap();
                let begun_at = Instant::now();
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(held);
                        lock.unlock().unwrap();
                    });
                    work();
                });
                assert!(begun_at.elapsed() >= held);
            };
            let mut started = None;
            while_held(&mut || started = Some(variant.start(&options(&pair, &[443])).unwrap()));
            let mut backend = started.unwrap().backend;
            let packets = |count| inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
            packets(3);
            while_held(&mut || {
                packets(4);
                assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
            });
            while_held(&mut || {
                packets(4);
                backend.add(&[4433].into()).unwrap();
            });
            while_held(&mut || {
                packets(4);
                assert_eq!(inspect(&mut *backend).unseen, []);
            });
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 15);
        });
    }
}

#[test]
fn changes_by_others_while_we_read_make_no_counter_smaller() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let ports: Vec<u16> = (8_000..8_100).collect();
            let observer = Observer::install(&pair.host, &ports);
            let mut backend = variant.start(&options(&pair, &ports)).unwrap().backend;
            let flood = Flood::begin(&pair, &ports);
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                let changes = scope.spawn(|| {
                    let mut changes = 0;
                    inside(&pair.host, || {
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            variant.iptables("iptables", "-w -t mangle -A FORWARD -p tcp --dport 22");
                            variant.iptables("iptables", "-w -t mangle -D FORWARD -p tcp --dport 22");
                            changes += 2;
                        }
                    });
                    changes
                });
                let mut before = read_all(&mut *backend).ports;
                for _ in 0..rounds(100) {
                    let now = read_all(&mut *backend).ports;
                    for (port, counters) in &now {
                        assert!(counters.checked_sub(before[port]).is_some(), "port {port} has less than before");
                    }
                    before = now;
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                assert!(changes.join().unwrap() > 20);
            });
            flood.end();
            crate::common::daemon::assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
        });
    }
}

#[test]
fn a_host_without_iptables_has_nothing_to_retire() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || assert!(iptables::find_retired(&options(&pair, &[443])).unwrap().retired.is_empty()));
}
