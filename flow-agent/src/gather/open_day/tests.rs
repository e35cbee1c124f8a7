use std::collections::BTreeSet;

use super::*;
use crate::ledger::block::{BlockEvent, Daily, DayBlock, Decoder};
use crate::ledger::record::DaySeal;
use crate::testing::fixtures;

/// A day on which port 443 received `bytes`, made at this time in Hong Kong.
fn day(date: &str, bytes: u64, at: &str) -> String {
    let block = fixtures::day(date, 3_600, bytes);
    let at = Some(fixtures::instant(&format!("{at}+08:00")));
    DayBlock { seal: DaySeal { at, ..block.seal }, ..block }.encode()
}

/// What the file of October has after the open day was added: each day with its bytes.
fn completed(month_file: Option<&str>, open: Option<&str>) -> Result<Vec<(String, u64)>, GatherError> {
    let dir = fixtures::dir();
    let (path, open_path) = (dir.path().join("n-2026-10.jsonl"), dir.path().join("n-open.jsonl"));
    let names = ["hk-1".to_owned()];
    let open = open.map(|text| {
        fs::write(&open_path, text).unwrap();
        OpenDay::open(open_path, &names, MonthDays::of(october(), 1)).unwrap()
    });
    if let Some(text) = month_file {
        fs::write(&path, text).unwrap();
    }
    let found = complete(&path, month_file.is_some(), &names, october(), open.as_ref(), MonthDays::of(october(), 1))?;
    let mut decoder = Decoder::<Daily>::new();
    let events = decoder.feed(&fs::read(&path).unwrap());
    assert!(decoder.finish().is_none());
    let days: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            BlockEvent::Block(found) => (found.block.seal.day.to_string(), found.block.lines[0].tcp_in_bytes),
            BlockEvent::Damage(damage) => panic!("{damage:?}"),
        })
        .collect();
    if let Some(found) = found {
        // What was verified is what is there, from its first byte to its last.
        let of_day = |found: &SealedDay| found.seal.day.to_string();
        assert!(found.days.iter().map(of_day).eq(days.iter().map(|(day, _)| day.clone())), "{found:?}");
        assert!(found.days.windows(2).all(|two| two[0].bytes.end == two[1].bytes.start), "{found:?}");
        assert_eq!(found.days.last().unwrap().bytes.end, fs::metadata(&path).unwrap().len());
    }
    let distinct: BTreeSet<_> = days.iter().map(|(day, _)| day).collect();
    assert_eq!(distinct.len(), days.len(), "{days:?}");
    Ok(days)
}

fn october() -> Month {
    "2026-10".parse().unwrap()
}

#[test]
fn the_open_day_is_added_to_its_month() {
    let fourth = day("2026-10-04", 4, "2026-10-05T00:00:01");
    let open = day("2026-10-05", 5, "2026-10-05T10:00:00");
    let closed = day("2026-10-05", 55, "2026-10-06T00:00:01");
    let sixth = day("2026-10-06", 6, "2026-10-06T10:00:00");
    let found = |month_file: &[&str], open: &[&str]| {
        let days = completed(Some(&month_file.concat()), Some(&open.concat())).unwrap();
        days.into_iter().map(|(day, bytes)| (day[8..].parse().unwrap(), bytes)).collect::<Vec<(u64, u64)>>()
    };
    assert_eq!(found(&[&fourth], &[&open]), [(4, 4), (5, 5)]);
    // It ended between the two copies.
    assert_eq!(found(&[&fourth, &closed], &[&open]), [(4, 4), (5, 55)]);
    // Both files were copied after that, and the next day is open.
    assert_eq!(found(&[&fourth, &closed], &[&open, &sixth]), [(4, 4), (5, 55), (6, 6)]);
    // The node was upgraded on that day, and its former version had left the day in the file of the month.
    let former = day("2026-10-05", 3, "2026-10-05T09:00:00");
    assert_eq!(found(&[&fourth, &former], &[&open]), [(4, 4), (5, 5)]);
    // The clock was set back, so that the month has a later day.
    assert_eq!(found(&[&fourth, &sixth], &[&open]), [(4, 4), (5, 5), (6, 6)]);
    // Only the other month is in the file.
    let november = day("2026-11-01", 1, "2026-11-01T10:00:00");
    assert_eq!(found(&[&fourth], &[&november]), [(4, 4)]);
}

#[test]
fn on_the_first_day_there_is_only_the_open_day_and_from_older_versions_only_the_month() {
    let open = day("2026-10-05", 5, "2026-10-05T10:00:00");
    assert_eq!(completed(None, Some(&open)).unwrap(), [("2026-10-05".to_owned(), 5)]);
    assert_eq!(completed(Some(&open), None).unwrap(), [("2026-10-05".to_owned(), 5)]);
}

#[test]
fn a_day_that_is_being_appended_counts_as_the_open_day_and_any_other_unsealed_end_is_refused() {
    let fourth = day("2026-10-04", 4, "2026-10-05T00:00:01");
    let open = day("2026-10-05", 5, "2026-10-05T23:00:00");
    let closed = day("2026-10-05", 55, "2026-10-06T00:00:01");
    for length in 1..closed.len() {
        let torn = format!("{fourth}{}", &closed[..length]);
        let days = completed(Some(&torn), Some(&open)).unwrap();
        assert_eq!(days, [("2026-10-04".to_owned(), 4), ("2026-10-05".to_owned(), 5)], "{length}");
        assert!(matches!(completed(Some(&torn), None), Err(GatherError::Rejected { .. })), "{length}");
    }
    let other = day("2026-10-06", 6, "2026-10-07T00:00:01");
    let torn = format!("{fourth}{}", &other[..other.len() / 2]);
    assert!(matches!(completed(Some(&torn), Some(&open)), Err(GatherError::Rejected { .. })));
}
