//! How the verifier of the running kernel judges the object: every program, with every setting.

use std::io;
use std::thread;

use aya::programs::ProgramError;
use rustix::thread::UnshareFlags;

use crate::classifiers::{GATED_PROGRAMS, PROGRAMS, Settings, load, object};
use crate::common::have_root;

const SLOTS: u32 = 64;

#[test]
fn every_program_loads_with_every_setting() {
    if !have_root("the eBPF programs") {
        return;
    }
    for bits in 0..8 {
        let settings = Settings { count_wire: bits & 1 != 0, atomic: bits & 2 != 0, log: bits & 4 != 0 };
        let mut object = object(SLOTS, settings);
        for program in PROGRAMS {
            load(&mut object, program).unwrap_or_else(|error| panic!("{program} with {settings:?}: {error}"));
        }
    }
}

/// The limit has been a million instructions since 5.2. A quarter of it leaves room for a verifier that prunes even
/// worse than that of 5.10, which processes the most instructions of all that are tested.
#[test]
fn the_verifier_reads_far_less_than_it_may() {
    if !have_root("the eBPF programs") {
        return;
    }
    let least = Settings::default();
    let most = Settings { count_wire: true, atomic: true, log: true };
    let gated = [("gated_insns", least), ("gated_insns at most", most)].map(|(name, of)| (name, of, GATED_PROGRAMS));
    let plain = [("verified_insns", least), ("verified_insns at most", most)].map(|(name, of)| (name, of, PROGRAMS));
    for (name, settings, programs) in plain.into_iter().chain(gated) {
        let counts = programs.map(|program| verified(settings, program));
        let shown: Vec<String> =
            programs.iter().zip(counts).map(|(program, count)| format!("{program} {count}")).collect();
        println!("fact: {name}={}", shown.join(", "));
        assert!(counts.iter().all(|count| (1..250_000).contains(count)), "{name}: {shown:?}");
    }
}

/// How many instructions the verifier processed. `bpf_prog_info` reports this only since 5.16. The verifier's log
/// always did, but is returned only if loading fails; so loading is made to fail after the verifier is done, for lack
/// of a free descriptor.
fn verified(settings: Settings, program: &'static str) -> u32 {
    let without_descriptors = thread::spawn(move || {
        // SAFETY: this thread opens every descriptor that it uses from here on, and none of them leaves it.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }.unwrap();
        let mut object = object(SLOTS, settings);
        let mut taken = Vec::new();
        let full = loop {
            match rustix::io::dup(io::stderr()) {
                Ok(descriptor) => taken.push(descriptor),
                Err(error) => break error,
            }
        };
        assert_eq!(full, rustix::io::Errno::MFILE);
        load(&mut object, program)
    });
    match without_descriptors.join().unwrap() {
        Err(ProgramError::LoadError { io_error, verifier_log }) if is_full(&io_error) => {
            let log = verifier_log.to_string();
            let count = log.split_once("processed ").and_then(|(_, rest)| rest.split_once(" insns")?.0.parse().ok());
            count.unwrap_or_else(|| panic!("no count in the verifier's log: {log}"))
        }
        other => panic!("{program}: {other:?}"),
    }
}

fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}
