//! Laws about the end of a month. Nodes count, fail and roll up in their own zones; a main node gathers whenever it
//! can, in any order, in part, and the same thing twice. The files are real; the clocks and the network are not.
//!
//! `PROPTEST_CASES=5000 cargo test -p flow-agent --lib report::laws -- --nocapture` prints how many months were
//! simulated.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;

use crate::commands::gathered::add_files;
use crate::ledger::block::{DayBlock, HourBlock};
use crate::ledger::calendar::{self, BucketLength};
use crate::ledger::month::Month;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::ledger::statement::{
    Directory, Finality, MonthlyReport, NodeMonth, NodeOutcome, ReportInputs, Statement, assemble, finality,
};
use crate::ledger::user::User;
use crate::store::table::{put_days, put_gathered};
use crate::store::{StateDir, StoreError};
use crate::testing::fixtures;

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const FINAL_AFTER: TimeDelta = TimeDelta::days(7);

/// One bucket of a node's life: the time before it, its length, what it counts, and whether the roll-up after it
/// succeeds.
#[derive(Clone, Debug)]
struct Lived {
    /// For how long the node was down before it, counting nothing.
    down_secs: i64,
    length_secs: i64,
    user: usize,
    bytes: u64,
    /// How long after its end the bucket is on disk: an agent that was stopped writes it when it is back.
    written_after_secs: i64,
    rolls_up: bool,
}

fn lived() -> impl Strategy<Value = Lived> {
    let down = prop_oneof![9 => Just(0_i64), 1 => 60..100_000_i64];
    let length = prop_oneof![6 => 1_800..10_000_i64, 2 => 10_000..100_000_i64];
    let written = prop_oneof![8 => 0..3_i64, 1 => 0..50_000_i64];
    (down, length, 0..USERS.len(), 0..1_000_000_u64, written, prop::bool::weighted(0.8)).prop_map(
        |(down_secs, length_secs, user, bytes, written_after_secs, rolls_up)| Lived {
            down_secs,
            length_secs,
            user,
            bytes,
            written_after_secs,
            rolls_up,
        },
    )
}

/// How much of one node a report can gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// All its files, the newest first, with this many seconds between them.
    Whole {
        seconds_between: i64,
    },
    /// Only the newest file.
    InPart,
    NotAtAll,
    /// Nothing, and a file that was gathered some time ago arrives again.
    OldCopy,
}

fn reached() -> impl Strategy<Value = Reached> {
    prop_oneof![
        5 => (0..20_000_i64).prop_map(|seconds_between| Reached::Whole { seconds_between }),
        1 => Just(Reached::InPart),
        2 => Just(Reached::NotAtAll),
        1 => Just(Reached::OldCopy),
    ]
}

fn zone() -> impl Strategy<Value = Tz> {
    let known = [chrono_tz::Asia::Shanghai, chrono_tz::America::Los_Angeles, chrono_tz::Pacific::Kiritimati];
    let any = (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index]);
    prop_oneof![1 => (0..known.len()).prop_map(move |index| known[index]), 2 => any]
}

#[derive(Clone, Debug)]
struct World {
    month: Month,
    start_day: u32,
    main_zone: Tz,
    /// Whether the month before was reported.
    has_record: bool,
    nodes: Vec<(Tz, Vec<Lived>)>,
    /// The hours from one report to the next, and what each report gathers from each node.
    reports: Vec<(i64, Vec<Reached>)>,
}

const NODES: usize = 2;

fn world() -> impl Strategy<Value = World> {
    let node = || (zone(), prop::collection::vec(lived(), 20..60));
    let report = (1..60_i64, prop::collection::vec(reached(), NODES));
    let start_day = prop_oneof![2 => Just(1_u32), 1 => 1..=28_u32];
    (
        0..24_u32,
        start_day,
        zone(),
        any::<bool>(),
        prop::collection::vec(node(), NODES),
        prop::collection::vec(report, 1..8),
    )
        .prop_map(|(number, start_day, main_zone, has_record, nodes, reports)| World {
            month: Month::new(2026 + i32::try_from(number / 12).unwrap(), number % 12 + 1).unwrap(),
            start_day,
            main_zone,
            has_record,
            nodes,
            reports,
        })
}

/// A node with its logs, and how far its life has been simulated.
struct Node {
    name: String,
    zone: Tz,
    state: StateDir,
    /// For each bucket: when it is written, the bucket, and whether the roll-up after it succeeds.
    life: Vec<(DateTime<Utc>, HourBlock, bool)>,
    written: usize,
    owed: BTreeSet<NaiveDate>,
    /// Files as they were gathered: the calendar month, and the path of a copy.
    gathered: Vec<(Month, PathBuf)>,
}

impl Node {
    fn new(index: usize, zone: Tz, lived: &[Lived], world: &World, root: &std::path::Path) -> Self {
        let name = format!("n{index}");
        let state = StateDir::new(root.join(&name));
        fs::create_dir_all(state.hourly_dir()).unwrap();
        let last_day = world.month.last_day(world.start_day);
        let begins_on = last_day - Days::new(1);
        let mut start = calendar::day_start(zone, begins_on);
        let mut written_at = start;
        let mut life = Vec::new();
        for (seq, lived) in lived.iter().enumerate() {
            start += TimeDelta::seconds(lived.down_secs);
            let end = start + TimeDelta::seconds(lived.length_secs);
            written_at = (end + TimeDelta::seconds(lived.written_after_secs)).max(written_at);
            life.push((written_at, bucket(zone, &name, seq, start, end, lived), lived.rolls_up));
            start = end;
        }
        let mut node = Self { name, zone, state, life, written: 0, owed: BTreeSet::new(), gathered: Vec::new() };
        // Everything before that day was counted and sealed.
        let before = (last_day - Days::new(40)).iter_days().take_while(|day| *day < begins_on);
        let full = before.map(|day| {
            let mut rollup = DayRollup::new(node.rules(), day);
            let (start, end) = (calendar::day_start(zone, day), calendar::day_end(zone, day));
            let nothing =
                Lived { down_secs: 0, length_secs: 0, user: 0, bytes: 0, written_after_secs: 0, rolls_up: true };
            rollup.take(&bucket(zone, &node.name, 1_000_000, start, end, &nothing));
            rollup.finish(end)
        });
        let full = full.collect();
        node.put(full);
        node
    }

    fn rules(&self) -> DayRules {
        DayRules { node: self.name.clone(), zone: self.zone, bucket: BucketLength::HOUR }
    }

    fn put(&mut self, days: Vec<DayBlock>) {
        for day in &days {
            fs::write(self.state.hourly(day.seal.day), "").unwrap();
        }
        put_days(&taken(|| self.state.lock_daily()), days, false).unwrap();
    }

    /// Simulates the node until `now`: writes buckets, and rolls up the owed days if the roll-up succeeds.
    fn advance(&mut self, now: DateTime<Utc>) {
        while let Some((at, bucket, rolls_up)) = self.life.get(self.written).filter(|(at, _, _)| *at <= now) {
            let (start, end) = (bucket.seal.start.date_naive(), bucket.seal.end.date_naive());
            // The agent of that time was started after the node had been down, so it also owes the last two days.
            self.owed.extend([start, end]);
            let dates: BTreeSet<_> =
                self.life[..=self.written].iter().map(|(_, bucket, _)| bucket.seal.start.date_naive()).collect();
            self.owed.extend(dates.into_iter().rev().take(2));
            let (at, rolls_up) = (*at, *rolls_up);
            self.written += 1;
            if rolls_up {
                self.roll_up(at);
            }
        }
    }

    fn roll_up(&mut self, at: DateTime<Utc>) {
        let day_of = |day: &NaiveDate| {
            let mut rollup = DayRollup::new(self.rules(), *day);
            self.life[..self.written].iter().for_each(|(_, bucket, _)| rollup.take(bucket));
            rollup.finish(at)
        };
        let days = self.owed.iter().map(day_of).collect();
        self.owed.clear();
        self.put(days);
    }

    /// What the node counted for each user in buckets that begin in the month.
    fn counted(&self, world: &World) -> BTreeMap<String, u64> {
        let (first, last) = (world.month.first_day(world.start_day), world.month.last_day(world.start_day));
        let mut sums = BTreeMap::new();
        for (_, bucket, _) in &self.life {
            if (first..=last).contains(&bucket.seal.start.date_naive()) {
                let line = &bucket.lines[0];
                *sums.entry(line.user.clone().unwrap()).or_insert(0) += line.tcp_in_bytes;
            }
        }
        sums
    }
}

/// Takes a lock, and waits for it if necessary. Other tests of this process start programs, and between fork and exec
/// such a child still holds every lock that was held here when it was forked.
fn taken<L>(take: impl Fn() -> Result<L, StoreError>) -> L {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match take() {
            Err(StoreError::Locked { .. }) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            outcome => return outcome.unwrap(),
        }
    }
}

fn bucket(zone: Tz, node: &str, seq: usize, start: DateTime<Utc>, end: DateTime<Utc>, lived: &Lived) -> HourBlock {
    let times = [start, end].map(|at| calendar::local(zone, at).to_rfc3339());
    let (user, bytes) = (USERS[lived.user], lived.bytes);
    let line = format!(
        r#"{{"v":1,"kind":"hour","start":"{}","end":"{}","port":443,"user":"{user}","tcp_in_bytes":{bytes},"tcp_in_packets":1,"tcp_out_bytes":0,"tcp_out_packets":0,"udp_in_bytes":0,"udp_in_packets":0,"udp_out_bytes":0,"udp_out_packets":0}}"#,
        times[0], times[1]
    );
    let seal = format!(
        r#"{{"v":1,"kind":"seal","seq":{seq},"start":"{}","end":"{}","node":"{node}","epoch":"e","quality":"exact","ports":1,"sha256":""}}"#,
        times[0], times[1]
    );
    HourBlock { lines: vec![serde_json::from_str(&line).unwrap()], seal: serde_json::from_str(&seal).unwrap() }
}

/// The main node, with what it gathered and what it last reported.
struct Main<'w> {
    world: &'w World,
    state: StateDir,
    directory: Directory,
    reports: Vec<MonthlyReport>,
}

impl Main<'_> {
    /// Makes a report at `now` from what can be gathered from the nodes, as `collect` does.
    fn report(&mut self, nodes: &mut [Node], now: DateTime<Utc>, reached: &[Reached]) {
        let world = self.world;
        let months: Vec<Month> = world.month.calendar_months(world.start_day).collect();
        let next = Month::of(world.month.last_day(world.start_day) + Days::new(1));
        let mut outcomes = Vec::new();
        for (node, reached) in nodes.iter_mut().zip(reached) {
            node.advance(now);
            let mut why = self.fetch(node, &months, now, *reached);
            let mut figures = self.sum(&node.name, &months);
            if why.is_none() && !months.contains(&next) && finality::depends_on_later_days(&figures) {
                let with_next: Vec<Month> = months.iter().copied().chain([next]).collect();
                if self.fetch(node, &with_next, now, *reached).is_none() {
                    figures = self.sum(&node.name, &with_next);
                }
            }
            if figures.seal(world.month.first_day(world.start_day)).is_none() {
                why = why.or_else(|| Some("nothing was ever gathered".to_owned()));
            }
            outcomes.push(NodeOutcome { why, ..NodeOutcome::taken(figures) });
        }
        let before = world.has_record.then(|| record_before(world));
        let former = self.reports.last().cloned();
        let inputs = ReportInputs {
            month: world.month,
            month_start_day: world.start_day,
            zone: world.main_zone,
            now,
            billed: Default::default(),
            price: None,
            directory: &self.directory,
            before: before.as_ref(),
            final_after: FINAL_AFTER,
            former: former.as_ref(),
        };
        self.reports.push(assemble(&inputs, outcomes).revise(former.clone()));
    }

    fn fetch(&self, node: &mut Node, months: &[Month], now: DateTime<Utc>, reached: Reached) -> Option<String> {
        let lock = taken(|| self.state.lock_report());
        let mut now = now;
        let not_reached = Some("not reached".to_owned());
        match reached {
            Reached::NotAtAll => return not_reached,
            Reached::OldCopy => {
                if let Some((month, path)) = node.gathered.first() {
                    put_gathered(&lock, &node.name, *month, path).unwrap();
                }
                return not_reached;
            }
            Reached::Whole { .. } | Reached::InPart => {}
        }
        // As `gather` does: the open day is fetched first, and added to its month unless that has it by then.
        let open = node.state.root().join("open");
        if node.state.open_day().exists() {
            fs::copy(node.state.open_day(), &open).unwrap();
        }
        for month in months.iter().rev() {
            let path = node.state.daily(*month);
            if open.exists() {
                put_gathered(&lock, &node.name, *month, &open).unwrap();
                let copy = node.state.root().join(format!("copy-{}", node.gathered.len()));
                fs::copy(&open, &copy).unwrap();
                node.gathered.push((*month, copy));
            }
            if path.exists() {
                put_gathered(&lock, &node.name, *month, &path).unwrap();
                let copy = node.state.root().join(format!("copy-{}", node.gathered.len()));
                fs::copy(&path, &copy).unwrap();
                node.gathered.push((*month, copy));
            }
            match reached {
                Reached::Whole { seconds_between } => now += TimeDelta::seconds(seconds_between),
                Reached::InPart if months.len() > 1 => return not_reached,
                Reached::InPart | Reached::NotAtAll | Reached::OldCopy => {}
            }
            node.advance(now);
        }
        None
    }

    fn sum(&self, node: &str, months: &[Month]) -> NodeMonth<'_> {
        let mut figures = NodeMonth::new(node, &self.directory, self.world.month, self.world.start_day);
        let paths: Vec<_> = months.iter().map(|month| self.state.node_daily(node, *month)).collect();
        assert_eq!(add_files(&paths, &mut figures).unwrap(), Vec::<String>::new());
        figures
    }
}

/// A record of the previous month in which every user had a port on every node.
fn record_before(world: &World) -> crate::ledger::block::MonthBlock {
    let mut block = fixtures::month(&world.month.previous().to_string(), 1);
    let line = block.lines.remove(0);
    let used = line.counters();
    block.lines.extend(USERS.map(|user| crate::ledger::record::MonthLine {
        user: Some(user.to_owned()),
        by_node: (0..NODES).map(|index| (format!("n{index}"), used)).collect(),
        ..line.clone()
    }));
    block
}

static LIVED: AtomicUsize = AtomicUsize::new(0);

fn play(world: &World) -> Result<(), TestCaseError> {
    let dir = fixtures::dir();
    let users = USERS.map(|name| User { name: name.to_owned(), ..User::default() });
    let mut main = Main {
        world,
        state: StateDir::new(dir.path().join("main")),
        directory: Directory::new(users.into()),
        reports: Vec::new(),
    };
    let lives = world.nodes.iter().enumerate();
    let mut nodes: Vec<Node> =
        lives.map(|(index, (zone, lived))| Node::new(index, *zone, lived, world, dir.path())).collect();
    let mut now = calendar::day_end(world.main_zone, world.month.last_day(world.start_day));
    for (hours, reached) in &world.reports {
        now += TimeDelta::hours(*hours);
        main.report(&mut nodes, now, reached);
    }
    // In the end every bucket is on disk and rolled up, and every node can be reached.
    let end = nodes.iter().flat_map(|node| node.life.last()).map(|(at, _, _)| *at).max().unwrap();
    now = now.max(end) + TimeDelta::days(8);
    for node in &mut nodes {
        node.advance(now);
        node.roll_up(now);
    }
    main.report(&mut nodes, now, &[Reached::Whole { seconds_between: 0 }; NODES]);

    let last = main.reports.last().unwrap();
    let mut expected: BTreeMap<String, u64> = USERS.iter().map(|user| ((*user).to_owned(), 0)).collect();
    for (user, bytes) in nodes.iter().flat_map(|node| node.counted(world)) {
        *expected.get_mut(&user).unwrap() += bytes;
    }
    let of = |report: &MonthlyReport, user: &str| -> Statement {
        report.statements.iter().find(|statement| statement.user.as_deref() == Some(user)).unwrap().clone()
    };
    prop_assert_eq!(last.state, Finality::Final);
    for user in USERS {
        let final_one = of(last, user);
        prop_assert_eq!(final_one.total.tcp_in_bytes, expected[user], "{} is billed for what was sealed", user);
        prop_assert_eq!(last.state_of(&final_one), Finality::Final);
        for report in &main.reports {
            let said = of(report, user);
            let is_final = report.state_of(&said) == Finality::Final;
            let promised = report.final_at;
            let is_overdue = promised.is_some_and(|at| report.made_at >= at);
            if is_final && !is_overdue {
                prop_assert_eq!(said.total, final_one.total, "{} was told too early, {}", user, report.made_at);
            }
            // A user who is told that figures are provisional is told until when, and that is kept: no further letter
            // means that they are final.
            if report.state_of(&said) == Finality::Provisional {
                prop_assert!(promised.is_some());
                prop_assert_eq!(promised, last.final_at);
                let is_corrected = final_one.rev > said.rev;
                prop_assert!(is_corrected || said.total == final_one.total, "{} was never told", user);
            }
        }
    }
    LIVED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[test]
fn the_last_statement_has_all_that_was_sealed_and_none_is_final_too_early() {
    // As many cases as PROPTEST_CASES says, or few enough for every run of the tests.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 64 };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    runner.run(&world(), |world| play(&world)).unwrap();
    println!("{} months were lived through", LIVED.load(Ordering::Relaxed));
    assert!(LIVED.load(Ordering::Relaxed) >= cases as usize);
}
