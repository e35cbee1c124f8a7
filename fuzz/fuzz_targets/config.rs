//! The readers of the configuration and of the users file on whatever comes to mind.
#![no_main]

#[path = "../laws/config.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // In memory, since each input is written to a file.
    let root = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    laws::hold(root.path(), input);
});
