//! Fuzzes the readers of the small files in the state directory.
#![no_main]

#[path = "../laws/state.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // The directory is in memory, because each input is written to a file.
    let root = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    laws::hold(root.path(), input);
});
