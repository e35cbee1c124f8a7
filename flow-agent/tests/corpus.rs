//! Every text in `fuzz/corpus/saved`: made by hand from what both variants of iptables print, and each that the fuzzer found
//! to break a law.

#[path = "../../fuzz/laws/saved.rs"]
mod laws;

use std::fs;
use std::path::Path;

#[test]
#[expect(clippy::disallowed_methods, reason = "tests stand outside the rooms")]
fn the_laws_of_saved_rules_hold_for_the_whole_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/saved");
    let inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    for input in inputs {
        eprintln!("{}", input.display());
        laws::hold(&fs::read(input).unwrap());
    }
}
