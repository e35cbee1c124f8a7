//! The quality of a bucket, and which one takes precedence.

use super::*;
use crate::ledger::block::{BlockEvent, Decoder, Hourly};
use crate::ledger::record::HourSeal;
use crate::ledger::unsealed::goes_on_after;

fn unseen(node: &Node, from: &str, to: &str) -> Unseen {
    // The node's clocks were never set, so each instant of one corresponds to an instant of the other.
    let moment = |text: &str| {
        let ago = (node.now.wall - at(text)).num_nanoseconds().unwrap();
        Moment { wall: at(text), boot_ns: node.now.boot_ns - u64::try_from(ago).unwrap() }
    };
    Unseen { start: moment(from), end: moment(to), interface: "eth0".into(), why: "interface was deleted".into() }
}

#[test]
fn nothing_is_taken_of_a_counter_that_is_less() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.pass(443, Counters::from_array([100, 1, 200, 2, 0, 0, 0, 0]));
    node.pass(4433, tcp_in(70));
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    // Only the counters of incoming traffic were zeroed or restored. 30 of the outgoing bytes are new.
    node.ports.insert(443, Counters::from_array([5, 1, 230, 3, 0, 0, 0, 0]));
    node.pass(4433, tcp_in(1));
    node.wait_until("2026-10-05T14:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "13:00:00-14:00:00 reset");
    assert_eq!(bucket.lines[0].counters().to_array(), [0, 0, 30, 1, 0, 0, 0, 0]);
    assert_eq!(bytes(&bucket)[1], (4433, 1));
    node.wait_until("2026-10-05T15:00:00Z");
    assert_eq!(node.close(&mut meter).seal.quality, Quality::Exact);
}

#[test]
fn counters_of_which_several_are_less_were_reset_as_well() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    for (port, others, expected) in [
        // Both ports are reset; then a port and the other traffic.
        ([(443, 7), (4433, 8)], 100, "13:00:00-14:00:00 reset"),
        ([(443, 6), (4433, 100)], 50, "15:00:00-16:00:00 reset"),
    ] {
        node.ports = [(443, tcp_in(90)), (4433, tcp_in(90))].into();
        node.others.other_ports.in_bytes = 100;
        node.wait(TimeDelta::hours(1));
        node.close(&mut meter);
        node.ports = port.map(|(port, bytes)| (port, tcp_in(bytes))).into();
        node.others.other_ports.in_bytes = others;
        node.wait(TimeDelta::hours(1));
        assert_eq!(time(&node.close(&mut meter)), expected);
    }
}

#[test]
fn what_was_read_before_a_reset_is_not_lost() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.pass(443, tcp_in(100));
    node.wait_until("2026-10-05T12:30:00Z");
    node.checkpoint(&mut meter);
    assert!(!meter.due(node.now));
    node.ports.insert(443, tcp_in(7));
    node.wait_until("2026-10-05T12:30:20Z");
    node.checkpoint(&mut meter);
    assert!(meter.due(node.now), "continuity is broken: close at once");
    // From here on it is known again what is new.
    node.pass(443, tcp_in(7));
    node.wait_until("2026-10-05T12:30:30Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("12:00:00-12:30:30 reset", (443, 107)));
    assert!(!meter.due(node.now));
}

#[test]
fn counters_that_vanish_without_having_drained_were_reset() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.pass(443, tcp_in(100));
    node.checkpoint(&mut meter);
    node.ports.remove(&443);
    node.ports.remove(&4433);
    node.wait_until("2026-10-05T13:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)), ("12:00:00-13:00:00 reset", vec![(443, 100)]));
    assert_eq!(bucket.lines[0].total, None, "nothing to go on from");
}

#[test]
fn nothing_is_taken_of_another_counter_that_is_less() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.others.other_ports.in_bytes = 50;
    node.others.non_ip.out_bytes = 8;
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.others.other_ports.in_bytes = 20;
    node.others.non_ip.out_bytes = 9;
    node.wait_until("2026-10-05T14:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(bucket.seal.quality, Quality::Reset);
    assert_eq!((bucket.seal.other.other_ports.in_bytes, bucket.seal.other.non_ip.out_bytes), (0, 1));
    assert_eq!(bucket.seal.other_total, Some(node.others));
}

#[test]
fn a_gap_is_listed_in_whole_seconds_and_within_its_bucket() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.unseen = vec![
        unseen(&node, "2026-10-05T12:10:00.6Z", "2026-10-05T12:11:00.2Z"),
        unseen(&node, "2026-10-05T12:59:59.5Z", "2026-10-05T13:00:00Z"),
    ];
    let bucket = node.close(&mut meter);
    let shown = |bucket: &HourBlock| {
        let show = |at: DateTime<chrono::FixedOffset>| at.format("%H:%M:%S").to_string();
        bucket.seal.gaps.iter().map(|gap| (show(gap.start), show(gap.end))).collect::<Vec<_>>()
    };
    let expected = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
    assert_eq!(time(&bucket), "12:00:00-13:00:00 gap");
    assert_eq!(shown(&bucket), expected(&[("12:10:00", "12:11:01"), ("12:59:59", "13:00:00")]));
    // The gap lasts, so the next bucket has its part of it.
    node.wait_until("2026-10-05T14:00:00Z");
    node.unseen = vec![unseen(&node, "2026-10-05T12:59:59.5Z", "2026-10-05T13:20:00Z")];
    assert_eq!(shown(&node.close(&mut meter)), expected(&[("13:00:00", "13:20:00")]));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((bucket.seal.quality, bucket.seal.gaps.len()), (Quality::Exact, 0), "it was over before");
}

#[test]
fn the_worst_word_comes_first() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    let mut qualities = Vec::new();
    node.pass(443, tcp_in(100));
    for round in 0..5 {
        let wall = node.now.wall;
        node.wait(TimeDelta::minutes(100));
        let whole = node.unseen.len();
        assert_eq!(whole, 0);
        if round < 1 {
            let end = node.now;
            let start = Moment { wall, boot_ns: end.boot_ns - 6_000_000_000_000 };
            node.unseen = vec![Unseen { start, end, interface: "eth0".into(), why: "…".into() }];
        }
        if round < 2 {
            node.checkpoint(&mut meter);
            node.ports.insert(443, Counters::default());
            node.checkpoint(&mut meter);
            node.pass(443, tcp_in(100));
        }
        if round < 3 {
            node.now.wall += TimeDelta::seconds(3);
        }
        if round == 4 {
            node.now.wall = meter.planned_end();
        }
        qualities.push(node.close(&mut meter).seal.quality);
        node.unseen.clear();
    }
    assert_eq!(qualities, [Quality::Gap, Quality::Reset, Quality::Clock, Quality::Late, Quality::Clock]);
}

#[test]
fn a_device_is_counted_over_the_same_time() {
    let mut node = Node::new();
    let eth0 = |rx_bytes| Device { name: "eth0".into(), rx_bytes, ..Device::default() };
    let received = |bucket: &HourBlock| {
        bucket.seal.devices.iter().map(|device| (device.name.clone(), device.rx_bytes)).collect::<Vec<_>>()
    };
    node.devices = vec![eth0(1_000)];
    let (mut meter, _) = node.start();
    node.devices = vec![eth0(1_500)];
    node.wait_until("2026-10-05T13:00:00Z");
    assert_eq!(received(&node.close(&mut meter)), [("eth0".into(), 500)]);
    // The same over a restart. A device that appears counts from its first reading.
    node.devices = vec![eth0(1_600), Device { name: "wg0".into(), rx_bytes: 9, ..Device::default() }];
    let (mut meter, _) = node.start();
    node.devices[1].rx_bytes = 10;
    node.wait_until("2026-10-05T14:00:00Z");
    assert_eq!(received(&node.close(&mut meter)), [("eth0".into(), 100), ("wg0".into(), 1)]);
    // A device that was created anew counts from zero.
    node.devices = vec![eth0(40)];
    node.wait_until("2026-10-05T15:00:00Z");
    assert_eq!(received(&node.close(&mut meter)), [("eth0".into(), 40)]);
}

#[test]
fn a_device_is_counted_over_the_same_time_when_other_counters_take_over() {
    let mut node = Node::new();
    let eth0 = |rx_bytes| vec![Device { name: "eth0".into(), rx_bytes, ..Device::default() }];
    let received = |bucket: &HourBlock| bucket.seal.devices.iter().map(|device| device.rx_bytes).collect::<Vec<_>>();
    node.devices = eth0(1_000);
    let (mut meter, _) = node.start();
    // The counters are replaced for lack of slots; a retired set is read without its devices.
    let last = |node: &mut Node, epoch: &str| {
        node.devices.clear();
        let last = node.counted();
        node.epoch = epoch.to_owned();
        last
    };
    node.wait_until("2026-10-05T12:10:00Z");
    let old = last(&mut node, "boot-1-larger");
    node.devices = eth0(1_500);
    let bucket = meter.replace(Some(old), node.counted(), node.closing()).unwrap();
    node.baseline.take(&bucket);
    assert_eq!(received(&bucket), [500]);
    // An agent dies before its new counters are in a seal.
    assert!(node.checkpoint(&mut meter));
    node.devices = eth0(1_600);
    node.wait_until("2026-10-05T12:20:00Z");
    // Its successor enlarges the counters once more.
    let old = last(&mut node, "boot-1-largest");
    node.devices = eth0(1_700);
    let (mut meter, buckets) = node.start_after(vec![old]);
    assert_eq!(buckets.iter().map(received).collect::<Vec<_>>(), [[200]]);
    node.devices = eth0(1_730);
    node.wait_until("2026-10-05T13:00:00Z");
    assert_eq!(received(&node.close(&mut meter)), [30]);
}

#[test]
fn counters_that_stand_still_keep_the_devices_that_they_were_read_with() {
    let mut node = Node::new();
    let eth0 = |rx_bytes| vec![Device { name: "eth0".into(), rx_bytes, ..Device::default() }];
    let received = |bucket: &HourBlock| bucket.seal.devices.iter().map(|device| device.rx_bytes).collect::<Vec<_>>();
    node.devices = eth0(1_000);
    let (mut meter, _) = node.start();
    node.devices = eth0(1_300);
    node.wait_until("2026-10-05T12:10:00Z");
    let old = node.counted();
    node.epoch = "boot-1-larger".into();
    node.devices = eth0(1_500);
    assert_eq!(received(&meter.replace(Some(old), node.counted(), node.closing()).unwrap()), [300]);
}

#[test]
fn a_name_that_cannot_be_written_does_not_cost_its_bytes() {
    let mut node = Node::new();
    node.users.insert(443, "\u{202e}ada".into());
    let (mut meter, _) = node.start();
    node.pass(443, tcp_in(1));
    node.wait_until("2026-10-05T13:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((bucket.lines[0].user.as_deref(), bytes(&bucket)[0]), (None, (443, 1)));
}

#[test]
fn a_seal_with_very_many_gaps_can_still_be_read_and_claims_no_more_than_was_seen() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    for second in 0..3_600 {
        let (minute, second) = (second / 60, second % 60);
        let from = format!("2026-10-05T12:{minute:02}:{second:02}.2Z");
        // Each gap takes 512 bytes: 96 of JSON, and the rest for its name and reason.
        let why = "x".repeat(512 - 96 - "wg0".len());
        for interface in ["wg0", "wg1", "wg2", "wg3"] {
            let to = format!("2026-10-05T12:{minute:02}:{second:02}.7Z");
            node.unseen.push(Unseen { interface: interface.into(), why: why.clone(), ..unseen(&node, &from, &to) });
        }
    }
    let mut bucket = node.close(&mut meter);
    let last = bucket.seal.gaps.last().unwrap();
    // 256 KiB hold 512 of the 14,400 gaps.
    assert_eq!((bucket.seal.gaps.len(), last.why.as_str()), (513, "13888 more gaps"));
    assert_eq!(last.end, bucket.seal.end, "what is not listed lies in the last one");
    let covered: BTreeSet<i64> =
        bucket.seal.gaps.iter().flat_map(|gap| gap.start.timestamp()..gap.end.timestamp()).collect();
    assert_eq!(covered.len(), 3_600);
    let (mut decoder, text) = (Decoder::<Hourly>::new(), bucket.encode());
    assert!(matches!(decoder.feed(text.as_bytes())[..], [BlockEvent::Block(_)]));
}

#[test]
fn a_seal_with_very_many_devices_can_still_be_read() {
    let mut node = Node::new();
    // As many devices as a PPPoE server with one per session has.
    node.devices = (0..10_000)
        .map(|number| Device { name: format!("ppp{number:012}"), rx_bytes: u64::MAX, ..Device::default() })
        .collect();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    let mut bucket = node.close(&mut meter);
    bucket.seal.interfaces = node.devices.iter().map(|device| device.name.clone()).collect();
    let (mut decoder, text) = (Decoder::<Hourly>::new(), bucket.encode());
    assert!(matches!(decoder.feed(text.as_bytes())[..], [BlockEvent::Block(_)]));
}

#[test]
fn a_time_goes_on_after_a_bucket_that_ends_before_it_does() {
    let seal = HourSeal { boot_ms: Some(5_000), ..bucket_of(&[]).seal };
    // By the boot-time clock, whatever the wall clock says.
    let unseen = |wall: DateTime<Utc>, boot_ns| {
        let end = Moment { wall, boot_ns };
        Unseen { start: end, end, interface: "eth0".into(), why: "gone".into() }
    };
    let (end, second) = (seal.end.to_utc(), TimeDelta::seconds(1));
    assert!(!goes_on_after(&unseen(end + second, 4_999_999_999), &seal));
    assert!(!goes_on_after(&unseen(end + second, 5_000_000_000), &seal));
    assert!(goes_on_after(&unseen(end - second, 5_000_000_001), &seal));
    // By the wall clock, if the seal has no boot-time clock.
    let seal = HourSeal { boot_ms: None, ..seal };
    assert!(!goes_on_after(&unseen(end - second, 9_000_000_000), &seal));
    assert!(!goes_on_after(&unseen(end, 9_000_000_000), &seal));
    assert!(goes_on_after(&unseen(end + second, 0), &seal));
}
