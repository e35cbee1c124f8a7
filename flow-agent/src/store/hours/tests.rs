use super::*;
use crate::testing::fixtures::{self, bucket};

#[test]
fn only_files_of_the_log_are_read() {
    for name in ["2026-10-05.jsonl", "2026-10-05.jsonl.zst"] {
        assert_eq!(date_of(name), NaiveDate::from_ymd_opt(2026, 10, 5));
    }
    for name in [
        "2026-10-5.jsonl",
        ".2026-10-05.jsonl.new",
        "2026-10-05.jsonl.torn",
        "2026-10-05.jsonlzst",
        "2026-10-05.zst",
        ".2026-10-05.jsonl.zst.new",
        "2026-02-30.jsonl",
        "+2026-10-05.jsonl",
        "+262142-12-31.jsonl",
        "9999-01-01.jsonl",
    ] {
        assert_eq!(date_of(name), None, "{name}");
    }
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_bucket_without_a_seal_may_be_about_to_get_one_only_in_the_newest_file() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    fs::create_dir_all(state.hourly_dir()).unwrap();
    for day in ["2026-10-05", "2026-10-06"] {
        let text = bucket(&format!("{day}T10:00:00Z"), "a", 0, 100).encode();
        fs::write(state.hourly(date(day)), text.split_inclusive('\n').take(2).collect::<String>()).unwrap();
    }
    let items: Vec<HourItem> =
        Hours::read(&state, NaiveDate::MIN..=NaiveDate::MAX).unwrap().map(Result::unwrap).collect();
    let [HourItem::Damage(older), HourItem::Unfinished(newest)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((&older.path, older.lines), (&state.hourly(date("2026-10-05")), 2));
    assert_eq!((&newest.path, newest.lines), (&state.hourly(date("2026-10-06")), 2));
}

#[test]
fn a_date_with_two_files_is_listed_once() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    fs::create_dir_all(state.hourly_dir()).unwrap();
    for day in ["2026-10-05", "2026-10-06"] {
        fs::write(state.hourly(date(day)), "").unwrap();
    }
    fs::write(state.hourly_compressed(date("2026-10-05")), "").unwrap();
    assert_eq!(dates(&state).unwrap(), [date("2026-10-05"), date("2026-10-06")]);
}

#[test]
fn the_months_with_a_daily_log_are_listed_in_order() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    assert_eq!(tabled_months(&state).unwrap(), []);
    fs::create_dir_all(state.daily_dir()).unwrap();
    let months = ["2025-12", "2026-01", "2026-02", "2026-10"];
    for name in ["2026-10", "2026-01", "2025-12", "2026-02"] {
        fs::write(state.daily_dir().join(format!("{name}.jsonl")), "").unwrap();
    }
    for name in [".2026-03.jsonl.new", "2026-04.jsonl.0-7.damaged", "2026-05", "2026-13.jsonl", "notes.jsonl"] {
        fs::write(state.daily_dir().join(name), "").unwrap();
    }
    assert_eq!(tabled_months(&state).unwrap(), months.map(|month| month.parse().unwrap()));
}

#[test]
fn a_day_that_is_compressed_between_two_looks_is_read() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    fs::create_dir_all(state.hourly_dir()).unwrap();
    let day = date("2026-10-05");
    let text = bucket("2026-10-05T10:00:00Z", "a", 0, 100).encode();
    fs::write(state.hourly(day), &text).unwrap();
    let mut hours = Hours::read(&state, day..=day).unwrap();
    let packed = hours.files.next().unwrap();
    assert!(hours.open(packed.clone()).unwrap().is_none());
    fs::write(&packed, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    fs::remove_file(state.hourly(day)).unwrap();
    assert_eq!(hours.map(Result::unwrap).filter(|item| matches!(item, HourItem::Bucket(_))).count(), 1);
}
