//! Fuzzes the frame parser.
#![no_main]

#[path = "../laws/frame.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
