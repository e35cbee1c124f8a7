//! The times of buckets when clocks misbehave.

use super::*;

/// Runs an agent that looks at its clocks every second until the wall clock shows `until`. Returns the times of all its
/// buckets.
fn run(node: &mut Node, meter: &mut Meter, until: &str) -> Vec<String> {
    let mut buckets = Vec::new();
    loop {
        if meter.due(node.now) {
            buckets.push(time(&node.close(meter)));
        }
        if node.now.wall >= at(until) {
            return buckets;
        }
        node.wait(TimeDelta::seconds(1));
    }
}

#[test]
fn a_reading_within_a_second_after_a_boundary_is_one_at_the_boundary() {
    for (read_at, shown) in [
        ("2026-10-05T13:00:00.999Z", "12:00:00-13:00:00 exact"),
        ("2026-10-05T13:00:01Z", "12:00:00-13:00:01 late"),
        ("2026-10-05T13:59:00Z", "12:00:00-13:59:00 late"),
        ("2026-10-05T12:59:59.999Z", "12:00:00-12:59:59 exact"),
    ] {
        let mut node = Node::new();
        let (mut meter, _) = node.start();
        node.wait_until(read_at);
        assert_eq!(time(&node.close(&mut meter)), shown);
    }
}

#[test]
fn a_bucket_is_not_exact_where_the_second_with_which_it_ends_or_begins_is_not_known() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    for (read_at, until, shown) in [
        ("2026-10-05T13:00:00.1Z", "2026-10-05T13:00:00.999Z", "12:00:00-13:00:00 exact"),
        ("2026-10-05T14:00:00.9Z", "2026-10-05T14:00:01Z", "13:00:00-14:00:00 clock"),
        ("2026-10-05T15:00:00Z", "2026-10-05T15:00:00.5Z", "14:00:00-15:00:00 clock"),
        ("2026-10-05T16:00:00Z", "2026-10-05T16:00:00Z", "15:00:00-16:00:00 exact"),
        // It is also late, but `clock` takes precedence.
        ("2026-10-05T17:00:02Z", "2026-10-05T17:00:08Z", "16:00:00-17:00:02 clock"),
    ] {
        node.wait_until(read_at);
        node.read_until = Some(Moment { wall: at(until), ..node.now });
        assert_eq!(time(&node.close(&mut meter)), shown);
    }
    // Other counters take over. The moment at which they began to count is known.
    let before = node.counted();
    node.epoch = "boot-2".into();
    node.read_until = None;
    let handed_over = meter.replace(Some(before), node.counted(), node.closing()).unwrap();
    assert_eq!(time(&handed_over), "17:00:02-17:00:02 clock");
    node.wait_until("2026-10-05T18:00:00Z");
    assert_eq!(time(&node.close(&mut meter)), "17:00:02-18:00:00 exact");
}

#[test]
fn a_successor_knows_that_its_first_bucket_begins_at_an_unknown_second() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00.9Z");
    node.read_until = Some(Moment { wall: at("2026-10-05T13:00:01.1Z"), ..node.now });
    assert_eq!(time(&node.close(&mut meter)), "12:00:00-13:00:00 clock");
    node.read_until = None;
    let (mut meter, _) = node.start();
    for expected in ["13:00:00-14:00:00 clock", "14:00:00-15:00:00 exact"] {
        node.wait_until(&meter.planned_end().to_rfc3339());
        assert_eq!(time(&node.close(&mut meter)), expected);
    }
}

#[test]
fn a_machine_that_slept_has_one_late_bucket_and_goes_on() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T12:30:00Z");
    assert!(!meter.due(node.now));
    node.wait_until("2026-10-05T13:59:00Z");
    assert_eq!(
        run(&mut node, &mut meter, "2026-10-05T15:00:00Z"),
        ["12:00:00-13:59:00 late", "13:59:00-14:00:00 exact", "14:00:00-15:00:00 exact"]
    );
}

#[test]
fn an_agent_that_was_away_writes_one_late_bucket() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.wait_until("2026-10-06T02:20:10.5Z");
    let (mut meter, _) = node.start();
    assert!(meter.due(node.now));
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "13:00:00-02:20:10 late");
    assert_eq!(meter.planned_end(), at("2026-10-06T03:00:00Z"));
}

#[test]
fn a_step_of_two_seconds_is_no_step() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.set_clock("2026-10-05T12:59:58Z");
    assert_eq!(run(&mut node, &mut meter, "2026-10-05T14:00:00Z"), ["13:00:00-14:00:00 exact"]);
    node.wait(TimeDelta::seconds(1));
    node.set_clock("2026-10-05T14:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "14:00:00-14:00:00 exact", "a bucket of no time, never of less");
}

#[test]
fn a_step_back_inside_the_bucket_leaves_it_open() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T12:50:00Z");
    assert!(!meter.due(node.now));
    node.set_clock("2026-10-05T12:05:00Z");
    assert_eq!(
        run(&mut node, &mut meter, "2026-10-05T14:00:00Z"),
        ["12:00:00-13:00:00 clock", "13:00:00-14:00:00 exact"]
    );
}

#[test]
fn a_step_forward_inside_the_bucket_leaves_it_open() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T12:05:00Z");
    assert!(!meter.due(node.now));
    node.set_clock("2026-10-05T12:50:00Z");
    assert_eq!(run(&mut node, &mut meter, "2026-10-05T13:00:00Z"), ["12:00:00-13:00:00 clock"]);
}

#[test]
fn a_larger_step_closes_the_bucket_where_the_old_clock_stood() {
    for (steps_to, until, expected) in [
        // An hour back, an hour forth, a day back, a day forth, to 1970, past 2038.
        ("2026-10-05T11:30:00Z", "2026-10-05T12:00:00Z", ["12:00:00-12:30:00 clock", "11:30:00-12:00:00 exact"]),
        ("2026-10-05T13:30:00Z", "2026-10-05T14:00:00Z", ["12:00:00-12:30:00 clock", "13:30:00-14:00:00 exact"]),
        ("2026-10-04T12:30:00Z", "2026-10-04T13:00:00Z", ["12:00:00-12:30:00 clock", "12:30:00-13:00:00 exact"]),
        ("2026-10-06T12:30:00Z", "2026-10-06T13:00:00Z", ["12:00:00-12:30:00 clock", "12:30:00-13:00:00 exact"]),
        ("1970-01-01T00:00:05Z", "1970-01-01T01:00:00Z", ["12:00:00-12:30:00 clock", "00:00:05-01:00:00 exact"]),
        ("2038-01-19T03:14:06Z", "2038-01-19T04:00:00Z", ["12:00:00-12:30:00 clock", "03:14:06-04:00:00 exact"]),
    ] {
        let mut node = Node::new();
        let (mut meter, _) = node.start();
        node.wait_until("2026-10-05T12:30:00Z");
        assert!(!meter.due(node.now));
        node.set_clock(steps_to);
        assert_eq!(run(&mut node, &mut meter, until), expected, "{steps_to}");
    }
}

#[test]
fn a_step_while_no_agent_ran_is_seen() {
    for (steps_to, expected) in [
        // 13:00 is sealed, the agent is killed, and at 13:20 by the old clock the wall clock is set. An agent starts
        // ten minutes later.
        ("2026-10-05T11:00:00Z", ["13:00:00-13:30:00 clock", "11:10:00-12:00:00 clock"]),
        ("2026-10-05T20:00:00Z", ["13:00:00-13:30:00 clock", "20:10:00-21:00:00 exact"]),
    ] {
        let mut node = Node::new();
        let (mut meter, _) = node.start();
        node.wait_until("2026-10-05T13:00:00Z");
        node.close(&mut meter);
        node.wait_until("2026-10-05T13:20:00Z");
        node.set_clock(steps_to);
        node.wait(TimeDelta::minutes(10));
        let (mut meter, _) = node.start();
        assert!(meter.due(node.now));
        let closed = time(&node.close(&mut meter));
        node.wait_until(&meter.planned_end().to_rfc3339());
        assert_eq!([closed, time(&node.close(&mut meter))], expected, "{steps_to}");
    }
}

#[test]
fn a_step_is_seen_though_a_checkpoint_after_it_is_all_that_is_left() {
    for (steps_to, is_outside, expected) in [
        ("2026-10-04T12:20:00Z", true, "12:00:00-12:20:10 gap"),
        ("2026-10-05T12:20:30Z", false, "12:00:00-12:20:40 gap"),
        ("2026-10-06T12:20:00Z", true, "12:00:00-12:20:10 gap"),
    ] {
        let mut node = Node::new();
        let (mut meter, _) = node.start();
        assert!(node.checkpoint(&mut meter));
        node.pass(443, tcp_in(1));
        node.wait_until("2026-10-05T12:20:00Z");
        let start = node.now;
        node.set_clock(steps_to);
        node.wait(TimeDelta::seconds(5));
        // It notices a gap, writes a checkpoint, and dies before it writes the bucket.
        let (end, interface) = (node.now, "eth0".to_owned());
        node.unseen = vec![Unseen { start, end, interface, why: "interface was deleted".into() }];
        assert!(node.checkpoint(&mut meter));
        node.wait(TimeDelta::seconds(5));
        node.unseen = node.baseline.unseen(&node.epoch);
        let (mut meter, _) = node.start();
        assert_eq!(meter.due(node.now), is_outside, "{steps_to}");
        assert_eq!(time(&node.close(&mut meter)), expected, "{steps_to}");
    }
}

#[test]
fn a_seal_that_does_not_tell_the_boot_clock_still_cannot_end_before_it_begins() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    let mut bucket = node.close(&mut meter);
    bucket.seal.boot_ms = None;
    node.baseline = Baseline::default();
    node.baseline.take(&bucket);
    node.set_clock("2026-10-05T11:10:00Z");
    let (mut meter, _) = node.start();
    assert!(meter.due(node.now));
    assert_eq!(time(&node.close(&mut meter)), "13:00:00-13:00:00 clock");
    assert_eq!(meter.planned_end(), at("2026-10-05T12:00:00Z"));
}

#[test]
fn without_the_boot_clock_of_a_seal_a_wall_clock_that_lies_before_it_was_set() {
    for (started_at, expected) in [
        // Closed ten minutes after the start. How far the clock was set back is not known, so only these ten minutes
        // are.
        ("2026-10-05T11:10:00Z", "13:00:00-13:10:00 clock"),
        ("2026-10-05T12:59:57.9Z", "13:00:00-13:10:00 clock"),
        // A difference of up to two seconds is not a step.
        ("2026-10-05T12:59:58Z", "13:00:00-13:09:58 exact"),
        ("2026-10-05T13:00:01Z", "13:00:00-13:10:01 exact"),
        ("2026-10-05T13:30:00Z", "13:00:00-13:40:00 exact"),
    ] {
        let mut node = Node::new();
        let (mut meter, _) = node.start();
        node.wait_until("2026-10-05T13:00:00Z");
        let mut bucket = node.close(&mut meter);
        bucket.seal.boot_ms = None;
        node.baseline = Baseline::default();
        node.baseline.take(&bucket);
        node.set_clock(started_at);
        let (mut meter, _) = node.start();
        assert_eq!(meter.due(node.now), expected.ends_with("clock"), "{started_at}");
        node.wait(TimeDelta::minutes(10));
        assert_eq!(time(&node.close(&mut meter)), expected, "{started_at}");
    }
}

#[test]
fn a_clock_that_lies_before_the_last_seal_at_boot_is_suspect_until_it_is_past() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.reboot("boot-2");
    node.set_clock("2026-10-05T11:10:00Z");
    assert!(node.baseline.is_ahead_of(node.now));
    let (mut meter, first) = node.start();
    assert!(first.is_empty());
    assert_eq!(
        run(&mut node, &mut meter, "2026-10-05T14:00:00Z"),
        ["11:10:00-12:00:00 clock", "12:00:00-13:00:00 clock", "13:00:00-14:00:00 exact"]
    );
    node.wait_until("2026-10-05T14:00:01Z");
    assert!(!node.baseline.is_ahead_of(node.now));
}

#[test]
fn a_clock_that_is_set_after_the_boot_names_the_next_bucket() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.reboot("boot-2");
    node.set_clock("1970-01-01T00:00:10Z");
    let (mut meter, _) = node.start();
    node.wait(TimeDelta::seconds(50));
    node.set_clock("2026-10-05T13:20:00Z");
    assert_eq!(
        run(&mut node, &mut meter, "2026-10-05T14:00:00Z"),
        ["00:00:10-00:01:00 clock", "13:20:00-14:00:00 exact"]
    );
}

#[test]
fn a_night_of_two_two_o_clocks_has_a_bucket_for_each() {
    let mut node = Node::new();
    node.settings.zone = Tz::Europe__Berlin;
    node.set_clock("2026-10-24T23:00:00Z");
    let (mut meter, _) = node.start();
    let mut starts = Vec::new();
    for _ in 0..4 {
        node.now.boot_ns += u64::try_from((meter.planned_end() - node.now.wall).num_nanoseconds().unwrap()).unwrap();
        node.now.wall = meter.planned_end();
        let bucket = node.close(&mut meter);
        assert_eq!(bucket.seal.quality, Quality::Exact);
        starts.push(bucket.seal.start.format("%H:%M%:z").to_string());
    }
    assert_eq!(starts, ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]);
}

#[test]
fn a_gap_is_placed_by_the_clock_that_nobody_sets() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T12:10:00Z");
    let start = node.now;
    node.wait_until("2026-10-05T12:20:00Z");
    // The wall clock is set back a day while the interface is away. The bucket and the gap both end by the bucket's own
    // clock.
    node.set_clock("2026-10-04T12:20:00Z");
    assert!(meter.due(node.now));
    node.wait(TimeDelta::seconds(5));
    node.unseen = vec![Unseen { start, end: node.now, interface: "eth0".into(), why: "interface was deleted".into() }];
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "12:00:00-12:20:05 gap");
    let gap = &bucket.seal.gaps[0];
    assert_eq!((gap.start.to_utc(), gap.end.to_utc()), (at("2026-10-05T12:10:00Z"), at("2026-10-05T12:20:05Z")));
}

#[test]
fn a_step_that_is_too_small_to_be_seen_moves_no_gap_out_of_its_bucket() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    // By the wall clock, the whole gap lies before the bucket.
    node.set_clock("2026-10-05T11:59:58Z");
    assert!(!meter.due(node.now));
    let start = node.now;
    node.wait(TimeDelta::seconds(1));
    node.unseen = vec![Unseen { start, end: node.now, interface: "eth0".into(), why: "interface was deleted".into() }];
    assert_eq!(time(&node.close(&mut meter)), "12:00:00-12:00:00 gap");
    // The gap does not extend into the next bucket.
    node.wait(TimeDelta::minutes(1));
    assert_eq!(time(&node.close(&mut meter)), "12:00:00-12:00:59 exact");
}

#[test]
fn a_gap_of_counters_without_ports_has_a_bucket_when_others_take_over() {
    let mut node = Node::new();
    node.ports.clear();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T12:10:00Z");
    let start = node.now;
    node.wait(TimeDelta::seconds(5));
    node.unseen = vec![Unseen { start, end: node.now, interface: "eth0".into(), why: "interface was deleted".into() }];
    assert!(node.checkpoint(&mut meter));
    // The agent dies, and its successor has new counters.
    let retired = node.counted();
    node.unseen = node.baseline.unseen(&node.epoch);
    node.epoch = "boot-1-again".into();
    let (_, buckets) = node.start_after(vec![retired]);
    assert_eq!(buckets.iter().map(time).collect::<Vec<_>>(), ["12:00:00-12:10:05 gap"]);
}
