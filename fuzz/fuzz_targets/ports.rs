//! Fuzzes the readers of port files.
#![no_main]

#[path = "../laws/ports.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
