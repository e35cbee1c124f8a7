//! Where an agent continues after a start.

use super::*;

/// A node at 14:00 with two sealed buckets, which have 100 and 20 bytes on port 443.
fn sealed() -> (Node, Meter) {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    node.pass(443, tcp_in(100));
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter);
    node.pass(443, tcp_in(20));
    node.wait_until("2026-10-05T14:00:00Z");
    node.close(&mut meter);
    (node, meter)
}

#[test]
fn a_killed_agent_goes_on_from_its_last_seal() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T14:10:00Z");
    assert!(node.checkpoint(&mut meter));
    node.pass(443, tcp_in(4));
    node.wait_until("2026-10-05T14:20:00Z");
    let (mut meter, first) = node.start();
    assert!(first.is_empty(), "the counters are there: the checkpoint is not used");
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("14:00:00-15:00:00 exact", (443, 7)));
    assert_eq!(bucket.seal.seq, Some(3));
}

#[test]
fn a_reboot_keeps_what_the_checkpoint_saw() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(3));
    node.others.other_ip.in_bytes = 9;
    node.wait_until("2026-10-05T14:10:00.7Z");
    assert!(node.checkpoint(&mut meter));
    node.pass(443, tcp_in(1_000));
    node.wait_until("2026-10-05T14:30:00Z");
    node.reboot("boot-2");
    node.pass(443, tcp_in(6));
    let (mut meter, first) = node.start();
    let [restart] = &first[..] else { panic!("{first:?}") };
    assert_eq!((time(restart).as_str(), bytes(restart)), ("14:00:00-14:10:00 restart", vec![(443, 3), (4433, 0)]));
    assert_eq!((restart.seal.seq, restart.seal.epoch.as_str()), (Some(3), "boot-1"));
    assert_eq!(restart.seal.other.other_ip.in_bytes, 9);
    assert_eq!((restart.seal.backend, restart.seal.interfaces.len()), (Some(BackendKind::Ebpf), 1));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("14:30:00-15:00:00 exact", (443, 6)));
    assert_eq!((bucket.seal.seq, bucket.seal.epoch.as_str()), (Some(4), "boot-2"));
}

#[test]
fn counters_that_were_zeroed_and_then_lost_are_a_reset_and_no_mere_restart() {
    let (mut node, mut meter) = sealed();
    // Somebody zeroes a counter that stood at 120, and the machine loses power before a bucket can show it.
    node.ports.insert(443, tcp_in(7));
    node.pass(4433, tcp_in(5));
    node.wait_until("2026-10-05T14:10:00Z");
    assert!(node.checkpoint(&mut meter));
    node.wait_until("2026-10-05T14:30:00Z");
    node.reboot("boot-2");
    let (_, first) = node.start();
    assert_eq!(first.iter().map(time).collect::<Vec<_>>(), ["14:00:00-14:10:00 reset"]);
    assert_eq!(bytes(&first[0]), [(443, 0), (4433, 5)]);
}

#[test]
fn the_checkpoints_bucket_is_written_once() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T14:10:00Z");
    node.checkpoint(&mut meter);
    node.reboot("boot-2");
    assert_eq!(node.start().1.len(), 1);
    // Killed before the first checkpoint of the new epoch: the old checkpoint is still there.
    assert!(node.start().1.is_empty());
    node.reboot("boot-3");
    assert!(node.start().1.is_empty());
}

#[test]
fn an_epoch_that_was_never_sealed_is_not_lost_either() {
    let (mut node, _) = sealed();
    node.wait_until("2026-10-05T14:30:00Z");
    node.reboot("boot-2");
    let (mut meter, _) = node.start();
    assert!(node.checkpoint(&mut meter), "a new epoch makes itself known at once");
    assert!(node.baseline.epochs().contains("boot-2"));
    node.pass(443, tcp_in(50));
    node.wait_until("2026-10-05T14:40:00Z");
    assert!(node.checkpoint(&mut meter));

    node.wait_until("2026-10-05T14:45:00Z");
    let (_, adopted) = node.start();
    assert!(adopted.is_empty());
    node.reboot("boot-3");
    let (_, first) = node.start();
    assert_eq!(first.iter().map(time).collect::<Vec<_>>(), ["14:30:00-14:40:00 restart"]);
    assert_eq!(bytes(&first[0]), [(443, 50)], "ports that moved nothing are not in a checkpoint");
}

#[test]
fn an_old_checkpoint_of_an_epoch_whose_seals_were_not_looked_at_counts_nothing() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T14:10:00Z");
    node.checkpoint(&mut meter);
    let old = node.baseline.checkpoint().cloned();
    node.wait_until("2026-10-05T15:00:00Z");
    node.close(&mut meter);
    node.reboot("boot-2");
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T16:00:00Z");
    let newest = node.close(&mut meter);
    // No checkpoint could be written since, and only the newest file is read.
    node.baseline = Baseline::default();
    node.baseline.take(&newest);
    node.baseline.set_checkpoint(old);
    assert!(node.baseline.checkpoint().is_none());
    assert_eq!(node.baseline.last_known().map(|known| known.wall), Some(at("2026-10-05T16:00:00Z")));
    node.reboot("boot-3");
    assert!(node.start().1.is_empty());
}

#[test]
fn an_adopted_epoch_without_a_seal_begins_where_it_began() {
    let mut node = Node::new();
    node.wait_until("2026-10-05T12:10:00Z");
    let (mut meter, _) = node.start();
    node.checkpoint(&mut meter);
    node.pass(443, tcp_in(50));
    node.wait_until("2026-10-05T12:50:00Z");
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("12:10:00-13:00:00 exact", (443, 50)));
}

#[test]
fn a_checkpoint_tells_what_differs_and_only_when_something_moved() {
    let (mut node, mut meter) = sealed();
    assert!(!node.checkpoint(&mut meter), "nothing moved since the seal");
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T14:10:00.7Z");
    let checkpoint = meter.checkpoint(&node.reading(), &[]).unwrap().unwrap();
    assert_eq!(checkpoint.totals, BTreeMap::from([(443, [123, 3, 0, 0, 0, 0, 0, 0])]));
    assert_eq!((checkpoint.seq, checkpoint.at.to_utc()), (2, at("2026-10-05T14:10:00Z")));
    // The machine has been up for two hours and ten minutes when the wall clock showed `at`.
    assert_eq!(checkpoint.boot_ms, Some(7_800_000));
    assert!(node.checkpoint(&mut meter), "it was not kept: once more");
    assert!(meter.checkpoint(&node.reading(), &[]).unwrap().is_none());
    node.wait_until("2026-10-05T15:00:00Z");
    node.close(&mut meter);
    assert!(meter.checkpoint(&node.reading(), &[]).unwrap().is_none());
}

#[test]
fn a_checkpoint_tells_of_counters_that_vanished_though_nothing_moved() {
    let (mut node, mut meter) = sealed();
    node.ports.remove(&4433);
    assert!(node.checkpoint(&mut meter));
    assert!(!node.checkpoint(&mut meter), "it is told");
}

#[test]
fn where_counters_stood_at_the_last_seal_is_known_while_they_move_on() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(3));
    node.checkpoint(&mut meter);
    let at_seal = Counters { tcp_in_bytes: 120, tcp_in_packets: 2, ..Counters::default() };
    assert_eq!((meter.sealed_counters(443), meter.sealed_counters(4433)), (at_seal, Counters::default()));
    assert_eq!(meter.sealed_counters(8_388), Counters::default(), "it never came");
}

#[test]
fn a_port_that_comes_counts_from_zero_and_one_that_goes_says_so() {
    let (mut node, mut meter) = sealed();
    node.ports.insert(8_388, Counters::default());
    node.pass(8_388, tcp_in(11));
    node.pass(443, tcp_in(5));
    node.wait_until("2026-10-05T14:20:00Z");
    node.draining.insert(443);
    let bucket = node.close(&mut meter);
    assert_eq!(
        (time(&bucket).as_str(), bytes(&bucket)),
        ("14:00:00-14:20:00 exact", vec![(443, 5), (4433, 0), (8_388, 11)])
    );
    assert_eq!(bucket.lines.iter().map(|line| line.closed).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_closed_port_that_is_opened_again_counts_from_zero() {
    let (mut node, mut meter) = sealed();
    node.draining.insert(443);
    node.wait_until("2026-10-05T14:20:00Z");
    node.close(&mut meter);
    // The port is released and gets a new slot.
    node.draining.clear();
    node.ports.insert(443, tcp_in(1_000));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((bytes(&bucket)[0], bucket.lines[0].closed), ((443, 1_000), false));
    assert_eq!(bucket.seal.quality, Quality::Exact);
}

#[test]
fn closed_counters_that_are_not_released_yet_are_not_counted_again() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(5));
    node.draining.insert(443);
    node.wait_until("2026-10-05T14:20:00Z");
    assert_eq!(bytes(&node.close(&mut meter))[0], (443, 5));
    // The agent is killed before it releases the port; so is its successor, after sealing a bucket.
    for end in ["2026-10-05T15:00:00Z", "2026-10-05T16:00:00Z"] {
        let (mut meter, first) = node.start();
        assert!(first.is_empty());
        node.wait_until(end);
        let bucket = node.close(&mut meter);
        assert_eq!((bytes(&bucket)[0], bucket.lines[0].closed), ((443, 0), true));
        assert_eq!(bucket.lines[0].total, Some([125, 3, 0, 0, 0, 0, 0, 0]));
    }
}

#[test]
fn a_port_added_again_while_it_drains_goes_on() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(5));
    node.draining.insert(443);
    assert!(node.checkpoint(&mut meter));
    node.draining.clear();
    node.pass(443, tcp_in(6));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((bytes(&bucket)[0], bucket.lines[0].closed), ((443, 11), false));
}

#[test]
fn a_retired_set_is_sealed_against_its_own_last_seal() {
    let (mut node, _) = sealed();
    node.pass(443, tcp_in(9));
    node.draining = node.ports.keys().copied().collect();
    node.wait_until("2026-10-05T14:05:00Z");
    let old = node.counted();
    node.reboot("boot-1/larger");
    node.now = old.reading.at;
    node.pass(443, tcp_in(2));
    let (mut meter, first) = node.start_after(vec![old.clone()]);
    let [last] = &first[..] else { panic!("{first:?}") };
    assert_eq!((time(last).as_str(), bytes(last)), ("14:00:00-14:05:00 exact", vec![(443, 9), (4433, 0)]));
    assert!(last.lines.iter().all(|line| line.closed));
    assert_eq!(last.seal.epoch, "boot-1");
    drop(meter);
    // Killed before the old set was deleted, which holds nothing new.
    node.wait_until("2026-10-05T14:06:00Z");
    (meter, _) = node.start_after(vec![old]);
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(bytes(&bucket)[0], (443, 2));
    assert_eq!((bucket.seal.seq, bucket.seal.epoch.as_str()), (Some(4), "boot-1/larger"));
}

#[test]
fn counters_are_replaced_without_a_seam() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(9));
    node.wait_until("2026-10-05T14:05:00.9Z");
    let last = node.counted();
    node.reboot("boot-1/larger");
    node.now = last.reading.at;
    node.wait(TimeDelta::milliseconds(200));
    node.pass(443, tcp_in(2));
    let sealed = meter.replace(Some(last), node.counted(), node.closing()).unwrap();
    assert_eq!((time(&sealed).as_str(), bytes(&sealed)[0]), ("14:00:00-14:05:00 exact", (443, 9)));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("14:05:00-15:00:00 exact", (443, 2)));
    assert_eq!((sealed.seal.seq, bucket.seal.seq), (Some(3), Some(4)));
}

#[test]
fn of_counters_that_somebody_destroyed_the_newest_reading_is_kept() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(9));
    node.wait_until("2026-10-05T14:05:00Z");
    node.checkpoint(&mut meter);
    node.pass(443, tcp_in(1_000));
    let known = node.now;
    node.wait_until("2026-10-05T14:06:00Z");
    let now = node.now;
    node.reboot("chain-2");
    node.now = now;
    node.unseen = vec![Unseen { start: known, end: now, interface: "eth0".into(), why: "rules were flushed".into() }];
    let sealed = meter.replace(None, node.counted(), node.closing()).unwrap();
    assert_eq!((time(&sealed).as_str(), bytes(&sealed)[0]), ("14:00:00-14:05:00 exact", (443, 9)));
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!((time(&bucket).as_str(), bytes(&bucket)[0]), ("14:05:00-15:00:00 gap", (443, 0)));
    assert_eq!(bucket.seal.gaps.len(), 1);
}

/// A gap from 14:05:10 to 14:05:40 by the node's clocks, noticed when it ends.
fn notice_a_gap(node: &mut Node, meter: &mut Meter) {
    node.wait_until("2026-10-05T14:05:10.3Z");
    let start = node.now;
    node.wait_until("2026-10-05T14:05:39.4Z");
    node.unseen = vec![Unseen { start, end: node.now, interface: "eth0".into(), why: "interface was deleted".into() }];
    assert!(node.checkpoint(meter), "nothing moved, and it must be known all the same");
    assert!(!node.checkpoint(meter), "it is known");
}

fn gaps(bucket: &HourBlock) -> Vec<String> {
    let show = |gap: &crate::ledger::record::Gap| format!("{}-{}", gap.start.format("%T"), gap.end.format("%T"));
    bucket.seal.gaps.iter().map(show).collect()
}

#[test]
fn a_gap_is_told_by_the_successor_of_the_agent_that_noticed_it() {
    let (mut node, mut meter) = sealed();
    notice_a_gap(&mut node, &mut meter);
    // The agent dies, and so does its successor.
    for _ in 0..2 {
        node.unseen = node.baseline.unseen("boot-1");
        (meter, _) = node.start();
        assert!(node.checkpoint(&mut meter));
    }
    node.wait_until("2026-10-05T15:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "14:00:00-15:00:00 gap");
    assert_eq!(gaps(&bucket), ["14:05:10-14:05:40"]);
    assert!(node.baseline.unseen("boot-1").is_empty(), "once");
}

#[test]
fn a_gap_is_told_by_the_last_bucket_of_counters_that_a_power_cut_took() {
    let (mut node, mut meter) = sealed();
    notice_a_gap(&mut node, &mut meter);
    node.wait_until("2026-10-05T14:20:00Z");
    node.reboot("boot-2");
    node.unseen = node.baseline.unseen("boot-2");
    let (mut meter, buckets) = node.start();
    assert_eq!(time(&buckets[0]), "14:00:00-14:05:39 gap", "known up to the newest reading");
    assert_eq!(gaps(&buckets[0]), ["14:05:10-14:05:39"]);
    node.wait_until("2026-10-05T15:00:00Z");
    assert_eq!(gaps(&node.close(&mut meter)), [""; 0]);
}

#[test]
fn a_reading_of_other_counters_is_refused() {
    let (mut node, mut meter) = sealed();
    node.epoch = "somebody-elses".into();
    let refused = meter.checkpoint(&node.reading(), &[]).unwrap_err();
    assert_eq!(refused.to_string(), r#"a reading of epoch "somebody-elses" while "boot-1" is open"#);
    assert!(meter.close(Vec::new(), &node.reading(), node.closing()).is_err());
}

#[test]
fn what_is_open_can_be_shown_from_what_is_on_disk() {
    let (mut node, mut meter) = sealed();
    assert!(open_bucket(&node.settings, &node.baseline, &node.users).is_none());
    node.pass(443, tcp_in(3));
    node.wait_until("2026-10-05T14:10:00Z");
    node.checkpoint(&mut meter);
    let open = open_bucket(&node.settings, &node.baseline, &node.users).unwrap();
    assert_eq!((bytes(&open)[0], open.lines[0].user.as_deref()), ((443, 3), Some("ada")));
    assert_eq!(open.seal.end.to_utc(), at("2026-10-05T14:10:00Z"));
    node.wait_until("2026-10-05T15:00:00Z");
    node.close(&mut meter);
    assert!(open_bucket(&node.settings, &node.baseline, &node.users).is_none(), "sealed since");
}

#[test]
fn imported_buckets_say_nothing_of_the_counters() {
    let (mut node, mut meter) = sealed();
    let mut imported = node.close(&mut meter);
    imported.seal.quality = Quality::Import;
    imported.seal.seq = Some(1_000);
    node.baseline.take(&imported);
    assert_eq!(node.baseline.seq(), 3);
}

#[test]
fn what_a_retired_set_had_counted_is_sealed_even_if_its_ports_are_gone() {
    let (mut node, mut meter) = sealed();
    node.pass(443, tcp_in(9));
    node.wait_until("2026-10-05T14:05:00Z");
    assert!(node.checkpoint(&mut meter));
    let mut old = node.counted();
    old.reading.ports = BTreeMap::new().into();
    node.reboot("boot-1/larger");
    node.now = old.reading.at;
    let (_, first) = node.start_after(vec![old]);
    let [last] = &first[..] else { panic!("{first:?}") };
    assert_eq!((bytes(last)[0], last.seal.epoch.as_str()), ((443, 9), "boot-1"));
}
