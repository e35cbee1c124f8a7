use std::fs;

use super::*;
use crate::ledger::block::Hourly;
use crate::store::damage::Damage;
use crate::store::disk::RealDisk;
use crate::testing::fixtures::{self, bucket};

#[test]
fn reading_begins_at_the_offset_of_a_plain_file_that_has_so_much_and_else_at_the_beginning() {
    let dir = fixtures::dir();
    let first = bucket("2026-10-05T10:00:00Z", "a", 0, 100).encode();
    let text = first.clone() + &bucket("2026-10-05T11:00:00Z", "a", 100, 300).encode();
    let plain = dir.path().join("2026-10-05.jsonl");
    fs::write(&plain, &text).unwrap();
    let compressed = dir.path().join("2026-10-05.jsonl.zst");
    compressed::write(&RealDisk, &compressed, text.as_bytes()).unwrap();
    // A name without an extension is that of a plain file.
    let bare = dir.path().join("log");
    fs::write(&bare, &text).unwrap();

    let (second, whole) = (first.len() as u64, text.len() as u64);
    // Each bucket has two lines and a seal.
    let both = vec![(1, 0..second), (4, second..whole)];
    for (path, offset, begin, expected) in [
        (&plain, 0, 0, both.clone()),
        (&plain, second, second, vec![(1, 0..whole - second)]),
        (&plain, whole, whole, vec![]),
        (&plain, whole + 1, 0, both.clone()),
        (&bare, second, second, vec![(1, 0..whole - second)]),
        (&compressed, second, 0, both.clone()),
    ] {
        let blocks = Blocks::<Hourly>::open_at(path, offset).unwrap().unwrap();
        assert_eq!(blocks.begin(), begin, "{path:?} at {offset}");
        let found: Vec<_> = blocks
            .map(|item| match item.unwrap() {
                Item::Block(found) => (found.line, found.bytes),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, expected, "{path:?} at {offset}");
    }
}

#[test]
fn only_a_compressed_file_is_damaged_where_reading_it_fails_and_only_if_the_system_did_not_refuse() {
    let dir = fixtures::dir();
    let path = dir.path().join("2026-10-05.jsonl.zst");
    compressed::write(&RealDisk, &path, &b"one\n"[..]).unwrap();
    let compressed = compressed::open(&path).unwrap();
    let (undecodable, refused) = (io::Error::other("not zstd"), io::Error::from_raw_os_error(5));
    assert!(compressed.is_damaged(&undecodable) && !compressed.is_damaged(&refused));
    let path = dir.path().join("2026-10-05.jsonl");
    fs::write(&path, "one\n").unwrap();
    let plain = compressed::open(&path).unwrap();
    assert!(!plain.is_damaged(&undecodable) && !plain.is_damaged(&refused));
}

#[test]
fn damage_is_named_with_its_causes() {
    let dir = fixtures::dir();
    let path = dir.path().join("2026-10-05.jsonl");
    let text = bucket("2026-10-05T10:00:00Z", "a", 0, 100).encode();
    // Its first line of three.
    fs::write(&path, format!("?\n{}", text.split_once('\n').unwrap().1)).unwrap();
    let mut blocks = Blocks::<Hourly>::open(&path).unwrap().unwrap();
    let Some(Ok(Item::Damage(damage))) = blocks.next() else { panic!("no damage") };
    let named = Damage::of_block(&path, &damage).to_string();
    let expected = "2026-10-05.jsonl:1: not JSON: expected value at line 1 column 1 (3 lines do not count)";
    assert!(named.ends_with(expected), "{named}");
}
