use super::*;
use crate::ledger::usage::tests::bucket_of;

fn at(secs: u64) -> Moment {
    Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 }
}

/// Times are those of the boot-time clock; the wall clock does not matter here.
fn unseen(interface: &str, start_secs: u64, end_secs: u64) -> Unseen {
    Unseen { start: at(start_secs), end: at(end_secs), interface: interface.into(), why: "gone".into() }
}

#[test]
fn what_lasts_over_several_inspections_is_one() {
    let mut list = UnseenList::default();
    list.add(vec![unseen("eth0", 10, 15)], at(15));
    list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 20)], at(20));
    list.add(vec![unseen("eth0", 30, 35)], at(35));
    assert_eq!(list.all(), [unseen("eth0", 10, 20), unseen("eth1", 10, 20), unseen("eth0", 30, 35)]);
}

#[test]
fn what_goes_on_after_a_bucket_is_the_next_ones_too() {
    let mut list = UnseenList::default();
    list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 21)], at(21));
    let until = |secs: u64| HourSeal { boot_ms: Some(secs * 1_000), ..bucket_of(&[]).seal };
    list.forget_until(&until(20));
    assert_eq!(list.all(), [unseen("eth1", 10, 21)]);
    list.forget_until(&until(21));
    assert_eq!(list.all(), []);
}

#[test]
fn a_time_that_goes_on_is_told_ahead_and_not_at_every_inspection() {
    let mut list = UnseenList::default();
    assert!(list.add(vec![unseen("eth0", 10, 15)], at(15)), "it began");
    let told = list.foretold(at(15));
    assert_eq!(told[0].end.boot_ns, at(75).boot_ns);
    for now in [20, 25, 74] {
        assert!(!list.add(vec![unseen("eth0", 10, now)], at(now)), "{now}: it is told until 75");
    }
    assert!(list.add(vec![unseen("eth0", 10, 80)], at(80)), "it went on for longer than was told");
    list.foretold(at(80));
    assert!(list.add(vec![], at(85)), "it ended");
    assert_eq!(list.foretold(at(85)), [unseen("eth0", 10, 80)]);
    assert!(!list.add(vec![], at(90)));
}
