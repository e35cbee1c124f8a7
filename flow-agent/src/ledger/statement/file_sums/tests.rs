use proptest::prelude::*;

use super::*;
use crate::ledger::block::DayBlock;
use crate::ledger::record::{DayLine, Kind, VERSION};
use crate::ledger::statement::{Directory, NodeMonth};
use crate::ledger::user::User;

type Lines = Vec<(u16, Option<String>, [u64; 8])>;

fn day(day: NaiveDate, lines: &Lines) -> DayBlock {
    let line = |(port, user, numbers): &(u16, Option<String>, [u64; 8])| {
        DayLine::new(day, *port, user.clone(), Counters::from_array(*numbers))
    };
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: "hk-1".into(),
        zone: "UTC".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: u32::from(!lines.is_empty()),
        quality: Default::default(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    DayBlock { lines: lines.iter().map(line).collect(), seal }
}

fn figures(block: &DayBlock) -> DayFigures {
    let mut figures = DayFigures::default();
    let text = block.clone().encode();
    let count = block.lines.len();
    figures.read(&block.seal, (1..).zip(text.split_inclusive('\n').take(count).map(str::as_bytes))).unwrap();
    figures
}

/// Everything that a report reads of it, whatever the order in which it was added.
fn shown(node: &NodeMonth<'_>) -> Vec<String> {
    let mut sums: Vec<String> = node.sums.iter().map(|sum| format!("{sum:?}")).collect();
    sums.sort();
    sums.push(format!("{:?}", node.seals));
    sums.push(format!("{:?}", node.newest_counted_day()));
    sums
}

fn october(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, number).unwrap()
}

fn lines() -> impl Strategy<Value = Lines> {
    let user = prop::option::of(prop::sample::select(vec!["alice", "bob", "carol", "443"]).prop_map(str::to_owned));
    prop::collection::vec((440..446_u16, user, prop::array::uniform8(0..1_u64 << 50)), 0..6)
}

proptest! {
    #[test]
    fn adding_files_is_adding_their_days(
        days in prop::collection::btree_map(1..=61_u32, lines(), 0..12),
        start_day in 1..=28_u32,
    ) {
        let month: Month = "2026-10".parse().unwrap();
        let user = |name: &str, ports: &[u16]| User {
            name: name.to_owned(),
            ports: ports.iter().copied().collect(),
            ..User::default()
        };
        let directory = Directory::new(vec![user("alice", &[440, 441]), user("443", &[443])]);
        let mut by_day = NodeMonth::new("hk-1", &directory, month, start_day);
        let file = || (FileSums::new(MonthDays::of(month, start_day)), Vec::new());
        let mut files = [file(), file()];
        for (number, lines) in &days {
            let block = day(october(1) + chrono::Days::new(u64::from(*number) - 1), lines);
            by_day.add(&block).unwrap();
            let (sums, seals) = &mut files[usize::from(*number > 31)];
            sums.add(&block.seal, &figures(&block)).unwrap();
            seals.push(block.seal);
        }
        let mut by_file = NodeMonth::new("hk-1", &directory, month, start_day);
        for (sums, seals) in files.into_iter().rev() {
            by_file.add_file(sums, seals).unwrap();
        }
        prop_assert_eq!(shown(&by_file), shown(&by_day));
    }
}

#[test]
fn a_day_that_two_files_have_is_refused_and_nothing_of_the_second_is_added() {
    let month: Month = "2026-10".parse().unwrap();
    let block = day(october(5), &vec![(443, None, [1; 8])]);
    let mut file = FileSums::new(MonthDays::of(month, 1));
    file.add(&block.seal, &figures(&block)).unwrap();
    let directory = Directory::default();
    let mut node = NodeMonth::new("hk-1", &directory, month, 1);
    node.add_file(file.clone(), [block.seal.clone()]).unwrap();
    let before = shown(&node);
    assert_eq!(node.add_file(file.clone(), [block.seal.clone()]), Err(SumError::Twice { day: october(5) }));
    assert_eq!(shown(&node), before);
}

#[test]
fn figures_that_no_host_can_move_and_more_pairs_than_a_node_has_are_refused() {
    let month: Month = "2026-10".parse().unwrap();
    let mut file = FileSums::new(MonthDays::of(month, 1));
    let most = day(october(5), &vec![(443, None, [1 << 56, 0, 1 << 56, 0, 0, 0, 0, 0])]);
    file.add(&most.seal, &figures(&most)).unwrap();
    let more = day(october(6), &vec![(443, None, [1 << 56, 1, 1 << 56, 0, 0, 0, 0, 0])]);
    let figure = (1 << 57) + 1;
    assert_eq!(file.add(&more.seal, &figures(&more)), Err(SumError::Implausible { day: october(6), figure }));

    let mut file = FileSums::new(MonthDays::of(month, 1));
    // All of them on one port, and in another order on the next day.
    let pairs = |range: std::ops::Range<u32>| range.map(|number| (1, Some(number.to_string()), [0; 8]));
    let full = day(october(5), &pairs(0..65_536).collect());
    file.add(&full.seal, &figures(&full)).unwrap();
    assert_eq!(file.pairs.len(), MOST_PAIRS);
    let again = day(october(6), &pairs(0..65_536).rev().collect());
    file.add(&again.seal, &figures(&again)).unwrap();
    let one_more = day(october(7), &pairs(65_536..65_537).collect());
    assert_eq!(file.add(&one_more.seal, &figures(&one_more)), Err(SumError::TooManyPairs { day: october(7) }));
}
