//! The programs as the kernel runs them: what a packet costs.

use crate::classifiers::PROGRAMS;
use crate::instructions::Plain;
use crate::program::Loaded;

#[test]
fn a_plain_packet_costs_no_helper_call_and_no_atomic_instruction() {
    // Since 6.10 the verifier also inlines the number of the CPU.
    if kernel() < (6, 10) {
        eprintln!("SKIPPED: this kernel calls a helper for the CPU's number");
        return;
    }
    let Some(loaded) = Loaded::load(false) else { return };
    for program in PROGRAMS {
        let plain = Plain::of(loaded.program(program));
        assert!(plain.instructions() < 250, "{program}: {} instructions", plain.instructions());
        assert_eq!((plain.helper_calls(), plain.atomics()), (0, 0), "{program}");
    }
}

/// Major and minor version of the running kernel.
fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_str().unwrap().split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
