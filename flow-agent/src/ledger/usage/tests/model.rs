//! The model test simulates a kernel, a disk, and an agent that may die between any two steps. A separate ledger
//! records every byte when it passes, and in the end the journal must say the same.

mod agent;
mod disk;
mod kernel;

use proptest::prelude::*;

use self::agent::{Agent, Crash, Machine};
use self::disk::Disk;
use self::kernel::{Kernel, OTHERS, Set};
use crate::ledger::block::HourBlock;
use crate::ledger::calendar;
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::rollup::{DayRollup, DayRules};

use super::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Bytes pass on a port, whether or not it is watched or an agent runs.
    Pass {
        port: u16,
        bytes: u64,
    },
    /// Time passes, and the agent looks at its clocks every five seconds.
    Wait {
        seconds: u32,
    },
    /// The machine is suspended.
    Sleep {
        seconds: u32,
    },
    /// Somebody sets the wall clock.
    SetClock {
        seconds: i64,
    },
    Checkpoint,
    /// A port is added to the wanted ports, or removed from them.
    Toggle {
        port: u16,
    },
    /// A port drains and is wanted again before its closed line is written.
    Waver {
        port: u16,
    },
    /// The counters are replaced by a larger set or by another backend's, now or at the next start.
    Replace,
    /// The last seconds were not measured, and the agent has just noticed it.
    Miss {
        seconds: u32,
    },
    /// Somebody destroys the counters.
    Destroy,
    /// Somebody zeroes the counters of a port or restores an earlier value, whether or not an agent runs.
    Restore {
        port: u16,
        /// How much of the present value is left, from nothing to all of it.
        luck: u16,
    },
    /// Somebody zeroes or restores all counters of one family, as `iptables -Z` and `iptables-restore -c` do. A mark
    /// shows the agent that it happened, whatever the counters are by then.
    RestoreFamily {
        family: usize,
        luck: u16,
    },
    /// The agent is told to stop, and stops properly.
    Leave,
    /// The agent dies after this many more steps, by kill -9 or because the power fails.
    Die {
        steps: u32,
        how: Crash,
    },
    /// An agent is started if none runs.
    Start,
}

/// What the model itself knows, independently of the agent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What passed and was counted, by epoch and port.
    passed: BTreeMap<(String, u16), u64>,
    /// The part of it that would still be known from the disk if the counters were lost now.
    kept: BTreeMap<(String, u16), u64>,
    /// What is lost according to the rules, by port.
    lost: BTreeMap<u16, u64>,
    /// Ports that may have lost more: their counters were zeroed or restored while no agent ran, or the agent died
    /// before it sealed what it had seen.
    doubtful: BTreeSet<u16>,
    zeroed: BTreeSet<u16>,
    /// What passed and was lost, by port, because somebody restored counters while an agent ran; ports without loss are
    /// absent.
    lost_unseen: BTreeMap<u16, u64>,
    /// The reasons of gaps that an agent noticed and wrote down before it could die.
    noticed: BTreeSet<String>,
    clock_was_set: bool,
}

/// What had passed when a reading was taken.
pub(super) type Passed = BTreeMap<u16, u64>;

impl Ledger {
    fn pass(&mut self, epoch: &str, port: u16, bytes: u64) {
        *self.passed.entry((epoch.to_owned(), port)).or_default() += bytes;
    }

    fn passed(&self, epoch: &str) -> Passed {
        let of_epoch = self.passed.iter().filter(|((of, _), _)| of == epoch);
        of_epoch.map(|((_, port), bytes)| (*port, *bytes)).collect()
    }

    /// Notes that a seal or checkpoint is on disk, from a reading taken when `known` had passed.
    fn keep(&mut self, epoch: &str, known: &Passed) {
        for (port, bytes) in known {
            self.kept.insert((epoch.to_owned(), *port), *bytes);
        }
    }

    /// The counters of `epoch` are gone: what is not on disk is lost.
    fn lose(&mut self, epoch: &str) {
        for (port, passed) in self.passed(epoch) {
            let kept = self.kept.get(&(epoch.to_owned(), port)).copied().unwrap_or(0);
            *self.lost.entry(port).or_default() += passed - kept;
            self.kept.insert((epoch.to_owned(), port), passed);
        }
    }

    fn agent_died(&mut self) {
        self.doubtful.append(&mut self.zeroed);
    }

    fn expected(&self) -> BTreeMap<u16, u64> {
        let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
        for ((_, port), bytes) in &self.passed {
            *expected.entry(*port).or_default() += bytes;
        }
        for (port, bytes) in &self.lost {
            // More can be lost than passed only on a doubtful port.
            let expected = expected.entry(*port).or_default();
            *expected = expected.saturating_sub(*bytes);
        }
        expected.retain(|_, bytes| *bytes > 0);
        expected
    }
}

/// The machine, its disk, and the agent that runs on it.
struct World {
    kernel: Kernel,
    disk: Disk,
    ledger: Ledger,
    agent: Option<Agent>,
    wanted: BTreeSet<u16>,
    /// The layout of the counters that an agent creates when it starts.
    layout: u32,
    zone: Tz,
}

impl World {
    fn new(zone: Tz, start: &str) -> Self {
        Self {
            kernel: Kernel::new(at(start)),
            disk: Disk::default(),
            ledger: Ledger::default(),
            agent: None,
            wanted: [443, 4_433].into(),
            layout: 0,
            zone,
        }
    }

    fn machine(&mut self) -> Machine<'_> {
        Machine { kernel: &mut self.kernel, disk: &mut self.disk, ledger: &mut self.ledger }
    }

    /// Lets the agent do something if one runs. If it dies of it, everything that dies with it is dropped.
    fn agent(&mut self, work: impl FnOnce(&mut Agent, &mut Machine<'_>) -> Result<(), Crash>) {
        let Some(mut agent) = self.agent.take() else { return };
        match work(&mut agent, &mut self.machine()) {
            Ok(()) => self.agent = Some(agent),
            Err(how) => self.die(how),
        }
    }

    fn die(&mut self, how: Crash) {
        self.agent = None;
        self.ledger.agent_died();
        if let Crash::PowerCut { luck } = how {
            self.disk.power_cut(luck, &mut self.ledger);
            self.machine().forget_destroyed();
            for epoch in self.kernel.reboot() {
                self.ledger.lose(&epoch);
            }
        }
    }

    fn start(&mut self, dies: Option<(u32, Crash)>) {
        if self.agent.is_some() {
            return;
        }
        let settings = Settings { node: "m".into(), zone: self.zone, bucket: bucket_length() };
        let (wanted, layout) = (self.wanted.clone(), self.layout);
        let started = Agent::start(&mut self.machine(), settings, wanted, layout, dies);
        match started {
            Ok(agent) => self.agent = Some(agent),
            Err(how) => self.die(how),
        }
    }

    fn tick(&mut self) {
        self.agent(|agent, machine| agent.tick(machine));
    }

    fn happen(&mut self, event: Event, dies: &mut Option<(u32, Crash)>) {
        match event {
            Event::Pass { port, bytes } => self.kernel.pass(port, bytes, &mut self.ledger),
            Event::Wait { seconds } => {
                for _ in 0..seconds / 5 {
                    self.kernel.run(5);
                    self.tick();
                }
            }
            Event::Sleep { seconds } => {
                self.kernel.run(seconds);
                self.tick();
            }
            Event::SetClock { seconds } => {
                self.kernel.now.wall += TimeDelta::seconds(seconds);
                self.ledger.clock_was_set = true;
                self.tick();
            }
            Event::Checkpoint => self.agent(|agent, machine| agent.checkpoint(machine)),
            Event::Toggle { port } => {
                if !self.wanted.remove(&port) {
                    self.wanted.insert(port);
                }
                let wanted = self.wanted.clone();
                self.agent(|agent, machine| agent.apply_ports(wanted, machine));
            }
            Event::Waver { port } => self.agent(|agent, machine| agent.waver(port, machine)),
            Event::Replace => {
                self.layout += 1;
                let layout = self.layout;
                self.agent(|agent, machine| agent.replace(layout, machine));
            }
            Event::Destroy => {
                if self.agent.is_none() {
                    self.kernel.destroy();
                }
                self.agent(|agent, machine| agent.counters_destroyed(machine));
            }
            Event::Miss { seconds } => {
                self.kernel.run(seconds);
                self.agent(|agent, machine| agent.miss(seconds, machine));
            }
            Event::Restore { port, luck } => {
                if self.agent.is_none() && self.kernel.restore(port, luck) {
                    self.ledger.doubtful.insert(port);
                }
                self.agent(|agent, machine| agent.restored(port, luck, machine));
            }
            Event::RestoreFamily { family, luck } => {
                self.kernel.run(5);
                self.kernel.restore_family(family, luck);
                if self.agent.is_none() {
                    // A starting agent can only trust the counters of the family that was not touched.
                    let counted = self.kernel.live.iter().flat_map(Set::ports);
                    self.ledger.doubtful.extend(counted.chain([OTHERS]));
                }
                self.tick();
            }
            Event::Leave => {
                self.agent(|agent, machine| agent.close(machine));
                self.agent = None;
            }
            Event::Die { steps, how } => match &mut self.agent {
                Some(agent) => agent.dies = Some((steps, how)),
                // No agent runs: the next one will die while it starts, but the power may fail at once.
                None if steps == 0 => self.die(how),
                None => *dies = Some((steps, how)),
            },
            Event::Start => self.start(dies.take()),
        }
    }

    /// Lets the last agent stop properly. Returns the ledger and the final journal.
    fn end(mut self) -> (Ledger, Vec<HourBlock>) {
        let mut dies = None;
        if let Some(agent) = &mut self.agent {
            agent.dies = None;
        }
        for event in [Event::Start, Event::Leave] {
            self.happen(event, &mut dies);
        }
        (self.ledger, self.disk.read())
    }
}

fn sums<'a>(lines: impl Iterator<Item = (u16, &'a u64)>) -> BTreeMap<u16, u64> {
    let mut sums: BTreeMap<u16, u64> = BTreeMap::new();
    lines.for_each(|(port, bytes)| *sums.entry(port).or_default() += bytes);
    sums.retain(|_, bytes| *bytes > 0);
    sums
}

fn check(zone: Tz, ledger: &Ledger, journal: &[HourBlock]) -> Result<(), TestCaseError> {
    let lines = journal.iter().flat_map(|block| &block.lines);
    let others = journal.iter().map(|block| (OTHERS, &block.seal.other.other_ports.in_bytes));
    let mut counted = sums(lines.map(|line| (line.port, &line.tcp_in_bytes)).chain(others));
    let mut expected = ledger.expected();
    for port in &ledger.doubtful {
        expected.remove(port);
        let counted = counted.remove(port).unwrap_or(0);
        let passed: u64 = ledger.passed.iter().filter(|((_, of), _)| of == port).map(|(_, bytes)| bytes).sum();
        prop_assert!(counted <= passed, "port {}: {} of {} bytes", port, counted, passed);
    }
    prop_assert_eq!(&counted, &expected, "bytes by port");
    if !ledger.lost_unseen.is_empty() {
        let is_doubted = |block: &HourBlock| block.seal.quality != Quality::Exact;
        prop_assert!(journal.iter().any(is_doubted), "lost {:?}, and every bucket is exact", ledger.lost_unseen);
    }

    let told: BTreeSet<_> = journal.iter().flat_map(|block| &block.seal.gaps).map(|gap| gap.why.clone()).collect();
    prop_assert!(ledger.noticed.is_subset(&told), "noticed {:?}, told {:?}", ledger.noticed, told);

    for (seq, block) in (1..).zip(journal) {
        let seal = &block.seal;
        prop_assert_eq!(seal.seq, Some(seq), "numbers follow each other");
        prop_assert!(seal.start <= seal.end);
        let late = seal.end.to_utc() > calendar::next_boundary(zone, bucket_length(), seal.start.to_utc());
        let word = seal.quality;
        prop_assert!(late || word != Quality::Late);
        prop_assert!(!late || word != Quality::Exact, "{:?}", seal);
        let lines_of_time = block.lines.iter().all(|line| (line.start, line.end) == (seal.start, seal.end));
        prop_assert!(lines_of_time);
    }
    for pair in journal.windows(2) {
        let [before, after] = pair else { unreachable!("windows of two") };
        let (before, after) = (&before.seal, &after.seal);
        if ledger.clock_was_set {
            continue;
        }
        prop_assert_ne!(after.quality, Quality::Clock);
        if before.epoch == after.epoch {
            prop_assert_eq!(before.end, after.start, "without a seam");
        }
    }
    check_days(zone, journal)
}

/// Days hold the bytes of their hours, in whatever order the hours are added.
fn check_days(zone: Tz, journal: &[HourBlock]) -> Result<(), TestCaseError> {
    let dates: BTreeSet<_> = journal.iter().map(|block| block.seal.start.date_naive()).collect();
    let rules = DayRules { node: "m".into(), zone, bucket: bucket_length() };
    let end_of_time = at("2100-01-01T00:00:00Z");
    let mut days = Vec::new();
    for date in dates {
        let (mut forth, mut back) = (DayRollup::new(rules.clone(), date), DayRollup::new(rules.clone(), date));
        let mut distinct = DistinctBuckets::default();
        for block in journal {
            prop_assert_eq!(distinct.admit(&block.seal), Ok(true));
            forth.take(block);
        }
        let mut distinct = DistinctBuckets::default();
        for block in journal.iter().rev().chain(journal) {
            if distinct.admit(&block.seal).map_err(|error| TestCaseError::fail(error.to_string()))? {
                back.take(block);
            }
        }
        let day = forth.finish(end_of_time);
        prop_assert_eq!(&day, &back.finish(end_of_time));
        prop_assert!(day.seal.seconds_covered <= day.seal.seconds_in_day);
        days.push(day);
    }
    let of_hours = sums(journal.iter().flat_map(|block| &block.lines).map(|line| (line.port, &line.tcp_in_bytes)));
    let of_days = sums(days.iter().flat_map(|day| &day.lines).map(|line| (line.port, &line.tcp_in_bytes)));
    prop_assert_eq!(of_hours, of_days);
    Ok(())
}

fn bucket_length() -> BucketLength {
    std::time::Duration::from_secs(60).try_into().unwrap()
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![Just(Crash::Kill), any::<u16>().prop_map(|luck| Crash::PowerCut { luck })]
}

fn event() -> impl Strategy<Value = Event> {
    let port = || prop_oneof![Just(443_u16), Just(4_433), Just(8_388), Just(8_389), Just(9_000)];
    prop_oneof![
        10 => (port(), prop_oneof![1..3_u64, 1..1_000_u64]).prop_map(|(port, bytes)| Event::Pass { port, bytes }),
        4 => (1..150_u32).prop_map(|seconds| Event::Wait { seconds }),
        1 => (1..5_000_u32).prop_map(|seconds| Event::Sleep { seconds }),
        1 => prop_oneof![-4_000..4_000_i64, -5..5_i64, Just(-86_400), Just(86_400)].prop_map(|seconds| Event::SetClock { seconds }),
        3 => Just(Event::Checkpoint),
        3 => port().prop_map(|port| Event::Toggle { port }),
        1 => port().prop_map(|port| Event::Waver { port }),
        1 => Just(Event::Replace),
        1 => (1..100_u32).prop_map(|seconds| Event::Miss { seconds }),
        1 => Just(Event::Destroy),
        1 => (port(), prop_oneof![Just(0), any::<u16>()]).prop_map(|(port, luck)| Event::Restore { port, luck }),
        1 => (0..2_usize, prop_oneof![Just(0), any::<u16>()])
            .prop_map(|(family, luck)| Event::RestoreFamily { family, luck }),
        1 => Just(Event::Leave),
        3 => (0..12_u32, crash()).prop_map(|(steps, how)| Event::Die { steps, how }),
        4 => Just(Event::Start),
    ]
}

fn run(zone: Tz, start: &str, events: &[Event]) -> Result<(), TestCaseError> {
    let mut world = World::new(zone, start);
    let mut dies = None;
    world.start(None);
    for event in events {
        world.happen(*event, &mut dies);
    }
    let (ledger, journal) = world.end();
    check(zone, &ledger, &journal)
}

/// Twice as many cases as `PROPTEST_CASES` says, 512 by default. Shrinking may take long, because a case has many
/// events.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: 2 * default.cases, max_shrink_iters: 20_000, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_byte_is_in_one_bucket_whatever_happens(
        events in prop::collection::vec(event(), 1..60),
        place in prop_oneof![
            Just((Tz::UTC, "2026-12-31T23:55:00Z")),
            Just((Tz::Asia__Kathmandu, "2028-02-28T18:10:30Z")),
            Just((Tz::Europe__Berlin, "2026-10-25T00:57:10Z")),
        ],
    ) {
        run(place.0, place.1, &events)?;
    }
}

/// The agent dies at every step of a fixed sequence of events, once by kill -9 and once by each kind of power cut.
#[test]
fn an_agent_may_die_at_every_single_step() {
    let life = [
        Event::Pass { port: 443, bytes: 1 },
        Event::Pass { port: 9_000, bytes: 2 },
        Event::Checkpoint,
        Event::Pass { port: 443, bytes: 4 },
        Event::Wait { seconds: 65 },
        Event::Pass { port: 443, bytes: 8 },
        Event::Toggle { port: 443 },
        Event::Pass { port: 443, bytes: 16 },
        Event::Toggle { port: 8_388 },
        Event::Pass { port: 8_388, bytes: 32 },
        Event::Toggle { port: 443 },
        Event::Pass { port: 443, bytes: 64 },
        Event::Miss { seconds: 3 },
        Event::Waver { port: 443 },
        Event::Replace,
        Event::Pass { port: 443, bytes: 128 },
        Event::Checkpoint,
        Event::Pass { port: 8_388, bytes: 256 },
        Event::Destroy,
        Event::Pass { port: 4_433, bytes: 512 },
        Event::Wait { seconds: 65 },
        Event::Leave,
        Event::Pass { port: 4_433, bytes: 1_024 },
        Event::Start,
    ];
    let mut kinds = vec![Crash::Kill];
    kinds.extend([0, 1, 1_000, 40_000, u16::MAX].map(|luck| Crash::PowerCut { luck }));
    let mut deaths = 0;
    for how in kinds {
        for steps in 0..200 {
            let mut world = World::new(Tz::UTC, "2026-10-05T12:00:30Z");
            let mut dies = Some((steps, how));
            world.start(dies.take());
            for event in life {
                if world.agent.is_none() {
                    deaths += 1;
                    world.start(None);
                }
                world.happen(event, &mut dies);
            }
            let (ledger, journal) = world.end();
            check(Tz::UTC, &ledger, &journal).unwrap_or_else(|error| panic!("{how:?} after {steps} steps: {error}"));
        }
    }
    assert!(deaths > 500, "only {deaths} deaths");
}
