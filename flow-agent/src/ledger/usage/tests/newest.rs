//! Which reading on disk is the newest, and what is unknown if a seal lacks the boot-time clock.

use super::*;

/// A bucket that ends at `end`, as old releases wrote it, without `seq` and boot-time clock.
fn unnumbered(end: &str) -> HourBlock {
    let mut node = Node::new();
    node.pass(443, tcp_in(100));
    let (mut meter, _) = node.start();
    node.wait_until(end);
    let mut bucket = node.close(&mut meter);
    (bucket.seal.seq, bucket.seal.boot_ms) = (None, None);
    bucket
}

#[test]
fn nothing_is_known_before_the_first_bucket() {
    let baseline = Baseline::default();
    assert_eq!((baseline.newest_epoch(), baseline.last_known()), (None, None));
}

#[test]
fn a_checkpoint_is_newer_than_the_seal_that_it_follows_and_older_than_the_next() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    let sealed = Moment { wall: at("2026-10-05T13:00:00Z"), boot_ns: 3_600_000_000_000 };
    assert_eq!((node.baseline.newest_epoch(), node.baseline.last_known()), (Some("boot-1"), Some(sealed)));
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T13:10:00Z");
    assert!(node.checkpoint(&mut meter));
    let kept = Moment { wall: at("2026-10-05T13:10:00Z"), boot_ns: 4_200_000_000_000 };
    assert_eq!(node.baseline.last_known(), Some(kept));
    node.wait_until("2026-10-05T14:00:00Z");
    node.close(&mut meter);
    assert_eq!(node.baseline.last_known().map(|known| known.wall), Some(at("2026-10-05T14:00:00Z")));
}

#[test]
fn the_newest_epoch_is_that_of_the_newest_reading() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T12:10:00Z");
    assert!(node.checkpoint(&mut meter));
    assert_eq!(node.baseline.newest_epoch(), Some("boot-1"));
    node.reboot("boot-2");
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    assert_eq!(node.baseline.newest_epoch(), Some("boot-2"), "the checkpoint is older");
    node.reboot("boot-3");
    let (mut meter, _) = node.start();
    assert!(node.checkpoint(&mut meter));
    assert_eq!(node.baseline.newest_epoch(), Some("boot-3"), "nothing of it is sealed yet");
}

#[test]
fn of_buckets_without_numbers_the_last_in_the_file_is_the_newest() {
    let mut baseline = Baseline::default();
    for end in ["2026-10-05T13:00:00Z", "2026-10-05T14:00:00Z"] {
        baseline.take(&unnumbered(end));
        assert_eq!(baseline.last_known().map(|known| known.wall), Some(at(end)));
        assert_eq!(baseline.seal_of("boot-1").map(|last| last.seal.end.to_utc()), Some(at(end)));
    }
}

#[test]
fn a_clock_that_stands_at_the_last_seal_is_not_behind_it() {
    let mut baseline = Baseline::default();
    baseline.take(&unnumbered("2026-10-05T13:00:00Z"));
    let is_ahead_of = |wall: &str| baseline.is_ahead_of(Moment { wall: at(wall), boot_ns: 0 });
    assert!(is_ahead_of("2026-10-05T12:59:59Z"));
    assert!(!is_ahead_of("2026-10-05T13:00:00Z"));
}

#[test]
fn without_the_boot_time_clock_gaps_are_told_by_the_wall() {
    let mut node = Node::new();
    node.baseline.take(&unnumbered("2026-10-05T13:00:00Z"));
    node.pass(443, tcp_in(100));
    node.wait_until("2026-10-05T13:00:00Z");
    let (mut meter, _) = node.start();
    let moment = |wall: &str| Moment {
        wall: at(wall),
        boot_ns: u64::try_from((at(wall) - at("2026-10-05T12:00:00Z")).num_nanoseconds().unwrap()).unwrap(),
    };
    let unseen = |start, end, why: &str| Unseen {
        start: moment(start),
        end: moment(end),
        interface: "eth0".into(),
        why: why.into(),
    };
    node.unseen = vec![
        unseen("2026-10-05T12:50:00Z", "2026-10-05T13:00:00Z", "before"),
        unseen("2026-10-05T13:10:00Z", "2026-10-05T13:20:00Z", "within"),
        unseen("2026-10-05T14:00:00Z", "2026-10-05T14:10:00Z", "after"),
    ];
    node.wait_until("2026-10-05T14:00:00Z");
    let bucket = node.close(&mut meter);
    let reasons: Vec<&str> = bucket.seal.gaps.iter().map(|gap| gap.why.as_str()).collect();
    assert_eq!(reasons, ["within"]);
}
