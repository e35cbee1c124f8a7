//! Fuzzes the reader of saved rules.
#![no_main]

#[path = "../laws/saved.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
