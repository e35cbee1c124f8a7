//! Checks that unit tests are in a file `tests.rs` (or a directory `tests`) beside the module that they test, so that a
//! module's file contains only its code.

use std::fs;
use std::path::Path;

use crate::imports::rust_files;

const CRATES: [&str; 5] = ["flow-common/src", "flow-agent/src", "flow-ebpf/src", "xtask/src", "tests"];

#[test]
fn unit_tests_have_files_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = CRATES.iter().flat_map(|of_crate| rust_files(&root.join(of_crate)));
    let inline: Vec<_> = files.filter(|file| has_inline_tests(&fs::read_to_string(file).unwrap())).collect();
    assert_eq!(inline, Vec::<std::path::PathBuf>::new(), "move `mod tests` to a `tests.rs` beside the module");
}

#[test]
fn inline_tests_are_told_from_declared_ones() {
    assert!(has_inline_tests("struct One;\n\n#[cfg(test)]\nmod tests {\n}\n"));
    assert!(has_inline_tests("struct One;\n\n#[cfg(test)]\nmod arithmetic_tests {\n}\n"));
    assert!(!has_inline_tests("struct One;\n\n#[cfg(test)]\nmod tests;\n"));
}

fn has_inline_tests(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("mod ") && line.ends_with("tests {"))
}
