//! Fuzzes the import of the legacy scripts' logs.
#![no_main]

#[path = "../laws/legacy.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
