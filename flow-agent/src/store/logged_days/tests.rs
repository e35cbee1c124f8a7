use std::time::{Duration, SystemTime};

use super::*;
use crate::store::compressed;
use crate::store::journal::Journal;
use crate::store::table::put_days;
use crate::testing::fixtures::{bucket, day as made, dir, instant, total_of};

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The bytes of port 443 by day, with the kind of block that they come from.
fn found(state: &StateDir, from: &str, to: &str) -> Vec<(u32, &'static str, u64)> {
    let mut all = Vec::new();
    read(state, date(from)..=date(to), date("2026-10-05"), |day, part| {
        let number = day.format("%d").to_string().parse().unwrap();
        all.push(match part {
            LoggedPart::Day(block) => (number, "day", block.lines[0].counters().in_bytes()),
            LoggedPart::Bucket(block) => (number, "bucket", block.lines[0].counters().in_bytes()),
            LoggedPart::Damage(_) => (number, "damage", 0),
        });
    })
    .unwrap();
    all
}

#[test]
fn each_day_is_read_once_from_the_log_that_is_complete() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut total = 0;
    for number in 2..=5 {
        let mut hour = bucket(&format!("2026-10-{number:02}T10:00:00+08:00"), "one", total, total + number);
        journal.append(&mut hour).unwrap();
        total = total_of(&hour);
        // Written at 11:00 on its day.
        let written_at = instant(&format!("2026-10-{number:02}T11:00:00+08:00")).timestamp();
        let file = fs::File::options().write(true).open(state.hourly(date(&format!("2026-10-{number:02}")))).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(written_at.try_into().unwrap())).unwrap();
    }
    let put = |day: &str, bytes: u64, at: &str| {
        let mut block = made(day, 3_600, bytes);
        block.seal.at = Some(instant(at));
        put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap();
    };
    // The hours of the 1st are gone. The 3rd was rolled up before it was over, the 5th is today.
    put("2026-10-01", 1_001, "2026-10-02T00:00:01+08:00");
    put("2026-10-02", 1_002, "2026-10-03T00:00:01+08:00");
    put("2026-10-03", 1_003, "2026-10-03T10:30:00+08:00");
    put("2026-10-05", 1_005, "2026-10-06T00:00:01+08:00");
    let expected = [(1, "day", 1_001), (2, "day", 1_002), (3, "bucket", 3), (4, "bucket", 4), (5, "bucket", 5)];
    assert_eq!(found(&state, "2026-10-01", "2026-10-31"), expected);
    assert_eq!(found(&state, "2026-10-02", "2026-10-02"), expected[1..2]);

    // A late bucket of the 2nd is written after its roll-up.
    let file = fs::File::options().write(true).open(state.hourly(date("2026-10-02"))).unwrap();
    let at = instant("2026-10-03T00:00:01+08:00").timestamp().try_into().unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
    assert_eq!(found(&state, "2026-10-02", "2026-10-02"), [(2, "bucket", 2)]);
}

#[test]
fn a_day_that_was_sealed_ahead_of_today_is_read_from_its_hours() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    journal.append(&mut bucket("2026-10-03T10:00:00+08:00", "one", 0, 3)).unwrap();
    let mut block = made("2026-10-03", 3_600, 1_003);
    block.seal.at = Some(instant("9000-01-01T00:00:00+08:00"));
    put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap();
    assert_eq!(found(&state, "2026-10-03", "2026-10-03"), [(3, "bucket", 3)]);
}

#[test]
fn days_of_two_months_are_read_from_the_files_of_both() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    for (day, bytes) in [("2026-08-31", 831), ("2026-09-29", 929), ("2026-09-30", 930), ("2026-10-01", 1_001)] {
        put_days(&state.lock_daily().unwrap(), vec![made(day, 86_400, bytes)], false).unwrap();
    }
    let expected = [(31, "day", 831), (29, "day", 929), (30, "day", 930), (1, "day", 1_001)];
    assert_eq!(found(&state, "2026-08-31", "2026-10-02"), expected);
}

#[test]
fn a_day_whose_hours_are_compressed_is_read_from_the_daily_log_if_it_was_made_after_the_day() {
    for (made_at, expected) in
        [("2026-10-03T00:00:00+08:00", (2, "day", 1_002)), ("2026-10-02T23:59:59+08:00", (2, "bucket", 2))]
    {
        let dir = dir();
        let state = StateDir::new(dir.path());
        let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
        journal.append(&mut bucket("2026-10-02T10:00:00+08:00", "one", 0, 2)).unwrap();
        let (plain, day) = (state.hourly(date("2026-10-02")), date("2026-10-02"));
        compressed::write(state.disk(), &state.hourly_compressed(day), fs::File::open(&plain).unwrap()).unwrap();
        fs::remove_file(plain).unwrap();
        let mut block = made("2026-10-02", 86_400, 1_002);
        block.seal.at = Some(instant(made_at));
        put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap();
        assert_eq!(found(&state, "2026-10-02", "2026-10-02"), [expected]);
    }
}
