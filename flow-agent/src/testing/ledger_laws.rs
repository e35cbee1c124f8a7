//! Laws that hold from the readings to the month, in every known time zone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;

use crate::ledger::block::{DayBlock, HourBlock};
use crate::ledger::calendar::{self, BucketLength};
use crate::ledger::counters::{Counters, Flow, Others};
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::month::Month;
use crate::ledger::reading::{Identity, Moment, Reading, Unseen};
use crate::ledger::record::{BackendKind, CountMode, DayLine, Quality};
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::ledger::unsealed::{Baseline, Closing, Settings};
use crate::ledger::usage::tests::bucket_of;
use crate::ledger::usage::{Counted, Meter};

type Sums = BTreeMap<(u16, Option<String>), Counters>;

fn add(sums: &mut Sums, port: u16, user: Option<&str>, usage: Counters) {
    let sum = sums.entry((port, user.map(str::to_owned))).or_default();
    *sum = sum.checked_add(usage).unwrap();
}

fn of_hours<'a>(blocks: impl IntoIterator<Item = &'a HourBlock>) -> Sums {
    let mut sums = Sums::new();
    for line in blocks.into_iter().flat_map(|block| &block.lines) {
        add(&mut sums, line.port, line.user.as_deref(), line.counters());
    }
    sums
}

fn of_days(days: &[DayBlock]) -> Sums {
    let mut sums = Sums::new();
    let lines = days.iter().flat_map(|day| &day.lines);
    lines.for_each(|line: &DayLine| add(&mut sums, line.port, line.user.as_deref(), line.counters()));
    sums
}

/// Rolls up every date that the buckets touch, from those buckets that may concern it.
fn roll_up(zone: Tz, bucket: BucketLength, blocks: &[HourBlock]) -> Vec<DayBlock> {
    let rules = DayRules { node: "n".into(), zone, bucket };
    let mut dates = BTreeSet::new();
    for block in blocks {
        let (first, last) = (block.seal.start.date_naive(), block.seal.end.date_naive());
        dates.extend(first.iter_days().take_while(|date| *date <= last));
    }
    let far = DateTime::<Utc>::MAX_UTC - TimeDelta::days(9_999);
    let day = |date: NaiveDate| {
        let mut rollup = DayRollup::new(rules.clone(), date);
        let touches = |block: &&HourBlock| {
            let ends = block.seal.end.to_utc() >= calendar::day_start(zone, date);
            ends && block.seal.start.date_naive() <= date.succ_opt().unwrap()
        };
        let mut distinct = DistinctBuckets::default();
        let blocks = blocks.iter().filter(|block| distinct.admit(&block.seal).unwrap());
        blocks.filter(touches).for_each(|block| rollup.take(block));
        rollup.finish(far)
    };
    dates.into_iter().map(day).collect()
}

fn zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index])
}

fn bucket_length() -> impl Strategy<Value = BucketLength> {
    let divisors = [1_u64, 60, 300, 900, 1_200, 1_800, 3_600, 3_600];
    (0..divisors.len()).prop_map(move |index| std::time::Duration::from_secs(divisors[index]).try_into().unwrap())
}

/// An instant from 1970 to 2040.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let recent = 1_700_000_000..1_900_000_000_i64;
    prop_oneof![4 => recent, 1 => 0..2_208_988_800_i64].prop_map(|at| DateTime::from_timestamp(at, 0).unwrap())
}

/// A bucket with eight different numbers for one port, and with or without a user.
fn bucket(zone: Tz, seq: u64, start: DateTime<Utc>, end: DateTime<Utc>, user: Option<&str>) -> HourBlock {
    let port = 443 + u16::try_from(seq % 3).unwrap();
    let mut block = bucket_of(&[(port, Counters::from_array(std::array::from_fn(|n| seq * 8 + n as u64)))]);
    let (start, end) = (calendar::local(zone, start), calendar::local(zone, end));
    (block.seal.seq, block.seal.start, block.seal.end) = (Some(seq), start, end);
    for line in &mut block.lines {
        (line.start, line.end, line.user) = (start, end, user.map(str::to_owned));
    }
    block
}

/// Periods in which clocks change somewhere (North America, Europe and the Middle East, the southern hemisphere), and
/// the end of a year.
const WEEKS: [(&str, i64); 5] =
    [("2026-03-07", 4), ("2026-03-26", 12), ("2026-09-04", 4), ("2026-10-23", 10), ("2026-12-30", 4)];

#[test]
fn in_every_zone_days_are_as_full_as_their_buckets() {
    for zone in TZ_VARIANTS {
        for (first, days) in WEEKS {
            let first: NaiveDate = first.parse().unwrap();
            let end = calendar::day_start(zone, first + TimeDelta::days(days));
            let (mut start, mut blocks) = (calendar::day_start(zone, first), Vec::new());
            while start < end {
                // Three boundaries on, but never beyond the end of a date, so that each date has its own buckets here.
                let mut next = start;
                for _ in 0..3 {
                    let boundary = calendar::next_boundary(zone, BucketLength::HOUR, next);
                    next = boundary;
                    if calendar::local(zone, boundary).date_naive() != calendar::local(zone, start).date_naive() {
                        break;
                    }
                }
                blocks.push(bucket(zone, blocks.len() as u64, start, next, None));
                start = next;
            }
            let rolled = roll_up(zone, BucketLength::HOUR, &blocks);
            let rolled: Vec<_> =
                rolled.into_iter().filter(|day| day.seal.day < first + TimeDelta::days(days)).collect();
            assert_eq!(of_days(&rolled), of_hours(&blocks), "{zone} {first}");
            for day in &rolled {
                let seal = &day.seal;
                assert_eq!(seal.seconds_covered, seal.seconds_in_day, "{zone} {}", seal.day);
                assert!(seal.gaps.is_empty() && seal.late.is_none(), "{zone} {}", seal.day);
            }
        }
    }
}

proptest! {
    #[test]
    fn hours_are_days_are_months(
        zone in zone(),
        from in instant(),
        start_day in 1..=28_u32,
        lengths in prop::collection::vec((0..300_000_i64, 0..200_000_i64, prop::option::of("[ab]")), 1..40),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut blocks = Vec::new();
        let mut now = from;
        for (pause, length, user) in &lengths {
            let start = now + TimeDelta::seconds(*pause);
            now = start + TimeDelta::seconds(*length);
            blocks.push(bucket(zone, blocks.len() as u64, start, now, user.as_deref()));
        }
        let days = roll_up(zone, BucketLength::HOUR, &blocks);
        prop_assert_eq!(of_days(&days), of_hours(&blocks));
        let covered: i64 = days.iter().map(|day| i64::from(day.seal.seconds_covered)).sum();
        prop_assert_eq!(covered, lengths.iter().map(|(_, length, _)| length).sum::<i64>());

        // In another order, and with duplicates.
        let turn = shuffle.index(blocks.len());
        let mut turned: Vec<_> = blocks[turn..].iter().chain(&blocks).rev().cloned().collect();
        turned.rotate_left(turn);
        prop_assert_eq!(&roll_up(zone, BucketLength::HOUR, &turned), &days);

        let months: BTreeSet<Month> = days.iter().map(|day| Month::containing(day.seal.day, start_day)).collect();
        let mut of_months = Counters::default();
        for month in months {
            let (first, last) = (month.first_day(start_day), month.last_day(start_day));
            let lines = days.iter().filter(|day| (first..=last).contains(&day.seal.day)).flat_map(|day| &day.lines);
            of_months = lines.fold(of_months, |sum, line| sum.checked_add(line.counters()).unwrap());
            let seconds: u64 = month.days(start_day).map(|day| u64::from(calendar::seconds_in_day(zone, day))).sum();
            prop_assert_eq!(seconds, calendar::seconds_in_month(zone, month, start_day));
        }
        let of_hours = of_hours(&blocks).values().fold(Counters::default(), |sum, usage| sum.checked_add(*usage).unwrap());
        prop_assert_eq!(of_months, of_hours);
    }

    #[test]
    fn bytes_neither_appear_nor_vanish_between_readings(
        zone in zone(),
        bucket in bucket_length(),
        from in instant(),
        rounds in prop::collection::vec(round(), 1..40),
    ) {
        let mut world = World::new(zone, bucket, from);
        for round in &rounds {
            world.play(round);
        }
        world.close();
        prop_assert_eq!(of_hours(&world.blocks).values().fold(Counters::default(), |sum, usage| sum.saturating_add(*usage)), world.counted);
        let others = world.blocks.iter().fold(Others::default(), |sum, block| sum.saturating_add(block.seal.other));
        prop_assert_eq!(others, world.others_counted);
        prop_assert_eq!(of_days(&roll_up(zone, bucket, &world.blocks)), of_hours(&world.blocks));
        for block in &world.blocks {
            let seal = &block.seal;
            prop_assert!(seal.start <= seal.end);
            prop_assert_eq!(seal.quality == Quality::Gap, !seal.gaps.is_empty());
            for gap in &seal.gaps {
                prop_assert!(seal.start <= gap.start && gap.start <= gap.end && gap.end <= seal.end);
                prop_assert!(gap.start < gap.end || world.clock_was_set, "no time at all");
            }
        }
        let true_time = world.blocks.iter().map(|block| (block.seal.end - block.seal.start).num_seconds()).sum::<i64>();
        if !world.clock_was_set {
            prop_assert_eq!(true_time, (world.now.wall - from).num_seconds(), "every second is in a bucket");
            prop_assert!(world.blocks.iter().all(|block| block.seal.quality != Quality::Clock));
        }
    }
}

/// What happens between two readings.
#[derive(Clone, Debug)]
struct Round {
    seconds: i64,
    clock_step: i64,
    usage: [u64; 8],
    other_bytes: u64,
    reset: bool,
    new_epoch: bool,
    unseen_secs: Option<i64>,
    close: bool,
}

fn round() -> impl Strategy<Value = Round> {
    let step = prop_oneof![
        12 => Just(0_i64), 1 => -2..=2_i64, 1 => -4_000..4_000_i64, 1 => Just(-86_400), 1 => Just(86_400),
        1 => Just(-1_700_000_000), 1 => Just(400_000_000)
    ];
    let seldom = || prop::bool::weighted(0.1);
    let unseen = prop::option::weighted(0.1, 0..3_000_i64);
    let usage = prop::array::uniform8(0..1_000_000_u64);
    (0..5_000_i64, step, usage, 0..1_000_u64, seldom(), seldom(), unseen, any::<bool>()).prop_map(
        |(seconds, clock_step, usage, other_bytes, reset, new_epoch, unseen_secs, close)| Round {
            seconds,
            clock_step,
            usage,
            other_bytes,
            reset,
            new_epoch,
            unseen_secs,
            close,
        },
    )
}

/// Counters, clocks, and an agent that reads after every round.
struct World {
    now: Moment,
    epoch: u32,
    port: Counters,
    others: Others,
    meter: Meter,
    unseen: Vec<Unseen>,
    blocks: Vec<HourBlock>,
    counted: Counters,
    others_counted: Others,
    clock_was_set: bool,
}

impl World {
    fn new(zone: Tz, bucket: BucketLength, from: DateTime<Utc>) -> Self {
        let now = Moment { wall: from, boot_ns: 5_000_000_000 };
        let first = counted(now, 0, Counters::default(), Others::default());
        let settings = Settings { node: "n".into(), zone, bucket };
        let closing = Closing { users: &BTreeMap::new(), unseen: &[], read_until: None };
        let (meter, blocks) = Meter::resume(settings, &Baseline::default(), Vec::new(), first, closing);
        Self {
            now,
            epoch: 0,
            port: Counters::default(),
            others: Others::default(),
            meter,
            unseen: Vec::new(),
            blocks,
            counted: Counters::default(),
            others_counted: Others::default(),
            clock_was_set: false,
        }
    }

    fn read(&self) -> Reading {
        counted(self.now, self.epoch, self.port, self.others).reading
    }

    fn play(&mut self, round: &Round) {
        if round.reset {
            // Read before and after, so that both the usage and the reset are known.
            self.observe();
            self.port = Counters::default();
            self.observe();
        }
        let begun = self.now;
        self.now.wall += TimeDelta::seconds(round.seconds);
        self.now.boot_ns += u64::try_from(round.seconds).unwrap() * 1_000_000_000;
        if let Some(seconds) = round.unseen_secs {
            let seconds = seconds.min(round.seconds);
            let end = Moment {
                wall: begun.wall + TimeDelta::seconds(seconds),
                boot_ns: begun.boot_ns + u64::try_from(seconds).unwrap() * 1_000_000_000,
            };
            self.unseen.push(Unseen { start: begun, end, interface: "eth0".into(), why: "it was down".into() });
        }
        let usage = Counters::from_array(round.usage);
        self.port = self.port.checked_add(usage).unwrap();
        self.counted = self.counted.checked_add(usage).unwrap();
        let flow = Flow { in_bytes: round.other_bytes, ..Flow::default() };
        let others = Others { non_ip: flow, ..Others::default() };
        self.others = self.others.checked_add(others).unwrap();
        self.others_counted = self.others_counted.checked_add(others).unwrap();
        if round.clock_step != 0 {
            self.meter.due(self.now);
            self.now.wall += TimeDelta::seconds(round.clock_step);
            self.clock_was_set = true;
        }
        if round.new_epoch {
            let last = counted(self.now, self.epoch, self.port, self.others);
            self.epoch += 1;
            (self.port, self.others) = (Counters::default(), Others::default());
            let live = counted(self.now, self.epoch, self.port, self.others);
            let closing = Closing { users: &BTreeMap::new(), unseen: &self.unseen, read_until: None };
            self.blocks.push(self.meter.replace(Some(last), live, closing).unwrap());
            self.unseen.clear();
        }
        if self.meter.due(self.now) || round.close {
            self.close();
        } else {
            self.observe();
        }
    }

    fn observe(&mut self) {
        self.meter.checkpoint(&self.read(), &self.unseen).unwrap();
    }

    fn close(&mut self) {
        let closing = Closing { users: &BTreeMap::new(), unseen: &self.unseen, read_until: None };
        self.blocks.push(self.meter.close(vec!["eth0".into()], &self.read(), closing).unwrap());
        self.unseen.clear();
    }
}

fn counted(now: Moment, epoch: u32, port: Counters, others: Others) -> Counted {
    let epoch = format!("epoch-{epoch}");
    let (kind, count, pinned) = (BackendKind::Iptables, CountMode::Ip, true);
    let reading = Reading {
        epoch: epoch.clone(),
        at: now,
        ports: [(443, port)].into(),
        draining: BTreeSet::new(),
        others,
        blocked: Default::default(),
        devices: Vec::new(),
    };
    Counted { identity: Identity { kind, count, epoch, pinned }, interfaces: vec!["eth0".into()], reading }
}
