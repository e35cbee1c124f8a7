//! Fuzzes the reader of the sealed logs.
#![no_main]

#[path = "../laws/blocks.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
