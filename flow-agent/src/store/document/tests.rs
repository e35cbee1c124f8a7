use std::fs;

use super::*;
use crate::testing::fixtures;

#[test]
fn a_file_of_the_maximum_size_is_read_whole_and_a_larger_one_is_refused() {
    let dir = fixtures::dir();
    let path = dir.path().join("document");
    // Zeros, which take no space and are UTF-8.
    let file = fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    assert_eq!(read_text(&path).unwrap().map(|text| text.len()), Some(64 << 20));
    file.set_len((64 << 20) + 1).unwrap();
    let error = read_text(&path).unwrap_err();
    assert!(error.to_string().ends_with("is damaged: larger than flow-agent would write"), "{error}");
}
