//! The reader of the sealed logs on whatever comes to mind.
#![no_main]

#[path = "../laws/blocks.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
