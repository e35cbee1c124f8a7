//! Tests every input in `fuzz/corpus/frame`: handmade ones, and those with which the fuzzer broke a law.

#[path = "../../fuzz/laws/frame.rs"]
mod laws;

use std::fs;
use std::path::Path;

#[test]
#[expect(clippy::disallowed_methods, reason = "tests stand outside the rooms")]
fn the_laws_of_the_frame_parser_hold_for_the_whole_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frame");
    let inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    for input in inputs {
        laws::hold(&fs::read(input).unwrap());
    }
}
