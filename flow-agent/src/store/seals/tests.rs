#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::ledger::block::HourBlock;
use crate::ledger::record::{Gap, HourLine};
use crate::testing::fixtures;

/// An hour in which as many ports as given moved something; the lengths of their lines differ.
fn hour(number: u64, ports: u16) -> HourBlock {
    let start = format!("2026-10-05T{:02}:00:00+08:00", number % 24);
    let mut block = fixtures::bucket(&start, "boot.map", 0, number);
    block.seal.seq = Some(number);
    let first = block.lines[0].clone();
    let line = |port: u16| HourLine {
        port,
        user: port.is_multiple_of(3).then(|| "客户".repeat(1 + usize::from(port % 20))),
        tcp_in_bytes: 7_u64.pow(u32::from(port % 22)),
        ..first.clone()
    };
    block.lines = (0..ports).map(line).collect();
    block
}

/// The file with these blocks, and what must be found in it.
fn written(blocks: &mut [HourBlock]) -> (tempfile::TempDir, std::path::PathBuf, Vec<FoundSeal<Hourly>>) {
    let (dir, mut text, mut expected) = (fixtures::dir(), String::new(), Vec::new());
    for block in blocks {
        let start = text.len() as u64;
        text += &block.encode();
        let seal_bytes = text.lines().last().unwrap().len() as u64 + 1;
        expected.push(FoundSeal { seal: block.seal.clone(), bytes: start..text.len() as u64, seal_bytes });
    }
    let path = dir.path().join("2026-10-05.jsonl");
    fs::write(&path, text).unwrap();
    (dir, path, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_seal_is_found_whatever_the_sizes_of_the_blocks(
        sizes in prop::collection::vec(prop_oneof![0_u16..4, 0_u16..60, 900_u16..1_100, 0_u16..3_000], 0..8)
    ) {
        let mut blocks: Vec<HourBlock> = (0..).zip(&sizes).map(|(number, ports)| hour(number, *ports)).collect();
        let (_dir, path, expected) = written(&mut blocks);
        let found = find::<Hourly>(&path).unwrap().unwrap();
        prop_assert_eq!(&found, &expected);
        for (found, written) in found.iter().zip(&blocks) {
            prop_assert_eq!(&block(&path, found).unwrap().unwrap(), written);
        }
    }
}

#[test]
fn a_file_that_looks_different_is_left_to_those_who_read_all_of_it() {
    let (_dir, path, expected) = written(&mut [hour(1, 700), hour(2, 700)]);
    let text = fs::read_to_string(&path).unwrap();
    let second = usize::try_from(expected[0].bytes.end).unwrap();
    let is_left = |text: &str| {
        fs::write(&path, text).unwrap();
        find::<Hourly>(&path).unwrap().is_none()
    };
    assert!(!is_left(&text));
    assert!(!is_left(&text[..second]));
    // Unfinished: within a line, after a line, within the seal, before its line feed.
    for end in [second + 1_000, second + text[second..].find('\n').unwrap() + 1, text.len() - 30, text.len() - 1] {
        assert!(is_left(&text[..end]), "{end}");
    }
    assert!(is_left(&text.replacen(r#""seq":1,"#, r#""seq":3,"#, 1)), "a seal whose checksum is wrong");
    assert!(is_left(&text.replacen(r#"{"v":1,"kind":"hour","#, r#"{"kind":"hour","v":1,"#, 1)), "another order");
    assert!(is_left(&format!("\n{text}")));
    assert!(is_left(&format!("{text}\0\0\0\0")));
    assert!(is_left(&format!("{text}{}", "x".repeat(MAX_LINE_BYTES + 1))));
    let another_bucket = text[..second].replacen("T01:00:00", "T03:00:00", 1);
    assert!(is_left(&another_bucket), "a line of another bucket at the beginning");
    assert_eq!(find::<Hourly>(&path.with_extension("other")).unwrap(), None);
}

#[test]
fn a_block_with_a_damaged_line_is_not_returned() {
    let (_dir, path, _) = written(&mut [hour(1, 700), hour(2, 700)]);
    let text = fs::read_to_string(&path).unwrap();
    let damaged = text.replacen(r#""port":300,"#, r#""port":301,"#, 1);
    fs::write(&path, damaged).unwrap();
    let found = find::<Hourly>(&path).unwrap().unwrap();
    assert_eq!(block(&path, &found[0]).unwrap(), None);
    assert_eq!(block(&path, &found[1]).unwrap(), Some(hour_as_written(2, 700)));
    assert!(!are_intact(&path, &found).unwrap() && are_intact(&path, &found[1..]).unwrap());
}

fn hour_as_written(number: u64, ports: u16) -> HourBlock {
    let mut block = hour(number, ports);
    block.encode();
    block
}

#[test]
fn the_days_of_a_month_are_found() {
    let dir = fixtures::dir();
    let path = dir.path().join("2026-10.jsonl");
    let days: String = (1..=31).map(|day| fixtures::day(&format!("2026-10-{day:02}"), 86_400, day).encode()).collect();
    fs::write(&path, days).unwrap();
    let found = find::<Daily>(&path).unwrap().unwrap();
    assert_eq!(found.len(), 31);
    assert_eq!(found[4].seal.day.to_string(), "2026-10-05");
    assert_eq!(block(&path, &found[4]).unwrap().unwrap().lines[0].tcp_in_bytes, 5);
}

#[test]
fn a_seal_that_is_longer_than_what_is_read_at_once_is_found() {
    let with_gaps = |number, gaps| {
        let mut block = hour(number, 3);
        let (start, end) = (block.seal.start, block.seal.end);
        let gap = |number| Gap { start, end, interface: format!("eth{number}"), why: "gone".into() };
        block.seal.gaps = (0..gaps).map(gap).collect();
        block
    };
    let (_dir, path, expected) = written(&mut [with_gaps(1, 100), with_gaps(2, 1_000), hour(3, 2)]);
    assert!(expected[0].seal_bytes > 4 << 10 && expected[1].seal_bytes > 64 << 10);
    assert_eq!(find::<Hourly>(&path).unwrap().unwrap(), expected);
    // It was written only in part.
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..usize::try_from(expected[1].bytes.end).unwrap() - 10]).unwrap();
    assert_eq!(find::<Hourly>(&path).unwrap(), None);
}

#[test]
fn a_long_block_is_summed_piece_by_piece() {
    let (_dir, path, expected) = written(&mut [hour(1, 3_000), hour(2, 0), hour(3, 1)]);
    assert!(expected[0].bytes.end > 2 * (256 << 10));
    assert!(are_intact(&path, &expected).unwrap());
    let length = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(length - expected[2].seal_bytes - 10).unwrap();
    assert!(!are_intact(&path, &expected).unwrap());
}
