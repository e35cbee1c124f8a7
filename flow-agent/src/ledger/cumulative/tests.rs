use super::*;
use crate::ledger::record::{DayLine, DaySeal, Kind};

#[test]
fn a_day_counts_for_its_ports_and_its_users() {
    let date = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    let bytes = |tcp_in_bytes| Counters { tcp_in_bytes, ..Counters::default() };
    let line = |port, user: Option<&str>, count| DayLine::new(date, port, user.map(str::to_owned), bytes(count));
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day: date,
        node: "hk-1".to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        ports: 2,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: BTreeMap::new(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    let lines = vec![line(443, Some("ada"), 5), line(443, Some("bob"), 7), line(8388, None, 11)];
    let mut sums = Cumulative::begin(0, date);
    sums.add_day(&DayBlock { lines, seal });
    assert_eq!((sums.port(443), sums.port(8388)), (bytes(12), bytes(11)));
    assert_eq!(sums.users().collect::<Vec<_>>(), [("ada", bytes(5)), ("bob", bytes(7))]);
}

#[test]
fn a_second_that_two_interfaces_missed_counts_once() {
    let gap = |start: &str, end: &str| Gap {
        start: format!("2026-10-05T13:{start}+08:00").parse().unwrap(),
        end: format!("2026-10-05T13:{end}+08:00").parse().unwrap(),
        interface: "eth0".into(),
        why: "gone".into(),
    };
    // 10 to 30 and 20 to 40 are 30 seconds, 50 to 55 are five more, 51 to 52 are among them.
    let gaps = [gap("00:50", "00:55"), gap("00:20", "00:40"), gap("00:10", "00:30"), gap("00:51", "00:52")];
    assert_eq!(seconds_of(&gaps), 35);
    assert_eq!(seconds_of(&[]), 0);
}
