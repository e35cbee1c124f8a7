#![expect(clippy::disallowed_methods, reason = "the tests write the files of a log themselves")]

use std::fs;
use std::ops::RangeInclusive;

use chrono::{DateTime, Days, FixedOffset, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::commands::show::narrow::Narrow;
use crate::commands::show::sum::Sum;
use crate::ledger::block::{Block, HourBlock};
use crate::ledger::calendar::BucketLength;
use crate::ledger::counters::{Counters, Device, Flow, Others};
use crate::ledger::record::HourLine;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::ledger::unsealed::Settings;
use crate::render::figures::{FigureKind, TopRow, TotalRow};
use crate::store::StateDir;
use crate::store::hours::{HourItem, Hours};
use crate::testing::fixtures;

/// How a day of the log differs from a plain one, whose hours are all there and rolled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oddity {
    None,
    /// Nothing moved.
    Idle,
    NotRolledUp,
    /// Rolled up at noon only.
    RolledUpAtNoon,
    /// The hourly file was deleted after the roll-up.
    HoursGone,
    /// A byte of a line was flipped before the roll-up.
    Damaged,
    /// A bucket was cut off at the end of the file before the roll-up.
    Torn,
    /// The last bucket ends two hours after midnight.
    Late,
    /// The port has another owner in the afternoon.
    NewOwner,
    /// Quotas refused something.
    Refused,
    /// Some seals list no devices.
    SomeDevices,
    /// A bucket is there twice.
    Copied,
    /// The file is that of the day before.
    OfTheDayBefore,
    /// The hours are compressed.
    Compressed,
    /// Nothing was counted.
    Missing,
}

const ODDITIES: [Oddity; 15] = [
    Oddity::None,
    Oddity::Idle,
    Oddity::NotRolledUp,
    Oddity::RolledUpAtNoon,
    Oddity::HoursGone,
    Oddity::Damaged,
    Oddity::Torn,
    Oddity::Late,
    Oddity::NewOwner,
    Oddity::Refused,
    Oddity::SomeDevices,
    Oddity::Copied,
    Oddity::OfTheDayBefore,
    Oddity::Compressed,
    Oddity::Missing,
];

/// The log begins here, so that it has the turn of a month in it.
const FIRST_DAY: &str = "2026-10-28";

fn day(number: usize) -> NaiveDate {
    FIRST_DAY.parse::<NaiveDate>().unwrap() + Days::new(number as u64)
}

fn instant(number: usize, hour: i64) -> DateTime<FixedOffset> {
    fixtures::instant(&format!("{}T00:00:00+08:00", day(number))) + TimeDelta::hours(hour)
}

/// The bucket of an hour. All of its figures depend on its `seq`, so that none can stand in for another.
fn bucket(number: usize, hour: i64, hours: i64, oddity: Oddity) -> HourBlock {
    let (start, end) = (instant(number, hour), instant(number, hour + hours));
    let seq = number as u64 * 24 + hour as u64 + 1;
    let figure = if oddity == Oddity::Idle { 0 } else { 7_919 * seq };
    let line = |port: u16, user: Option<&str>| {
        let figure = figure * u64::from(port % 7);
        let counters = Counters::from_array(std::array::from_fn(|index| figure / (index as u64 + 1)));
        HourLine::new(start, end, port, user.map(str::to_owned), counters, Some([seq; 8]), false)
    };
    let owner = if oddity == Oddity::NewOwner && hour >= 12 { "new" } else { "ada" };
    let mut block = fixtures::bucket("2026-10-28T00:00:00+08:00", "boot.map", 0, 0);
    block.lines = vec![line(443, None), line(8388, Some(owner)), line(9_000, Some("ada")), line(9_001, Some("bob"))];
    let seal = &mut block.seal;
    (seal.start, seal.end, seal.seq) = (start, end, Some(seq));
    seal.other = Others { other_ip: Flow { in_bytes: seq, ..Flow::default() }, ..Others::default() };
    let device = Device { name: "eth0".into(), rx_bytes: 9 * seq, rx_packets: 2, ..Device::default() };
    seal.devices = if oddity == Oddity::SomeDevices && hour % 5 == 0 { Vec::new() } else { vec![device] };
    if oddity == Oddity::Refused && hour % 3 == 0 {
        seal.blocked = [(8388, Flow { in_bytes: seq, in_packets: 1, ..Flow::default() })].into_iter().collect();
    }
    seal.quality = match (hour, hours) {
        (3, _) => Quality::Clock,
        (_, 1) => Quality::Exact,
        _ => Quality::Late,
    };
    block
}

fn buckets(number: usize, oddity: Oddity, after: Option<Oddity>) -> Vec<HourBlock> {
    let first = if after == Some(Oddity::Late) { 2 } else { 0 };
    let last = if oddity == Oddity::Late { 23 } else { 24 };
    let mut blocks: Vec<_> = (first..last).map(|hour| bucket(number, hour, 1, oddity)).collect();
    if oddity == Oddity::Late {
        blocks.push(bucket(number, 23, 3, oddity));
    }
    blocks
}

fn rolled_up(state: &StateDir, number: usize, now: DateTime<Utc>) -> Block<Daily> {
    let rules = DayRules { node: "hk-1".into(), zone: chrono_tz::Asia::Shanghai, bucket: BucketLength::HOUR };
    let (mut rollup, before) = (DayRollup::new(rules, day(number)), day(number) - Days::new(1));
    for hour in Hours::read(state, before..=day(number)).unwrap() {
        match hour.unwrap() {
            HourItem::Bucket(block) => rollup.take(&block),
            HourItem::Damage(damage) => drop(damage.span.map(|span| rollup.reject(span, &damage.what))),
            HourItem::Unfinished(_) => {}
        }
    }
    rollup.finish(now)
}

/// A log whose days are as given; today is the day after them.
fn log(oddities: &[Oddity]) -> (tempfile::TempDir, StateDir, ShowContext) {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    for made in [state.hourly_dir(), state.daily_dir()] {
        fs::create_dir(made).unwrap();
    }
    let now = instant(oddities.len(), 15);
    let mut files: Vec<String> = Vec::new();
    for (number, oddity) in oddities.iter().copied().chain([Oddity::None]).enumerate() {
        let after = number.checked_sub(1).map(|before| oddities[before]);
        let mut blocks = buckets(number, oddity, after);
        blocks.retain(|block| block.seal.end <= now);
        let mut texts: Vec<String> = blocks.iter_mut().map(HourBlock::encode).collect();
        match oddity {
            Oddity::Damaged => texts[5] = texts[5].replacen(r#""port":9000"#, r#""port":9002"#, 1),
            Oddity::Torn => texts.last_mut().unwrap().truncate(300),
            Oddity::Copied => texts.push(texts[7].clone()),
            Oddity::Missing => texts.clear(),
            Oddity::OfTheDayBefore => texts = files.last().cloned().into_iter().collect(),
            _ => {}
        }
        let text = texts.concat();
        if !text.is_empty() {
            fs::write(state.hourly(day(number)), &text).unwrap();
        }
        files.push(text);
        let at_noon = oddity == Oddity::RolledUpAtNoon;
        if at_noon {
            fs::write(state.hourly(day(number)), texts[..12].concat()).unwrap();
        }
        let is_today = number == oddities.len();
        if !matches!(oddity, Oddity::NotRolledUp | Oddity::Missing) {
            let until = if at_noon || is_today { 12 } else { 30 };
            let block = rolled_up(&state, number, instant(number, until).to_utc()).encode();
            let path = state.daily(Month::of(day(number)));
            fs::write(&path, fs::read_to_string(&path).unwrap_or_default() + &block).unwrap();
        }
        if at_noon {
            fs::write(state.hourly(day(number)), texts.concat()).unwrap();
        }
    }
    for (number, oddity) in oddities.iter().enumerate() {
        let plain = state.hourly(day(number));
        match oddity {
            Oddity::HoursGone => fs::remove_file(plain).unwrap(),
            Oddity::Compressed => {
                let content = zstd::encode_all(fs::File::open(&plain).unwrap(), 1).unwrap();
                fs::write(state.hourly_compressed(day(number)), content).unwrap();
                fs::remove_file(plain).unwrap();
            }
            _ => {}
        }
    }
    let context = ShowContext { now: now.to_utc(), zone: chrono_tz::Asia::Shanghai, month_start_day: 1 };
    (dir, state, context)
}

/// Everything that `show total` prints, and what it says about damage.
type Printed = (TotalRow, Vec<TopRow>, Vec<String>);

fn printed(sum: &Sum, log: &mut Log) -> Printed {
    (sum.total(FigureKind::Total, log.damages()), sum.top(usize::MAX), log.take_damages())
}

fn open(state: &StateDir, narrow: &Narrow) -> Log {
    let settings = Settings { node: "hk-1".into(), zone: chrono_tz::Asia::Shanghai, bucket: BucketLength::HOUR };
    Log::new(state.clone(), settings).unwrap().narrowed(narrow.clone())
}

/// The sum of all buckets, and of the days whose buckets no longer exist.
fn from_buckets(state: &StateDir, context: &ShowContext, period: &Period, narrow: &Narrow) -> Printed {
    let (mut log, mut sum) = (open(state, narrow), Sum::default());
    log.buckets(period, |shown| {
        sum.add(&shown, !narrow.is_narrow());
        Ok(true)
    })
    .unwrap();
    if let Period::Days(days) = period {
        log.days_without_hours(days, |block| sum.add_day(&block, context.zone)).unwrap();
    }
    printed(&sum, &mut log)
}

/// The same with days in the place of buckets, and how many of them there were.
fn from_days(state: &StateDir, context: &ShowContext, period: &Period, narrow: &Narrow) -> (Printed, usize) {
    let (mut log, mut sum, mut days) = (open(state, narrow), Sum::default(), 0);
    log.parts(period, context, |part| match part {
        LogPart::Day(day) => {
            days += 1;
            sum.add_whole_day(&day, !narrow.is_narrow());
        }
        LogPart::Bucket(shown) => sum.add(&shown, !narrow.is_narrow()),
    })
    .unwrap();
    if let Period::Days(days) = period {
        log.days_without_hours(days, |block| sum.add_day(&block, context.zone)).unwrap();
    }
    (printed(&sum, &mut log), days)
}

fn narrows() -> [Narrow; 5] {
    let user = |name: &str| Narrow { user: Some(name.to_owned()), ..Narrow::default() };
    let ports = |ports: RangeInclusive<u16>| Narrow { ports: Some(ports.collect()), ..Narrow::default() };
    [Narrow::default(), user("ada"), user("new"), ports(8_000..=8_999), ports(443..=443)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn days_say_what_their_buckets_say(
        oddities in prop::collection::vec(prop::sample::select(&ODDITIES[..]), 1..9),
        narrow in prop::sample::select(narrows().to_vec()),
        (from, to) in (0_usize..10, 0_usize..10),
        hours in prop::option::of((0_i64..24, 0_i64..24)),
    ) {
        let (_dir, state, context) = log(&oddities);
        let period = match hours {
            None => Period::Days(day(from)..=day(to)),
            Some((first, last)) => Period::Instants {
                from: instant(from, first).to_utc(),
                to: instant(to, last).to_utc(),
            },
        };
        let (days, _) = from_days(&state, &context, &period, &narrow);
        prop_assert_eq!(days, from_buckets(&state, &context, &period, &narrow));
    }
}

/// How many of three days are taken from the daily log if the second is as given; checks that nothing else changes.
fn days_taken(oddity: Oddity, narrow: &Narrow) -> usize {
    let (_dir, state, context) = log(&[Oddity::None, oddity, Oddity::None]);
    let period = Period::Days(day(0)..=day(3));
    let (printed, days) = from_days(&state, &context, &period, narrow);
    assert_eq!(printed, from_buckets(&state, &context, &period, narrow), "{oddity:?}");
    days
}

#[test]
fn only_days_that_are_certain_are_taken() {
    for oddity in ODDITIES {
        let expected = match oddity {
            // A late bucket is in the day in which it begins, so that both days are whole.
            Oddity::None | Oddity::Idle | Oddity::Late | Oddity::NewOwner | Oddity::Refused => 3,
            _ => 2,
        };
        assert_eq!(days_taken(oddity, &Narrow::default()), expected, "{oddity:?}");
    }
    // Only the buckets tell of whom something was refused; devices do not matter to a part of the ports.
    let ada = &narrows()[1];
    assert_eq!(days_taken(Oddity::Refused, ada), 2);
    assert_eq!(days_taken(Oddity::SomeDevices, ada), 3);
}

#[test]
fn a_day_that_is_cut_by_the_period_is_not_taken() {
    let (_dir, state, context) = log(&[Oddity::None; 3]);
    let period = Period::Instants { from: instant(0, 1).to_utc(), to: instant(3, 0).to_utc() };
    assert_eq!(from_days(&state, &context, &period, &Narrow::default()).1, 2);
    let period = Period::Instants { from: instant(0, 0).to_utc(), to: instant(2, 23).to_utc() };
    assert_eq!(from_days(&state, &context, &period, &Narrow::default()).1, 2);
}

#[test]
fn a_daily_log_that_is_damaged_is_named_and_not_used() {
    let (_dir, state, context) = log(&[Oddity::None; 3]);
    let path = state.daily(Month::of(day(1)));
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line.contains("2026-10-29") && line.contains(r#""port":9000"#)).unwrap();
    let damaged: Vec<String> = text.lines().map(str::to_owned).collect();
    let damaged = damaged
        .iter()
        .enumerate()
        .map(|(at, text)| if at == line { text.replace("9000", "9002") } else { text.clone() });
    fs::write(&path, damaged.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let period = Period::Days(day(0)..=day(3));
    let (printed, days) = from_days(&state, &context, &period, &Narrow::default());
    assert_eq!((days, printed.2.len(), printed.0.damages), (2, 1, 1));
    let (total, top, _) = from_buckets(&state, &context, &period, &Narrow::default());
    assert_eq!((&printed.0.sums, &printed.0.quality, &printed.1), (&total.sums, &total.quality, &top));
}
