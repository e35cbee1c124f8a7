use std::fs;

use super::*;
use crate::testing::fixtures;

fn october() -> Month {
    "2026-10".parse().unwrap()
}

#[test]
fn a_copy_is_read_again_only_while_neither_file_has_changed() {
    let dir = fixtures::dir();
    let (source, kept) = (dir.path().join("source"), dir.path().join("kept"));
    let text = fixtures::day("2026-10-05", 3_600, 5).encode() + &fixtures::day("2026-10-06", 3_600, 6).encode();
    fs::write(&source, &text).unwrap();
    fs::write(&kept, &text).unwrap();
    let known = || KnownFile {
        path: kept.clone(),
        kept: FileIdentity::at(&kept).unwrap(),
        origin: FileIdentity::at(&source).unwrap(),
        crc32c: crc32c::crc32c(text.as_bytes()),
    };
    let first = known();
    let names = |name: &str| [name.to_owned()];
    let found = |known: &KnownFile, name: &str| known.found(&names(name), october(), MonthDays::of(october(), 1));
    let days = found(&first, "hk-1").unwrap().days;
    assert_eq!(days.iter().map(|day| day.seal.day.to_string()).collect::<Vec<_>>(), ["2026-10-05", "2026-10-06"]);
    assert_eq!(days[1].bytes.end, text.len() as u64);
    assert!(first.is_copy_of(&source) && !first.is_copy_of(&dir.path().join("absent")));
    // All the other rules apply.
    assert!(found(&first, "us-1").is_none());
    let november = "2026-11".parse().unwrap();
    assert!(first.found(&names("hk-1"), november, MonthDays::of(november, 1)).is_none());

    fs::write(&source, text.clone() + &fixtures::day("2026-10-07", 3_600, 7).encode()).unwrap();
    assert!(!first.is_copy_of(&source));
    // A bit of the kept file has flipped, and nothing else about it has changed.
    let flipped = text.replace("\"tcp_in_bytes\":6,", "\"tcp_in_bytes\":7,");
    assert_ne!(flipped, text);
    fs::write(&kept, flipped).unwrap();
    let second = known();
    assert!(second.is_copy_of(&source) && !first.is_copy_of(&source));
    assert!(found(&second, "hk-1").is_none());
    // A whole file of something else.
    fs::write(&kept, fixtures::day("2026-10-05", 3_600, 5).encode()).unwrap();
    assert!(found(&known(), "hk-1").is_none());
}
