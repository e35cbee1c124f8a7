//! The readers of port files on whatever comes to mind.
#![no_main]

#[path = "../laws/ports.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
