use chrono::{DateTime, Utc};

use super::*;
use crate::ledger::counters::{Counters, Flow};
use crate::store::journal::Journal;
use crate::testing::fixtures::{bucket, dir, instant};

const REFUSED: Flow = Flow { in_bytes: 90, in_packets: 2, out_bytes: 40, out_packets: 1 };

fn dates(now: &str) -> Dates {
    let now: DateTime<Utc> = instant(now).to_utc();
    Dates::of(chrono_tz::Asia::Hong_Kong, 1, now)
}

/// Appends the hour that begins at `start`, in which the counter of port 443 went from `before` to `total`.
fn append(journal: &mut Journal, start: &str, before: u64, total: u64) {
    let mut hour = bucket(start, "boot-1", before, total);
    hour.seal.seq = Some(journal.next_seq());
    hour.seal.other.non_ip.in_bytes = 7;
    hour.seal.blocked = [(443, REFUSED), (8388, REFUSED)].into_iter().collect();
    journal.append(&mut hour).unwrap();
}

fn of_443(books: &Books) -> (u64, u64) {
    let usage = books.sums.ports[&443];
    (usage.today.in_bytes(), usage.month.in_bytes())
}

#[test]
fn what_is_appended_is_added_and_midnight_ends_a_day() {
    let directory = dir();
    let state = StateDir::new(directory.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    append(&mut journal, "2026-10-05T12:00:00+08:00", 0, 10);
    append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
    let afternoon = dates("2026-10-05T14:30:00+08:00");
    // The second bucket was sealed after the reading, whose open bucket contains it.
    let mut books = Books::open(&state, afternoon, 1).unwrap();
    assert_eq!(of_443(&books), (10, 10));
    books.go_on(&state, afternoon, 2).unwrap();
    assert_eq!(of_443(&books), (30, 30));
    append(&mut journal, "2026-10-05T23:00:00+08:00", 30, 100);
    append(&mut journal, "2026-10-06T00:00:00+08:00", 100, 500);
    books.go_on(&state, dates("2026-10-06T01:00:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&books), (400, 500));
    assert_eq!(books.sums.users["acct-8388"].month, books.sums.ports[&8388].month);
    // Only today's refusals, and only those of ports with a user.
    assert_eq!(books.sums.refused, [("acct-8388".to_owned(), REFUSED)].into());
    // A new month knows nothing of the one before.
    books.go_on(&state, dates("2026-11-01T00:30:00+08:00"), 4).unwrap();
    assert_eq!(books.sums.ports.get(&443), None);
    // Reading everything again gives the same.
    let anew = Books::open(&state, dates("2026-10-06T01:00:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&anew), (400, 500));
}

#[test]
fn a_log_that_was_mended_is_read_from_its_beginning_and_nothing_counts_twice() {
    let directory = dir();
    let state = StateDir::new(directory.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    append(&mut journal, "2026-10-05T12:00:00+08:00", 0, 10);
    let now = dates("2026-10-05T15:00:00+08:00");
    let mut books = Books::open(&state, now, 0).unwrap();
    books.go_on(&state, now, 1).unwrap();
    append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
    let path = state.hourly("2026-10-05".parse().unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    // An invalid line before all others moves every block.
    std::fs::write(&path, format!("nobody's\n{text}")).unwrap();
    books.go_on(&state, now, 2).unwrap();
    assert_eq!((of_443(&books), books.sums.through), ((30, 30), 2));
}

#[test]
fn the_sums_of_all_time_go_on_where_they_stood() {
    let directory = dir();
    let state = StateDir::new(directory.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    append(&mut journal, "2026-09-30T12:00:00+08:00", 0, 10);
    append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
    let now = dates("2026-10-05T15:00:00+08:00");
    let mut books = Books::open(&state, now, 2).unwrap();
    let stands = |ever: &Cumulative| (ever.port(443).in_bytes(), ever.other.non_ip.in_bytes, ever.seq);
    assert_eq!(stands(books.ever(&state, 0).unwrap()), (30, 14, 2));
    append(&mut journal, "2026-10-05T14:00:00+08:00", 30, 100);
    books.go_on(&state, now, 3).unwrap();
    assert_eq!(stands(books.ever(&state, 0).unwrap()), (100, 21, 3));
    // The next agent finds the stored sums and adds what came after them, even if the older hours were moved away.
    std::fs::remove_file(state.hourly("2026-09-30".parse().unwrap())).unwrap();
    let mut after = Books::open(&state, now, 3).unwrap();
    assert_eq!(stands(after.ever(&state, 0).unwrap()), (100, 21, 3));
    // A log that ends before the stored sums has another history.
    let mut older = Books::open(&state, now, 1).unwrap();
    assert_eq!(older.ever(&state, 0).unwrap().port(443), Counters::default());
}

#[test]
fn a_clock_that_was_elsewhere_for_a_while_leaves_nothing_out_of_the_sums() {
    let directory = dir();
    let state = StateDir::new(directory.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    append(&mut journal, "2026-10-05T12:00:00+08:00", 0, 10);
    append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
    let mut books = Books::open(&state, dates("2026-10-05T14:30:00+08:00"), 2).unwrap();
    books.ever(&state, 0).unwrap();
    // More than a month ahead, and back.
    append(&mut journal, "2026-11-20T12:00:00+08:00", 30, 100);
    books.go_on(&state, dates("2026-11-20T13:30:00+08:00"), 3).unwrap();
    assert_eq!(of_443(&books), (70, 70));
    append(&mut journal, "2026-10-05T14:00:00+08:00", 100, 150);
    let afternoon = dates("2026-10-05T15:30:00+08:00");
    books.go_on(&state, afternoon, 4).unwrap();
    assert_eq!((of_443(&books), books.sums.through), ((80, 80), 4));
    // A day of the same month, and back.
    books.go_on(&state, dates("2026-10-20T15:30:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&books), (0, 80));
    books.go_on(&state, afternoon, 4).unwrap();
    assert_eq!(of_443(&books), (80, 80));
    // Forward to a day that the clock has shown before.
    books.go_on(&state, dates("2026-11-20T15:30:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&books), (70, 70));
    assert_eq!(books.ever(&state, 0).unwrap().port(443).in_bytes(), 150);
    // An agent that starts while the clock is behind.
    let mut behind = Books::open(&state, dates("2026-10-05T15:30:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&behind), (80, 80));
    behind.go_on(&state, dates("2026-11-20T15:30:00+08:00"), 4).unwrap();
    assert_eq!(of_443(&behind), (70, 70));
    // One that finds sums that were stored while the clock was ahead.
    assert_eq!(behind.ever(&state, 0).unwrap().port(443).in_bytes(), 150);
}
