use super::*;
use crate::ledger::record::{DaySeal, Kind, VERSION};
use crate::ledger::user::User;

fn day(node: &str, day: &str, port: u16, user: Option<&str>, bytes: u64) -> DayBlock {
    let day: NaiveDate = day.parse().unwrap();
    let moved = Counters { tcp_in_bytes: bytes, ..Counters::default() };
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: node.to_owned(),
        zone: "UTC".to_owned(),
        ports: 1,
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
    DayBlock { lines: vec![DayLine::new(day, port, user.map(str::to_owned), moved)], seal }
}

#[test]
fn nodes_add_up_and_a_missing_one_is_not_zero() {
    let alice = User { name: "alice".to_owned(), ports: [443].into(), ..User::default() };
    let names = vec!["hk-1".to_owned(), "us-1".to_owned()];
    let nodes = GatheredNodes { names, directory: Directory::new(vec![alice]) };
    let days = nodes.together(vec![
        (
            "hk-1".to_owned(),
            vec![day("hk-1", "2026-10-05", 443, Some("alice"), 7), day("hk-1", "2026-10-06", 443, None, 1)],
        ),
        ("us-1".to_owned(), vec![day("us-1", "2026-10-05", 443, None, 5)]),
    ]);
    let [fifth, sixth] = ["2026-10-05", "2026-10-06"].map(|day| &days[&day.parse::<NaiveDate>().unwrap()]);
    // Port 443 belongs to alice on both nodes.
    assert_eq!(fifth.lines.len(), 1);
    assert_eq!((fifth.lines[0].user.as_deref(), fifth.lines[0].tcp_in_bytes), (Some("alice"), 12));
    assert_eq!((fifth.seal.seconds_covered, fifth.seal.seconds_in_day), (172_800, 172_800));
    assert_eq!((sixth.seal.seconds_covered, sixth.seal.seconds_in_day), (86_400, 172_800));
}
