//! The reader of saved rules on whatever comes to mind.
#![no_main]

#[path = "../laws/saved.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(input));
